package inventory

import (
	"context"

	"github.com/sandboxlabs/sandboxlabs/internal/event"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
)

// HostUp schedules a reading of all domains of a host; see hypervisor.Listener.
func (inv *Inventory) HostUp(_ context.Context, h *hypervisor.Host) {
	inv.mu.Lock()
	delete(inv.away, h.Name())
	inv.mu.Unlock()
	inv.Reread(h.Name())
	for _, connected := range inv.connected {
		connected(h.Name())
	}
	inv.events.Publish(event.HostChanged, map[string]string{"host": h.Name()})
}

// HostDown marks the host's nodes as unreachable; see hypervisor.Listener.
func (inv *Inventory) HostDown(h *hypervisor.Host) {
	host := h.Name()
	inv.feeds[host].setKnown(false)
	inv.mu.Lock()
	inv.away[host] = true
	var changed []string
	for id, n := range inv.nodes[host] {
		if n.State != Unreachable {
			n.State, n.VNCPort, n.VNCSocket = Unreachable, 0, ""
			inv.store(n)
			changed = append(changed, id)
		}
	}
	inv.mu.Unlock()
	for _, id := range changed {
		inv.tell(id)
	}
	inv.events.Publish(event.HostChanged, map[string]string{"host": host})
}

// DomainChanged schedules a reading of one domain; see hypervisor.Listener.
func (inv *Inventory) DomainChanged(h *hypervisor.Host, id string) {
	inv.feeds[h.Name()].note(id, nil)
}

// Reread schedules a reading of all domains of a host.
func (inv *Inventory) Reread(host string) { inv.feeds[host].note("", nil) }

// SetStarting sets whether a paused node is shown as starting.
func (inv *Inventory) SetStarting(id string, is bool) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if is {
		inv.starting[id] = true
	} else {
		delete(inv.starting, id)
	}
}

func (inv *Inventory) isStarting(id string) bool {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	return inv.starting[id]
}
