package policy

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/google/uuid"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/lab"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/upload"
)

// Quotas reserves parts of accounts' quotas for changes that are about to be made. Each method
// returns fault.QuotaExceeded if the quota of the owner does not allow the change. Call the returned
// function when the change is made, or has failed.
type Quotas struct{ o Options }

// NewQuotas returns Quotas that read the parts in o.
func NewQuotas(o Options) *Quotas { return &Quotas{o} }

// reserve reserves an amount for a thing of an account; see access.Service.Reserve.
func (q *Quotas) reserve(ctx context.Context, account, thing string, amount access.Amount) (release func(), err error) {
	return q.o.Accounts.Reserve(ctx, account, thing, amount, func() (map[string]access.Amount, error) {
		things, err := q.usage(ctx, account)
		// Only growth is compared: without new networks and labs, the hosts need not be asked for networks.
		if err == nil && amount.Networks+amount.Labs > 0 {
			err = q.countDrawn(ctx, countOf(account, things))
		}
		return things, err
	})
}

// NewNode reserves a new node. It ignores a missing image, which package domain reports.
func (q *Quotas) NewNode(ctx context.Context, spec domain.Spec) (release func(), err error) {
	host, err := q.o.Hosts.Host(spec.Host)
	if err != nil {
		return nil, err
	}
	diskBytes := spec.DiskBytes
	if i, err := q.o.Images.Image(host.Name(), spec.ImageID); err == nil {
		switch {
		case i.Format != image.ISO:
			diskBytes = max(diskBytes, i.VirtualBytes)
		case diskBytes == 0:
			diskBytes = domain.DefaultDiskBytes
		}
	}
	return q.newNode(ctx, spec.Owner, host.Name(), spec.Name, diskBytes)
}

func (q *Quotas) newNode(ctx context.Context, owner, host, name string, diskBytes int64) (release func(), err error) {
	return q.reserve(ctx, owner, nodeThing(host, name), amountOfNew(diskBytes))
}

// Clone reserves a clone. A linked clone also needs the data that its source has written, which both
// then share.
func (q *Quotas) Clone(ctx context.Context, c domain.Clone, full bool) (release func(), err error) {
	bytes := c.DiskBytes
	if n, err := q.o.Nodes.Node(c.Source); err == nil && !full {
		frozen, _, err := q.o.Nodes.Written(ctx, n.ID)
		if err != nil {
			return nil, err
		}
		bytes += frozen
	}
	return q.newNode(ctx, c.Owner, c.Host, c.Name, bytes)
}

// Start reserves what a node takes while it runs. The quota of its owner counts, whoever starts it.
func (q *Quotas) Start(ctx context.Context, id string) (release func(), err error) {
	n, err := q.o.Nodes.Node(id)
	if err != nil {
		return nil, err
	}
	if !n.Managed {
		return func() {}, nil
	}
	return q.reserve(ctx, n.Owner, nodeThing(n.Host, n.Name), amountOf(n, true))
}

// NodeShrank ends what was reserved for a node that has stopped or was deleted.
func (q *Quotas) NodeShrank(ctx context.Context, n domain.Node) {
	q.o.Accounts.Unreserve(ctx, nodeThing(n.Host, n.Name))
}

// ImageDeleted ends what was reserved for an image.
func (q *Quotas) ImageDeleted(ctx context.Context, i image.Image) {
	q.o.Accounts.Unreserve(ctx, imageThing(i.Host, i.ID))
}

// Revert reserves what a node takes after a revert to a snapshot, which may have it running. It
// ignores a missing snapshot, which package domain reports.
func (q *Quotas) Revert(ctx context.Context, id, name string) (release func(), err error) {
	n, err := q.o.Nodes.Node(id)
	if err != nil {
		return nil, err
	}
	list, _, err := q.o.Nodes.Snapshots(ctx, id)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(list, func(v domain.Snapshot) bool { return v.Name == name })
	if at < 0 || !n.Managed {
		return func() {}, nil
	}
	n.RAMMiB, n.CPUs = list[at].Size.RAMMiB, list[at].Size.CPUs
	return q.reserve(ctx, n.Owner, nodeThing(n.Host, n.Name), amountOf(n, list[at].Memory))
}

// Disk reserves another disk of a node.
func (q *Quotas) Disk(ctx context.Context, id string, bytes int64) (release func(), err error) {
	return q.change(ctx, id, func(n *domain.Node) { n.ExtraBytes += bytes })
}

