package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
)

// Quota bounds what an account may have.
type Quota struct {
	Nodes    *int64 `json:"nodes,omitempty" limit:"quota" doc:"Absent: no limit, here and below."`
	Running  *int64 `json:"running,omitempty" limit:"quota" doc:"Running nodes."`
	CPUs     *int64 `json:"cpus,omitempty" limit:"quota" doc:"CPUs of running nodes."`
	RAM      *int64 `json:"ram,omitempty" limit:"quota" doc:"MiB of RAM of running nodes."`
	Disk     *int64 `json:"disk,omitempty" limit:"quota" doc:"Bytes: virtual size of the nodes' disks, data kept by snapshots and clones, saved states (their RAM), seeds, console logs, custom images and uploads in progress."`
	Uploads  *int64 `json:"uploads,omitempty" limit:"quota" doc:"Concurrent uploads."`
	Networks *int64 `json:"networks,omitempty" limit:"quota" doc:"Isolated networks that the account created, including those of labs."`
	Labs     *int64 `json:"labs,omitempty" limit:"quota"`
}

func quota(q access.Quota) Quota {
	return Quota{Nodes: q.Nodes, Running: q.Running, CPUs: q.CPUs, RAM: q.RAMMiB, Disk: q.DiskBytes, Uploads: q.Uploads, Networks: q.Networks, Labs: q.Labs}
}

func (q Quota) access() access.Quota {
	return access.Quota{Nodes: q.Nodes, Running: q.Running, CPUs: q.CPUs, RAMMiB: q.RAM, DiskBytes: q.Disk, Uploads: q.Uploads, Networks: q.Networks, Labs: q.Labs}
}

// Role is an account's role on the wire.
type Role string

// Schema lists the roles, for huma.
func (Role) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Enum: []any{"admin", "instructor", "student", "viewer"}}
}

// Account is an account on the wire.
type Account struct {
	Name     string     `json:"name" doc:"Never changes."`
	Role     Role       `json:"role"`
	Disabled bool       `json:"disabled,omitempty" doc:"The account can't sign in. This and the following fields are only for administrators."`
	Created  *time.Time `json:"created,omitempty"`
	Quota    *Quota     `json:"quota,omitempty"`
	Used     *Quota     `json:"used,omitempty" doc:"Usage of the quota. Present when accounts are read."`
	TOTP     bool       `json:"totp,omitempty" doc:"Two-factor authentication is on."`
	External bool       `json:"external,omitempty" doc:"The account signs in through a provider and has no password."`
	// MustChange is set for an account whose owner has not signed in since.
	MustChange bool   `json:"mustChangePassword,omitempty" doc:"The password must be changed at the next sign-in."`
	Version    string `json:"version,omitempty" doc:"Changes with each PATCH. Send it as If-Match to refuse the change if another user made one meanwhile."`
	Password   string `json:"password,omitempty" doc:"Only in the response that generated it."`
}

// account is an account as the caller sees it.
func account(rights access.Rights, a access.Account) Account {
	v := Account{Name: a.Name, Role: Role(a.Role)}
	if rights.Role == access.RoleAdmin {
		q := quota(a.Quota)
		v.Disabled, v.Created, v.Quota = a.Disabled, instant(a.Created), &q
		v.Version = accountVersion(a)
		v.TOTP, v.External, v.MustChange = a.TOTP, a.External, a.MustChange
	}
	return v
}

// AccountName is the path of one account. It is exported because huma looks into
// no other embedded struct.
type AccountName struct {
	Name string `path:"name" maxLength:"64"`
}

type accountAnswer struct {
	ETag string `header:"ETag"`
	Body Account
}

type accountList struct {
	Body struct {
		Users []Account `json:"users"`
		Next
	}
}

