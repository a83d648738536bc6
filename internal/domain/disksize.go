package domain

import (
	"context"

	"libvirt.org/go/libvirt"
)

// libvirt tells the size of a running domain's disk by asking QEMU, and waits for as
// long as that does not answer. So it is read from the file, through the pool that has
// it; the sizes of what no pool has come with the figures (usage.go).

// holdBlockJobs has a domain's QEMU not asked about its disks until release, and waits
// before that for the end of other block jobs: for changes that are block jobs, or before
// which libvirt asks QEMU about its disks.
func (s *Service) holdBlockJobs(ctx context.Context, n Node, d *libvirt.Domain) (release func(), err error) {
	active, err := d.IsActive()
	if err != nil || !active {
		return func() {}, err
	}
	h, err := s.o.Hosts.Host(n.Host)
	if err != nil {
		return nil, err
	}
	return h.BlockJobs().Hold(ctx, n.ID)
}
