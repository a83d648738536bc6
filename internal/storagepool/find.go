package storagepool

import (
	"context"
	"errors"
	"path"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// libvirt does not notice files that other programs put into a pool's folder until the
// pool is refreshed, so a missing volume is looked up again after a refresh.

// findVolumeAt returns the volume at a path on the host, in any pool. The path may contain
// symbolic links and "..". It returns fault.Unsupported if the file is not in a pool.
func (s *Service) findVolumeAt(ctx context.Context, conn *libvirt.Connect, host, file string) (*libvirt.StorageVol, error) {
	files := []string{path.Clean(file)}
	if s.isHere(host) {
		if real, err := followLinks(file); err == nil && real != files[0] {
			files = append(files, real)
		}
	}
	for _, file := range files {
		vol, err := conn.LookupStorageVolByPath(file)
		if !errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) {
			return vol, err
		}
	}
	for _, file := range files {
		if err := s.rescanFolder(ctx, conn, path.Dir(file)); err != nil {
			return nil, err
		}
		vol, err := conn.LookupStorageVolByPath(file)
		if !errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) {
			return vol, err
		}
	}
	return nil, fault.New(fault.Unsupported, "The disk %s is not in an active storage pool of host %q. Create a pool for its folder (`virsh pool-create-as NAME dir --target %s`) and try again.", file, host, path.Dir(file))
}

// rescanFolder refreshes all active pools on a folder, if any.
func (s *Service) rescanFolder(ctx context.Context, conn *libvirt.Connect, folder string) error {
	folders, err := poolFolders(conn)
	if err != nil {
		return err
	}
	for name, at := range folders {
		if at != folder || s.onOurs(name) {
			continue
		}
		if err := s.rescanPool(ctx, conn, place{name: name, path: at}); err != nil {
			return err
		}
	}
	return nil
}

// rescanPool refreshes a pool by its name if it is active. libvirt stops a pool whose
// folder it cannot read, so for a pool that the service did not create, a temporary pool
// tries the folder first.
func (s *Service) rescanPool(ctx context.Context, conn *libvirt.Connect, p place) error {
	lp, err := conn.LookupStoragePoolByName(p.name)
	if errors.Is(err, libvirt.ERR_NO_STORAGE_POOL) {
		return nil // removed in the meantime
	}
	if err != nil {
		return err
	}
	defer func() { _ = lp.Free() }()
	if active, err := lp.IsActive(); err != nil || !active {
		return err
	}
	if !s.isOurs(p.name) {
		look, err := openLook(ctx, conn, p)
		if err != nil {
			return nil // the folder cannot be read, so the volume cannot be found
		}
		closeWork(look)
	}
	return rescan(lp)
}

// isOurs returns whether a pool is one of the service's pools.
func (s *Service) isOurs(name string) bool {
	for _, ours := range s.poolNames() {
		if ours == name {
			return true
		}
	}
	return false
}
