package storagepool

import (
	"context"
	"errors"
	"io"
	"path"
	"time"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/diskimage"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
)

// Pool is one of our pools on one host. It is a name: whether the pool can be used
// shows when it is.
type Pool struct {
	s    *Service
	host string
	role string
}

// ImagesPool is the pool of the images of a host.
func (s *Service) ImagesPool(host string) Pool { return Pool{s, host, imagesRole} }

// NodesPool is the pool of the nodes' disks on a host.
func (s *Service) NodesPool(host string) Pool { return Pool{s, host, nodesRole} }

// LogsPool is the pool of the nodes' console logs on a host.
func (s *Service) LogsPool(host string) Pool { return Pool{s, host, logsRole} }

// Handle is a pool while Do or Dial lends it.
type Handle struct {
	*libvirt.StoragePool

	// Conn is the connection that the pool is used by.
	Conn *libvirt.Connect
	// Name is the pool's, Folder is where it is on the host.
	Name, Folder string

	s    *Service
	host string
}

// File is a volume while Volume lends it, on a connection of its own. One stream at a
// time reads or writes it.
type File struct {
	*libvirt.StorageVol

	// Conn is the connection that the volume is used by.
	Conn *libvirt.Connect
}

// Name is the pool's name.
func (p Pool) Name() string { return p.s.poolNames()[p.role] }

// Folder is where the pool is on the host. Errors: fault.PoolUnavailable, HostUnreachable.
func (p Pool) Folder() (string, error) {
	at, err := p.s.place(p.host, p.role)
	return at.path, err
}

// Do calls f with the pool, by hypervisor.Set.Do: f opens no streams. Errors are those of
// Folder and of f.
func (p Pool) Do(ctx context.Context, f func(*Handle) error) error {
	do := func(ctx context.Context, host string, call hypervisor.Call) error {
		return p.s.o.Hosts.Do(ctx, host, "pool."+p.role, call)
	}
	return p.with(ctx, do, func(h *Handle) error { return poolFault(f(h), h.Name) })
}

// Dial is Do on a connection of its own: f may take its time, and open streams.
func (p Pool) Dial(ctx context.Context, f func(*Handle) error) error {
	return p.with(ctx, p.s.o.Hosts.Dial, f)
}

func (p Pool) with(ctx context.Context, connect func(context.Context, string, hypervisor.Call) error, f func(*Handle) error) error {
	at, err := p.s.place(p.host, p.role)
	if err != nil {
		return err
	}
	return connect(ctx, p.host, func(conn *libvirt.Connect) error {
		lp, err := conn.LookupStoragePoolByName(at.name)
		if err != nil {
			return poolFault(err, at.name)
		}
		defer func() { _ = lp.Free() }()
		return f(&Handle{StoragePool: lp, Conn: conn, Name: at.name, Folder: at.path, s: p.s, host: p.host})
	})
}

// Volume calls f with a volume of the pool, which libvirt looks for once more where it
// does not know it. Errors: libvirt.ERR_NO_STORAGE_VOL, and those of Do.
func (p Pool) Volume(ctx context.Context, name string, f func(*File) error) error {
	return p.Dial(ctx, func(h *Handle) error {
		vol, err := h.Find(name)
		if err != nil {
			return err
		}
		defer func() { _ = vol.Free() }()
		return f(&File{vol, h.Conn})
	})
}

// Delete removes a volume; one that is not there is no error.
func (p Pool) Delete(ctx context.Context, name string) error {
	return p.Do(ctx, func(h *Handle) error { return h.Drop(ctx, name) })
}

// Rescan has libvirt look at the pool's folder again. It waits while libvirt refuses,
// and answers fault.PoolUnavailable when that takes long; see IsBusy.
func (p Pool) Rescan(ctx context.Context) error {
	return p.Do(ctx, func(h *Handle) error { return h.Rescan() })
}

// RescanWhenIdle is Rescan for work that takes its time: it waits as long as libvirt
// refuses, and until ctx ends.
func (p Pool) RescanWhenIdle(ctx context.Context, progress Progress) error {
	for told := false; ; {
		err := p.Rescan(ctx)
		if !IsBusy(err) {
			return err
		}
		if !told {
			told = true
			progress.Begin("waiting")
		}
		if err := Pause(ctx, WorkPause); err != nil {
			return err
		}
	}
}

