package inventory

import (
	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"
)

// measureKept sets what the snapshots of a domain keep at most.
func (inv *Inventory) measureKept(d *libvirt.Domain, def *libvirtxml.Domain, n *Node) {
	if n.Snapshots == 0 {
		return
	}
	now, err := definition.AllocatedBytes(d, def)
	if err != nil { // no pool has the files: as much as they may have
		now = n.DiskBytes + n.ExtraBytes
	}
	inv.mu.RLock()
	old := inv.nodes[n.Host][n.ID]
	inv.mu.RUnlock()
	n.keep(now, old)
}

// keep sets what the snapshots of a node keep, whose files take so many bytes now.
//
// libvirt lists a snapshot before its memory is in the file, and makes it the current one after
// that: what was measured in between is measured again.
func (n *Node) keep(now int64, old Node) {
	n.KeptBytes, n.measured = now, n.Snapshots
	switch {
	case n.Snapshots <= old.measured:
		n.KeptBytes = min(old.KeptBytes, now)
	case n.CurrentSnapshot == old.CurrentSnapshot:
		n.measured = old.measured
	}
}
