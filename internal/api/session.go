package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
)

// Session is one of somebody's sessions.
type Session struct {
	ID      string    `json:"id" doc:"Names the session, and opens nothing."`
	Created time.Time `json:"created"`
	Used    time.Time `json:"used" doc:"Exact to a minute."`
	Expires time.Time `json:"expires" doc:"At the latest."`
	Address string    `json:"address" doc:"Where it was opened from."`
	Agent   string    `json:"agent" doc:"What the client called itself."`
	Current bool      `json:"current" doc:"It is the one that asks."`
}

// Enrolment is a second factor that has to be confirmed.
type Enrolment struct {
	Secret string `json:"secret" doc:"Base32, to type into an authenticator app."`
	URI    string `json:"uri" doc:"otpauth://…, to show as a QR code."`
}

// Recovery is what lets somebody in who has lost the second factor.
type Recovery struct {
	RecoveryCodes []string `json:"recoveryCodes" doc:"Each is good once. They are shown this once."`
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
		Description: "For what answers 403 with the code `confirmation_required`: setting up a second factor, and creating tokens that can do more than read. " +
			"They take a sign-in or a confirmation of at most ten minutes ago (option session-fresh). Answers 401 with the code `second_factor_required` when the password is right and a code is missing or wrong.",
		DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *struct {
		Client
		Body struct {
			Password string `json:"password" maxLength:"1024"`
			Code     string `json:"code,omitempty" maxLength:"64" doc:"Of the second factor, or a recovery code."`
		}
	}) (*struct{}, error) {
		p, _ := principalOf(ctx)
		return nil, s.o.Access.Confirm(ctx, p, access.Credentials{Password: in.Body.Password, Code: in.Body.Code, Visit: in.visit()})
	})
	register(s, huma.Operation{
		OperationID: "begin-second-factor", Method: http.MethodPost, Path: "/api/auth/totp", Summary: "Begin to set up a second factor", Tags: []string{"access"},
		Description: "Codes by time (TOTP), as every authenticator app makes them. It counts once it is confirmed; beginning again makes another secret.",
	}, func(ctx context.Context, _ *struct{}) (*struct{ Body Enrolment }, error) {
		p, _ := principalOf(ctx)
		e, err := s.o.Access.EnrolTOTP(ctx, p)
		if err != nil {
			return nil, err
		}
		return &struct{ Body Enrolment }{Enrolment{e.Secret, e.URI}}, nil
	})
	register(s, huma.Operation{
		OperationID: "confirm-second-factor", Method: http.MethodPost, Path: "/api/auth/totp/confirm", Summary: "Switch the second factor on, by a code of it", Tags: []string{"access"},
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
		OperationID: "remove-second-factor", Method: http.MethodDelete, Path: "/api/auth/totp", Summary: "Remove the second factor, by the password", Tags: []string{"access"},
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
