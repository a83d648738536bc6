package domain

import (
	"context"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"
)

// Snapshots are inside of the disks' own files, the memory of a running node too, and
// nothing says how much of a file is whose. What they keep is no more than what the files
// had when the last was taken; what the guest writes since then is counted by the
// size of its disks.

// measureKept sets what the snapshots of a domain keep at most.
func (inv *inventory) measureKept(d *libvirt.Domain, def *libvirtxml.Domain, n *Node) {
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

// Written is what the files take that a node writes to, and what its memory takes while
// it runs: its snapshots will keep no more when another one is taken now.
func (s *Service) Written(ctx context.Context, id string) (diskBytes, memoryBytes int64, err error) {
	n, err := s.inv.get(id)
	if err != nil {
		return 0, 0, err
	}
	err = s.withDomain(ctx, "node.written", n, func(d *libvirt.Domain) error {
		def, err := definition.Of(d, 0)
		if err != nil {
			return err
		}
		if diskBytes, err = definition.AllocatedBytes(d, def); err != nil {
			diskBytes = n.DiskBytes + n.ExtraBytes
		}
		return nil
	})
	if n.Active() {
		memoryBytes = n.RAMMiB << 20
	}
	return diskBytes, memoryBytes, explain(err, "measure the disks of", n.Name)
}
