package policy

import (
	"context"
	"errors"
	"fmt"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
	"github.com/sandboxlabs/sandboxlabs/internal/job"
	"github.com/sandboxlabs/sandboxlabs/internal/lab"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/upload"
)

// RemoveAccountJob is the kind of the jobs that delete accounts, and transfer or delete what they
// own; their arguments are an AccountRemoval.
const RemoveAccountJob = "user.delete"

// AccountRemoval is what a RemoveAccountJob works on.
type AccountRemoval struct {
	UserID string `json:"userId"`
	Name   string `json:"name"`
	// To is the id of the account that everything is transferred to; empty: it is deleted.
	To string `json:"to,omitempty"`
	// Refuse has the job fail if the account owns something.
	Refuse bool `json:"refuse,omitempty"`
}

// RemovalOptions are the parts of the service that Removals change; all are required.
type RemovalOptions struct {
	Guard  *Guard
	Quotas *Quotas
	Hosts  interface{ Hosts() []*hypervisor.Host }
	Nodes  interface {
		Node(id string) (domain.Node, error)
		Nodes() []domain.Node
		Delete(ctx context.Context, id string, withSnapshots bool, checks ...func(domain.Node) error) error
		SetOwner(ctx context.Context, id, account string) (domain.Node, error)
		Networks(ctx context.Context) ([]domain.Network, error)
		SetNetworkOwner(ctx context.Context, v domain.Network, account string) error
		DeleteNetwork(ctx context.Context, host, name string, may func(domain.Network) error) error
	}
	Images interface {
		Image(host, id string) (image.Image, error)
		Images() []image.Image
		DeleteImage(ctx context.Context, id string, checks ...func(image.Image) error) error
		SetImageOwner(ctx context.Context, id, account string) error
		UploadsOf(ctx context.Context, owner string) ([]upload.Incoming, error)
		CancelUpload(ctx context.Context, host, id string) error
	}
	Labs interface {
		List(ctx context.Context) ([]lab.Lab, error)
		Delete(ctx context.Context, id string, checks ...func(lab.Lab) error) error
		SetOwner(ctx context.Context, id, account string) error
		Forget(ctx context.Context, node string) error
	}
	Jobs interface {
		List(ctx context.Context, f job.Filter) (jobs []job.Job, next string, err error)
	}
	Accounts interface {
		User(ctx context.Context, name string) (access.Account, error)
		DeleteUser(ctx context.Context, name string, checks ...func(access.Account) error) error
		Forget(ctx context.Context, kind access.Kind, id string) error
	}
	// RightsChanged is called after a change of what users can view. It must not block.
	RightsChanged func()
}

// Removals deletes objects together with what other parts of the service store about them. They are
// safe for concurrent use.
type Removals struct{ o RemovalOptions }

// NewRemovals returns Removals that work on the parts in o.
func NewRemovals(o RemovalOptions) *Removals { return &Removals{o} }

// Node deletes a node, its shares and its positions in labs; see domain.Service.Delete.
func (r *Removals) Node(ctx context.Context, id string, withSnapshots bool, checks ...func(domain.Node) error) error {
	n, err := r.o.Nodes.Node(id)
	if err != nil {
		return err
	}
	if err := r.o.Nodes.Delete(ctx, id, withSnapshots, checks...); err != nil {
		return err
	}
	r.o.Quotas.NodeShrank(ctx, n)
	return r.NodeTraces(ctx, id)
}

// NodeTraces deletes what is stored about a node that no longer exists.
func (r *Removals) NodeTraces(ctx context.Context, id string) error {
	return errors.Join(r.o.Accounts.Forget(ctx, access.Node, id), r.o.Labs.Forget(ctx, id))
}

// Lab deletes a lab and its shares. Its nodes and networks remain.
func (r *Removals) Lab(ctx context.Context, id string, checks ...func(lab.Lab) error) error {
	if err := r.o.Labs.Delete(ctx, id, checks...); err != nil {
		return err
	}
	defer r.o.RightsChanged()
	return r.o.Accounts.Forget(ctx, access.Lab, id)
}

// Image deletes an image and its shares. It returns an InUseError, which names what the user can
// view, if something depends on the image.
func (r *Removals) Image(ctx context.Context, rights access.Rights, id string, checks ...func(image.Image) error) error {
	i, err := r.o.Images.Image("", id)
	if err != nil {
		return err
	}
	if err := r.o.Guard.Unused(ctx, rights, i); err != nil { // the pools know no nodes
		return err
	}
	if err := r.o.Images.DeleteImage(ctx, id, checks...); err != nil {
		return err
	}
	r.o.Quotas.ImageDeleted(ctx, i)
	return r.o.Accounts.Forget(ctx, access.Image, id)
}

// CheckAccount returns an error unless an account can be removed now: fault.StillOwner if removal
// refuses what it owns, or if its jobs are running; fault.HostUnreachable if a host might have nodes of
// it. empty says that it owns nothing, and can be deleted without a job.
func (r *Removals) CheckAccount(ctx context.Context, removal AccountRemoval) (empty bool, err error) {
	owns, err := r.Holdings(ctx, removal.UserID)
	switch {
	case err != nil:
		return false, err
	case owns.objects()+owns.Jobs == 0:
		return true, nil
	case removal.Refuse:
		return false, stillOwner(removal.Name, owns)
	case owns.Jobs > 0:
		return false, fault.New(fault.StillOwner, "Cannot delete account %q: it has %s. Wait for them to end, or cancel them.", removal.Name, counted(owns.Jobs, "running task"))
	}
	return false, r.checkHosts(removal.Name)
}

