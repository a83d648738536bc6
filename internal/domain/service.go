package domain

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/event"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

// BaseImage is an image that a node can be made from.
type BaseImage struct {
	ImageRef
	OSType       string
	Path         string // on the host
	Format       string
	VirtualBytes int64
	// Firmware is what its nodes boot with, empty for the default; TPM says that they have
	// a TPM 2.0.
	Firmware string
	TPM      bool
}

// diskBytes is the least size of a disk that is made of the image, and the size
// that it has unless another is asked for.
func (i BaseImage) diskBytes() (least, usual int64) {
	if i.Format == ISO {
		return MinDiskBytes, DefaultDiskBytes
	}
	return i.VirtualBytes, i.VirtualBytes
}

// under is what a disk lies on that was made of the image; see makeDisk.
func (i BaseImage) under() *libvirtxml.DomainDiskBackingStore {
	if i.Format == ISO {
		return below("", "")
	}
	return below(i.Path, i.Format)
}

// Storage is what nodes need of the storage pools.
type Storage interface {
	// Prepare waits until the host's pools can be used, or says why they cannot.
	Prepare(ctx context.Context, host string) error
	// Usable returns an image that may be used, or says why it may not.
	Usable(host, imageID string) (BaseImage, error)
	// CheckUnchanged asks the host whether an image's file is the one that was verified.
	CheckUnchanged(ctx context.Context, host, imageID string) error
	// CreateOverlay makes a volume over the image and returns its path.
	CreateOverlay(ctx context.Context, host, volume, imageID string, capacityBytes int64) (path string, err error)
	// CreateDisk makes an empty volume and returns its path.
	CreateDisk(ctx context.Context, host, volume string, capacityBytes int64) (path string, err error)
	// PutNodeVolume writes a small file into a volume and returns its path.
	PutNodeVolume(ctx context.Context, host, volume string, content []byte) (path string, err error)
	// RoomForDisk answers fault.StorageFull when there is no room for another disk, or
	// for so many bytes more in those that are there.
	RoomForDisk(ctx context.Context, host string, bytes int64) error
	// LayDisk makes a volume over a qcow2 file and returns its path.
	LayDisk(ctx context.Context, host, volume, base string, capacityBytes int64) (path string, err error)
	// CopyDisk makes a volume of all that the disk in a file has, and returns its path.
	CopyDisk(ctx context.Context, host, file, volume string, progress func(doneBytes, totalBytes int64)) (path string, err error)
	// BlankOver returns what a file lies on that has nothing of its own.
	BlankOver(ctx context.Context, host, file string) (base string, err error)
	// DiskBytes is the virtual size of the qcow2 disk in a file, which may be in use.
	DiskBytes(ctx context.Context, host, file string) (int64, error)
	// ReadNodeFile returns what is in a small volume.
	ReadNodeFile(ctx context.Context, host, volume string) ([]byte, error)
	// ReadVariables returns what is in a file with the variables of UEFI firmware, if it is there.
	ReadVariables(ctx context.Context, host, file string) (content []byte, found bool, err error)
	// DeleteVariables removes such a file; no error when it is not there.
	DeleteVariables(ctx context.Context, host, file string) error
	// GrowVolume gives the disk in a file, which nothing uses, more room.
	GrowVolume(ctx context.Context, host, path string, bytes int64) error
	// HasNodeVolume tells whether there is a volume of that name.
	HasNodeVolume(ctx context.Context, host, volume string) (bool, error)
	// DeleteNodeVolume removes a volume; no error when it is not there. since is when the
	// caller began that has called OverlaysOnNode for it, else the zero time.
	DeleteNodeVolume(ctx context.Context, host, volume string, since time.Time) error
	// OverlaysOnNode names the volumes of others that lie on a node's volumes, and other
	// domains that have one; or says what may.
	OverlaysOnNode(ctx context.Context, host, nodeID string, volumes []string) ([]string, error)
	// NodeVolumes returns the volumes whose names begin with a node's id, whoever made them,
	// by name, each with the path of the file that it is backed by, or with an empty one.
	NodeVolumes(ctx context.Context, host, nodeID string) (map[string]string, error)
	// NodesFolder is where the overlays are, on the host.
	NodesFolder(host string) (string, error)
	// ConsoleLog is the file on the host that records a node's serial console.
	ConsoleLog(host, nodeID string) (string, error)
	DeleteConsoleLog(ctx context.Context, host, nodeID string) error
}

