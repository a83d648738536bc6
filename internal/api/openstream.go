package api

import (
	"context"
	"sync"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

const (
	// recheckInterval is how often the rights of open streams are checked.
	recheckInterval = time.Second
	// maxStreams is how many consoles, screens, event streams and downloads an account may have open
	// at once.
	maxStreams = 256
	// streamsOf and streamsIn of the connections may be streams: the others are for
	// requests that end.
	streamsOf, streamsIn = 3, 4
)

// openStreams are the open WebSockets and event streams. Rights are checked when a stream opens,
// and repeatedly while it is open: in the database, which another replica or a command may have
// changed.
type openStreams struct {
	mu        sync.Mutex
	all       map[*openStream]struct{}
	byAccount map[string]int
	byNetwork map[string]int // by the client's; see access.NetworkOf
}

// openStream is an open stream.
type openStream struct {
	// allowed returns why the stream must end with the given rights; nil if it may stay open.
	allowed func(access.Rights) error
	// changed receives the rights after a change; only the latest.
	changed chan access.Rights
	// ended is closed when the stream must end; cause is the reason.
	ended chan struct{}
	cause error

	rights access.Rights // as of the last look; the watcher's own
}

// openStream registers a stream; the caller closes it. It returns fault.TooManyRequests if the
// account, the client's network or the service has too many.
func (s *Server) openStream(rights access.Rights, address string, allowed func(access.Rights) error) (st *openStream, closed func(), err error) {
	o, network := &s.streams, access.NetworkOf(address)
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case rights.UserID != "" && o.byAccount[rights.UserID] >= maxStreams:
		return nil, nil, tooManyStreams("Your account has as many consoles, screens, event streams and downloads open as it may. Close some first.")
	case o.byNetwork[network] >= s.o.MaxConnectionsPerAddress*streamsOf/streamsIn:
		return nil, nil, tooManyStreams("Your address has as many consoles, screens, event streams and downloads open as it may. Close some first, or have max-connections-per-address raised.")
	case len(o.all) >= s.o.MaxConnections*streamsOf/streamsIn:
		return nil, nil, tooManyStreams("The service has as many consoles, screens, event streams and downloads open as it may. Try again later, or have max-connections raised.")
	}
	if o.all == nil {
		o.all, o.byAccount, o.byNetwork = map[*openStream]struct{}{}, map[string]int{}, map[string]int{}
	}
	st = &openStream{allowed: allowed, changed: make(chan access.Rights, 1), ended: make(chan struct{}), rights: rights}
	o.all[st] = struct{}{}
	o.byAccount[rights.UserID]++
	o.byNetwork[network]++
	return st, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.all, st)
		lower(o.byAccount, rights.UserID)
		lower(o.byNetwork, network)
	}, nil
}

// lower takes one from a count.
func lower[K comparable](counts map[K]int, key K) {
	if counts[key]--; counts[key] <= 0 {
		delete(counts, key)
	}
}

func tooManyStreams(text string) error {
	return &fault.Error{Code: fault.TooManyRequests, RetryAfter: 10 * time.Second, Message: text}
}

// why returns the error that ended the stream; nil while it may stay open.
func (st *openStream) why() error {
	select {
	case <-st.ended:
		return st.cause
	default:
		return nil
	}
}

// watchStreams ends streams that are no longer allowed, until the service stops. While the database
// is unavailable, it ends no streams.
func (s *Server) watchStreams() {
	tick := time.NewTicker(recheckInterval)
	defer tick.Stop()
	for {
		select {
		case <-s.closing.Done():
			return
		case <-tick.C:
		}
		s.streams.mu.Lock()
		byPrincipal := map[access.Principal][]*openStream{}
		for st := range s.streams.all {
			if st.why() == nil {
				byPrincipal[st.rights.Principal] = append(byPrincipal[st.rights.Principal], st)
			}
		}
		s.streams.mu.Unlock()
		for p, streams := range byPrincipal {
			rights, err := s.refreshed(s.closing, p)
			if err != nil && fault.CodeOf(err) != fault.Unauthenticated {
				s.o.Log.Debug("the right to open streams cannot be looked at", "user", p.Name, "error", err)
				continue
			}
			for _, st := range streams {
				st.look(rights, err)
			}
		}
	}
}

// refreshed returns a principal's current rights.
func (s *Server) refreshed(ctx context.Context, p access.Principal) (access.Rights, error) {
	p, err := s.o.Access.Refresh(ctx, p)
	if err != nil {
		return access.Rights{}, err
	}
	return s.o.Access.Rights(ctx, p)
}

// look ends the stream, or passes its new rights to it. Only the watcher calls it.
func (st *openStream) look(rights access.Rights, err error) {
	if err == nil && st.allowed != nil {
		err = st.allowed(rights) // also with the same rights: the node may be another's now
	}
	if err != nil {
		st.cause = err
		close(st.ended)
		return
	}
	if rights.Equal(st.rights) {
		return
	}
	st.rights = rights
	select {
	case <-st.changed: // nobody took it: it is out of date
	default:
	}
	st.changed <- rights
}