// CheckRoom answers fault.StorageFull when nothing more is made in the pool, or so many
// bytes are not.
func (p Pool) CheckRoom(ctx context.Context, bytes int64) error {
	return p.Do(ctx, func(h *Handle) error { return h.CheckRoom(bytes) })
}

// Find returns a volume, for the caller to free. libvirt does not see a file that another
// program puts into a pool's folder until the pool is refreshed, so one that is missing is
// looked for once more after that. Errors: libvirt.ERR_NO_STORAGE_VOL, and those of Rescan.
func (h *Handle) Find(name string) (*libvirt.StorageVol, error) {
	vol, err := h.LookupStorageVolByName(name)
	if !errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) {
		return vol, err
	}
	if err := rescan(h.StoragePool); err != nil {
		return nil, err
	}
	return h.LookupStorageVolByName(name)
}

// Rescan is Pool.Rescan.
func (h *Handle) Rescan() error { return rescan(h.StoragePool) }

// Unavailable is fault.PoolUnavailable for an error that says that the pool is gone or
// stopped; others stay as they are.
func (h *Handle) Unavailable(err error) error { return poolFault(err, h.Name) }

// Anew calls f with a pool that knows what is in the folder now: this one or, where
// libvirt does not read that, one that lives meanwhile. f makes nothing in it, and cleans
// the paths of its volumes.
func (h *Handle) Anew(ctx context.Context, f func(*libvirt.StoragePool) error) error {
	return h.s.anew(ctx, h.Conn, h.host, h.StoragePool, place{h.Name, h.Folder}, f)
}

// Drop removes a volume; one that is not there is no error.
func (h *Handle) Drop(ctx context.Context, name string) error {
	err := dropKnown(h.StoragePool, name)
	if errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) {
		// libvirt may not have seen it yet: it was made by another program, or
		// just before libvirtd was killed.
		err = h.Anew(ctx, func(lp *libvirt.StoragePool) error { return dropKnown(lp, name) })
	}
	if errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) {
		return nil
	}
	return err
}

// Has tells whether a pool has a volume, as far as libvirt has seen.
func Has(lp *libvirt.StoragePool, name string) (bool, error) {
	vol, err := lp.LookupStorageVolByName(name)
	if errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, vol.Free()
}

// MakeEmpty makes an empty volume. It is declared as raw, so that libvirt makes a
// file that grows with what comes. mode is that of the file, empty for libvirt's
// own choice. The caller frees it.
func (h *Handle) MakeEmpty(name, mode string) (*libvirt.StorageVol, error) {
	def := libvirtxml.StorageVolume{
		Type: "file", Name: name, Capacity: &libvirtxml.StorageVolumeSize{Unit: "bytes"},
		Target: &libvirtxml.StorageVolumeTarget{Format: &libvirtxml.StorageVolumeTargetFormat{Type: "raw"}},
	}
	if mode != "" {
		def.Target.Permissions = &libvirtxml.StorageVolumeTargetPermissions{Mode: mode}
	}
	text, err := def.Marshal()
	if err != nil {
		return nil, err
	}
	return h.StorageVolCreateXML(text, 0)
}

// Fault explains why a volume could not be made or written. libvirt tells of a full disk
// in words alone, so the pool is asked. Errors that are already explained stay as they are.
func (h *Handle) Fault(err error) error {
	var lv libvirt.Error
	if !errors.As(err, &lv) || errors.Is(err, libvirt.ERR_STORAGE_VOL_EXIST) {
		return err
	}
	if full := isFull(h.StoragePool, h.Name); fault.CodeOf(full) == fault.StorageFull {
		return full
	}
	return err
}

// Describe is libvirt's description of the volume as it is now.
func (v *File) Describe() (libvirtxml.StorageVolume, error) { return Describe(v.StorageVol) }

