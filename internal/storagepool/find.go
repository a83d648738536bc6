package storagepool

import (
	"context"
	"errors"
	"path"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// libvirt does not see a file that another program puts into a pool's folder until the
// pool is refreshed. So a volume that is missing is looked for once more after that.

// findVolumeAt is findVolume for the file at a path of the host, however it is spelled, in
// any pool. It answers fault.Unsupported when no pool has the file.
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

// rescanFolder has libvirt look again at a folder, in each of the active pools on it; there may be none.
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

// rescanPool is rescan for a pool by its name, when that is active. libvirt stops a pool
// whose folder it cannot read, so one of others is tried first by one of our own.
func (s *Service) rescanPool(ctx context.Context, conn *libvirt.Connect, p place) error {
	lp, err := conn.LookupStoragePoolByName(p.name)
	if errors.Is(err, libvirt.ERR_NO_STORAGE_POOL) {
		return nil // it has just gone
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
			return nil // the folder cannot be read: there is nothing to be found
		}
		closeWork(look)
	}
	return rescan(lp)
}

// isOurs returns whether a pool is one of those that this service uses.
func (s *Service) isOurs(name string) bool {
	for _, ours := range s.poolNames() {
		if ours == name {
			return true
		}
	}
	return false
}
