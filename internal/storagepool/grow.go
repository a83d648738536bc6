package storagepool

import (
	"context"
	"errors"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// GrowVolume gives the disk in the file at path, of any pool of the host, more
// room: bytes is its new virtual size. Nothing may use the disk meanwhile.
// Errors: fault.Unsupported for a file that is in no pool, fault.HostUnreachable.
func (s *Service) GrowVolume(ctx context.Context, host, path string, bytes int64) error {
	return s.o.Hosts.Do(ctx, host, func(conn *libvirt.Connect) error {
		vol, err := conn.LookupStorageVolByPath(path)
		if errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) {
			return fault.Wrap(err, fault.Unsupported, "The disk %s is in no storage pool, so it is not resized while its node is off. Start the node and try again, or use `qemu-img resize`.", path)
		}
		if err != nil {
			return err
		}
		defer func() { _ = vol.Free() }()
		return vol.Resize(uint64(bytes), 0) //nolint:gosec // positive: it is more than the disk had
	})
}
