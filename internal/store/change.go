package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"
)

// settleTimeout bounds how long a change may take to be settled, and its end to be recorded.
const settleTimeout = 30 * time.Second

// Outlasting returns a context for finishing or undoing what was begun: it outlasts the
// request, by 30 seconds at most.
func Outlasting(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
}

// Change is a change of several steps, for Intents.Apply.
type Change struct {
	Kind string // "node.create"; recovery knows by it what to do
	Host string // the libvirt host that it is on
	Data any    // what recovery needs; stored as JSON
	// Do makes the change. Nil where Settle makes all of it.
	Do func(ctx context.Context) error
	// Settle runs after Do, also when the request has ended: it completes the change, or
	// removes what is left of it when failure, the error of Do, is not nil. When it returns
	// an error the intent stays, and recovery does the same again.
	Settle func(ctx context.Context, failure error) error
	// Once has no second intent recorded when an equal one is left for recovery already.
	Once bool
}

// Apply records a change, makes it, settles it and forgets the record. While it does so,
// Left does not return the intent. failure is why the change was not made, unsettled why
// it is left to recovery; each is nil without the other.
func (s *Intents) Apply(ctx context.Context, c Change) (failure, unsettled error) {
	id, err := s.start(ctx, c)
	if err != nil {
		return err, nil
	}
	defer s.ongoing.remove(id)
	if c.Do != nil {
		failure = c.Do(ctx)
	}
	work, cancel := Outlasting(ctx)
	defer cancel()
	if unsettled = c.Settle(work, failure); unsettled != nil || id == "" {
		return failure, unsettled
	}
	record, cancel := Outlasting(ctx)
	defer cancel()
	if err := s.Done(record, id); err != nil { // recovery settles it once more, which does no harm
		s.db.Logger.Warn(ctx, fmt.Sprintf("the intent %s cannot be closed: %v", id, err))
	}
	return failure, nil
}

// start records the intent of a change that this process makes now; its id is empty where
// the change says Once, and an equal intent is there.
func (s *Intents) start(ctx context.Context, c Change) (id string, err error) {
	if c.Once {
		if there, err := s.isLeft(ctx, c); err != nil || there {
			return "", err
		}
	}
	s.ongoing.beginning.RLock()
	defer s.ongoing.beginning.RUnlock()
	in, err := s.Begin(ctx, c.Kind, c.Host, c.Data)
	if err != nil {
		return "", err
	}
	s.ongoing.add(in.ID)
	return in.ID, nil
}

// isLeft returns whether an equal change is left for recovery.
func (s *Intents) isLeft(ctx context.Context, c Change) (bool, error) {
	text, err := json.Marshal(c.Data)
	if err != nil {
		return false, fmt.Errorf("encode the data of intent %s: %w", c.Kind, err)
	}
	left, err := s.Left(ctx, c.Host, c.Kind)
	return slices.ContainsFunc(left, func(in Intent) bool { return string(in.Data) == string(text) }), err
}

// ongoing are the intents of the changes that this process makes now.
type ongoing struct {
	// beginning is held, shared, from the record of an intent until ids has it.
	beginning sync.RWMutex

	mu  sync.Mutex
	ids map[string]bool
}

func (o *ongoing) add(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ids[id] = true
}

func (o *ongoing) remove(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.ids, id)
}
