package domain

import (
	"context"

	"libvirt.org/go/libvirt"
)

// libvirt asks QEMU for the disk size of a running domain, and blocks while QEMU does not
// answer. So the size is read from the file through its storage pool. The sizes of files
// outside all pools come with the usage (usage.go).

// holdBlockJobs stops this service from asking a domain's QEMU about its disks until release
// is called, and first waits for other block jobs to end. It is for changes that run block
// jobs, or before which libvirt asks QEMU about its disks.
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
