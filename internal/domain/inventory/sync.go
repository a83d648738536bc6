package inventory

import (
	"context"
	"reflect"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/event"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
	"libvirt.org/go/libvirt"
)

// syncPatience is how long a change waits for the feed, because libvirtd may be slow or hang.
const syncPatience = 5 * time.Second

// Sync reloads a domain and returns when the inventory contains the result, so that users see
// their changes. If the feed does not read the domain in time, Sync reads it directly.
// Errors: libvirt.ERR_NO_DOMAIN, fault.HostUnreachable, that of ctx.
func (inv *Inventory) Sync(ctx context.Context, host, id string) error {
	if inv.Await(ctx, host, id) {
		return nil
	}
	return inv.ReadDirectly(ctx, host, id)
}

// Await has the feed reload a domain, and returns whether it finished in time.
func (inv *Inventory) Await(ctx context.Context, host, id string) bool {
	done := make(chan struct{})
	inv.feeds[host].note(id, done)
	patience := time.NewTimer(syncPatience)
	defer patience.Stop()
	select {
	case <-done:
		return inv.feeds[host].host.Status().State == hypervisor.Connected
	case <-patience.C:
	case <-ctx.Done():
	}
	return false
}

// ReadDirectly reads a domain independently of the feed. If its QEMU does not respond, it
// stores what libvirt knows without it.
func (inv *Inventory) ReadDirectly(ctx context.Context, host, id string) error {
	inv.countDirect(1)
	defer inv.countDirect(-1)
	return inv.feeds[host].host.Do(ctx, "inventory.read", func(conn *libvirt.Connect) error {
		since := inv.now()
		d, err := conn.LookupDomainByUUIDString(id)
		if err != nil {
			return err
		}
		defer func() { _ = d.Free() }()
		read, put := inv.read, inv.put
		if definition.HasQEMU(d) && isSilent(d) {
			read, put = inv.outline, inv.putOutline
		}
		n, err := read(d, host)
		if err == nil {
			put(n, since)
		}
		return err
	})
}

// countDirect changes the number of direct readings in progress. Until there are none, it
// keeps the times at which nodes were removed, so that an older reading does not restore one.
func (inv *Inventory) countDirect(more int) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if inv.direct += more; inv.direct == 0 {
		clear(inv.gone)
	}
}

// put stores a node from a reading that began at since (see now), and notifies the watchers
// if it changed, which it returns. It keeps the result of a later reading.
func (inv *Inventory) put(n Node, since uint64) (changed bool) {
	return inv.putAs(n, since, since)
}

// putOutline is put for an outline. A full reading that began earlier, and for which libvirt
// is only slow to reply, still replaces it.
func (inv *Inventory) putOutline(n Node, since uint64) (changed bool) {
	return inv.putAs(n, since, 0)
}

func (inv *Inventory) putAs(n Node, since, asOf uint64) (changed bool) {
	at := place{n.Host, n.ID}
	inv.mu.Lock()
	if max(inv.asOf[at], inv.gone[at]) > since {
		inv.mu.Unlock()
		return false
	}
	inv.asOf[at] = max(inv.asOf[at], asOf)
	if inv.away[n.Host] { // it was read just before the connection was lost
		n.State, n.VNCPort, n.VNCSocket = Unreachable, 0, ""
	}
	old, known := inv.nodes[n.Host][n.ID]
	switch {
	case !n.Active():
	case known && (old.Active() || old.State == Unreachable):
		n.Started, n.Addresses = old.Started, old.Addresses
	case known:
		n.Started = time.Now()
	}
	changed = !known || !reflect.DeepEqual(old, n)
	if changed {
		inv.store(n)
	}
	inv.mu.Unlock()
	if changed {
		inv.tell(n.ID)
	}
	if changed && known {
		inv.notifyFollowers(old)
	}
	return changed
}

// store stores a node and publishes its event. The caller holds mu, so that events are in the
// order of the changes.
func (inv *Inventory) store(n Node) {
	inv.nodes[n.Host][n.ID] = n
	inv.events.Publish(event.NodeChanged, n)
}

// Republish publishes a node again, after a change to data about it that is stored elsewhere.
func (inv *Inventory) Republish(id string) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if n, ok := inv.find(id); ok {
		inv.events.Publish(event.NodeChanged, n)
	}
}

// remove removes a node that did not exist on a host at since (see now). If the inventory had
// it, remove notifies the watchers and returns true. It keeps a node that was read later.
func (inv *Inventory) remove(host, id string, since uint64) bool {
	at := place{host, id}
	inv.mu.Lock()
	old, known := inv.nodes[host][id]
	known = known && inv.asOf[at] <= since
	if inv.direct > 0 && inv.asOf[at] <= since {
		inv.gone[at] = max(inv.gone[at], since)
	}
	if known {
		delete(inv.asOf, at)
		delete(inv.nodes[host], id)
		inv.events.Publish(event.NodeRemoved, Removed{ID: id, Host: host, Node: old})
	}
	inv.mu.Unlock()
	if known {
		inv.tell(id)
		inv.notifyFollowers(old)
	}
	return known
}

// tell calls the watchers, which read the inventory: mu must not be held.
func (inv *Inventory) tell(id string) {
	for _, w := range inv.watchers {
		w(id)
	}
}

// notifyFollowers calls the followers; mu must not be held.
func (inv *Inventory) notifyFollowers(before Node) {
	for _, f := range inv.followers {
		f(before)
	}
}