// Audience is who watches the nodes' consoles.
type Audience interface {
	// Viewers is how many watch a node.
	Viewers(id string) int
	// AwaitAttached waits until they see its console, or cannot.
	AwaitAttached(ctx context.Context, id string)
	// LetGo closes a node's consoles, which stay closed until back is called; stops
	// says that the node is to be off then.
	LetGo(ctx context.Context, id string, stops bool) (back func())
	// Unstick drops what the guest has not read of what they typed.
	Unstick(ctx context.Context, id string)
}

// Options configures a Service; all fields but the intervals and Log are required.
type Options struct {
	Hosts   *hypervisor.Set
	Storage Storage
	Intents *store.Intents
	Lease   *store.Lease
	Events  *event.Broker
	// Accounts knows who owns nodes and networks.
	Accounts Accounts
	// Networks is what nodes may be connected to.
	Networks NetworkPolicy
	// UsageInterval is how often the use of running nodes is read; zero is
	// DefaultUsageInterval.
	UsageInterval time.Duration
	// AskInterval is how often, at most, each QEMU is asked for its memory and its disks;
	// zero is DefaultAskInterval.
	AskInterval time.Duration
	Log         *slog.Logger
}

// Service is the nodes of all hosts. Its methods may be called from any
// goroutine; changes of one node follow each other. Register it as a listener
// of the hosts before they run.
type Service struct {
	o        Options
	inv      *inventory
	meter    *meter
	up       map[string]chan struct{} // by host, one slot: it was connected; never changes
	audience Audience                 // nil: nobody ever watches

	left map[string]*leftover // by host; never changes

	// recovering is held by who completes or undoes what was cut off on a host; by
	// host, one slot, never changes.
	recovering map[string]chan struct{}

	mu       sync.Mutex
	busy     map[string]turn // by node id
	names    map[string]bool // host/name of nodes that are being made
	networks map[string]bool // by host: the default network is available
}

// New makes a Service. It starts nothing: Run does.
func New(o Options) (*Service, error) {
	if o.Hosts == nil || o.Storage == nil || o.Intents == nil || o.Events == nil || o.Accounts == nil {
		return nil, errors.New("domain: hosts, storage, intents, events and accounts are required")
	}
	if o.Networks.Default == "" {
		o.Networks.Default = DefaultNetworkName
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	up, recovering, left := map[string]chan struct{}{}, map[string]chan struct{}{}, map[string]*leftover{}
	for _, h := range o.Hosts.Hosts() {
		up[h.Name()], recovering[h.Name()] = make(chan struct{}, 1), make(chan struct{}, 1)
		left[h.Name()] = &leftover{wake: make(chan struct{}, 1)}
	}
	meter := newMeter(o.UsageInterval, o.AskInterval)
	s := &Service{
		up: up, recovering: recovering, left: left, o: o, inv: newInventory(o.Hosts, o.Accounts, o.Events, meter, o.Log), meter: meter,
		busy: map[string]turn{}, names: map[string]bool{}, networks: map[string]bool{},
	}
	s.inv.changed = s.nodeChanged
	return s, nil
}

// Watch has f called with the id of every node that changed or vanished, after
// the inventory shows it. f must not block. Call Watch before Run.
func (s *Service) Watch(f func(id string)) { s.inv.watchers = append(s.inv.watchers, f) }

// SetAudience has starts wait for those who watch. Call it before Run.
func (s *Service) SetAudience(a Audience) { s.audience = a }

// Run keeps the inventory until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, f := range s.inv.feeds {
		wg.Go(func() { s.inv.run(ctx, f) })
		wg.Go(func() {
			tick := time.NewTicker(tendInterval)
			defer tick.Stop()
			s.tend(ctx, f.host, tick.C)
		})
		for _, l := range looks() {
			wg.Go(func() { s.compareLoop(ctx, f.host, l) })
		}
		wg.Go(func() { s.lookAtAddresses(ctx, f.host) })
		wg.Go(func() { s.measure(ctx, f.host) })
	}
	wg.Wait()
	return nil
}

