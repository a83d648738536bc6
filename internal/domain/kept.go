package domain

import (
	"context"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"libvirt.org/go/libvirt"
)

// Snapshots, including the memory of a running node, are stored inside the disk files, and
// libvirt does not report their size. A snapshot cannot use more space than the files had
// when it was taken. What the guest writes later counts towards the virtual size of its
// disks.

// Written returns the disk space of a node's writable files, and the memory it uses while it
// runs. A snapshot taken now uses at most their sum.
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
