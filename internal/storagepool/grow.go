package storagepool

import (
	"context"

	"libvirt.org/go/libvirt"
)

// GrowVolume gives the disk in the file at path, of any pool of the host, more
// room: bytes is its new virtual size. Nothing may use the disk meanwhile.
// Errors: fault.Unsupported for a file that is in no pool, fault.HostUnreachable.
func (s *Service) GrowVolume(ctx context.Context, host, path string, bytes int64) error {
	return s.o.Hosts.Do(ctx, host, "disk.grow", func(conn *libvirt.Connect) error {
		vol, err := s.findVolumeAt(ctx, conn, host, path)
		if err != nil {
			return err
		}
		defer func() { _ = vol.Free() }()
		return vol.Resize(uint64(bytes), 0) //nolint:gosec // positive: it is more than the disk had
	})
}
