// Package inventory knows the domains of all hosts. It reads libvirt, by its events and by
// polls for what has no event, keeps the result in memory and publishes each change. It
// changes no domain: package domain does, and then has the inventory read it.
package inventory

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/event"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
	"libvirt.org/go/libvirt"
)

// Accounts knows who owned nodes before owners were recorded by their ids.
type Accounts interface {
	// FormerOwner returns the id of the account that a name alone stood for, in what
	// was written before owners were recorded by their ids; empty: nobody.
	FormerOwner(name string) (id string)
}

// Options configures an Inventory; all fields but the intervals and Log are required.
type Options struct {
	Hosts    *hypervisor.Set
	Accounts Accounts
	Events   *event.Broker
	// UsageInterval is how often the use of running nodes is read; zero is
	// DefaultUsageInterval.
	UsageInterval time.Duration
	// AskInterval is how often, at most, each QEMU is asked for its memory and its disks;
	// zero is DefaultAskInterval.
	AskInterval time.Duration
	Log         *slog.Logger
}

// Inventory is what all domains of all hosts look like, kept true by events. Its methods may
// be called from any goroutine. Register it as a listener of the hosts before they run.
//
// Each host has one feed, whose goroutine has domains read one after another. A domain
// that runs is read apart (apart.go), so that one that libvirt is silent about holds up no
// other. A feed reads no domain twice at a time; a request that the feed keeps waiting
// reads beside it (see Sync). An older reading never overwrites a newer one (see now).
type Inventory struct {
	hosts    *hypervisor.Set
	accounts Accounts
	events   *event.Broker
	meter    *meter
	log      *slog.Logger
	feeds    map[string]*feed // by host name; never changes
	order    []string         // of the hosts, as they are configured; never changes

	mu       sync.RWMutex
	nodes    map[string]map[string]Node // by host name and id
	asOf     map[place]uint64           // the time (see now) at which the nodes were read
	direct   int                        // readings of ReadDirectly that have not ended
	gone     map[place]uint64           // when nodes were removed while direct is not 0
	away     map[string]bool            // hosts whose connection was lost
	starting map[string]bool            // ids of nodes that are paused because we start them

	// None of these changes once the feeds run.
	watchers  []func(id string)
	followers []func(before Node)
	connected []func(host string)

	clock atomic.Uint64 // see now
}

// place is a domain on a host.
type place struct{ host, id string }

// now orders readings: what was read of a domain since an earlier time never overwrites
// what was read since a later one.
func (inv *Inventory) now() uint64 { return inv.clock.Add(1) }

// New makes an Inventory. It starts nothing: Run does.
func New(o Options) (*Inventory, error) {
	if o.Hosts == nil || o.Accounts == nil || o.Events == nil {
		return nil, errors.New("inventory: hosts, accounts and events are required")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	inv := &Inventory{
		hosts: o.Hosts, accounts: o.Accounts, events: o.Events, meter: newMeter(o.UsageInterval, o.AskInterval), log: o.Log,
		feeds: map[string]*feed{}, nodes: map[string]map[string]Node{}, asOf: map[place]uint64{}, gone: map[place]uint64{}, away: map[string]bool{}, starting: map[string]bool{},
	}
	for _, h := range o.Hosts.Hosts() {
		inv.order = append(inv.order, h.Name())
		inv.feeds[h.Name()] = newFeed(h)
		inv.nodes[h.Name()] = map[string]Node{}
	}
	return inv, nil
}

// Watch has f called with the id of every node that changed or vanished, after the
// inventory shows it. f must not block. Call Watch before Run.
func (inv *Inventory) Watch(f func(id string)) { inv.watchers = append(inv.watchers, f) }

// Follow has f called with what a node was, after it changed or vanished. f must not block.
// Call Follow before Run.
func (inv *Inventory) Follow(f func(before Node)) { inv.followers = append(inv.followers, f) }

// Connected has f called after a host was connected and the reading of all its domains was
// asked for. f must not block. Call Connected before Run.
func (inv *Inventory) Connected(f func(host string)) { inv.connected = append(inv.connected, f) }

// Run keeps the inventory until ctx ends.
func (inv *Inventory) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, f := range inv.feeds {
		wg.Go(func() { inv.run(ctx, f) })
		for _, l := range looks() {
			wg.Go(func() { inv.compareLoop(ctx, f.host, l) })
		}
		wg.Go(func() { inv.lookAtAddresses(ctx, f.host) })
		wg.Go(func() { inv.measure(ctx, f.host) })
	}
	wg.Wait()
	return nil
}

// withDomain looks a node's domain up on its host. op is for hypervisor.Host.Do.
func (inv *Inventory) withDomain(ctx context.Context, op string, n Node, f func(*libvirt.Domain) error) error {
	return inv.hosts.Do(ctx, n.Host, op, func(conn *libvirt.Connect) error {
		d, err := conn.LookupDomainByUUIDString(n.ID)
		if err != nil {
			return err
		}
		defer func() { _ = d.Free() }()
		return f(d)
	})
}
