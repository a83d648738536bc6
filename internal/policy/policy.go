// Package policy has the rules that involve several parts of the service: who may do what with which
// node, image, network, lab and job, and what counts against an account's quota. It stores nothing.
package policy

import (
	"cmp"
	"context"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
	"github.com/sandboxlabs/sandboxlabs/internal/job"
	"github.com/sandboxlabs/sandboxlabs/internal/lab"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/upload"
)

// Options are the parts of the service that the rules read; all are required. The rules are as safe
// for concurrent use as the parts are.
type Options struct {
	Hosts    Hosts
	Nodes    Nodes
	Networks Networks
	Images   Images
	Uploads  Uploads
	Labs     Labs
	Jobs     Jobs
	Accounts Accounts
}

// Hosts resolves the name of a host; "" is the first one.
type Hosts interface {
	Host(name string) (*hypervisor.Host, error)
}

// Nodes reads nodes.
type Nodes interface {
	Node(id string) (domain.Node, error)
	Nodes() []domain.Node
	Snapshots(ctx context.Context, id string) ([]domain.Snapshot, []domain.Chain, error)
	Written(ctx context.Context, id string) (diskBytes, memoryBytes int64, err error)
	Check(ctx context.Context, spec domain.Spec) (domain.Spec, error)
}

// Networks reads networks.
type Networks interface {
	Network(ctx context.Context, host, name string) (domain.Network, error)
	Networks(ctx context.Context) ([]domain.Network, error)
}

// Images reads images, and what is backed by them.
type Images interface {
	Image(host, id string) (image.Image, error)
	Images() []image.Image
	Usable(host, id string) (image.Image, error)
	NodeFileBytes(host, file string) (bytes int64, known, inPool bool)
	Pools(host string) []storagepool.PoolStatus
	Survey(ctx context.Context, host string) (storagepool.Survey, error)
}

// Uploads reads unfinished uploads.
type Uploads interface {
	Uploads(ctx context.Context) ([]upload.Incoming, error)
	UploadsOf(ctx context.Context, owner string) ([]upload.Incoming, error)
	MaxImageBytes() int64
}

// Labs reads labs.
type Labs interface {
	List(ctx context.Context) ([]lab.Lab, error)
	Lab(ctx context.Context, id string) (lab.Lab, error)
	Nets(ctx context.Context, l lab.Lab) ([]lab.Net, error)
	NewPlan(p lab.Plan, taken []string) (lab.Plan, error)
}

// Jobs reads jobs.
type Jobs interface {
	Job(ctx context.Context, id string) (job.Job, error)
	List(ctx context.Context, f job.Filter) (jobs []job.Job, next string, err error)
}

// Accounts names accounts, and reserves parts of their quotas.
type Accounts interface {
	OwnerName(id string) string
	Reserve(ctx context.Context, account, thing string, amount access.Amount, taken func() (map[string]access.Amount, error)) (release func(), err error)
	Unreserve(ctx context.Context, thing string)
}

// OwnerName returns the name of the account with an id; recorded if the account is
// unknown, and id if nothing was recorded.
func OwnerName(accounts interface{ OwnerName(id string) string }, id, recorded string) string {
	if name := accounts.OwnerName(id); name != id {
		return name
	}
	return cmp.Or(recorded, id)
}

// NodeObject returns a node as an object of rights. Domains that other programs defined belong to
// nobody until they are adopted.
func NodeObject(n domain.Node) access.Object {
	return access.Object{Kind: access.Node, ID: n.ID, Owner: n.Owner, Foreign: !n.Managed}
}

// ImageObject returns an image as an object of rights.
func ImageObject(i image.Image) access.Object {
	return access.Object{Kind: access.Image, ID: i.ID, Owner: i.Owner, Common: i.Type == image.Base}
}

// LabObject returns a lab as an object of rights.
func LabObject(l lab.Lab) access.Object {
	return access.Object{Kind: access.Lab, ID: l.ID, Owner: l.Owner}
}

// JobObject returns a job as an object of rights. It belongs to the account that started it.
func JobObject(j job.Job) access.Object {
	return access.Object{Kind: access.Kind(j.Target.Type), ID: j.ID, Owner: j.Owner}
}
