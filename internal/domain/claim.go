package domain

import (
	"context"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// claim waits for its turn to change a node.
func (s *Service) claim(ctx context.Context, id string) (release func(), err error) {
	return s.claimFor(ctx, id, "")
}

// turn is a change of a node that is under way.
type turn struct {
	over chan struct{} // closed when it is
	// reason is what others are refused with, because it takes long; they wait where it
	// is empty.
	reason string
}

// claimFor is claim for a change that others are not to wait for.
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

// claimNow is claim for several nodes at once that does not wait: ok is false while
// another change of one of them is under way.
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

// take begins a change of a node; release is nil while another one is under way.
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
