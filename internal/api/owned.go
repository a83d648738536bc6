package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
	"github.com/sandboxlabs/sandboxlabs/internal/job"
	"github.com/sandboxlabs/sandboxlabs/internal/lab"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
)

// RemoveAccountJob is the kind of the jobs that delete accounts with what they own, or
// give it to another account; their arguments are an AccountRemoval.
const RemoveAccountJob = "user.delete"

// The answers to what becomes of what an account owns.
const (
	ownedRefuse   = "refuse"
	ownedTransfer = "transfer"
	ownedDelete   = "delete"
)

// AccountRemoval is what a RemoveAccountJob works on.
type AccountRemoval struct {
	UserID string `json:"userId"`
	Name   string `json:"name"`
	// To is the id of the account that gets everything; empty: it is deleted.
	To string `json:"to,omitempty"`
	// Refuse fails while the account owns something, in place of deleting that.
	Refuse bool `json:"refuse,omitempty"`
}

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

// holdings is all that an account owns, as the parts of the service know it.
type holdings struct {
	nodes    []domain.Node
	images   []storagepool.Image
	labs     []lab.Lab
	networks []domain.Network
	uploads  []storagepool.Incoming
	jobs     int
}

// holdingsOf lists what an account owns, by its id. Of a host that does not answer, what
// is known of it counts.
func (s *Server) holdingsOf(ctx context.Context, id string) (h holdings, err error) {
	for _, n := range s.o.Nodes.Nodes() {
		if n.Managed && n.Owner == id {
			h.nodes = append(h.nodes, n)
		}
	}
	for _, i := range s.o.Storage.Images() {
		if i.Owner == id && i.State != storagepool.Uploading {
			h.images = append(h.images, i)
		}
	}
	labs, err := s.o.Labs.List(ctx)
	if err != nil {
		return h, err
	}
	for _, l := range labs {
		if l.Owner == id {
			h.labs = append(h.labs, l)
		}
	}
	networks, err := s.o.Nodes.Networks(ctx)
	if err != nil {
		return h, err
	}
	for _, v := range networks {
		if v.Managed && v.Owner == id {
			h.networks = append(h.networks, v)
		}
	}
	if h.uploads, err = s.o.Storage.UploadsOf(ctx, id); err != nil {
		return h, err
	}
	active, _, err := s.o.Jobs.List(ctx, job.Filter{Owner: id, States: job.Active})
	h.jobs = len(active)
	return h, err
}

// things counts what has to be given away or deleted.
func (h holdings) things() int {
	return len(h.nodes) + len(h.images) + len(h.labs) + len(h.networks) + len(h.uploads)
}

// String says how much it is: "3 nodes, 2 images".
func (h holdings) String() string {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{
		{len(h.nodes), "node"}, {len(h.images), "image"}, {len(h.labs), "lab"}, {len(h.networks), "network"}, {len(h.uploads), "unfinished upload"}, {h.jobs, "running task"},
	} {
		if p.n > 0 {
			parts = append(parts, counted(p.n, p.what))
		}
	}
	return strings.Join(parts, ", ")
}

func (h holdings) view() Owned {
	v := Owned{Nodes: []OwnedThing{}, Images: []OwnedThing{}, Labs: []OwnedThing{}, Networks: []OwnedThing{}, Uploads: len(h.uploads), Jobs: h.jobs}
	for _, n := range h.nodes {
		v.Nodes = append(v.Nodes, OwnedThing{n.ID, n.Name, n.Host})
	}
	for _, i := range h.images {
		v.Images = append(v.Images, OwnedThing{i.ID, i.DisplayName, i.Host})
	}
	for _, l := range h.labs {
		v.Labs = append(v.Labs, OwnedThing{l.ID, l.Name, ""})
	}
	for _, n := range h.networks {
		v.Networks = append(v.Networks, OwnedThing{n.ID, n.Name, n.Host})
	}
	return v
}

