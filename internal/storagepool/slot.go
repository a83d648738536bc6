package storagepool

import (
	"sync"
	"time"
)

// slotPause is how long work waits until it looks again for a slot.
const slotPause = 2 * time.Second

// slotTaken is the error of work that needs a slot which other work has. A job that
// returns it gives its worker back, and is done again from its beginning.
type slotTaken struct{ what string }

// Error says which slot it is.
func (e slotTaken) Error() string { return "other work has the slot for " + e.what }

// Wait is how long to wait before another attempt.
func (slotTaken) Wait() time.Duration { return slotPause }

// TakeSlot takes a slot, or returns slotTaken. release may be called again.
func TakeSlot(slot chan struct{}, what string) (release func(), err error) {
	select {
	case slot <- struct{}{}:
		return sync.OnceFunc(func() { <-slot }), nil
	default:
		return nil, slotTaken{what}
	}
}

// TakeConverting takes the slot for conversions on a host.
func (s *Service) TakeConverting(host string) (release func(), err error) {
	lib, err := s.library(host)
	if err != nil {
		return nil, err
	}
	return TakeSlot(lib.converting, "conversions on host "+host)
}
