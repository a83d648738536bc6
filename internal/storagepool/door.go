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

// Pool names one of the service's pools on one host. It does no I/O: errors show up when
// it is used.
type Pool struct {
	s    *Service
	host string
	role string
}

// ImagesPool returns the pool that holds a host's images.
func (s *Service) ImagesPool(host string) Pool { return Pool{s, host, imagesRole} }

// NodesPool returns the pool that holds the disks of a host's nodes.
func (s *Service) NodesPool(host string) Pool { return Pool{s, host, nodesRole} }

// LogsPool returns the pool that holds the console logs of a host's nodes.
func (s *Service) LogsPool(host string) Pool { return Pool{s, host, logsRole} }

// Handle is an open pool. It is valid only until the function that Do or Dial calls
// returns.
type Handle struct {
	*libvirt.StoragePool

	// Conn is the connection through which the pool was opened.
	Conn *libvirt.Connect
	// Name is the pool's name, Folder its path on the host.
	Name, Folder string

	s    *Service
	host string
}

// File is an open volume on a dedicated connection. It is valid only until the function
// that Volume calls returns. Only one stream at a time may read or write it.
type File struct {
	*libvirt.StorageVol

	// Conn is the connection through which the volume was opened.
	Conn *libvirt.Connect
}

// Name returns the pool's name.
func (p Pool) Name() string { return p.s.poolNames()[p.role] }

// Folder returns the pool's path on the host. Errors: fault.PoolUnavailable,
// HostUnreachable.
func (p Pool) Folder() (string, error) {
	at, err := p.s.place(p.host, p.role)
	return at.path, err
}

// Do calls f with the open pool through hypervisor.Set.Do, so f must not open streams. It
// returns the errors of Folder and of f.
func (p Pool) Do(ctx context.Context, f func(*Handle) error) error {
	do := func(ctx context.Context, host string, call hypervisor.Call) error {
		return p.s.o.Hosts.Do(ctx, host, "pool."+p.role, call)
	}
	return p.with(ctx, do, func(h *Handle) error { return poolFault(f(h), h.Name) })
}

// Dial is Do on a dedicated connection: f may run for a long time and open streams.
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

// Volume calls f with a volume of the pool. If libvirt does not know the volume, it
// refreshes the pool and looks it up again. Errors: libvirt.ERR_NO_STORAGE_VOL, and those
// of Do.
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

// Delete removes a volume. It returns nil if the volume does not exist.
func (p Pool) Delete(ctx context.Context, name string) error {
	return p.Do(ctx, func(h *Handle) error { return h.Drop(ctx, name) })
}

// Rescan refreshes the pool. It retries while libvirt is busy in the pool, and returns
// fault.PoolUnavailable after a timeout; see IsBusy.
func (p Pool) Rescan(ctx context.Context) error {
	return p.Do(ctx, func(h *Handle) error { return h.Rescan() })
}

// RescanWhenIdle is Rescan for long-running tasks: it retries until libvirt is no longer
// busy or ctx ends.
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

// CheckRoom returns fault.StorageFull if the pool is critically full, or would be after
// allocating the given number of bytes.
func (p Pool) CheckRoom(ctx context.Context, bytes int64) error {
	return p.Do(ctx, func(h *Handle) error { return h.CheckRoom(bytes) })
}

// Find returns a volume, which the caller must free. libvirt does not notice files that
// other programs put into a pool's folder until the pool is refreshed, so Find refreshes
// the pool if the volume is missing. Errors: libvirt.ERR_NO_STORAGE_VOL, and those of
// Rescan.
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

// Unavailable converts an error which says that the pool was removed or stopped to
// fault.PoolUnavailable. It returns other errors unchanged.
func (h *Handle) Unavailable(err error) error { return poolFault(err, h.Name) }

// Anew calls f with a pool that is in sync with the folder: this pool or, if libvirt
// cannot refresh it now, a temporary pool on the same folder. f must not create volumes in
// it, and must clean the paths of its volumes.
func (h *Handle) Anew(ctx context.Context, f func(*libvirt.StoragePool) error) error {
	return h.s.anew(ctx, h.Conn, h.host, h.StoragePool, place{h.Name, h.Folder}, f)
}

// Drop removes a volume. It returns nil if the volume does not exist.
func (h *Handle) Drop(ctx context.Context, name string) error {
	err := dropKnown(h.StoragePool, name)
	if errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) {
		// libvirt might not know it yet: another program created it, or libvirtd was killed
		// right after creating it.
		err = h.Anew(ctx, func(lp *libvirt.StoragePool) error { return dropKnown(lp, name) })
	}
	if errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) {
		return nil
	}
	return err
}

// Has returns whether libvirt knows a volume in the pool. It does not refresh the pool.
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

// MakeEmpty creates an empty volume. It is declared as raw, so that libvirt creates a file
// that grows as data is written. mode is the file's mode; empty means libvirt's default.
// The caller must free the volume.
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

// Fault explains why a volume could not be created or written. libvirt reports a full disk
// only in the error text, so Fault checks the pool's free space. It returns errors that
// already have an explanation unchanged.
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

// Describe returns libvirt's current description of the volume.
func (v *File) Describe() (libvirtxml.StorageVolume, error) { return Describe(v.StorageVol) }

// Bytes returns the length of the volume's file.
func (v *File) Bytes() (int64, error) {
	info, err := v.GetInfoFlags(libvirt.STORAGE_VOL_GET_PHYSICAL)
	if err != nil {
		return 0, err
	}
	return int64(info.Allocation), nil //nolint:gosec // bytes of a real file
}

// ReadPart reads length bytes at offset, or fewer if the volume ends before.
func (v *File) ReadPart(offset, length int64) (part []byte, err error) {
	err = v.Read(context.Background(), offset, length, func(r io.Reader) (err error) {
		part, err = io.ReadAll(io.LimitReader(r, length))
		return err
	})
	return part, err
}

// Parts returns a function that reads parts of the volume. It fails once ctx has ended.
func (v *File) Parts(ctx context.Context) diskimage.Reading {
	return func(offset, length int64) ([]byte, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return v.ReadPart(offset, length)
	}
}

// Read calls f with a stream of length bytes of the volume, starting at offset. The stream
// fails once ctx has ended.
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
		_ = stream.Abort() // its error would only repeat the first one
		return err
	}
	return stream.Finish()
}

// Rescan refreshes the pool that contains the volume.
func (v *File) Rescan() error {
	lp, err := v.LookupPoolByVolume()
	if err != nil {
		return err
	}
	defer func() { _ = lp.Free() }()
	return rescan(lp)
}

// BlockBytes is how much data goes to libvirt in one call. It is what a local socket
// accepts at once by default: larger blocks are not faster and take more memory and CPU
// time, small ones are up to a hundred times slower.
const BlockBytes = 208 << 10

// StreamReader reads a blocking libvirt stream.
type StreamReader struct{ Stream *libvirt.Stream }

// Read implements io.Reader.
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

// untilDone is a reader that fails once its context has ended.
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

// Pause waits for d, or returns ctx.Err() if ctx ends first.
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

// VolumeAt calls f with the volume at a path on the host, in any pool. The path may
// contain symbolic links and "..". It returns fault.Unsupported if the file is not in a
// pool.
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

// FileAt calls f with a file on the host, opened as a volume. If the file is not in the
// nodes pool, FileAt opens it through a temporary pool. It does not call f if the file
// does not exist.
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

// filesSuffix is appended to the name of the nodes pool to name the temporary pool through
// which files outside the service's pools are read.
const filesSuffix = "-files"
