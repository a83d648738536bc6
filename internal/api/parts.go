package api

import (
	"context"
	"io"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sandboxlabs/sandboxlabs/internal/console"
	"github.com/sandboxlabs/sandboxlabs/internal/display"
	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/domain/inventory"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
	disks "github.com/sandboxlabs/sandboxlabs/internal/storagepool/disk"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/upload"
)

// The parts of the service that need libvirt, as the API uses them. Parts that need only a database
// are taken as they are: tests run the real ones.

// Hosts are the libvirt hosts; *hypervisor.Set.
type Hosts interface {
	Host(name string) (*hypervisor.Host, error)
	Hosts() []*hypervisor.Host
	Metrics() prometheus.Collector
}

// Nodes are the nodes and networks of the hosts; *domain.Service.
type Nodes interface {
	NodeReader
	NodeEditor
	NodeLifecycle
	Devices
	Snapshots
	Clones
	Networks
	UnfinishedChanges
	Usage
}

// NodeReader reads nodes from memory, and their definitions from libvirt.
type NodeReader interface {
	Node(id string) (domain.Node, error)
	Nodes() []domain.Node
	// Known returns whether the nodes of a host were read since it connected.
	Known(host string) bool
	UsersOf(host string, files ...string) []domain.Node
	Warnings(n domain.Node) []string
	XML(ctx context.Context, id string, next bool) (string, error)
}

// NodeEditor creates nodes, and changes their definitions.
type NodeEditor interface {
	Create(ctx context.Context, spec domain.Spec) (n domain.Node, existed bool, err error)
	Edit(ctx context.Context, id string, e domain.Edit, check func(domain.Node) error) (domain.Node, []domain.Resized, error)
	Redefine(ctx context.Context, id, text string, versions ...string) (domain.Node, error)
	Adopt(ctx context.Context, id, owner string) (domain.Node, error)
}

// NodeLifecycle starts and stops nodes.
type NodeLifecycle interface {
	Start(ctx context.Context, id string) (domain.Node, error)
	Stop(ctx context.Context, id string, force bool) (domain.Node, error)
	Reboot(ctx context.Context, id string) (domain.Node, error)
	Reset(ctx context.Context, id string) (domain.Node, error)
	Pause(ctx context.Context, id string) (domain.Node, error)
	Resume(ctx context.Context, id string) (domain.Node, error)
	Suspend(ctx context.Context, id string) (domain.Node, error)
	DiscardSavedState(ctx context.Context, id string) (domain.Node, error)
	Wipe(ctx context.Context, id string, force bool) (domain.Node, error)
}

// Devices are nodes' disks, media and network interfaces.
type Devices interface {
	Disks(ctx context.Context, id string) ([]domain.Disk, error)
	AddDisk(ctx context.Context, id string, bytes int64) (domain.Disk, error)
	RemoveDisk(ctx context.Context, id, target string) error
	SetMedia(ctx context.Context, id, imageID string) (domain.Node, error)
	Interfaces(ctx context.Context, id string) ([]domain.Interface, error)
	AddInterface(ctx context.Context, id, network string) (domain.Interface, error)
	RemoveInterface(ctx context.Context, id, mac string) error
}

// Snapshots are nodes' snapshots.
type Snapshots interface {
	Snapshots(ctx context.Context, id string) ([]domain.Snapshot, []domain.Chain, error)
	TakeSnapshot(ctx context.Context, id, name, description string) (domain.Snapshot, error)
	RevertSnapshot(ctx context.Context, id, name string, force bool, may domain.May) (domain.Node, error)
	DeleteSnapshot(ctx context.Context, id, name string) error
}

// Clones copies nodes.
type Clones interface {
	NewClone(source, name, owner string, full bool) (domain.Clone, error)
	CloneGain(ctx context.Context, id string) (domain.Gain, error)
	CloneLinked(ctx context.Context, c domain.Clone) (domain.Node, error)
	CheckCapture(id string) (host string, err error)
}

