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
	// partsInterval is the time between two checks of the web application and of the
	// guacds.
	partsInterval = 15 * time.Second
	// guacdTimeout is the timeout for connecting to a guacd.
	guacdTimeout = 3 * time.Second
)

func unknownGuacds(guacds map[string]Guacd) map[string]State {
	states := make(map[string]State, len(guacds))
	for name := range guacds {
		states[name] = Unknown
	}
	return states
}

// watchParts checks the components that the database says nothing about until ctx is done.
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

// checkParts checks the web application and the guacds in the options. The address of
// Guacamole's default guacd is not known, since the web application does not report it.
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

// webProblem describes an error of the web application for an operator.
func webProblem(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Message
	}
	return "The service can't reach guacamole-url; browsers sign in directly. Check that Guacamole is running, and that guacamole-url is reachable from this server."
}

func (g Guacd) address() string { return net.JoinHostPort(g.Host, strconv.Itoa(g.Port)) }

// check connects to guacd without sending anything, because guacd would log a failed
// handshake each time.
func (g Guacd) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, guacdTimeout)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", g.address())
	if err != nil {
		return err
	}
	return c.Close()
}
