package disk

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/diskimage"
	"github.com/sandboxlabs/sandboxlabs/internal/diskref"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

// CreateOverlay creates the volume name in the nodes pool as an overlay of an image, and
// returns its path on the host. The image cannot be deleted in the meantime. capacityBytes
// is the disk's virtual size, which must be at least the image's. Errors: those of Image,
// fault.StorageFull, PoolUnavailable, HostUnreachable.
func (s *Service) CreateOverlay(ctx context.Context, host, name, imageID string, capacityBytes int64) (string, error) {
	unlock, err := s.images.Share(ctx, host, imageID)
	if err != nil {
		return "", err
	}
	defer unlock()
	img, err := s.images.Usable(host, imageID)
	if err != nil {
		return "", err
	}
	if capacityBytes < img.VirtualBytes {
		return "", fault.Field("resources.disk", "The disk must have at least %d bytes, the size of the image, not %d.", img.VirtualBytes, capacityBytes)
	}
	if err := s.images.CheckUnchanged(ctx, host, imageID); err != nil {
		return "", err
	}
	file, err := s.layOverlay(ctx, host, name, img.Path, img.Format, capacityBytes)
	if err != nil {
		return "", err
	}
	if err := s.images.CheckUnchanged(ctx, host, imageID); err != nil { // it may have been written to in the meantime
		ctx, cancel := store.Outlasting(ctx)
		defer cancel()
		return "", errors.Join(err, s.pools.NodesPool(host).Delete(ctx, name))
	}
	return file, nil
}

// layOverlay creates the volume name in the nodes pool as an overlay of a file with the
// given format. If the file is an image that is being deleted or changed, it returns
// fault.ImageInUse and removes the overlay.
func (s *Service) layOverlay(ctx context.Context, host, name, base, format string, capacityBytes int64) (string, error) {
	file, err := s.createDisk(ctx, host, name, capacityBytes, &libvirtxml.StorageVolumeBackingStore{
		Path: base,
		// Without the format, libvirt would record `raw` in the overlay.
		Format: &libvirtxml.StorageVolumeTargetFormat{Type: format},
	})
	stands := s.images.MustStand(ctx, host, base)
	switch {
	case err == nil && stands == nil:
		return file, nil
	case err != nil:
		if stands != nil {
			err = errors.Join(stands, err) // stands is the cause
		}
		return "", err
	}
	ctx, cancel := store.Outlasting(ctx)
	defer cancel()
	return "", errors.Join(stands, s.pools.NodesPool(host).Delete(ctx, name))
}

// CreateDisk creates the volume name in the nodes pool, an empty qcow2 disk, and returns
// its path on the host. Errors: fault.StorageFull, PoolUnavailable, HostUnreachable.
func (s *Service) CreateDisk(ctx context.Context, host, name string, capacityBytes int64) (string, error) {
	return s.createDisk(ctx, host, name, capacityBytes, nil)
}

// createDisk creates an overlay of base, or an empty disk if base is nil.
func (s *Service) createDisk(ctx context.Context, host, name string, capacityBytes int64, base *libvirtxml.StorageVolumeBackingStore) (path string, err error) {
	err = s.pools.NodesPool(host).Do(ctx, func(h *storagepool.Handle) error {
		if err := h.CheckRoom(0); err != nil {
			return err
		}
		def := libvirtxml.StorageVolume{
			Type:     "file",
			Name:     name,
			Capacity: &libvirtxml.StorageVolumeSize{Unit: "bytes", Value: uint64(capacityBytes)}, //nolint:gosec // validated: positive
			Target: &libvirtxml.StorageVolumeTarget{
				Format: &libvirtxml.StorageVolumeTargetFormat{Type: "qcow2"},
				Compat: "1.1",
			},
			BackingStore: base,
		}
		text, err := def.Marshal()
		if err != nil {
			return err
		}
		vol, err := h.StorageVolCreateXML(text, 0)
		if err != nil {
			return h.Fault(err)
		}
		defer func() { _ = vol.Free() }()
		path, err = vol.GetPath()
		return err
	})
	return path, err
}

// HasNodeVolume returns whether a volume exists in the nodes pool.
func (s *Service) HasNodeVolume(ctx context.Context, host, name string) (has bool, err error) {
	err = s.pools.NodesPool(host).Do(ctx, func(h *storagepool.Handle) error {
		return h.Anew(ctx, func(lp *libvirt.StoragePool) (err error) { // another program may have created it
			has, err = storagepool.Has(lp, name)
			return err
		})
	})
	return has, err
}

