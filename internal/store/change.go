package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"
)

// settleTimeout limits how long it may take to settle a change and to record its end.
const settleTimeout = 30 * time.Second

// Outlasting returns a context for finishing or undoing a change: it remains valid after the
// request has ended, for at most 30 seconds.
func Outlasting(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
}

// Change is a change of several steps, for Intents.Apply.
type Change struct {
	Kind string // tells recovery what to do: "node.create"
	Host string // libvirt host that the change affects
	Data any    // what recovery needs; stored as JSON
	// Do makes the change. Nil if Settle makes all of it.
	Do func(ctx context.Context) error
	// Settle runs after Do, even if the request has ended. It completes the change or, if failure
	// (the error of Do) is not nil, removes its remains. If it returns an error, the intent is kept,
	// and recovery repeats Settle.
	Settle func(ctx context.Context, failure error) error
	// Once prevents a second intent if an equal one is already waiting for recovery.
	Once bool
}

// Apply records a change, makes it, settles it and deletes the record. Meanwhile Left does not
// return the intent. failure is why the change was not made; unsettled is why it was left to
// recovery. Each may be nil without the other.
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
	if err := s.Done(record, id); err != nil { // recovery settles it again, which is harmless
		s.db.Logger.Warn(ctx, fmt.Sprintf("the intent %s cannot be closed: %v", id, err))
	}
	return failure, nil
}

// start records the intent of a change that this process is about to make. The id is empty if the
// change has Once set and an equal intent exists.
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

// isLeft returns whether an equal change is waiting for recovery.
func (s *Intents) isLeft(ctx context.Context, c Change) (bool, error) {
	text, err := json.Marshal(c.Data)
	if err != nil {
		return false, fmt.Errorf("encode the data of intent %s: %w", c.Kind, err)
	}
	left, err := s.Left(ctx, c.Host, c.Kind)
	return slices.ContainsFunc(left, func(in Intent) bool { return string(in.Data) == string(text) }), err
}

// ongoing contains the intents of the changes that this process is making.
type ongoing struct {
	// beginning is held, shared, from recording an intent until ids contains it.
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
