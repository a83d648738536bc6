package guacamole

import (
	"context"
	"errors"
	"net"
	"strconv"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

const (
	// partsInterval is the time between two looks at the web application and at guacd.
	partsInterval = 15 * time.Second
	// guacdTimeout bounds connecting to a guacd.
	guacdTimeout = 3 * time.Second
)

func unknownGuacds(guacds map[string]Guacd) map[string]State {
	states := make(map[string]State, len(guacds))
	for name := range guacds {
		states[name] = Unknown
	}
	return states
}

// watchParts looks at what the database says nothing of, until ctx ends.
func (s *Service) watchParts(ctx context.Context) {
	ticker := time.NewTicker(partsInterval)
	defer ticker.Stop()
	for {
		s.checkParts(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// checkParts looks at the web application, and at the guacd that the options name: where
// Guacamole's own is, its web application does not tell.
func (s *Service) checkParts(ctx context.Context) {
	problem := s.web.check(ctx)
	guacds := make(map[string]State, len(s.o.Guacds))
	for name, g := range s.o.Guacds {
		guacds[name] = OK
		if err := g.check(ctx); err != nil {
			guacds[name] = Unreachable
		}
	}
	if ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	before := s.status
	s.status.Web, s.status.WebProblem, s.status.Guacds = OK, "", guacds
	if problem != nil {
		s.status.Web, s.status.WebProblem = Unreachable, webProblem(problem)
	}
	after := s.status
	s.mu.Unlock()
	if after.Web != before.Web {
		s.logState(ctx, "Guacamole's web application", after.Web, problem)
	}
	for name, state := range guacds {
		if state != before.Guacds[name] {
			s.logState(ctx, "guacd at "+s.o.Guacds[name].address(), state, nil)
		}
	}
}

func (s *Service) logState(ctx context.Context, what string, state State, err error) {
	if state == OK {
		s.o.Log.InfoContext(ctx, what+" answers")
		return
	}
	s.o.Log.WarnContext(ctx, what+" does not answer as it should; nodes and their other consoles are not affected", "error", err)
}

// webProblem is what an operator reads of an error of the web application.
func webProblem(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Message
	}
	return "The service can't reach guacamole-url; browsers sign in directly. Check that Guacamole is running, and that guacamole-url is reachable from this server."
}

func (g Guacd) address() string { return net.JoinHostPort(g.Host, strconv.Itoa(g.Port)) }

// check connects to guacd, and asks it nothing: it would log a failed handshake each time.
func (g Guacd) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, guacdTimeout)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", g.address())
	if err != nil {
		return err
	}
	return c.Close()
}
