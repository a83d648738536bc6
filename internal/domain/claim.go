package domain

import (
	"context"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// claim waits until no other change to the node is running, and reserves the node until
// release is called.
func (s *Service) claim(ctx context.Context, id string) (release func(), err error) {
	return s.claimFor(ctx, id, "")
}

// turn is a change to a node in progress.
type turn struct {
	over chan struct{} // closed when the change has ended
	// reason is the error message for other callers when the change takes long. If it is
	// empty, they wait instead.
	reason string
}

// claimFor is claim for a long change: other callers fail with reason instead of waiting.
func (s *Service) claimFor(ctx context.Context, id, reason string) (release func(), err error) {
	for {
		release, other := s.take(id, reason)
		if release != nil {
			return release, nil
		}
		if other.reason != "" {
			return nil, fault.New(fault.NodeBusy, "%s", other.reason)
		}
		select {
		case <-other.over:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// claimNow claims several nodes at once without waiting: ok is false if another change to one
// of them is running.
func (s *Service) claimNow(ids ...string) (release func(), ok bool) {
	var taken []func()
	release = func() {
		for _, give := range taken {
			give()
		}
	}
	for _, id := range ids {
		give, _ := s.take(id, "")
		if give == nil {
			release()
			return nil, false
		}
		taken = append(taken, give)
	}
	return release, true
}

// take starts a change to a node. release is nil if another one is running, which is returned
// as other.
func (s *Service) take(id, reason string) (release func(), other turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if other, taken := s.busy[id]; taken {
		return nil, other
	}
	mine := turn{make(chan struct{}), reason}
	s.busy[id] = mine
	return func() {
		s.mu.Lock()
		delete(s.busy, id)
		s.mu.Unlock()
		close(mine.over)
	}, turn{}
}