// Snapshot reserves another snapshot of a node.
func (q *Quotas) Snapshot(ctx context.Context, id string) (release func(), err error) {
	disks, memory, err := q.o.Nodes.Written(ctx, id)
	if err != nil {
		return nil, err
	}
	return q.change(ctx, id, func(n *domain.Node) { n.KeptBytes = max(n.KeptBytes, disks+memory) })
}

// Suspend reserves the saved state of a running node, which is on the disk before the node has stopped.
func (q *Quotas) Suspend(ctx context.Context, id string) (release func(), err error) {
	n, err := q.o.Nodes.Node(id)
	if err != nil {
		return nil, err
	}
	if !n.Managed || !n.Active() {
		return func() {}, nil
	}
	return q.change(ctx, id, func(n *domain.Node) { n.KeptBytes += savedBytes(*n) })
}

// Edit reserves what a node takes after an edit. CPUs and RAM of a stopped node count when it starts.
func (q *Quotas) Edit(ctx context.Context, id string, e domain.Edit) (release func(), err error) {
	return q.change(ctx, id, func(n *domain.Node) {
		if e.DiskBytes != nil {
			n.DiskBytes = *e.DiskBytes
		}
		if e.RAMMiB != nil {
			n.RAMMiB = *e.RAMMiB
		}
		if e.CPUs != nil {
			n.CPUs = *e.CPUs
		}
	})
}

// change reserves what a node takes after a change.
func (q *Quotas) change(ctx context.Context, id string, change func(*domain.Node)) (release func(), err error) {
	n, err := q.o.Nodes.Node(id)
	if err != nil {
		return nil, err
	}
	change(&n)
	return q.reserve(ctx, n.Owner, nodeThing(n.Host, n.Name), amountOf(n, n.Active()))
}

// Image reserves an image with an id on a host.
func (q *Quotas) Image(ctx context.Context, owner, host, id string, bytes int64) (release func(), err error) {
	return q.reserve(ctx, owner, imageThing(host, id), access.Amount{DiskBytes: bytes})
}

// Upload calls begin with an upload, whose space is reserved until the upload is recorded.
func (q *Quotas) Upload(ctx context.Context, up upload.Upload, begin func(upload.Upload) error) error {
	release, err := q.reserve(ctx, up.Owner, "upload/"+uuid.NewString(), q.amountOfUpload(up.SizeBytes))
	if err != nil {
		return err
	}
	release = sync.OnceFunc(release)
	defer release()
	up.Recorded = release
	return begin(up)
}

// Conversion reserves what an upload takes in total, while record stores that it is unpacked or
// converted, or that a job is to download it. It is a upload.ReserveUpload.
func (q *Quotas) Conversion(ctx context.Context, c upload.Conversion, bytes int64, record func() error) error {
	release, err := q.reserve(ctx, c.Owner, imageThing(c.Host, c.ID), q.amountOfUpload(bytes))
	if err != nil {
		return err
	}
	defer release()
	return record()
}

// Network reserves a network. The id may be empty.
func (q *Quotas) Network(ctx context.Context, owner, id string) (release func(), err error) {
	return q.reserve(ctx, owner, networkThing(cmp.Or(id, uuid.NewString())), access.Amount{Networks: 1})
}

// Lab reserves a lab. The id may be empty.
func (q *Quotas) Lab(ctx context.Context, owner, id string) (release func(), err error) {
	return q.reserve(ctx, owner, labThing(cmp.Or(id, uuid.NewString())), access.Amount{Labs: 1})
}

// Plan reserves a lab with all its networks and nodes.
func (q *Quotas) Plan(ctx context.Context, p lab.Plan) (release func(), err error) {
	var releases []func()
	releaseAll := func() {
		for _, release := range releases {
			release()
		}
	}
	defer func() {
		if err != nil {
			releaseAll()
		}
	}()
	add := func(release func(), err error) error {
		if err == nil {
			releases = append(releases, release)
		}
		return err
	}
	if err := add(q.Lab(ctx, p.Owner, p.ID)); err != nil {
		return nil, err
	}
	for _, v := range p.Networks {
		if err := add(q.Network(ctx, p.Owner, v.ID)); err != nil {
			return nil, err
		}
	}
	for i, n := range p.Nodes {
		if err := add(q.newNode(ctx, p.Owner, p.Host, n.Name, n.DiskBytes)); err != nil {
			return nil, nodeInFile(i, err)
		}
	}
	return releaseAll, nil
}
