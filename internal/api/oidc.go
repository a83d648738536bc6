package api

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/openid"
)

// OIDC is the provider for single sign-on.
type OIDC struct {
	Client *openid.Client
	Name   string // as the button calls it
	// RoleOf is the role that groups of the provider have; empty for none.
	RoleOf func(groups []string) access.Role
}

// Methods are the available ways to sign in.
type Methods struct {
	Password bool      `json:"password"`
	OIDC     *Provider `json:"oidc" required:"false"`
}

// TransformSchema says in the document that oidc may be null, which a reference cannot.
func (Methods) TransformSchema(r huma.Registry, schema *huma.Schema) *huma.Schema {
	provider := *r.SchemaFromRef(schema.Properties["oidc"].Ref)
	provider.Nullable, provider.Description = true, "null if no provider is configured."
	schema.Properties["oidc"] = &provider
	return schema
}

// Provider is an OpenID Connect provider on the wire.
type Provider struct {
	Name string `json:"name" doc:"Go to /api/auth/oidc/login?next=… to sign in there."`
}

const (
	oidcPath     = "/api/auth/oidc"
	actionOIDC   = "sign-in-by-provider"
	actionSignIn = "sign-in"
)

// redirect sends a browser to another address.
type redirect struct {
	Location  string        `header:"Location"`
	SetCookie []http.Cookie `header:"Set-Cookie"`
}

func (s *Server) registerOIDC() {
	register(s, huma.Operation{
		OperationID: "begin-sign-in-by-provider", Method: http.MethodGet, Path: oidcPath + "/login", Summary: "Start signing in at the provider", Tags: []string{"access"},
		Description: "For browsers.", DefaultStatus: http.StatusSeeOther, Security: []map[string][]string{{}},
	}, func(ctx context.Context, in *struct {
		Next string `query:"next" doc:"The page of the UI to open afterwards."`
	}) (*redirect, error) {
		if s.o.OIDC == nil || s.o.AuthOff {
			return nil, errNoProvider()
		}
		next := safeNext(in.Next)
		to, flow, err := s.o.OIDC.Client.Begin(ctx, next)
		if err != nil {
			return s.backToSignIn(ctx, next, err), nil
		}
		return &redirect{to, []http.Cookie{s.flowCookie(flow, time.Now().Add(openid.FlowLifetime))}}, nil
	})
	register(s, huma.Operation{
		OperationID: actionOIDC, Method: http.MethodGet, Path: oidcPath + "/callback", Summary: "Finish signing in at the provider", Tags: []string{"access"},
		Description: "For browsers, redirected by the provider.", DefaultStatus: http.StatusSeeOther, Security: []map[string][]string{{}},
	}, func(ctx context.Context, in *struct {
		Client
		Flow
		State string `query:"state"`
		Code  string `query:"code"`
		Error string `query:"error"`
	}) (*redirect, error) {
		if s.o.OIDC == nil || s.o.AuthOff {
			return nil, errNoProvider()
		}
		flow, err := s.readCookie(in.request, oidcCookie)
		if err != nil {
			return s.backToSignIn(ctx, "/", err), nil
		}
		id, next, err := s.o.OIDC.Client.Finish(ctx, flow, openid.Answer{State: in.State, Code: in.Code, Error: in.Error})
		next = safeNext(next)
		if err != nil {
			return s.backToSignIn(ctx, next, err), nil
		}
		n := noteOf(ctx)
		n.via, n.name = "oidc", id.Name
		opened, err := s.o.Access.SignInAs(ctx, access.Identity{
			Issuer: id.Issuer, Subject: id.Subject, Name: id.Name, Role: s.o.OIDC.RoleOf(id.Groups),
		}, in.visit())
		n.who = opened.Principal
		if err != nil {
			return s.backToSignIn(ctx, next, err), nil
		}
		s.rightsChanged()
		return &redirect{next, []http.Cookie{s.cookie(opened.Token, opened.Expires), s.flowCookie("", time.Unix(1, 0))}}, nil
	})
}

// backToSignIn sends a browser to the sign-in page, with the code of the error.
func (s *Server) backToSignIn(ctx context.Context, next string, err error) *redirect {
	p := s.problem(ctx, "GET "+oidcPath, err)
	q := url.Values{"problem": {p.Code}}
	if next != "/" {
		q.Set("next", next)
	}
	return &redirect{"/login?" + q.Encode(), []http.Cookie{s.flowCookie("", time.Unix(1, 0))}}
}

// Flow is the provider's redirect back to the service, with its cookies.
type Flow struct {
	request *http.Request
}

// Resolve keeps it; huma calls it.
func (f *Flow) Resolve(ctx huma.Context) []error {
	f.request = humaecho.Unwrap(ctx).Request()
	return nil
}

// flowCookie carries a sign-in at the provider, there and back. Lax, so that it comes
// with the browser's return from the provider.
func (s *Server) flowCookie(value string, expires time.Time) http.Cookie {
	return http.Cookie{ //nolint:gosec // Secure wherever the service is reached by HTTPS
		Name: s.cookieNamed(oidcCookie), Value: value, Path: "/", Expires: expires, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.overTLS(),
	}
}

func errNoProvider() error {
	return fault.New(fault.Unsupported, "No sign-in provider is configured. Sign in with user name and password (POST /api/auth/login).")
}

// safeNext returns the page to open after sign-in: never another site, and never an API path.
func safeNext(next string) string {
	const most = 2000 // bytes
	u, err := url.Parse(next)
	if err != nil || len(next) > most || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") ||
		strings.ContainsFunc(next, func(r rune) bool { return unicode.IsControl(r) || r == '\\' }) ||
		u.IsAbs() || u.Host != "" || isAPI(u.Path) || u.Path == "/login" {
		return "/"
	}
	return next
}