func (s *Server) registerUsers() {
	register(s, huma.Operation{
		OperationID: "list-users", Method: http.MethodGet, Path: "/api/users", Summary: "List the accounts by name", Tags: []string{"access"},
		Description: "Instructors see names and roles, to share with.",
	}, func(ctx context.Context, in *Paging) (*accountList, error) {
		list, err := s.o.Access.Users(ctx)
		if err != nil {
			return nil, err
		}
		page, next, err := pageOf(*in, "users", list, func(a access.Account) string { return a.Name })
		if err != nil {
			return nil, err
		}
		rights, taken := rightsOf(ctx), map[string]access.Amount{}
		if rights.Role == access.RoleAdmin {
			if taken, err = s.o.Quotas.UsageOfAll(ctx); err != nil {
				return nil, err
			}
		}
		out := &accountList{}
		out.Body.Users, out.Body.Next = []Account{}, next
		for _, a := range page {
			v := account(rights, a)
			if rights.Role == access.RoleAdmin {
				v.Used = usageOf(taken[a.ID])
			}
			out.Body.Users = append(out.Body.Users, v)
		}
		return out, nil
	})
	register(s, s.makes(huma.Operation{
		OperationID: "create-user", Method: http.MethodPost, Path: "/api/users", Summary: "Create an account", Tags: []string{"access"},
		DefaultStatus: http.StatusCreated,
	}), func(ctx context.Context, in *struct {
		Body struct {
			Name     string `json:"name" limit:"accountName" doc:"Letters, digits, dots, hyphens, underscores, plus and at signs; at most 64." example:"alice"`
			Role     Role   `json:"role"`
			Password string `json:"password,omitempty" limit:"password" doc:"At least 12 characters. Generated if left out."`
			Quota    *Quota `json:"quota,omitempty"`
			// Whoever creates an account knows its password.
			MustChange *bool `json:"mustChangePassword,omitempty" doc:"Whether the password must be changed at the first sign-in. Defaults to true."`
		}
	}) (*struct {
		Location string `header:"Location"`
		Body     Account
	}, error) {
		n := access.NewUser{Name: in.Body.Name, Role: access.Role(in.Body.Role), Password: in.Body.Password, MustChange: in.Body.MustChange == nil || *in.Body.MustChange}
		if in.Body.Quota != nil {
			n.Quota = in.Body.Quota.access()
		}
		a, password, err := s.o.Access.CreateUser(ctx, n)
		if err != nil {
			return nil, err
		}
		body := account(rightsOf(ctx), a)
		body.Password = password
		return &struct {
			Location string `header:"Location"`
			Body     Account
		}{"/api/users/" + url.PathEscape(a.Name), body}, nil
	})
	register(s, huma.Operation{
		OperationID: "get-user", Method: http.MethodGet, Path: "/api/users/{name}", Summary: "Read an account", Tags: []string{"access"},
	}, func(ctx context.Context, in *AccountName) (*accountAnswer, error) {
		a, err := s.o.Access.User(ctx, in.Name)
		if err != nil {
			return nil, err
		}
		v := account(rightsOf(ctx), a)
		if v.Used, err = s.usage(ctx, a.ID); err != nil {
			return nil, err
		}
		return &accountAnswer{etag(v.Version), v}, nil
	})
	register(s, huma.Operation{
		OperationID: "change-user", Method: http.MethodPatch, Path: "/api/users/{name}", Summary: "Change an account's role, quota or password, or disable it", Tags: []string{"access"},
		Description: "Fields that are left out are not changed; a quota is replaced as a whole. A disabled account's sessions, tokens, consoles and screens end within seconds.",
	}, func(ctx context.Context, in *struct {
		AccountName
		IfMatch
		Body struct {
			Role       *Role   `json:"role,omitempty"`
			Disabled   *bool   `json:"disabled,omitempty"`
			Quota      *Quota  `json:"quota,omitempty"`
			Password   *string `json:"password,omitempty" limit:"password" doc:"At least 12 characters; ends the account's sessions, and revokes its tokens."`
			MustChange *bool   `json:"mustChangePassword,omitempty" doc:"Whether the new password must be changed at the next sign-in. Defaults to true. Until then, tokens are refused too."`
			KeepTokens bool    `json:"keepTokens,omitempty" doc:"With a new password: don't revoke the account's API tokens."`
		}
	}) (*accountAnswer, error) {
		change := access.UserChange{Disabled: in.Body.Disabled, Password: in.Body.Password, MustChange: in.Body.MustChange == nil || *in.Body.MustChange, KeepTokens: in.Body.KeepTokens, Check: expect(in.IfMatch, accountVersion)}
		if in.Body.Role != nil {
			role := access.Role(*in.Body.Role)
			change.Role = &role
		}
		if in.Body.Quota != nil {
			q := in.Body.Quota.access()
			change.Quota = &q
		}
		a, err := s.o.Access.ChangeUser(ctx, in.Name, change)
		s.rightsChanged()
		if err != nil {
			return nil, err
		}
		return &accountAnswer{etag(accountVersion(a)), account(rightsOf(ctx), a)}, nil
	})
	s.registerAccountRemoval()
}

func (s *Server) registerSecondFactors() {
	register(s, huma.Operation{
		OperationID: "reset-second-factor", Method: http.MethodDelete, Path: "/api/users/{name}/totp", Summary: "Turn off two-factor authentication for a user who lost the second factor", Tags: []string{"access"},
		Description: "Verify the identity of the user first.", DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *AccountName) (*struct{}, error) {
		return nil, s.o.Access.ResetTOTP(ctx, in.Name)
	})
}

// rightsChanged has Guacamole compared with what people may see now.
func (s *Server) rightsChanged() {
	if s.o.Guacamole != nil {
		s.o.Guacamole.Wake()
	}
}

// usage returns the usage of an account's quota.
func (s *Server) usage(ctx context.Context, account string) (*Quota, error) {
	amount, err := s.o.Quotas.Usage(ctx, account)
	if err != nil {
		return nil, err
	}
	return usageOf(amount), nil
}

// usageOf returns an amount on the wire.
func usageOf(a access.Amount) *Quota {
	return &Quota{Nodes: &a.Nodes, Running: &a.Running, CPUs: &a.CPUs, RAM: &a.RAMMiB, Disk: &a.DiskBytes, Uploads: &a.Uploads, Networks: &a.Networks, Labs: &a.Labs}
}