// Bytes is the length of the volume's file.
func (v *File) Bytes() (int64, error) {
	info, err := v.GetInfoFlags(libvirt.STORAGE_VOL_GET_PHYSICAL)
	if err != nil {
		return 0, err
	}
	return int64(info.Allocation), nil //nolint:gosec // bytes of a real file
}

// ReadPart reads a part of the volume, or what there is of it.
func (v *File) ReadPart(offset, length int64) (part []byte, err error) {
	err = v.Read(context.Background(), offset, length, func(r io.Reader) (err error) {
		part, err = io.ReadAll(io.LimitReader(r, length))
		return err
	})
	return part, err
}

// Parts reads parts of the volume until ctx ends.
func (v *File) Parts(ctx context.Context) diskimage.Reading {
	return func(offset, length int64) ([]byte, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return v.ReadPart(offset, length)
	}
}

// Read gives f length bytes of the volume, from an offset on, as a stream that fails when
// ctx ends.
func (v *File) Read(ctx context.Context, offset, length int64, f func(io.Reader) error) error {
	stream, err := v.Conn.NewStream(0)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Free() }()
	if err := v.Download(stream, uint64(offset), uint64(length), 0); err != nil { //nolint:gosec // neither is negative
		return err
	}
	if err := f(untilDone{ctx, StreamReader{stream}}); err != nil {
		_ = stream.Abort() // its error would only repeat ours
		return err
	}
	return stream.Finish()
}

// Rescan has libvirt look again at the folder of the pool that the volume is in.
func (v *File) Rescan() error {
	lp, err := v.LookupPoolByVolume()
	if err != nil {
		return err
	}
	defer func() { _ = lp.Free() }()
	return rescan(lp)
}

// BlockBytes goes to libvirt in one piece. It is what a local socket takes at
// once by default: larger blocks are as fast and take more memory and CPU time,
// small ones are up to a hundred times slower.
const BlockBytes = 208 << 10

// StreamReader reads a blocking libvirt stream.
type StreamReader struct{ Stream *libvirt.Stream }

// Read is that of io.Reader.
func (r StreamReader) Read(p []byte) (int, error) {
	n, err := r.Stream.Recv(p)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if n == 0 && err == nil && len(p) > 0 {
		err = io.EOF
	}
	return max(n, 0), err
}

// untilDone ends reading with its context.
type untilDone struct {
	ctx context.Context //nolint:containedctx // it lives as long as one call
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

// Pause waits for a time, or until ctx ends.
func Pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// VolumeAt calls f with the file at a path of the host, however it is spelled, as a volume
// of any pool. It answers fault.Unsupported when no pool has the file.
func (s *Service) VolumeAt(ctx context.Context, host, file string, f func(*File) error) error {
	return s.o.Hosts.Dial(ctx, host, func(conn *libvirt.Connect) error {
		vol, err := s.findVolumeAt(ctx, conn, host, file)
		if err != nil {
			return err
		}
		defer func() { _ = vol.Free() }()
		return f(&File{vol, conn})
	})
}

// FileAt calls f with a file of a host as a volume: by a pool that lives meanwhile, where
// it is not in the nodes pool. It does not call f when there is no such file.
func (s *Service) FileAt(ctx context.Context, host, file string, f func(*File) error) error {
	nodes, err := s.place(host, nodesRole)
	if err != nil {
		return err
	}
	if path.Dir(file) == path.Clean(nodes.path) {
		err := s.NodesPool(host).Volume(ctx, path.Base(file), f)
		if errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) {
			return nil
		}
		return err
	}
	folder := place{name: nodes.name + filesSuffix, path: path.Dir(file)}
	return s.o.Hosts.Dial(ctx, host, func(conn *libvirt.Connect) error {
		return s.withLook(ctx, conn, host, folder, func(look *libvirt.StoragePool) error {
			vol, err := look.LookupStorageVolByName(path.Base(file))
			if errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) {
				return nil
			}
			if err != nil {
				return err
			}
			defer func() { _ = vol.Free() }()
			return f(&File{vol, conn})
		})
	})
}

// filesSuffix follows the name of the nodes pool in that of the pool by which files in
// folders of others are read.
const filesSuffix = "-files"
