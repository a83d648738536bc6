package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// User is who is signed in.
type User struct {
	Name string `json:"name"`
	Role string `json:"role"`
}

// SignedIn tells who is signed in.
type SignedIn struct {
	User User   `json:"user"`
	Auth string `json:"auth" enum:"on,off" doc:"off: everybody is let in."`
	// Quota and Used are told of the account itself, where it has bounds.
	Quota *Quota `json:"quota,omitempty" doc:"Absent: no bounds; so are its members."`
	Used  *Quota `json:"used,omitempty" doc:"What your nodes, images and uploads take of it."`
}

func (s *Server) signedIn(p access.Principal) SignedIn {
	v := SignedIn{User: User{p.Name, string(p.Role)}, Auth: "on"}
	if s.o.AuthOff {
		v.Auth = "off"
	}
	return v
}

// Token is an API token on the wire; the secret is shown once.
type Token struct {
	ID      string     `json:"id"`
	Name    string     `json:"name"`
	Created time.Time  `json:"created"`
	Expires *time.Time `json:"expires,omitempty"`
	Used    *time.Time `json:"used,omitempty"`
	Scopes  []string   `json:"scopes" doc:"What the token is good for; empty: all that its account may do."`
	User    string     `json:"user" doc:"The account that it stands for."`
	Secret  string     `json:"secret,omitempty" doc:"Only in the answer that makes the token."`
}

func token(t access.Token) Token {
	return Token{
		ID: t.ID, Name: t.Name, Created: t.Created.UTC(), Expires: instant(t.Expires), Used: instant(t.LastUsed),
		Scopes: append([]string{}, strings.Fields(string(t.Scopes))...), User: t.UserName,
	}
}

// Client is where a request comes from, for operations that ask.
type Client struct {
	Address string `hidden:"true" json:"-"` // without a port
}

// Resolve reads it; huma calls it.
func (c *Client) Resolve(ctx huma.Context) []error {
	c.Address = humaecho.Unwrap(ctx).RealIP()
	return nil
}

func (s *Server) registerAuth() {
	register(s, huma.Operation{
		OperationID: "sign-in", Method: http.MethodPost, Path: "/api/auth/login", Summary: "Sign in and get a session cookie", Tags: []string{"access"},
		Security: []map[string][]string{{}},
	}, func(ctx context.Context, in *struct {
		Client
		Body struct {
			Username string `json:"username" maxLength:"256"`
			Password string `json:"password" maxLength:"1024"`
		}
	}) (*struct {
		SetCookie http.Cookie `header:"Set-Cookie"`
		Body      SignedIn
	}, error) {
		if s.o.AuthOff {
			return nil, fault.New(fault.Unsupported, "Sign-in is switched off (auth: off): everything is open already.")
		}
		session, expires, p, err := s.o.Access.SignIn(ctx, access.Credentials{Name: in.Body.Username, Password: in.Body.Password, Address: in.Address})
		n := noteOf(ctx)
		n.who, n.via = p, "password"
		if err != nil {
			return nil, err
		}
		return &struct {
			SetCookie http.Cookie `header:"Set-Cookie"`
			Body      SignedIn
		}{s.cookie(session, expires), s.signedIn(p)}, nil
	})
	register(s, huma.Operation{
		OperationID: "sign-out", Method: http.MethodPost, Path: "/api/auth/logout", Summary: "End the session", Tags: []string{"access"},
		DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *struct {
		Session string `cookie:"sandboxlabs_session"`
	}) (*struct {
		SetCookie http.Cookie `header:"Set-Cookie"`
	}, error) {
		s.leaveGuacamole(ctx)
		if in.Session != "" {
			if err := s.o.Access.SignOut(ctx, in.Session); err != nil {
				return nil, err
			}
		}
		return &struct {
			SetCookie http.Cookie `header:"Set-Cookie"`
		}{s.cookie("", time.Unix(1, 0))}, nil
	})
	register(s, huma.Operation{
		OperationID: "me", Method: http.MethodGet, Path: "/api/auth/me", Summary: "Who is signed in", Tags: []string{"access"},
	}, func(ctx context.Context, _ *struct{}) (*struct{ Body SignedIn }, error) {
		p, _ := principalOf(ctx)
		body := s.signedIn(p)
		if p.UserID == "" {
			return &struct{ Body SignedIn }{body}, nil
		}
		a, err := s.o.Access.User(ctx, p.Name)
		if err == nil && a.Quota != (access.Quota{}) {
			err = s.tellQuota(ctx, a, &body)
		}
		return &struct{ Body SignedIn }{body}, err
	})
	register(s, huma.Operation{
		OperationID: "change-password", Method: http.MethodPost, Path: "/api/auth/password", Summary: "Change your password", Tags: []string{"access"},
		Description: "Ends all your sessions: sign in again.", DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *struct {
		Client
		Body struct {
			Current string `json:"current" maxLength:"1024"`
			New     string `json:"new" maxLength:"1024" doc:"At least 12 characters."`
		}
	}) (*struct{}, error) {
		p, _ := principalOf(ctx)
		return nil, s.o.Access.ChangePassword(ctx, access.Credentials{Name: p.Name, Password: in.Body.Current, Address: in.Address}, in.Body.New)
	})
	register(s, huma.Operation{
		OperationID: "list-tokens", Method: http.MethodGet, Path: "/api/tokens", Summary: "List API tokens", Tags: []string{"access"},
	}, func(ctx context.Context, _ *struct{}) (*struct {
		Body struct {
			Tokens []Token `json:"tokens"`
		}
	}, error) {
		p, _ := principalOf(ctx)
		list, err := s.o.Access.Tokens(ctx, p)
		if err != nil {
			return nil, err
		}
		out := &struct {
			Body struct {
				Tokens []Token `json:"tokens"`
			}
		}{}
		out.Body.Tokens = []Token{}
		for _, t := range list {
			out.Body.Tokens = append(out.Body.Tokens, token(t))
		}
		return out, nil
	})
	register(s, huma.Operation{
		OperationID: "create-token", Method: http.MethodPost, Path: "/api/tokens", Summary: "Make an API token", Tags: []string{"access"},
		DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, in *struct {
		Body struct {
			Name    string         `json:"name" maxLength:"128"`
			Expires time.Time      `json:"expires,omitempty" doc:"Never when left out."`
			Scopes  []access.Scope `json:"scopes,omitempty" maxItems:"8" enum:"read,nodes,images,admin" doc:"What the token is good for, besides reading; all that you may do when left out. admin: administration, and your account itself."`
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

// cookie carries the session. Lax, so that a link from elsewhere opens the UI;
// changes from elsewhere are refused by their origin.
func (s *Server) cookie(session string, expires time.Time) http.Cookie {
	return http.Cookie{
		Name: cookieName, Value: session, Path: "/", Expires: expires, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: s.overTLS(),
	}
}

// Ticket is a one-use entry to a node's WebSocket.
type Ticket struct {
	Ticket  string    `json:"ticket" doc:"Give it as ?ticket= with the WebSocket's address; once."`
	Expires time.Time `json:"expires"`
}

func (s *Server) registerTickets() {
	register(s, huma.Operation{
		OperationID: "create-ticket", Method: http.MethodPost, Path: "/api/nodes/{id}/tickets", Summary: "Make a one-use ticket for the node's console or screen", Tags: []string{"nodes"},
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
