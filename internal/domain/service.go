package domain

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/inventory"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

// Audience knows which users have a node's console open.
type Audience interface {
	// Viewers returns how many viewers a node's console has.
	Viewers(id string) int
	// AwaitAttached waits until the viewers' consoles are attached, or cannot be.
	AwaitAttached(ctx context.Context, id string)
	// LetGo closes a node's consoles and keeps them closed until back is called. stops is
	// true if the node is off afterwards.
	LetGo(ctx context.Context, id string, stops bool) (back func())
	// Unstick drops console input that the guest has not read.
	Unstick(ctx context.Context, id string)
}

// Options configures a Service; all fields but Networks and Log are required.
type Options struct {
	Hosts *hypervisor.Set
	// Inventory contains all domains of the hosts.
	Inventory *inventory.Inventory
	Storage   Storage
	Intents   *store.Intents
	Lease     *store.Lease
	// Accounts resolves the owners of nodes and networks.
	Accounts Accounts
	// Networks configures which networks nodes can use.
	Networks NetworkPolicy
	Log      *slog.Logger
}

// Service manages the nodes of all hosts. Its methods may be called from any goroutine;
// changes to one node run one after another.
type Service struct {
	*inventory.Inventory

	o        Options
	inv      *inventory.Inventory
	up       map[string]chan struct{} // by host, one slot: it was connected; the map never changes
	audience Audience                 // nil: there are no viewers

	left map[string]*leftover // by host; the map never changes

	// recovering is a lock for recovery, by host: one slot each; the map never changes.
	recovering map[string]chan struct{}

	mu       sync.Mutex
	busy     map[string]turn // by node id
	names    map[string]bool // host/name of nodes that are being created
	networks map[string]bool // by host: whether the default network is available
}

// New creates a Service. Call Run to start it.
func New(o Options) (*Service, error) {
	if o.Hosts == nil || o.Inventory == nil || o.Storage == nil || o.Intents == nil || o.Accounts == nil {
		return nil, errors.New("domain: hosts, inventory, storage, intents and accounts are required")
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
	s := &Service{
		Inventory: o.Inventory, up: up, recovering: recovering, left: left, o: o, inv: o.Inventory,
		busy: map[string]turn{}, names: map[string]bool{}, networks: map[string]bool{},
	}
	o.Inventory.Follow(s.nodeChanged)
	o.Inventory.Connected(s.hostConnected)
	return s, nil
}

// SetAudience makes starts wait for console viewers. Call it before Run.
func (s *Service) SetAudience(a Audience) { s.audience = a }

// Run completes or undoes interrupted changes on each host until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, h := range s.o.Hosts.Hosts() {
		wg.Go(func() {
			tick := time.NewTicker(tendInterval)
			defer tick.Stop()
			s.tend(ctx, h, tick.C)
		})
	}
	wg.Wait()
	return nil
}

// hostConnected triggers the recovery of a host.
func (s *Service) hostConnected(host string) {
	select {
	case s.up[host] <- struct{}{}:
	default:
	}
}

// change calls f with a node's domain while no other change to the node is running, and
// returns the updated node. op is for hypervisor.Host.Do, verb for the error message.
func (s *Service) change(ctx context.Context, id, op, verb string, f func(ctx context.Context, n Node, d *libvirt.Domain) error) (Node, error) {
	release, err := s.claim(ctx, id)
	if err != nil {
		return Node{}, err
	}
	defer release()
	n, err := s.inv.Node(id)
	if err != nil {
		return Node{}, err
	}
	err = s.withDomain(ctx, op, n, func(d *libvirt.Domain) error { return f(ctx, n, d) })
	if err != nil {
		err = explain(err, verb, n.Name)
	}
	if err != nil {
		if fault.CodeOf(err) != fault.HostUnreachable {
			s.inv.Await(ctx, n.Host, id) // it may be partly changed
		}
		return Node{}, err
	}
	return s.shown(ctx, n.Host, id)
}

// shown returns the current state of a node that was created or changed. If the node cannot
// be read, because its host was just lost, it returns the last known state. Errors:
// fault.NodeNotFound if the node is gone, HostUnreachable if nothing is known about it.
func (s *Service) shown(ctx context.Context, host, id string) (Node, error) {
	err := s.inv.Sync(ctx, host, id)
	if isGone(err) {
		return Node{}, inventory.NotFound(id)
	}
	n, unknown := s.inv.Node(id)
	if unknown == nil {
		return n, nil
	}
	if err == nil { // the feed could not read the domain
		err = s.inv.ReadDirectly(ctx, host, id)
	}
	if err == nil || isGone(err) {
		return s.inv.Node(id)
	}
	return Node{}, fault.Wrap(err, fault.HostUnreachable, "Node %[2]s was created, but host %[1]q became unreachable. `GET /api/nodes/%[3]s` returns it when the host is reachable again.", host, id, id)
}

// withDomain looks up the domain by UUID on the node's host. op is for hypervisor.Host.Do.
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
