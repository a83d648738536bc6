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

// Guacamole is the part of Guacamole's reconciler that the API uses.
type Guacamole interface {
	// Link returns the address of a node in Guacamole, from memory.
	Link(nodeID string) (guacamole.Link, bool)
	// Wake starts a full comparison. It never blocks.
	Wake()
	// Sync runs a full comparison now, and returns what it wrote.
	Sync(ctx context.Context) (guacamole.Report, error)
	// Status returns the results of the last passes, from memory.
	Status() guacamole.Status
	// SignOn returns an address that opens a node's screen without another sign-in.
	SignOn(ctx context.Context, p guacamole.Person, nodeID string) (string, error)
	// SignOut ends the Guacamole sessions that a user opened.
	SignOut(ctx context.Context, p guacamole.Person)
}

var _ Guacamole = (*guacamole.Service)(nil)

// NodeGuacamole is a node's connection in Guacamole, in the API.
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

// addGuacamole adds Guacamole to the health report. A database whose state is still unknown is
// reported as ok: the first pass is in progress.
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

// guacdStates are the states of a guacd in the API.
func guacdStates(st guacamole.Status) map[string]string {
	states := make(map[string]string, len(st.Guacds))
	for name, state := range st.Guacds {
		states[cmp.Or(name, "default")] = string(state)
	}
	return states
}

// visitor converts a principal for Guacamole's reconciler.
func visitor(p access.Principal) (guacamole.Person, error) {
	entry, err := p.Entry()
	return guacamole.Person{AccountID: AccountOf(p), Entry: entry}, err
}

// AccountOf returns the account of a principal's user in Guacamole. If authentication is off, it is
// the account that Open stands for.
func AccountOf(p access.Principal) string {
	if p.UserID == "" {
		return p.Name
	}
	return p.UserID
}

// leaveGuacamole ends the Guacamole sessions that the caller's session has opened.
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
