package policy

import (
	"context"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/job"
	"github.com/sandboxlabs/sandboxlabs/internal/lab"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/upload"
)

// What a node takes besides its disks, at most: its seed, and the log of each console.
const (
	seedBytes = 1 << 20
	logBytes  = 8 << 20
)

// count is called for each thing that counts against the quota of its owner. It may be called several
// times for a thing: the last amount counts.
type count func(owner, thing string, amount access.Amount)

// Usage returns the part of an account's quota that is in use.
func (q *Quotas) Usage(ctx context.Context, account string) (access.Amount, error) {
	used, err := q.usage(ctx, account)
	if err == nil {
		err = q.countDrawn(ctx, countOf(account, used))
	}
	return access.Sum(used), err
}

// UsageOfAll returns the usage of each account, by id. Objects that jobs are still creating do not count.
func (q *Quotas) UsageOfAll(ctx context.Context) (map[string]access.Amount, error) {
	things := map[string]map[string]access.Amount{}
	keep := func(owner, thing string, amount access.Amount) {
		if things[owner] == nil {
			things[owner] = map[string]access.Amount{}
		}
		things[owner][thing] = amount
	}
	uploads, err := q.o.Uploads.Uploads(ctx)
	if err != nil {
		return nil, err
	}
	q.countStored(uploads, keep)
	err = q.countDrawn(ctx, keep)
	usage := make(map[string]access.Amount, len(things))
	for owner, of := range things {
		usage[owner] = access.Sum(of)
	}
	return usage, err
}

// countOf keeps the things of one account.
func countOf(account string, things map[string]access.Amount) count {
	return func(owner, thing string, amount access.Amount) {
		if owner == account {
			things[thing] = amount
		}
	}
}

// usage returns the amounts in use by an account by thing, without networks and labs.
func (q *Quotas) usage(ctx context.Context, account string) (map[string]access.Amount, error) {
	things, err := q.planned(ctx, account)
	if err != nil {
		return nil, err
	}
	uploads, err := q.o.Uploads.UploadsOf(ctx, account)
	q.countStored(uploads, countOf(account, things))
	return things, err
}

// countStored counts nodes, images and uploads.
func (q *Quotas) countStored(uploads []upload.Incoming, count count) {
	for _, n := range q.o.Nodes.Nodes() {
		if !n.Managed {
			continue
		}
		count(n.Owner, nodeThing(n.Host, n.Name), amountOf(n, n.Active()))
		for _, file := range n.Below { // files that linked clones made read-only; images count separately
			if bytes, known, inPool := q.o.Images.NodeFileBytes(n.Host, file); known {
				count(n.Owner, fileThing(n.Host, file), access.Amount{DiskBytes: bytes})
			} else if inPool {
				count(n.Owner, fileThing(n.Host, file), access.Amount{DiskBytes: n.DiskBytes})
			}
		}
	}
	for _, i := range q.o.Images.Images() {
		if i.Type == image.Custom && i.State != image.Uploading {
			count(i.Owner, imageThing(i.Host, i.ID), access.Amount{DiskBytes: i.FileBytes})
		}
	}
	for _, u := range uploads {
		count(u.Owner, imageThing(u.Host, u.ID), q.amountOfUpload(max(u.SizeBytes, u.TakenBytes)))
	}
}

// countDrawn counts networks and labs. It asks the hosts for their networks.
func (q *Quotas) countDrawn(ctx context.Context, count count) error {
	networks, err := q.o.Networks.Networks(ctx)
	if err != nil {
		return err
	}
	for _, v := range networks {
		if v.Managed {
			count(v.Owner, networkThing(v.ID), access.Amount{Networks: 1})
		}
	}
	labs, err := q.o.Labs.List(ctx)
	for _, l := range labs {
		count(l.Owner, labThing(l.ID), access.Amount{Labs: 1})
	}
	return err
}

// planned returns the amounts of what jobs of an account are creating: full clones, and imported labs.
func (q *Quotas) planned(ctx context.Context, account string) (map[string]access.Amount, error) {
	things := map[string]access.Amount{}
	for kind, add := range map[string]func(job.Job) error{
		domain.CloneJob: func(j job.Job) error {
			var c domain.Clone
			err := j.Args(&c)
			things[nodeThing(c.Host, c.Name)] = amountOfNew(c.DiskBytes)
			return err
		},
		lab.ImportJob: func(j job.Job) error {
			var p lab.Plan
			err := j.Args(&p)
			for _, n := range p.Nodes {
				things[nodeThing(p.Host, n.Name)] = amountOfNew(n.DiskBytes)
			}
			for _, v := range p.Networks {
				things[networkThing(v.ID)] = access.Amount{Networks: 1}
			}
			things[labThing(p.ID)] = access.Amount{Labs: 1}
			return err
		},
	} {
		jobs, _, err := q.o.Jobs.List(ctx, job.Filter{Kind: kind, Owner: account, States: job.Active})
		if err != nil {
			return nil, err
		}
		for _, j := range jobs {
			if err := add(j); err != nil {
				return nil, err
			}
		}
	}
	return things, nil
}

// nodeThing names a node in a quota by its name: its id is unknown before it is created.
func nodeThing(host, name string) string { return "node/" + host + "/" + name }

// fileThing names a file that disks are backed by: several nodes of one owner may share it.
func fileThing(host, file string) string { return "file/" + host + "/" + file }

func imageThing(host, id string) string { return "image/" + host + "/" + id }

func networkThing(id string) string { return "network/" + id }

func labThing(id string) string { return "lab/" + id }

// amountOf returns what a node takes, running or stopped.
func amountOf(n domain.Node, running bool) access.Amount {
	a := access.Amount{Nodes: 1, DiskBytes: n.DiskBytes + n.ExtraBytes + n.KeptBytes + seedBytes}
	for _, p := range n.Ports {
		if p.LogPath != "" {
			a.DiskBytes += logBytes
		}
	}
	if n.Saved && !running {
		a.DiskBytes += savedBytes(n)
	}
	if running {
		a.Running, a.CPUs, a.RAMMiB = 1, int64(n.CPUs), n.RAMMiB
	}
	return a
}

// savedBytes returns what the saved state of a node takes at most: all its RAM.
func savedBytes(n domain.Node) int64 { return n.RAMMiB << 20 }

// amountOfNew returns what a node takes that is created and not started.
func amountOfNew(diskBytes int64) access.Amount {
	return access.Amount{Nodes: 1, DiskBytes: diskBytes + seedBytes + logBytes}
}

// amountOfUpload returns what an upload takes. An upload of unknown size may become as large as any image.
func (q *Quotas) amountOfUpload(sizeBytes int64) access.Amount {
	if sizeBytes <= 0 {
		sizeBytes = q.o.Uploads.MaxImageBytes()
	}
	return access.Amount{Uploads: 1, DiskBytes: sizeBytes}
}