// HostUp has all domains read anew, and what was cut off completed or undone.
func (s *Service) HostUp(_ context.Context, h *hypervisor.Host) {
	s.inv.hostUp(h.Name())
	select {
	case s.up[h.Name()] <- struct{}{}:
	default:
	}
	s.o.Events.Publish(event.HostChanged, map[string]string{"host": h.Name()})
}

// HostDown shows the host's nodes as unreachable.
func (s *Service) HostDown(h *hypervisor.Host) { s.inv.hostDown(h.Name()) }

// DomainChanged has one domain read anew.
func (s *Service) DomainChanged(h *hypervisor.Host, id string) {
	s.inv.feeds[h.Name()].note(id, nil)
}

// Nodes returns all nodes by name, from memory.
func (s *Service) Nodes() []Node { return s.inv.list() }

// Node returns one node, from memory; fault.NodeNotFound when there is none.
func (s *Service) Node(id string) (Node, error) { return s.inv.get(id) }

// Republish has an event tell of a node as it is now, because of something that the
// node is shown with and that is kept elsewhere.
func (s *Service) Republish(id string) { s.inv.republish(id) }

// Known tells whether Nodes shows all domains of a host. It is false before they
// were first read and while the host is away, and true for a host that is not
// configured: it has none.
func (s *Service) Known(host string) bool {
	f, ok := s.inv.feeds[host]
	return !ok || f.isKnown()
}

// Inventory returns all nodes by name, and the hosts of which they may not be all, as of
// one moment: asking Known after Nodes would take a host that was read in between for
// one without nodes.
func (s *Service) Inventory() (nodes []Node, unknown map[string]bool) {
	unknown = map[string]bool{}
	note := func() {
		for host, f := range s.inv.feeds {
			if !f.isKnown() {
				unknown[host] = true
			}
		}
	}
	note()
	nodes = s.Nodes()
	note() // a host that went away meanwhile shows its nodes as unreachable
	return nodes, unknown
}

// Place tells where a node is, what it is called and whether it has a QEMU
// process, from memory.
func (s *Service) Place(id string) (host, name string, active, ok bool) {
	n, err := s.inv.get(id)
	return n.Host, n.Name, n.Active(), err == nil
}

// UsersOf returns the nodes of a host that have one of some files for a disk, or
// under one, by name, as their definitions spell them.
func (s *Service) UsersOf(host string, files ...string) []Node {
	return slices.DeleteFunc(s.inv.list(), func(n Node) bool {
		return n.Host != host || !slices.ContainsFunc(n.Files, func(file string) bool { return slices.Contains(files, file) })
	})
}

// change runs f with a node's domain while no other change of the node runs,
// and returns the node as it is afterwards. op is for hypervisor.Host.Do, verb for the error text.
func (s *Service) change(ctx context.Context, id, op, verb string, f func(ctx context.Context, n Node, d *libvirt.Domain) error) (Node, error) {
	release, err := s.claim(ctx, id)
	if err != nil {
		return Node{}, err
	}
	defer release()
	n, err := s.inv.get(id)
	if err != nil {
		return Node{}, err
	}
	err = s.withDomain(ctx, op, n, func(d *libvirt.Domain) error { return f(ctx, n, d) })
	if err != nil {
		err = explain(err, verb, n.Name)
	}
	if err != nil {
		if fault.CodeOf(err) != fault.HostUnreachable {
			s.inv.await(ctx, n.Host, id) // it may be changed in part
		}
		return Node{}, err
	}
	return s.shown(ctx, n.Host, id)
}

