package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/job"
	"github.com/sandboxlabs/sandboxlabs/internal/policy"
)

// What to do with what an account owns, besides deleting it.
const (
	ownedRefuse   = "refuse"
	ownedTransfer = "transfer"
)

// OwnedThing is something that an account owns.
type OwnedThing struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Host string `json:"host,omitempty"`
}

// Owned is all that an account owns.
type Owned struct {
	Nodes    []OwnedThing `json:"nodes"`
	Images   []OwnedThing `json:"images"`
	Labs     []OwnedThing `json:"labs"`
	Networks []OwnedThing `json:"networks"`
	Uploads  int          `json:"uploads" doc:"Unfinished; they are always deleted."`
	Jobs     int          `json:"jobs" doc:"Running tasks; the account can be deleted when they have ended."`
}

// ownedOf returns what an account owns on the wire.
func ownedOf(h policy.Holdings) Owned {
	v := Owned{Nodes: []OwnedThing{}, Images: []OwnedThing{}, Labs: []OwnedThing{}, Networks: []OwnedThing{}, Uploads: len(h.Uploads), Jobs: h.Jobs}
	for _, n := range h.Nodes {
		v.Nodes = append(v.Nodes, OwnedThing{n.ID, n.Name, n.Host})
	}
	for _, i := range h.Images {
		v.Images = append(v.Images, OwnedThing{i.ID, i.DisplayName, i.Host})
	}
	for _, l := range h.Labs {
		v.Labs = append(v.Labs, OwnedThing{l.ID, l.Name, ""})
	}
	for _, n := range h.Networks {
		v.Networks = append(v.Networks, OwnedThing{n.ID, n.Name, n.Host})
	}
	return v
}

// Removed is the response to the deletion of an account: 204, or 202 with the job that deletes it.
type Removed struct {
	Status   int
	Location string `header:"Location"`
	Body     *Job
}

func (s *Server) registerAccountRemoval() {
	const path = "/api/users/{name}"
	register(s, huma.Operation{
		OperationID: "list-owned", Method: http.MethodGet, Path: path + "/owned", Summary: "List what an account owns", Tags: []string{"access"},
	}, func(ctx context.Context, in *AccountName) (*struct{ Body Owned }, error) {
		a, err := s.o.Access.User(ctx, in.Name)
		if err != nil {
			return nil, err
		}
		h, err := s.o.Removals.Holdings(ctx, a.ID)
		return &struct{ Body Owned }{ownedOf(h)}, err
	})
	register(s, huma.Operation{
		OperationID: "delete-user", Method: http.MethodDelete, Path: path, Summary: "Delete an account, and transfer or delete what it owns", Tags: []string{"access"},
		Description: "An account that owns nothing is deleted immediately (204). For other accounts, `owned` says what happens to what they own. A job does it (202), and the account is disabled meanwhile. " +
			"If the job fails, the account remains, disabled, with what is left. A later account with the same name inherits nothing.",
		DefaultStatus: http.StatusNoContent,
		Responses: map[string]*huma.Response{
			"202": {Description: "Accepted: a job deletes the account", Content: map[string]*huma.MediaType{"application/json": {Schema: schemaOf[Job](s.huma, "Job")}}},
			"204": {Description: "Deleted"},
		},
	}, s.deleteUser)
}

func (s *Server) deleteUser(ctx context.Context, in *struct {
	AccountName
	IfMatch
	Owned string `query:"owned" enum:"refuse,transfer,delete" default:"refuse" doc:"refuse: don't delete an account that owns something. transfer: transfer everything to the account in to. delete: delete everything, with all data."`
	To    string `query:"to" maxLength:"64" doc:"With transfer: the account that everything is transferred to."`
}) (*Removed, error) {
	a, err := s.o.Access.User(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	removal := policy.AccountRemoval{UserID: a.ID, Name: a.Name, Refuse: in.Owned == "" || in.Owned == ownedRefuse}
	if in.Owned == ownedTransfer {
		if removal.To, err = s.o.Removals.Heir(ctx, a, in.To); err != nil {
			return nil, err
		}
	}
	empty, err := s.o.Removals.CheckAccount(ctx, removal)
	if err != nil {
		return nil, err
	}
	if empty {
		err := s.o.Access.DeleteUser(ctx, a.Name, expectAll(in.IfMatch, accountVersion)...)
		s.rightsChanged()
		return &Removed{Status: http.StatusNoContent}, err
	}
	off := true
	if _, err := s.o.Access.ChangeUser(ctx, a.Name, access.UserChange{Disabled: &off, Check: expect(in.IfMatch, accountVersion)}); err != nil {
		return nil, err
	}
	s.rightsChanged()
	started, err := s.start(ctx, policy.RemoveAccountJob, job.Target{Type: "user", ID: a.ID}, removal)
	if err != nil {
		return nil, err
	}
	return &Removed{Status: http.StatusAccepted, Location: started.Location, Body: &started.Body}, nil
}