// Removed answers the request to delete an account: 204 when it is done, or 202 and the
// job that does it.
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
		h, err := s.holdingsOf(ctx, a.ID)
		return &struct{ Body Owned }{h.view()}, err
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
	Owned string `query:"owned" enum:"refuse,transfer,delete" default:"refuse" doc:"refuse: don't delete an account that owns something. transfer: transfer everything to the account in to. delete: delete everything, with all data."`
	To    string `query:"to" maxLength:"64" doc:"With transfer: the account that everything is transferred to."`
}) (*Removed, error) {
	a, err := s.o.Access.User(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	removal := AccountRemoval{UserID: a.ID, Name: a.Name}
	if in.Owned == ownedTransfer {
		if removal.To, err = s.heirOf(ctx, a, in.To); err != nil {
			return nil, err
		}
	}
	owns, err := s.holdingsOf(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	switch {
	case owns.things()+owns.jobs == 0:
		err := s.o.Access.DeleteUser(ctx, a.Name)
		s.rightsChanged()
		return &Removed{Status: http.StatusNoContent}, err
	case in.Owned == "", in.Owned == ownedRefuse:
		return nil, stillOwner(a.Name, owns)
	case owns.jobs > 0:
		return nil, fault.New(fault.StillOwner, "Cannot delete account %q: it has %s. Wait for them to end, or cancel them.", a.Name, counted(owns.jobs, "running task"))
	}
	if err := s.checkHosts(a.Name); err != nil {
		return nil, err
	}
	off := true
	if _, err := s.o.Access.ChangeUser(ctx, a.Name, access.UserChange{Disabled: &off}); err != nil {
		return nil, err
	}
	s.rightsChanged()
	started, err := s.start(ctx, RemoveAccountJob, job.Target{Type: "user", ID: a.ID}, removal)
	if err != nil {
		return nil, err
	}
	return &Removed{Status: http.StatusAccepted, Location: started.Location, Body: &started.Body}, nil
}

// stillOwner is the error of deleting an account that owns something.
func stillOwner(name string, owns holdings) error {
	return fault.New(fault.StillOwner, "Cannot delete account %q: it owns %s. Transfer them to another account, or delete them with the account.", name, owns)
}

// checkHosts returns fault.HostUnreachable while a host does not answer, which may have
// something of an account that is to be deleted.
func (s *Server) checkHosts(name string) error {
	for _, h := range s.o.Hosts.Hosts() {
		if h.Status().State != hypervisor.Connected {
			return fault.New(fault.HostUnreachable, "Cannot delete account %q: host %q is unreachable, and may have nodes of it. Try again when it answers.", name, h.Name())
		}
	}
	return nil
}

// heirOf returns the id of the account that gets what a owned.
func (s *Server) heirOf(ctx context.Context, a access.Account, name string) (string, error) {
	if name == "" {
		return "", fault.Field("to", "Choose the account that gets everything.")
	}
	to, err := s.o.Access.User(ctx, name)
	switch {
	case fault.CodeOf(err) == fault.NotFound:
		return "", fault.Field("to", "Account %q not found.", name)
	case err != nil:
		return "", err
	case to.ID == a.ID:
		return "", fault.Field("to", "Choose another account than the one that is deleted.")
	case to.Disabled:
		return "", fault.Field("to", "Account %q is disabled. Choose another one.", to.Name)
	}
	return to.ID, nil
}

// RemoveAccount gives away or deletes all that an account owns, and then deletes the
// account. It may be repeated. Errors: those of changing or deleting nodes, images and
// networks, such as fault.ImageInUse when others' nodes use an image.
func (s *Server) RemoveAccount(ctx context.Context, r AccountRemoval, t *job.Task) error {
	if err := s.checkHosts(r.Name); err != nil {
		return err
	}
	// What came of a request that was under way when the account was disabled is seen
	// by the next round.
	for done := 0; ; {
		owns, err := s.holdingsOf(ctx, r.UserID)
		if err != nil {
			return err
		}
		if r.Refuse && owns.things()+owns.jobs > 0 {
			return stillOwner(r.Name, owns)
		}
		steps := s.removalSteps(owns, r.To)
		if len(steps) == 0 {
			break
		}
		for i, step := range steps {
			if err := ctx.Err(); err != nil {
				return err
			}
			t.At(step.what, int64(done+i), int64(done+len(steps)))
			if err := step.do(ctx); err != nil {
				return fmt.Errorf("%s: %w", step.what, err)
			}
		}
		done += len(steps)
	}
	a, err := s.o.Access.User(ctx, r.Name)
	if fault.CodeOf(err) == fault.NotFound || (err == nil && a.ID != r.UserID) {
		return nil // an earlier attempt has deleted it
	}
	if err == nil {
		err = s.o.Access.DeleteUser(ctx, r.Name)
	}
	s.rightsChanged()
	return err
}

// removalStep is one thing that is given away or deleted.
type removalStep struct {
	what string
	do   func(ctx context.Context) error
}

// removalSteps are in the order in which one does not stand in another's way: nodes
// before the networks and images that they use.
func (s *Server) removalSteps(owns holdings, to string) (steps []removalStep) {
	add := func(kind, name string, give, remove func(context.Context) error) {
		step := removalStep{"deleting " + kind + " " + name, remove}
		if to != "" {
			step = removalStep{"transferring " + kind + " " + name, give}
		}
		steps = append(steps, step)
	}
	for _, u := range owns.uploads {
		steps = append(steps, removalStep{"deleting an unfinished upload", func(ctx context.Context) error {
			return unless(fault.NotFound, s.o.Storage.CancelUpload(ctx, u.Host, u.ID))
		}})
	}
	for _, n := range owns.nodes {
		add("node", n.Name, func(ctx context.Context) error {
			_, err := s.o.Nodes.SetOwner(ctx, n.ID, to)
			return unless(fault.NodeNotFound, err)
		}, func(ctx context.Context) error {
			if err := unless(fault.NodeNotFound, s.o.Nodes.Delete(ctx, n.ID, true)); err != nil {
				return err
			}
			return s.forgetNode(ctx, n.ID)
		})
	}
	for _, v := range owns.networks {
		add("network", v.Name, func(ctx context.Context) error {
			return unless(fault.NotFound, s.o.Nodes.SetNetworkOwner(ctx, v, to))
		}, func(ctx context.Context) error {
			return unless(fault.NotFound, s.o.Nodes.DeleteNetwork(ctx, v.Host, v.Name, func(domain.Network) error { return nil }))
		})
	}
	for _, l := range owns.labs {
		add("lab", l.Name, func(ctx context.Context) error {
			return unless(fault.NotFound, s.o.Labs.SetOwner(ctx, l.ID, to))
		}, func(ctx context.Context) error { return unless(fault.NotFound, s.forgetLab(ctx, l.ID)) })
	}
	for _, i := range owns.images {
		add("image", i.ID, func(ctx context.Context) error {
			return unless(fault.ImageNotFound, s.o.Storage.SetImageOwner(ctx, i.ID, to))
		}, func(ctx context.Context) error { return unless(fault.ImageNotFound, s.deleteImage(ctx, i.ID)) })
	}
	return steps
}

// unless returns an error but for one of a code: what is gone needs nothing more.
func unless(code fault.Code, err error) error {
	if fault.CodeOf(err) == code {
		return nil
	}
	return err
}
