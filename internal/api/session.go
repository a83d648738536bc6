package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
)

// Session is a session of an account.
type Session struct {
	ID      string    `json:"id" doc:"Identifies the session; grants no access."`
	Created time.Time `json:"created"`
	Used    time.Time `json:"used" doc:"Last use, rounded to a minute."`
	Expires time.Time `json:"expires" doc:"Latest time when it ends."`
	Address string    `json:"address" doc:"Client address at sign-in."`
	Agent   string    `json:"agent" doc:"User agent of the client."`
	Current bool      `json:"current" doc:"Whether it is the session of this request."`
}

// Enrolment is a second factor that has to be confirmed.
type Enrolment struct {
	Secret string `json:"secret" doc:"Base32 key for an authenticator app."`
	URI    string `json:"uri" doc:"otpauth://…, to show as a QR code."`
}

// Recovery is the set of codes that replace a lost second factor.
type Recovery struct {
	RecoveryCodes []string `json:"recoveryCodes" doc:"Each works once. They are not shown again."`
}

func (s *Server) registerSessions() {
	register(s, huma.Operation{
		OperationID: "list-sessions", Method: http.MethodGet, Path: "/api/auth/sessions", Summary: "List your sessions", Tags: []string{"access"},
	}, func(ctx context.Context, _ *struct{}) (*struct {
		Body struct {
			Sessions []Session `json:"sessions"`
		}
	}, error) {
		p, _ := principalOf(ctx)
		list, err := s.o.Access.Sessions(ctx, p)
		if err != nil {
			return nil, err
		}
		out := &struct {
			Body struct {
				Sessions []Session `json:"sessions"`
			}
		}{}
		out.Body.Sessions = []Session{}
		for _, v := range list {
			out.Body.Sessions = append(out.Body.Sessions, Session{
				ID: v.ID, Created: v.Created, Used: v.Used, Expires: v.Expires, Address: v.Address, Agent: v.Agent, Current: v.ID == p.SessionID,
			})
		}
		return out, nil
	})
	register(s, huma.Operation{
		OperationID: "end-session", Method: http.MethodDelete, Path: "/api/auth/sessions/{id}", Summary: "End one of your sessions", Tags: []string{"access"},
		Description: "Its consoles, screens and event streams end within seconds.", DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *struct {
		ID string `path:"id" maxLength:"64"`
	}) (*struct{}, error) {
		p, _ := principalOf(ctx)
		return nil, s.o.Access.EndSession(ctx, p, in.ID)
	})
	register(s, huma.Operation{
		OperationID: "confirm-session", Method: http.MethodPost, Path: "/api/auth/confirm", Summary: "Confirm that it is you", Tags: []string{"access"},
		Description: "For requests that return 403 with the code `confirmation_required`: setting up two-factor authentication, and creating tokens with more than read access. " +
			"They require a sign-in or a confirmation within the last ten minutes (option session-fresh). Returns 401 with the code `second_factor_required` if the password is correct and a code is missing or incorrect.",
		DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *struct {
		Client
		Body struct {
			Password string `json:"password" maxLength:"1024"`
			Code     string `json:"code,omitempty" maxLength:"64" doc:"Code of the second factor, or a recovery code."`
		}
	}) (*struct{}, error) {
		p, _ := principalOf(ctx)
		return nil, s.o.Access.Confirm(ctx, p, access.Credentials{Password: in.Body.Password, Code: in.Body.Code, Visit: in.visit()})
	})
	register(s, huma.Operation{
		OperationID: "begin-second-factor", Method: http.MethodPost, Path: "/api/auth/totp", Summary: "Start setting up two-factor authentication", Tags: []string{"access"},
		Description: "Time-based codes (TOTP), for any authenticator app. It is on once it is confirmed. Starting again creates another key.",
	}, func(ctx context.Context, _ *struct{}) (*struct{ Body Enrolment }, error) {
		p, _ := principalOf(ctx)
		e, err := s.o.Access.EnrolTOTP(ctx, p)
		if err != nil {
			return nil, err
		}
		return &struct{ Body Enrolment }{Enrolment{e.Secret, e.URI}}, nil
	})
	register(s, huma.Operation{
		OperationID: "confirm-second-factor", Method: http.MethodPost, Path: "/api/auth/totp/confirm", Summary: "Turn on two-factor authentication with a code", Tags: []string{"access"},
	}, func(ctx context.Context, in *struct {
		Body struct {
			Code string `json:"code" maxLength:"64"`
		}
	}) (*struct{ Body Recovery }, error) {
		p, _ := principalOf(ctx)
		codes, err := s.o.Access.ConfirmTOTP(ctx, p, in.Body.Code)
		if err != nil {
			return nil, err
		}
		return &struct{ Body Recovery }{Recovery{codes}}, nil
	})
	register(s, huma.Operation{
		OperationID: "remove-second-factor", Method: http.MethodDelete, Path: "/api/auth/totp", Summary: "Turn off two-factor authentication with the password", Tags: []string{"access"},
		DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *struct {
		Client
		Body struct {
			Password string `json:"password" maxLength:"1024"`
		}
	}) (*struct{}, error) {
		p, _ := principalOf(ctx)
		return nil, s.o.Access.RemoveTOTP(ctx, p, access.Credentials{Password: in.Body.Password, Visit: in.visit()})
	})
}
