package domain

import (
	"context"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"libvirt.org/go/libvirt"
)

// Snapshots are inside of the disks' own files, the memory of a running node too, and
// nothing says how much of a file is whose. What they keep is no more than what the files
// had when the last was taken; what the guest writes since then is counted by the
// size of its disks.

// Written is what the files take that a node writes to, and what its memory takes while
// it runs: its snapshots will keep no more when another one is taken now.
func (s *Service) Written(ctx context.Context, id string) (diskBytes, memoryBytes int64, err error) {
	n, err := s.inv.Node(id)
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
