package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// User is a user who is signed in.
type User struct {
	Name string `json:"name"`
	Role string `json:"role"`
}

// SignedIn describes the user who is signed in.
type SignedIn struct {
	User User   `json:"user"`
	Auth string `json:"auth" enum:"on,off" doc:"off: sign-in is turned off."`
	// The following fields describe the account; there is none if authentication is off.
	MustChangePassword bool     `json:"mustChangePassword" doc:"Until POST /api/auth/password, the session can't be used for anything else."`
	External           bool     `json:"external" doc:"A provider lets the account in: it has no password here."`
	TOTP               bool     `json:"totp" doc:"Signing in takes a second factor."`
	RecoveryCodes      int      `json:"recoveryCodes,omitempty" doc:"Those that were not used."`
	SSHKeys            []string `json:"sshKeys" doc:"Public keys of the account, for new nodes."`
	// Quota and Used are set if the account has a quota.
	Quota *Quota `json:"quota,omitempty" doc:"Absent: no limits; so are its members."`
	Used  *Quota `json:"used,omitempty" doc:"What your nodes, images, uploads, networks and labs take of it."`
}

// signedIn returns the current description of a user.
func (s *Server) signedIn(ctx context.Context, p access.Principal) (SignedIn, error) {
	v := SignedIn{User: User{p.Name, string(p.Role)}, Auth: "on", SSHKeys: []string{}}
	if s.o.AuthOff {
		v.Auth = "off"
	}
	if p.UserID == "" {
		return v, nil
	}
	a, err := s.o.Access.User(ctx, p.Name)
	if err != nil {
		return v, err
	}
	v.MustChangePassword, v.External, v.TOTP = a.MustChange, a.External, a.TOTP
	keys, err := s.o.Access.SSHKeys(ctx, p)
	if err != nil {
		return v, err
	}
	v.SSHKeys = append(v.SSHKeys, keys...)
	if v.TOTP {
		if v.RecoveryCodes, err = s.o.Access.RecoveryCodesLeft(ctx, p); err != nil {
			return v, err
		}
	}
	if a.Quota != (access.Quota{}) {
		bounds := quota(a.Quota)
		v.Quota = &bounds
		v.Used, err = s.usage(ctx, a.ID)
	}
	return v, err
}

// Client is the origin of a request, for operations that need it.
type Client struct {
	Address string `hidden:"true" json:"-"` // without a port
	Agent   string `hidden:"true" json:"-"` // from the User-Agent header
}

// Resolve reads the client from the request; huma calls it.
func (c *Client) Resolve(ctx huma.Context) []error {
	c.Address, c.Agent = humaecho.Unwrap(ctx).RealIP(), ctx.Header("User-Agent")
	return nil
}

func (c *Client) visit() access.Visit { return access.Visit{Address: c.Address, Agent: c.Agent} }

type meAnswer struct{ Body SignedIn }