// Heir returns the id of the account that everything of another one is transferred to.
func (r *Removals) Heir(ctx context.Context, from access.Account, name string) (string, error) {
	if name == "" {
		return "", fault.Field("to", "Choose the account that gets everything.")
	}
	to, err := r.o.Accounts.User(ctx, name)
	switch {
	case fault.CodeOf(err) == fault.NotFound:
		return "", fault.Field("to", "Account %q not found.", name)
	case err != nil:
		return "", err
	case to.ID == from.ID:
		return "", fault.Field("to", "Choose another account than the one that is deleted.")
	case to.Disabled:
		return "", fault.Field("to", "Account %q is disabled. Choose another one.", to.Name)
	}
	return to.ID, nil
}

// Account transfers or deletes what an account owns, and then deletes the account. It can be
// repeated. Errors: those of changing or deleting nodes, images and networks, such as
// fault.ImageInUse if nodes of other accounts use an image.
func (r *Removals) Account(ctx context.Context, removal AccountRemoval, t *job.Task) error {
	if err := r.checkHosts(removal.Name); err != nil {
		return err
	}
	// The next round finds what requests that were running when the account was disabled have created.
	for done := 0; ; {
		owns, err := r.Holdings(ctx, removal.UserID)
		if err != nil {
			return err
		}
		if removal.Refuse && owns.objects()+owns.Jobs > 0 {
			return stillOwner(removal.Name, owns)
		}
		steps := r.steps(owns, removal.To)
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
	a, err := r.o.Accounts.User(ctx, removal.Name)
	if fault.CodeOf(err) == fault.NotFound || (err == nil && a.ID != removal.UserID) {
		return nil // an earlier attempt deleted it
	}
	if err == nil {
		err = r.o.Accounts.DeleteUser(ctx, removal.Name)
	}
	r.o.RightsChanged()
	return err
}

// step transfers or deletes one object.
type step struct {
	what string
	do   func(ctx context.Context) error
}

// steps returns the steps in an order in which none prevents another: nodes before the networks and
// images that they use. Objects that are already gone are not errors.
func (r *Removals) steps(owns Holdings, to string) (steps []step) {
	add := func(kind, name string, transfer, remove func(context.Context) error) {
		s := step{"deleting " + kind + " " + name, remove}
		if to != "" {
			s = step{"transferring " + kind + " " + name, transfer}
		}
		steps = append(steps, s)
	}
	for _, u := range owns.Uploads {
		steps = append(steps, step{"deleting an unfinished upload", func(ctx context.Context) error {
			return unless(fault.NotFound, r.o.Images.CancelUpload(ctx, u.Host, u.ID))
		}})
	}
	for _, n := range owns.Nodes {
		add("node", n.Name, func(ctx context.Context) error {
			_, err := r.o.Nodes.SetOwner(ctx, n.ID, to)
			return unless(fault.NodeNotFound, err)
		}, func(ctx context.Context) error {
			if err := unless(fault.NodeNotFound, r.o.Nodes.Delete(ctx, n.ID, true)); err != nil {
				return err
			}
			return r.NodeTraces(ctx, n.ID)
		})
	}
	for _, v := range owns.Networks {
		add("network", v.Name, func(ctx context.Context) error {
			return unless(fault.NotFound, r.o.Nodes.SetNetworkOwner(ctx, v, to))
		}, func(ctx context.Context) error {
			return unless(fault.NotFound, r.o.Nodes.DeleteNetwork(ctx, v.Host, v.Name, func(domain.Network) error { return nil }))
		})
	}
	for _, l := range owns.Labs {
		add("lab", l.Name, func(ctx context.Context) error {
			return unless(fault.NotFound, r.o.Labs.SetOwner(ctx, l.ID, to))
		}, func(ctx context.Context) error { return unless(fault.NotFound, r.Lab(ctx, l.ID)) })
	}
	for _, i := range owns.Images {
		add("image", i.ID, func(ctx context.Context) error {
			return unless(fault.ImageNotFound, r.o.Images.SetImageOwner(ctx, i.ID, to))
		}, func(ctx context.Context) error {
			return unless(fault.ImageNotFound, r.Image(ctx, access.Rights{}, i.ID))
		})
	}
	return steps
}

// checkHosts returns fault.HostUnreachable if a host is not connected: it might have objects of the
// account that nobody knows of.
func (r *Removals) checkHosts(name string) error {
	for _, h := range r.o.Hosts.Hosts() {
		if h.Status().State != hypervisor.Connected {
			return fault.New(fault.HostUnreachable, "Cannot delete account %q: host %q is unreachable, and may have nodes of it. Try again when it answers.", name, h.Name())
		}
	}
	return nil
}

func stillOwner(name string, owns Holdings) error {
	return fault.New(fault.StillOwner, "Cannot delete account %q: it owns %s. Transfer them to another account, or delete them with the account.", name, owns)
}

// unless returns err unless it has the code.
func unless(code fault.Code, err error) error {
	if fault.CodeOf(err) == code {
		return nil
	}
	return err
}