// DeleteNodeVolume removes a volume of the nodes pool. It returns nil if the volume does
// not exist, and fault.NodeBusy if a disk of another node is backed by it. Whoever creates
// such an overlay checks afterwards that the domain still exists, and whoever deletes a
// domain's disks checks for overlays after removing the domain, so that one of the two
// aborts. since is when the caller started, if it has called OverlaysOnNode for the
// volume: volumes that this has read are not read again. The zero time makes it read all
// volumes.
func (s *Service) DeleteNodeVolume(ctx context.Context, host, name string, since time.Time) error {
	folder, err := s.pools.NodesPool(host).Folder()
	if err != nil {
		return err
	}
	if strings.HasSuffix(name, "."+diskimage.QCOW2) {
		all, err := s.pools.KnownSince(ctx, host, since)
		if err != nil {
			return err
		}
		for _, v := range all.On(path.Join(folder, name)) {
			if !sameNode(v.Name, name) {
				return fault.New(fault.NodeBusy, "The disk %s is now backed by %q, so it was not deleted.", v.Path, name)
			}
		}
	}
	return s.pools.NodesPool(host).Delete(ctx, name)
}

// sameNode returns whether two volumes belong to the same node: their names begin with its
// id.
func sameNode(a, b string) bool {
	n := len(uuid.Nil.String())
	return len(a) >= n && len(b) >= n && a[:n] == b[:n]
}

// OverlaysOnNode returns the paths of volumes that are backed by one of a node's volumes
// but do not belong to the node, such as clones; if there are none, it returns
// descriptions of other domains that use one as a disk. It returns fault.NodeBusy if a
// reference cannot be resolved: it may refer to one of the volumes.
func (s *Service) OverlaysOnNode(ctx context.Context, host, nodeID string, volumes []string) ([]string, error) {
	if len(volumes) == 0 {
		return nil, nil
	}
	folder, err := s.pools.NodesPool(host).Folder()
	if err != nil {
		return nil, err
	}
	files := make([]string, len(volumes))
	for i, v := range volumes {
		files[i] = path.Join(folder, v)
	}
	all, err := s.pools.Survey(ctx, host)
	if err != nil {
		return nil, err
	}
	var overlays []string
	for _, v := range all.On(files...) {
		if path.Dir(v.Path) != path.Clean(folder) || !strings.HasPrefix(v.Name, nodeID) {
			overlays = append(overlays, v.Path)
		}
	}
	users, err := s.pools.UsersOf(ctx, host, all, nodeID, files...)
	if err != nil || len(overlays) > 0 {
		return overlays, err
	}
	if err := users.Unclear("The disk of node " + nodeID); err != nil {
		return users.Using, err
	}
	return users.Using, nil
}

// NodeVolumes returns the volumes of a node in the nodes pool, whose names begin with its
// id. It maps each name to the path of the backing file, which is empty if there is none.
func (s *Service) NodeVolumes(ctx context.Context, host, nodeID string) (map[string]string, error) {
	backing := map[string]string{}
	err := s.pools.NodesPool(host).Do(ctx, func(h *storagepool.Handle) error {
		// libvirt creates the overlays of snapshots and clones without using the pool.
		return h.Anew(ctx, func(lp *libvirt.StoragePool) error {
			list, err := storagepool.StableVolumes(ctx, lp, func(name string) bool { return !strings.HasPrefix(name, nodeID) })
			for _, v := range list {
				backing[v.Name] = ""
				if v.BackingStore != nil && v.BackingStore.Path != "" {
					backing[v.Name] = path.Clean(v.BackingStore.Path)
					if names, _ := diskref.Backing(v.BackingStore.Path, path.Join(h.Folder, v.Name)); len(names) > 0 {
						backing[v.Name] = path.Clean(names[0])
					}
				}
			}
			return err
		})
	})
	return backing, err
}

// NodesFolder returns the path of the nodes pool's folder on the host.
func (s *Service) NodesFolder(host string) (string, error) {
	return s.pools.NodesPool(host).Folder()
}

// ConsoleLog returns the path on the host of the log file of a node's serial console.
// libvirt's virtlogd creates and rotates it.
func (s *Service) ConsoleLog(host, nodeID string) (string, error) {
	folder, err := s.pools.LogsPool(host).Folder()
	if err != nil {
		return "", err
	}
	return path.Join(folder, nodeID+".log"), nil
}

// DeleteConsoleLog removes a node's console log and its rotated files.
func (s *Service) DeleteConsoleLog(ctx context.Context, host, nodeID string) error {
	return s.pools.LogsPool(host).Do(ctx, func(h *storagepool.Handle) error {
		// virtlogd created these files: libvirt does not know them before a refresh.
		return h.Anew(ctx, func(lp *libvirt.StoragePool) error {
			var parts []*libvirt.StorageVol
			defer func() {
				for _, part := range parts {
					_ = part.Free()
				}
			}()
			for part := range maxLogParts {
				vol, err := lp.LookupStorageVolByName(logPart(nodeID+".log", part))
				if err != nil {
					break
				}
				parts = append(parts, vol)
			}
			// The oldest first: after a crash, the remaining ones are still found.
			for _, part := range slices.Backward(parts) {
				if err := part.Delete(libvirt.STORAGE_VOL_DELETE_NORMAL); err != nil && !errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) {
					return err
				}
			}
			return nil
		})
	})
}

// RoomForDisk returns fault.StorageFull if the nodes pool is critically full, or would be
// after allocating the given number of bytes.
func (s *Service) RoomForDisk(ctx context.Context, host string, bytes int64) error {
	return s.pools.NodesPool(host).CheckRoom(ctx, bytes)
}
