package policy

import (
	"context"
	"strings"

	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/job"
	"github.com/sandboxlabs/sandboxlabs/internal/lab"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/upload"
)

// Holdings is what an account owns.
type Holdings struct {
	Nodes    []domain.Node
	Images   []image.Image
	Labs     []lab.Lab
	Networks []domain.Network
	Uploads  []upload.Incoming // unfinished
	Jobs     int               // that have not ended
}

// Holdings returns what the account with an id owns. Of unreachable hosts, it has what was last known.
func (r *Removals) Holdings(ctx context.Context, id string) (h Holdings, err error) {
	for _, n := range r.o.Nodes.Nodes() {
		if n.Managed && n.Owner == id {
			h.Nodes = append(h.Nodes, n)
		}
	}
	for _, i := range r.o.Images.Images() {
		if i.Owner == id && i.State != image.Uploading {
			h.Images = append(h.Images, i)
		}
	}
	labs, err := r.o.Labs.List(ctx)
	if err != nil {
		return h, err
	}
	for _, l := range labs {
		if l.Owner == id {
			h.Labs = append(h.Labs, l)
		}
	}
	networks, err := r.o.Nodes.Networks(ctx)
	if err != nil {
		return h, err
	}
	for _, v := range networks {
		if v.Managed && v.Owner == id {
			h.Networks = append(h.Networks, v)
		}
	}
	if h.Uploads, err = r.o.Images.UploadsOf(ctx, id); err != nil {
		return h, err
	}
	active, _, err := r.o.Jobs.List(ctx, job.Filter{Owner: id, States: job.Active})
	h.Jobs = len(active)
	return h, err
}

// objects returns the number of objects that have to be transferred or deleted.
func (h Holdings) objects() int {
	return len(h.Nodes) + len(h.Images) + len(h.Labs) + len(h.Networks) + len(h.Uploads)
}

// String returns the numbers in words: "3 nodes, 2 images".
func (h Holdings) String() string {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{
		{len(h.Nodes), "node"}, {len(h.Images), "image"}, {len(h.Labs), "lab"}, {len(h.Networks), "network"}, {len(h.Uploads), "unfinished upload"}, {h.Jobs, "running task"},
	} {
		if p.n > 0 {
			parts = append(parts, counted(p.n, p.what))
		}
	}
	return strings.Join(parts, ", ")
}
