package policy

import (
	"context"
	"slices"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/domain/inventory"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/job"
	"github.com/sandboxlabs/sandboxlabs/internal/lab"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
)

// Guard decides who may do what. Objects that a user cannot view are reported as not found; other
// refusals are fault.Forbidden.
type Guard struct{ o Options }

// NewGuard returns a Guard that reads the parts in o.
func NewGuard(o Options) *Guard { return &Guard{o} }

// Node returns the node with an id if rights include level on it.
func (g *Guard) Node(rights access.Rights, id string, level access.Level) (domain.Node, error) {
	n, err := g.o.Nodes.Node(id)
	if err != nil {
		return domain.Node{}, err
	}
	if err := need(rights, NodeObject(n), "node", n.Name, level, inventory.NotFound(id)); err != nil {
		return domain.Node{}, err
	}
	return n, nil
}

// Image returns an error unless rights include level on the image with an id.
func (g *Guard) Image(rights access.Rights, id string, level access.Level) error {
	i, err := g.o.Images.Image("", id)
	if err != nil {
		return err
	}
	return needImage(rights, i, level)
}

// UseImage returns an error if the image is visible in the pools and rights do not include its use.
// It ignores a missing image: the caller reports that, or that its host is unreachable.
func (g *Guard) UseImage(rights access.Rights, host, id string) error {
	i, err := g.o.Images.Image(host, id)
	if err != nil {
		return nil //nolint:nilerr // the caller reports it
	}
	return needImage(rights, i, access.Use)
}

// Lab returns the lab with an id if rights include level on it.
func (g *Guard) Lab(ctx context.Context, rights access.Rights, id string, level access.Level) (lab.Lab, error) {
	l, err := g.o.Labs.Lab(ctx, id)
	if err != nil {
		return lab.Lab{}, err
	}
	if err := need(rights, LabObject(l), "lab", l.Name, level, lab.NotFound(id)); err != nil {
		return lab.Lab{}, err
	}
	return l, nil
}

// Job returns the job with an id if rights include level on it.
func (g *Guard) Job(ctx context.Context, rights access.Rights, id string, level access.Level) (job.Job, error) {
	j, err := g.o.Jobs.Job(ctx, id)
	if err != nil {
		return job.Job{}, err
	}
	if err := need(rights, JobObject(j), "job", id, level, job.NotFound(id)); err != nil {
		return job.Job{}, err
	}
	return j, nil
}

// LabNodes returns an error unless rights allow to manage those of nodes that are in the lab. Ids of
// other things are for package lab to refuse.
func (g *Guard) LabNodes(ctx context.Context, rights access.Rights, labID string, nodes ...string) error {
	l, err := g.o.Labs.Lab(ctx, labID)
	if err != nil {
		return err
	}
	for _, node := range nodes {
		if !l.Has(lab.Node, node) {
			continue
		}
		if _, err := g.Node(rights, node, access.Manage); err != nil {
			return err
		}
	}
	return nil
}

// LabNetwork returns an error unless rights allow to manage all nodes that are connected to a lab's
// network. It does not name the nodes, which may be invisible to the user.
func (g *Guard) LabNetwork(ctx context.Context, rights access.Rights, labID, network string) error {
	l, err := g.o.Labs.Lab(ctx, labID)
	if err != nil {
		return err
	}
	nets, err := g.o.Labs.Nets(ctx, l)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(nets, func(n lab.Net) bool { return n.ID == network })
	if i < 0 {
		return nil // package lab refuses it
	}
	for _, node := range nets[i].Nodes {
		if _, err := g.Node(rights, node, access.Manage); err != nil {
			return fault.New(fault.Forbidden, "Network %q has nodes that you can't change. Ask an administrator to disconnect them.", nets[i].Name)
		}
	}
	return nil
}

func needImage(rights access.Rights, i image.Image, level access.Level) error {
	return need(rights, ImageObject(i), "image", i.ID, level, image.NotFound(i.ID))
}

// need returns notFound if rights do not include viewing o, and fault.Forbidden if they do not include level.
func need(rights access.Rights, o access.Object, kind, name string, level access.Level, notFound error) error {
	has := rights.On(o)
	if has == access.None {
		return notFound
	}
	if has >= level {
		return nil
	}
	why := "ask its owner, or an administrator"
	if rights.Scopes != "" {
		why = "the token's scopes may be too narrow, or " + why
	}
	return fault.New(fault.Forbidden, "You have %q permission on %s %q, but need %q: %s.", has, kind, name, level, why)
}
