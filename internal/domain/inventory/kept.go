package inventory

import (
	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"
)

// measureKept sets the maximum size of a domain's snapshots.
func (inv *Inventory) measureKept(d *libvirt.Domain, def *libvirtxml.Domain, n *Node) {
	if n.Snapshots == 0 {
		return
	}
	now, err := definition.AllocatedBytes(d, def)
	if err != nil { // the files are in no pool: use their maximum size
		now = n.DiskBytes + n.ExtraBytes
	}
	inv.mu.RLock()
	old := inv.nodes[n.Host][n.ID]
	inv.mu.RUnlock()
	n.keep(now, old)
}

// keep sets the maximum size of a node's snapshots; now is the current size of its files in
// bytes.
//
// libvirt lists a snapshot before its memory is in the file, and makes it current afterwards.
// A size that was measured in between is measured again.
func (n *Node) keep(now int64, old Node) {
	n.KeptBytes, n.measured = now, n.Snapshots
	switch {
	case n.Snapshots <= old.measured:
		n.KeptBytes = min(old.KeptBytes, now)
	case n.CurrentSnapshot == old.CurrentSnapshot:
		n.measured = old.measured
	}
}
