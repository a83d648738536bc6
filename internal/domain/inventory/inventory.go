// Package inventory maintains the current state of the domains of all hosts. It reads
// libvirt, triggered by events and by polls for changes without events, keeps the result in
// memory and publishes each change. It never changes a domain: package domain does, and then
// has the inventory reload it.
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

// Accounts resolves owners that were recorded only by name.
type Accounts interface {
	// FormerOwner returns the id of the account that a name referred to before owners were
	// recorded by id; empty for none.
	FormerOwner(name string) (id string)
}

// Options configures an Inventory; all fields but the intervals and Log are required.
type Options struct {
	Hosts    *hypervisor.Set
	Accounts Accounts
	Events   *event.Broker
	// UsageInterval is how often the usage of running nodes is read; zero is
	// DefaultUsageInterval.
	UsageInterval time.Duration
	// AskInterval is the minimum interval at which each QEMU is asked for its memory and disk
	// usage; zero is DefaultAskInterval.
	AskInterval time.Duration
	Log         *slog.Logger
}

// Inventory is the state of all domains of all hosts, updated by events. Its methods may be
// called from any goroutine. Register it as a listener of the hosts before they run.
//
// Each host has one feed, whose goroutine reads domains one after another. A running domain
// is read in its own goroutine (apart.go), so that one whose QEMU does not respond does not
// block others. A feed never reads a domain twice concurrently; a request that waits too long
// for the feed reads the domain directly (see Sync). An older reading never overwrites a
// newer one (see now).
type Inventory struct {
	hosts    *hypervisor.Set
	accounts Accounts
	events   *event.Broker
	meter    *meter
	log      *slog.Logger
	feeds    map[string]*feed // by host name; the map never changes
	order    []string         // of the hosts, as configured; never changes

	mu       sync.RWMutex
	nodes    map[string]map[string]Node // by host name and id
	asOf     map[place]uint64           // the time (see now) of each node's reading
	direct   int                        // direct readings in progress
	gone     map[place]uint64           // when nodes were removed, recorded while direct is not 0
	away     map[string]bool            // hosts whose connection was lost
	starting map[string]bool            // ids of nodes that are paused because the service is starting them

	// Not changed once the feeds run.
	watchers  []func(id string)
	followers []func(before Node)
	connected []func(host string)

	clock atomic.Uint64 // see now
}

// place is a domain on a host.
type place struct{ host, id string }

// now returns a logical time that orders readings: the result of a reading that began earlier
// never overwrites that of one that began later.
func (inv *Inventory) now() uint64 { return inv.clock.Add(1) }

// New creates an Inventory. Call Run to start it.
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

// Watch registers f, which is called with the id of each node that changed or was removed,
// after the inventory was updated. f must not block. Call Watch before Run.
func (inv *Inventory) Watch(f func(id string)) { inv.watchers = append(inv.watchers, f) }

// Follow registers f, which is called with the previous state of a node after the node
// changed or was removed. f must not block. Call Follow before Run.
func (inv *Inventory) Follow(f func(before Node)) { inv.followers = append(inv.followers, f) }

// Connected registers f, which is called after a host was connected and a reading of all its
// domains was scheduled. f must not block. Call Connected before Run.
func (inv *Inventory) Connected(f func(host string)) { inv.connected = append(inv.connected, f) }

// Run updates the inventory until ctx ends.
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

// withDomain looks up a node's domain on its host. op is for hypervisor.Host.Do.
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
