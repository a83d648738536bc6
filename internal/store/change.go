package store

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// doneTimeout bounds how long the end of a change may take to be written down.
const doneTimeout = 30 * time.Second

// ongoing are the intents that this process works on.
type ongoing struct {
	// beginning is held, shared, from the record of an intent until ids has it.
	beginning sync.RWMutex

	mu  sync.Mutex
	ids map[string]bool
}

// Start is Begin for a change that this process makes now: until done is called,
// Left does not show the intent. done(true) forgets it, also when ctx has ended;
// done(false) leaves it to be settled.
func (s *Intents) Start(ctx context.Context, kind, host string, data any) (done func(complete bool), err error) {
	s.ongoing.beginning.RLock()
	defer s.ongoing.beginning.RUnlock()
	in, err := s.Begin(ctx, kind, host, data)
	if err != nil {
		return nil, err
	}
	s.ongoing.mu.Lock()
	s.ongoing.ids[in.ID] = true
	s.ongoing.mu.Unlock()
	return func(complete bool) {
		if complete {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), doneTimeout)
			defer cancel()
			if err := s.Done(ctx, in.ID); err != nil { // it is settled once more, which does no harm
				s.db.Logger.Warn(ctx, fmt.Sprintf("the intent %s cannot be closed: %v", in.ID, err))
			}
		}
		s.ongoing.mu.Lock()
		delete(s.ongoing.ids, in.ID)
		s.ongoing.mu.Unlock()
	}, nil
}
