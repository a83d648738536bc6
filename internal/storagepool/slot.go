package storagepool

import (
	"sync"
	"time"
)

// slotPause is how long a task waits before it tries again to get a slot.
const slotPause = 2 * time.Second

// slotTaken is the error of a task that needs a slot which another task holds. A job that
// returns it releases its worker and is later restarted from the beginning.
type slotTaken struct{ what string }

// Error names the slot.
func (e slotTaken) Error() string { return "other work has the slot for " + e.what }

// Wait returns how long to wait before the next attempt.
func (slotTaken) Wait() time.Duration { return slotPause }

// TakeSlot acquires a slot, or returns slotTaken. release may be called more than once.
func TakeSlot(slot chan struct{}, what string) (release func(), err error) {
	select {
	case slot <- struct{}{}:
		return sync.OnceFunc(func() { <-slot }), nil
	default:
		return nil, slotTaken{what}
	}
}

// TakeConverting acquires a host's slot for conversions.
func (s *Service) TakeConverting(host string) (release func(), err error) {
	lib, err := s.library(host)
	if err != nil {
		return nil, err
	}
	return TakeSlot(lib.converting, "conversions on host "+host)
}
