package storagepool

import (
	"context"
	"encoding/binary"
	"errors"
	"path"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/diskimage"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// maxReadBytes bounds a file that is read into memory.
const maxReadBytes = 4 << 20

// LayDisk makes the volume name in the nodes pool, copy-on-write over the qcow2
// file base, and returns its path on the host. What is at base must not be written
// to from then on. Errors are those of CreateOverlay.
func (s *Service) LayDisk(ctx context.Context, host, name, base string, capacityBytes int64) (string, error) {
	return s.layOverlay(ctx, host, name, base, QCOW2, capacityBytes)
}

// CopyDisk makes the volume name in the nodes pool, a qcow2 file with all that the
// disk in the file source has, whatever that lies on, and returns its path on the
// host. Nothing may write to source meanwhile. What an attempt before this one left
// is replaced. libvirt does not stop a copy before its end: when ctx ends, CopyDisk
// returns soon, and libvirt reads source until it is done; see convert.
//
// Errors: fault.Unsupported for a file that is in no pool or is no qcow2 file,
// ImageNotReady when it lies on an image that was changed,
// StorageFull, PoolUnavailable, HostUnreachable.
func (s *Service) CopyDisk(ctx context.Context, host, source, name string, progress func(doneBytes, totalBytes int64)) (file string, err error) {
	err = s.o.Hosts.Do(ctx, host, "disk.find", func(conn *libvirt.Connect) error {
		vol, err := s.findVolumeAt(ctx, conn, host, source)
		if err == nil {
			err = vol.Free()
		}
		return err
	})
	if err != nil {
		return "", err
	}
	all, err := s.Survey(ctx, host)
	if err != nil {
		return "", err
	}
	found, ok := all.File(source)
	switch {
	case !ok: // it has just gone
		return "", fault.New(fault.Unsupported, "The disk %s is no longer in a storage pool.", source)
	case found.Format != QCOW2:
		return "", fault.New(fault.Unsupported, "The disk %s is a %s file to libvirt. Nothing may guess what is in a disk that a guest has written to, so only qcow2 is copied.", source, found.Format)
	}
	c := conversion{host: host, from: found.Path, format: QCOW2, role: nodesRole, to: name}
	for _, v := range all.Chain(source) {
		c.dataBytes += v.AllocatedBytes
	}
	if err := s.checkChain(ctx, host, all.Chain(source)); err != nil {
		return "", err
	}
	p, err := s.pool(host, nodesRole)
	if err != nil {
		return "", err
	}
	if err := s.deleteVolume(ctx, host, nodesRole, name); err != nil { // of an attempt before
		return "", err
	}
	if err := s.convert(ctx, c, copying(progress)); err != nil {
		return "", err
	}
	return path.Join(p.path, name), s.rescanWhenIdle(ctx, host, nodesRole, copying(progress))
}

// copying is Progress for a copy, whose step has its name already.
type copying func(doneBytes, totalBytes int64)

func (copying) Begin(string) {}

func (f copying) Progress(doneBytes, totalBytes int64) { f(doneBytes, totalBytes) }

// BlankOver returns the file that a qcow2 file lies on when that has nothing of its
// own: both are the same disk then. It returns an empty path when the file has
// something, lies on nothing, or cannot be judged. Nothing may have it open.
func (s *Service) BlankOver(ctx context.Context, host, file string) (base string, err error) {
	// libvirt makes the files that a node goes on in beside the pool.
	if err := s.rescanRole(ctx, host, nodesRole); err != nil && !isBusy(err) {
		return "", err
	}
	err = s.o.Hosts.Dial(ctx, host, func(conn *libvirt.Connect) error {
		vol, err := s.findVolumeAt(ctx, conn, host, file)
		if fault.CodeOf(err) == fault.Unsupported || isBusy(err) {
			return nil
		}
		if err != nil {
			return err
		}
		defer func() { _ = vol.Free() }()
		def, err := describeVolume(vol)
		if err != nil || def.BackingStore == nil || def.BackingStore.Format == nil || def.BackingStore.Format.Type != QCOW2 {
			return err
		}
		head, err := readPart(conn, vol, 0, 104)
		if err != nil || len(head) < 104 || string(head[:4]) != "QFI\xfb" {
			return err
		}
		be := binary.BigEndian
		entries, offset, snapshots, features := int64(be.Uint32(head[36:])), be.Uint64(head[40:]), be.Uint32(head[60:]), be.Uint64(head[72:])
		if be.Uint32(head[4:]) != 3 || snapshots != 0 || features != 0 || entries*8 > diskimage.MaxL1Bytes || offset > 1<<40 {
			return nil
		}
		table, err := readPart(conn, vol, int64(offset), entries*8)
		if err != nil || int64(len(table)) < entries*8 {
			return err
		}
		for _, b := range table {
			if b != 0 {
				return nil // it has a table of clusters
			}
		}
		base = path.Clean(def.BackingStore.Path)
		return nil
	})
	return base, err
}

// DiskBytes returns the virtual size of the qcow2 disk in a file of the nodes pool, which
// may be in use.
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
	err = s.withPool(ctx, host, nodesRole, func(conn *libvirt.Connect, lp *libvirt.StoragePool, p pool) error {
		err := size(lp)
		if errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) { // libvirt makes the files that a node goes on in beside the pool
			err = s.anew(ctx, conn, host, lp, p, size)
		}
		return err
	})
	return bytes, err
}

// ReadNodeFile returns what is in a small file of the nodes pool. It answers
// fault.Unsupported for one that is too large, and an error of libvirt for one that
// is not there.
func (s *Service) ReadNodeFile(ctx context.Context, host, name string) (content []byte, err error) {
	err = s.withVolume(ctx, host, nodesRole, name, func(conn *libvirt.Connect, _ *libvirt.StoragePool, vol *libvirt.StorageVol) (err error) {
		content, err = readPart(conn, vol, 0, maxReadBytes+1)
		return err
	})
	if err == nil && len(content) > maxReadBytes {
		err = fault.New(fault.Unsupported, "The file %q in the nodes pool is larger than %d bytes.", name, maxReadBytes)
	}
	return content, err
}