// Networks are the hosts' networks.
type Networks interface {
	Networks(ctx context.Context) ([]domain.Network, error)
	CreateNetwork(ctx context.Context, spec domain.NetworkSpec) (domain.Network, error)
	DeleteNetwork(ctx context.Context, host, name string, may func(domain.Network) error) error
	NetworkMode(host string) string
	UserModeAllowed(host string) bool
}

// UnfinishedChanges are changes that a crash interrupted, and that could not be recovered.
type UnfinishedChanges interface {
	UnfinishedChanges(ctx context.Context) ([]domain.UnfinishedChange, error)
	CountUnfinished(ctx context.Context) (map[string]int, error)
	FinishChange(ctx context.Context, id string) error
	DropChange(ctx context.Context, id string) error
}

// Usage is what nodes use of their hosts.
type Usage interface {
	UsageInterval() time.Duration
	Usage(id string, since time.Time, step time.Duration) []inventory.Usage
	RecentUsage(most int) map[string][]inventory.Usage
	Totals() []inventory.Totals
	Differences(host string) uint64
}

// Images reads and describes images.
type Images interface {
	Image(host, id string) (image.Image, error)
	Images() []image.Image
	Catalog() image.Catalog
	EditImage(ctx context.Context, id string, e image.Edit, check func(image.Image) error) (image.Image, error)
	OpenImage(ctx context.Context, host, id string, f func(*image.File) error) error
}

// ImageWork checks what jobs on images are to do, and returns their arguments.
type ImageWork interface {
	CheckChange(id string) (image.Work, error)
	CheckGrow(id string, virtualBytes int64) (image.Work, error)
	CheckVerify(id string) (image.Work, error)
	NewImage(host, name, owner string) (image.Work, error)
}

// Uploads receives images.
type Uploads interface {
	MaxImageBytes() int64
	Receive(ctx context.Context, u upload.Upload, r io.Reader) (image.Image, error)
	BeginUpload(ctx context.Context, u upload.Upload, metadata map[string]string) (upload.Incoming, error)
	BeginPart(ctx context.Context, u upload.Upload, metadata map[string]string) (upload.Incoming, error)
	BeginJoined(ctx context.Context, u upload.Upload, parts []string, metadata map[string]string) (upload.Incoming, error)
	Upload(ctx context.Context, host, id string) (upload.Incoming, error)
	Append(ctx context.Context, host, id string, offset int64, r io.Reader, check func() error) (int64, error)
	FinishUpload(ctx context.Context, host, id string) error
	CancelUpload(ctx context.Context, host, id string) error
	CheckPull(host, id string) (upload.Pull, error)
}

// Pools are the hosts' storage pools.
type Pools interface {
	Pools(host string) []storagepool.PoolStatus
	Problem(host string) error
	Refresh(ctx context.Context, host string) error
}

// Disks reads files of nodes; *disk.Service.
type Disks interface {
	OpenConsoleLog(ctx context.Context, host, file string, f func(*disks.ConsoleLog) error) error
}

// Consoles are the nodes' serial consoles; *console.Manager.
type Consoles interface {
	Attach(ctx context.Context, id string, o console.ViewerOptions) (*console.Viewer, error)
}

// Screens are the nodes' screens; *display.Service.
type Screens interface {
	Open(ctx context.Context, id string, o display.ViewOptions) (*display.View, error)
	Screenshot(ctx context.Context, id string, width int) (display.Picture, error)
}

var (
	_ Hosts    = (*hypervisor.Set)(nil)
	_ Nodes    = (*domain.Service)(nil)
	_ Pools    = (*storagepool.Service)(nil)
	_ Images   = (*image.Service)(nil)
	_ Uploads  = (*upload.Service)(nil)
	_ Disks    = (*disks.Service)(nil)
	_ Consoles = (*console.Manager)(nil)
	_ Screens  = (*display.Service)(nil)
)