// shown returns a node that was made or changed as it is now. Of one that cannot be read,
// because its host has just been lost, it returns what was known before. Errors:
// fault.NodeNotFound when it is gone, HostUnreachable when nothing is known of it.
func (s *Service) shown(ctx context.Context, host, id string) (Node, error) {
	err := s.inv.sync(ctx, host, id)
	if isGone(err) {
		return Node{}, NotFound(id)
	}
	n, unknown := s.inv.get(id)
	if unknown == nil {
		return n, nil
	}
	if err == nil { // the feed could not read it
		err = s.inv.readDirectly(ctx, host, id)
	}
	if err == nil || isGone(err) {
		return s.inv.get(id)
	}
	return Node{}, fault.Wrap(err, fault.HostUnreachable, "Node %[2]s was created, but host %[1]q became unreachable. `GET /api/nodes/%[3]s` returns it when the host is reachable again.", host, id, id)
}

// withDomain looks the domain up by UUID on the node's host. op is for hypervisor.Host.Do.
func (s *Service) withDomain(ctx context.Context, op string, n Node, f func(d *libvirt.Domain) error) error {
	return s.o.Hosts.Do(ctx, n.Host, op, func(conn *libvirt.Connect) error {
		d, err := conn.LookupDomainByUUIDString(n.ID)
		if err != nil {
			return err
		}
		defer func() { _ = d.Free() }()
		return f(d)
	})
}

// claim waits for its turn to change a node.
func (s *Service) claim(ctx context.Context, id string) (release func(), err error) {
	return s.claimFor(ctx, id, "")
}

// turn is a change of a node that is under way.
type turn struct {
	over chan struct{} // closed when it is
	// reason is what others are refused with, because it takes long; they wait where it
	// is empty.
	reason string
}

// claimFor is claim for a change that others are not to wait for.
func (s *Service) claimFor(ctx context.Context, id, reason string) (release func(), err error) {
	for {
		release, other := s.take(id, reason)
		if release != nil {
			return release, nil
		}
		if other.reason != "" {
			return nil, fault.New(fault.NodeBusy, "%s", other.reason)
		}
		select {
		case <-other.over:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// claimNow is claim for several nodes at once that does not wait: ok is false while
// another change of one of them is under way.
func (s *Service) claimNow(ids ...string) (release func(), ok bool) {
	var taken []func()
	release = func() {
		for _, give := range taken {
			give()
		}
	}
	for _, id := range ids {
		give, _ := s.take(id, "")
		if give == nil {
			release()
			return nil, false
		}
		taken = append(taken, give)
	}
	return release, true
}

// take begins a change of a node; release is nil while another one is under way.
func (s *Service) take(id, reason string) (release func(), other turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if other, taken := s.busy[id]; taken {
		return nil, other
	}
	mine := turn{make(chan struct{}), reason}
	s.busy[id] = mine
	return func() {
		s.mu.Lock()
		delete(s.busy, id)
		s.mu.Unlock()
		close(mine.over)
	}, turn{}
}

// cleanup returns a context for undoing, which outlives the request.
func cleanup(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
}

// explain turns libvirt's errors into those that users see.
func explain(err error, verb, name string) error {
	var lv libvirt.Error
	switch {
	case fault.CodeOf(err) != fault.Internal:
		return err
	case errors.Is(err, libvirt.ERR_NO_DOMAIN):
		return fault.Wrap(err, fault.NodeNotFound, "Node %q not found. It may have been deleted.", name)
	case errors.As(err, &lv) && strings.Contains(lv.Message, `Failed to get "write" lock`):
		// Of what this service does, a copy that was cancelled: libvirt goes on alone.
		return fault.Wrap(err, fault.NodeBusy, "libvirt could not %s node %q: another program has its disk open. After a copy or an image of the disk was cancelled, libvirt reads it to its end: try again in some minutes.", verb, name)
	case errors.As(err, &lv):
		if condition := explainCondition(lv, verb, name); condition != nil {
			return condition
		}
		return fault.Wrap(err, fault.Hypervisor, "libvirt could not %s node %q: %s.", verb, name, lv.Message)
	}
	return err
}
