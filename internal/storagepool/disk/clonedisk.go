package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"path"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/diskimage"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
)

// LayDisk creates the volume name in the nodes pool as an overlay of the qcow2 file base,
// and returns its path on the host. base must not be written to from then on. Errors are
// those of CreateOverlay.
func (s *Service) LayDisk(ctx context.Context, host, name, base string, capacityBytes int64) (string, error) {
	return s.layOverlay(ctx, host, name, base, diskimage.QCOW2, capacityBytes)
}

// CopyDisk creates the volume name in the nodes pool, a qcow2 file with the full contents
// of the disk in the file source, including its backing chain, and returns its path on the
// host. Nothing may write to source in the meantime. It replaces the volume of an earlier
// attempt. libvirt cannot stop a copy: when ctx ends, CopyDisk returns soon, but libvirt
// reads source until it has finished; see storagepool.Pool.Convert.
//
// Errors: fault.Unsupported for a file that is not in a pool or not a qcow2 file,
// ImageNotReady if it is backed by an image that was changed, StorageFull,
// PoolUnavailable, HostUnreachable.
func (s *Service) CopyDisk(ctx context.Context, host, source, name string, progress func(doneBytes, totalBytes int64)) (file string, err error) {
	if err := s.pools.VolumeAt(ctx, host, source, func(*storagepool.File) error { return nil }); err != nil {
		return "", err
	}
	all, err := s.pools.Survey(ctx, host)
	if err != nil {
		return "", err
	}
	found, ok := all.File(source)
	switch {
	case !ok: // removed in the meantime
		return "", fault.New(fault.Unsupported, "The disk %s is no longer in a storage pool.", source)
	case found.Format != diskimage.QCOW2:
		return "", fault.New(fault.Unsupported, "The disk %s is a %s file to libvirt. Nothing may guess what is in a disk that a guest has written to, so only qcow2 is copied.", source, found.Format)
	}
	c := storagepool.Copy{From: found.Path, Format: diskimage.QCOW2, To: name}
	for _, v := range all.Chain(source) {
		c.DataBytes += v.AllocatedBytes
	}
	if err := s.images.CheckChain(ctx, host, all.Chain(source)); err != nil {
		return "", err
	}
	folder, err := s.pools.NodesPool(host).Folder()
	if err != nil {
		return "", err
	}
	if err := s.pools.NodesPool(host).Delete(ctx, name); err != nil { // of an earlier attempt
		return "", err
	}
	if err := s.pools.NodesPool(host).Convert(ctx, c, copying(progress)); err != nil {
		return "", err
	}
	return path.Join(folder, name), s.pools.NodesPool(host).RescanWhenIdle(ctx, copying(progress))
}

// copying is the storagepool.Progress of a copy, whose step already has a name.
type copying func(doneBytes, totalBytes int64)

func (copying) Begin(string) {}

func (f copying) Progress(doneBytes, totalBytes int64) { f(doneBytes, totalBytes) }

// BlankOver returns the backing file of a qcow2 file that contains no data itself:
// both are then the same disk. It returns an empty path if the file contains data, has no
// backing file, or cannot be checked. Nothing may have the file open.
func (s *Service) BlankOver(ctx context.Context, host, file string) (base string, err error) {
	// libvirt creates the overlays of snapshots and clones without using the pool.
	if err := s.pools.NodesPool(host).Rescan(ctx); err != nil && !storagepool.IsBusy(err) {
		return "", err
	}
	found := false
	err = s.pools.VolumeAt(ctx, host, file, func(v *storagepool.File) error {
		found = true
		def, err := v.Describe()
		if err != nil || def.BackingStore == nil || def.BackingStore.Format == nil || def.BackingStore.Format.Type != diskimage.QCOW2 {
			return err
		}
		head, err := v.ReadPart(0, 104)
		if err != nil || len(head) < 104 || string(head[:4]) != "QFI\xfb" {
			return err
		}
		be := binary.BigEndian
		entries, offset, snapshots, features := int64(be.Uint32(head[36:])), be.Uint64(head[40:]), be.Uint32(head[60:]), be.Uint64(head[72:])
		if be.Uint32(head[4:]) != 3 || snapshots != 0 || features != 0 || entries*8 > diskimage.MaxL1Bytes || offset > 1<<40 {
			return nil
		}
		table, err := v.ReadPart(int64(offset), entries*8)
		if err != nil || int64(len(table)) < entries*8 {
			return err
		}
		for _, b := range table {
			if b != 0 {
				return nil // an L2 table is allocated
			}
		}
		base = path.Clean(def.BackingStore.Path)
		return nil
	})
	if !found && (fault.CodeOf(err) == fault.Unsupported || storagepool.IsBusy(err)) {
		return "", nil
	}
	return base, err
}

// DiskBytes returns the virtual size of the qcow2 disk in a file of the nodes pool. The
// disk may be in use.
func (s *Service) DiskBytes(ctx context.Context, host, file string) (bytes int64, err error) {
	size := func(lp *libvirt.StoragePool) error {
		vol, err := lp.LookupStorageVolByName(path.Base(file))
		if err != nil {
			return err
		}
		defer func() { _ = vol.Free() }()
		info, err := vol.GetInfo()
		if err == nil {
			bytes = int64(info.Capacity) //nolint:gosec // bytes of a real disk
		}
		return err
	}
	err = s.pools.NodesPool(host).Do(ctx, func(h *storagepool.Handle) error {
		err := size(h.StoragePool)
		if errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) { // libvirt creates the overlays of snapshots and clones without using the pool
			err = h.Anew(ctx, size)
		}
		return err
	})
	return bytes, err
}

// GrowVolume enlarges the disk in the file at path, in any pool of the host: bytes is its
// new virtual size. Nothing may use the disk in the meantime. Errors: fault.Unsupported
// for a file that is not in a pool, fault.HostUnreachable.
func (s *Service) GrowVolume(ctx context.Context, host, path string, bytes int64) error {
	return s.pools.VolumeAt(ctx, host, path, func(v *storagepool.File) error {
		return v.Resize(uint64(bytes), 0) //nolint:gosec // positive: it is more than the disk had
	})
}
