package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
)

// Token is an API token on the wire; the secret is shown once.
type Token struct {
	ID      string     `json:"id"`
	Name    string     `json:"name"`
	Created time.Time  `json:"created"`
	Expires *time.Time `json:"expires,omitempty"`
	Used    *time.Time `json:"used,omitempty"`
	Scopes  []string   `json:"scopes" doc:"What the token may do; empty: everything that its account may do."`
	User    string     `json:"user" doc:"The account that it belongs to."`
	Secret  string     `json:"secret,omitempty" doc:"Only in the response that creates the token."`
}

func token(t access.Token) Token {
	return Token{
		ID: t.ID, Name: t.Name, Created: t.Created.UTC(), Expires: instant(t.Expires), Used: instant(t.LastUsed),
		Scopes: append([]string{}, strings.Fields(string(t.Scopes))...), User: t.UserName,
	}
}

type tokenList struct {
	Body struct {
		Tokens []Token `json:"tokens"`
		Next
	}
}

func (s *Server) registerTokens() {
	register(s, huma.Operation{
		OperationID: "list-tokens", Method: http.MethodGet, Path: "/api/tokens", Summary: "List API tokens", Tags: []string{"access"},
	}, func(ctx context.Context, in *Paging) (*tokenList, error) {
		p, _ := principalOf(ctx)
		list, err := s.o.Access.Tokens(ctx, p)
		if err != nil {
			return nil, err
		}
		page, next, err := pageOf(*in, "tokens", list, func(t access.Token) string { return sortKey(byTime(t.Created), t.ID) })
		if err != nil {
			return nil, err
		}
		out := &tokenList{}
		out.Body.Tokens, out.Body.Next = []Token{}, next
		for _, t := range page {
			out.Body.Tokens = append(out.Body.Tokens, token(t))
		}
		return out, nil
	})
	register(s, s.makes(huma.Operation{
		OperationID: "create-token", Method: http.MethodPost, Path: "/api/tokens", Summary: "Create an API token", Tags: []string{"access"},
		Description: "A session can create a token with more than read access within ten minutes after its sign-in or POST /api/auth/confirm; later it gets 403 with the code `confirmation_required`. " +
			"A token can create another one, which has no more scopes and ends with it.",
		DefaultStatus: http.StatusCreated,
	}), func(ctx context.Context, in *struct {
		Body struct {
			Name    string         `json:"name" limit:"tokenName"`
			Expires time.Time      `json:"expires,omitempty" doc:"Defaults to never."`
			Scopes  []access.Scope `json:"scopes,omitempty" maxItems:"8" enum:"read,nodes,images,admin" doc:"What the token may do in addition to reading. Defaults to everything that you may do. admin: administration and your own account."`
		}
	}) (*struct{ Body Token }, error) {
		p, _ := principalOf(ctx)
		t, secret, err := s.o.Access.CreateToken(ctx, p, in.Body.Name, in.Body.Expires, in.Body.Scopes...)
		if err != nil {
			return nil, err
		}
		n := noteOf(ctx)
		n.targetID, n.name = t.ID, t.Name
		body := token(t)
		body.Secret = secret
		return &struct{ Body Token }{body}, nil
	})
	register(s, huma.Operation{
		OperationID: "delete-token", Method: http.MethodDelete, Path: "/api/tokens/{id}", Summary: "Revoke an API token", Tags: []string{"access"},
		DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *struct {
		ID string `path:"id"`
	}) (*struct{}, error) {
		p, _ := principalOf(ctx)
		return nil, s.o.Access.DeleteToken(ctx, p, in.ID)
	})
}

// Ticket is a one-use entry to a node's WebSocket.
type Ticket struct {
	Ticket  string    `json:"ticket" doc:"Use it once, as ?ticket= in the WebSocket's URL."`
	Expires time.Time `json:"expires"`
}

func (s *Server) registerTickets() {
	register(s, huma.Operation{
		OperationID: "create-ticket", Method: http.MethodPost, Path: "/api/nodes/{id}/tickets", Summary: "Create a single-use ticket for the node's console or screen", Tags: []string{"nodes"},
		Description:   "Accepts no Idempotency-Key: if a response is lost, request another ticket. Tickets expire after 30 seconds.",
		DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, in *struct {
		NodeID
		Body *struct {
			Kind string `json:"kind,omitempty" enum:"console,vnc" default:"console" doc:"vnc is the screen."`
		} `required:"false"`
	}) (*struct{ Body Ticket }, error) {
		if _, err := s.o.Nodes.Node(in.ID); err != nil {
			return nil, err
		}
		kind := "console"
		if in.Body != nil && in.Body.Kind != "" {
			kind = in.Body.Kind
		}
		p, _ := principalOf(ctx)
		t, expires := s.o.Access.IssueTicket(p, in.ID, kind)
		return &struct{ Body Ticket }{Ticket{t, expires.UTC()}}, nil
	})
}
