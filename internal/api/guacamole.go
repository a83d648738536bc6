package api

import (
	"cmp"
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/guacamole"
)

// Guacamole is what the API needs of Guacamole's reconciler.
type Guacamole interface {
	// Link returns where a node is in Guacamole, from memory.
	Link(nodeID string) (guacamole.Link, bool)
	// Wake has all compared at once. It never blocks.
	Wake()
	// Sync has all compared now, and tells what was written.
	Sync(ctx context.Context) (guacamole.Report, error)
	// Status tells how the last passes went, from memory.
	Status() guacamole.Status
	// SignOn returns an address that takes a person straight to a node's screen.
	SignOn(ctx context.Context, p guacamole.Person, nodeID string) (string, error)
	// SignOut ends what a person opened.
	SignOut(ctx context.Context, p guacamole.Person)
}

var _ Guacamole = (*guacamole.Service)(nil)

// NodeGuacamole is a node's place in Guacamole on the wire.
type NodeGuacamole struct {
	ConnectionID int    `json:"connectionId"`
	URL          string `json:"url" doc:"URL of the node's screen in Guacamole; it grants no access."`
}

func (s *Server) guacamoleOf(nodeID string) *NodeGuacamole {
	if s.o.Guacamole == nil {
		return nil
	}
	l, ok := s.o.Guacamole.Link(nodeID)
	if !ok {
		return nil
	}
	return &NodeGuacamole{l.ConnectionID, l.URL}
}

// addGuacamole adds Guacamole's parts to the health report. A database whose state is
// not known yet is ok: the first pass is under way.
func (s *Server) addGuacamole(h *Health) {
	h.Guacamole, h.GuacamoleWeb = "off", "off"
	if s.o.Guacamole == nil {
		return
	}
	st := s.o.Guacamole.Status()
	h.Guacamole, h.GuacamoleWeb, h.Guacds = string(guacamole.OK), string(st.Web), guacdStates(st)
	if st.State == guacamole.Unreachable {
		h.Guacamole = string(guacamole.Unreachable)
	}
	away := st.State == guacamole.Unreachable || st.Web == guacamole.Unreachable
	for _, state := range st.Guacds {
		away = away || state == guacamole.Unreachable
	}
	if away {
		h.Status = "degraded"
	}
}

// guacdStates are the states of the guacd, on the wire.
func guacdStates(st guacamole.Status) map[string]string {
	states := make(map[string]string, len(st.Guacds))
	for name, state := range st.Guacds {
		states[cmp.Or(name, "default")] = string(state)
	}
	return states
}

// visitor is a principal as Guacamole's reconciler knows people.
func visitor(p access.Principal) (guacamole.Person, error) {
	entry, err := p.Entry()
	return guacamole.Person{AccountID: AccountOf(p), Entry: entry}, err
}

// AccountOf returns the account that a principal's user in Guacamole belongs to.
// While sign-in is off, everybody is the one that Open stands for.
func AccountOf(p access.Principal) string {
	if p.UserID == "" {
		return p.Name
	}
	return p.UserID
}

// leaveGuacamole ends what the session that makes the request has opened.
func (s *Server) leaveGuacamole(ctx context.Context) {
	p, ok := principalOf(ctx)
	if !ok || s.o.Guacamole == nil {
		return
	}
	if who, err := visitor(p); err == nil {
		s.o.Guacamole.SignOut(ctx, who)
	}
}

func (s *Server) registerGuacamole() {
	register(s, huma.Operation{
		OperationID: "open-guacamole", Method: http.MethodPost, Path: "/api/nodes/{id}/guacamole", Summary: "Get a URL that opens the node's screen in Guacamole", Tags: []string{"nodes"},
		Description: "The URL signs you in to Guacamole. It is only for you, and for immediate use.",
	}, func(ctx context.Context, in *NodeID) (*struct {
		Body struct {
			URL string `json:"url"`
		}
	}, error) {
		if s.o.Guacamole == nil {
			return nil, guacamoleOff()
		}
		n, err := s.o.Nodes.Node(in.ID)
		if err != nil {
			return nil, err
		}
		if !n.Active() {
			return nil, fault.New(fault.NodeNotRunning, "Node %q is not running, so it has no screen. Start it first.", n.Name)
		}
		p, _ := principalOf(ctx)
		who, err := visitor(p)
		if err != nil {
			return nil, err
		}
		out := &struct {
			Body struct {
				URL string `json:"url"`
			}
		}{}
		out.Body.URL, err = s.o.Guacamole.SignOn(ctx, who, in.ID)
		return out, err
	})
	s.registerGuacamoleSync()
}