func (s *Server) registerAuth() {
	register(s, huma.Operation{
		OperationID: "sign-in-methods", Method: http.MethodGet, Path: "/api/auth/methods", Summary: "How one may sign in", Tags: []string{"access"},
		Security: []map[string][]string{{}},
	}, func(context.Context, *struct{}) (*struct{ Body Methods }, error) {
		m := Methods{Password: !s.o.AuthOff}
		if s.o.OIDC != nil && !s.o.AuthOff {
			m.OIDC = &Provider{s.o.OIDC.Name}
		}
		return &struct{ Body Methods }{m}, nil
	})
	register(s, huma.Operation{
		OperationID: "sign-in", Method: http.MethodPost, Path: "/api/auth/login", Summary: "Sign in and get a session cookie", Tags: []string{"access"},
		Description: "Answers 401 with the code `second_factor_required` when the password is right and a code is missing or wrong: ask for one, and send all three.",
		Security:    []map[string][]string{{}},
	}, func(ctx context.Context, in *struct {
		Client
		Body struct {
			Username string `json:"username" maxLength:"256"`
			Password string `json:"password" maxLength:"1024"`
			Code     string `json:"code,omitempty" maxLength:"64" doc:"Of the second factor, or a recovery code."`
		}
	}) (*struct {
		SetCookie http.Cookie `header:"Set-Cookie"`
		Body      SignedIn
	}, error) {
		if s.o.AuthOff {
			return nil, fault.New(fault.Unsupported, "Sign-in is switched off (auth: off): everything is open already.")
		}
		opened, err := s.o.Access.SignIn(ctx, access.Credentials{Name: in.Body.Username, Password: in.Body.Password, Code: in.Body.Code, Visit: in.visit()})
		// Requests that are rejected without a check appear only in the log: they cost the client
		// nothing, and could fill the audit.
		if n := noteOf(ctx); fault.CodeOf(err) != fault.TooManyRequests {
			n.who, n.via = opened.Principal, "password"
		}
		if err != nil {
			return nil, err
		}
		body, err := s.signedIn(ctx, opened.Principal)
		if err != nil {
			return nil, err
		}
		return &struct {
			SetCookie http.Cookie `header:"Set-Cookie"`
			Body      SignedIn
		}{s.cookie(opened.Token, opened.Expires), body}, nil
	})
	register(s, huma.Operation{
		OperationID: "sign-out", Method: http.MethodPost, Path: "/api/auth/logout", Summary: "End the session", Tags: []string{"access"},
		DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, _ *struct{}) (*struct {
		SetCookie http.Cookie `header:"Set-Cookie"`
	}, error) {
		s.leaveGuacamole(ctx)
		p, _ := principalOf(ctx)
		if err := s.o.Access.SignOut(ctx, p); err != nil {
			return nil, err
		}
		return &struct {
			SetCookie http.Cookie `header:"Set-Cookie"`
		}{s.cookie("", time.Unix(1, 0))}, nil
	})
	register(s, huma.Operation{
		OperationID: "me", Method: http.MethodGet, Path: "/api/auth/me", Summary: "Read the current session", Tags: []string{"access"},
	}, func(ctx context.Context, _ *struct{}) (*meAnswer, error) {
		p, _ := principalOf(ctx)
		body, err := s.signedIn(ctx, p)
		return &meAnswer{body}, err
	})
	register(s, huma.Operation{
		OperationID: "change-me", Method: http.MethodPatch, Path: "/api/auth/me", Summary: "Change your profile", Tags: []string{"access"},
		Description: "What is left out stays; the list of SSH keys is replaced as a whole.",
	}, func(ctx context.Context, in *struct {
		Body struct {
			SSHKeys *[]string `json:"sshKeys,omitempty" limit:"ownKeys" doc:"Public keys, each a line as in authorized_keys, without options."`
		}
	}) (*meAnswer, error) {
		p, _ := principalOf(ctx)
		if in.Body.SSHKeys != nil {
			if err := s.o.Access.SetSSHKeys(ctx, p, *in.Body.SSHKeys); err != nil {
				return nil, err
			}
		}
		body, err := s.signedIn(ctx, p)
		return &meAnswer{body}, err
	})
	register(s, huma.Operation{
		OperationID: "change-password", Method: http.MethodPost, Path: "/api/auth/password", Summary: "Change your password", Tags: []string{"access"},
		Description: "Ends all your sessions; whoever asks by a session gets the cookie of a new one.", DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *struct {
		Client
		Body struct {
			Current string `json:"current" maxLength:"1024"`
			New     string `json:"new" limit:"password" doc:"At least 12 characters."`
		}
	}) (*struct {
		SetCookie []http.Cookie `header:"Set-Cookie"`
	}, error) {
		p, _ := principalOf(ctx)
		opened, err := s.o.Access.ChangePassword(ctx, p, access.Credentials{Password: in.Body.Current, Visit: in.visit()}, in.Body.New)
		if err != nil {
			return nil, err
		}
		out := &struct {
			SetCookie []http.Cookie `header:"Set-Cookie"`
		}{}
		if opened.Token != "" {
			out.SetCookie = []http.Cookie{s.cookie(opened.Token, opened.Expires)}
		}
		return out, nil
	})
}

// cookie returns the session cookie. SameSite is Lax, so that links from other sites open the UI;
// changes from other sites are rejected by their origin.
func (s *Server) cookie(session string, expires time.Time) http.Cookie {
	return http.Cookie{ //nolint:gosec // Secure wherever the service is reached by HTTPS
		Name: s.cookieNamed(cookieName), Value: session, Path: "/", Expires: expires, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: s.overTLS(),
	}
}
