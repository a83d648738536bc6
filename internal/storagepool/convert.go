package storagepool

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/diskimage"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

const (
	// convertInterval is how often the progress of a conversion is read.
	convertInterval = 300 * time.Millisecond
	// WorkPause is how long to wait before retrying when a pool is busy.
	WorkPause = 500 * time.Millisecond
)

// Copy describes a volume that libvirt creates as a copy of another one, in qcow2 format
// and without a backing file.
type Copy struct {
	From string // the source volume's file, in any pool
	// Format is the detected format of the source. libvirt must detect the same format: it
	// passes it to QEMU, which then does not probe.
	Format string
	To     string // the name of the new volume, which must not exist
	// DataBytes is the approximate amount of data in the new volume, for the progress.
	DataBytes int64
	// Release releases the host's slot for conversions; Convert calls it. If it is nil,
	// Convert acquires the slot itself.
	Release func()

	pool Pool
}

// Convert makes libvirt create a volume of the pool as a copy. libvirt cannot be told to
// stop: when ctx ends, Convert returns as soon as the new volume is visible; the volume is
// deleted when libvirt has finished, unless it was deleted before. A host runs one
// conversion at a time. Errors: slotTaken, fault.StorageFull, PoolUnavailable,
// HostUnreachable.
func (p Pool) Convert(ctx context.Context, c Copy, progress Progress) error {
	s := p.s
	c.pool = p
	if c.Release == nil {
		var err error
		if c.Release, err = s.TakeConverting(c.pool.host); err != nil {
			return err
		}
	}
	progress.Begin("converting")
	progress.Progress(0, c.DataBytes)
	err := p.CheckRoom(ctx, c.DataBytes)
	if err != nil {
		c.Release()
		return err
	}
	done := make(chan error, 1)
	// It ends when libvirt's call returns. The process may end before: libvirt then
	// continues without it, and the next attempt waits until libvirt has finished.
	go func() {
		defer c.Release()
		done <- s.o.Hosts.Dial(context.WithoutCancel(ctx), c.pool.host, func(conn *libvirt.Connect) error {
			return s.convertOn(ctx, conn, c)
		})
	}()
	tick := time.NewTicker(convertInterval)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if err == nil {
				progress.Progress(c.DataBytes, c.DataBytes)
			}
			return err
		case <-tick.C:
		}
		made, err := s.convertedBytes(context.WithoutCancel(ctx), c)
		if err == nil {
			progress.Progress(min(made, c.DataBytes), c.DataBytes)
		}
		if ctx.Err() != nil && (err == nil || fault.CodeOf(err) == fault.HostUnreachable) {
			return ctx.Err()
		}
	}
}

// convertOn runs a conversion in dedicated pools: while libvirt creates a volume from
// another one, it does not refresh the pools of either, and would not notice what other
// programs create and delete there.
func (s *Service) convertOn(ctx context.Context, conn *libvirt.Connect, c Copy) error {
	target, err := s.openWork(ctx, conn, c.pool.host, c.pool.role)
	if err != nil {
		return err
	}
	defer closeWork(target)
	source := target
	role, err := s.roleOf(c.pool.host, c.From)
	if err == nil && role != "" && role != c.pool.role {
		if source, err = s.openWork(ctx, conn, c.pool.host, role); err == nil {
			defer closeWork(source)
		}
	}
	if err != nil {
		return err
	}
	var from *libvirt.StorageVol
	if role != "" {
		from, err = source.LookupStorageVolByName(path.Base(c.From))
	} else {
		from, err = s.findVolumeAt(ctx, conn, c.pool.host, c.From) // not in one of the service's pools
	}
	if err != nil {
		return err
	}
	defer func() { _ = from.Free() }()
	seen, err := Describe(from)
	if err != nil {
		return err
	}
	if seen.Target == nil || seen.Target.Format == nil || seen.Target.Format.Type != libvirtFormat(c.Format) {
		return diskimage.Unsafe("libvirt does not take it for a %s disk, as its first bytes say", c.Format)
	}
	if seen.BackingStore != nil && c.Format != diskimage.QCOW2 {
		return diskimage.Unsafe("libvirt finds a disk below it, %q. Convert it with `qemu-img convert -O qcow2 SOURCE image.qcow2`", seen.BackingStore.Path)
	}
	def := libvirtxml.StorageVolume{
		Type: "file", Name: c.To, Capacity: &libvirtxml.StorageVolumeSize{Unit: "bytes"},
		Target: &libvirtxml.StorageVolumeTarget{
			Format: &libvirtxml.StorageVolumeTargetFormat{Type: diskimage.QCOW2}, Compat: "1.1",
		},
	}
	if c.pool.role == imagesRole {
		def.Target.Permissions = &libvirtxml.StorageVolumeTargetPermissions{Mode: ImageMode}
	}
	text, err := def.Marshal()
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	vol, err := target.StorageVolCreateXMLFrom(text, from, 0)
	if err != nil {
		return (&Handle{StoragePool: target, Name: s.poolNames()[c.pool.role]}).Fault(fmt.Errorf("convert %s to %s: %w", c.From, c.To, err))
	}
	defer func() { _ = vol.Free() }()
	if ctx.Err() != nil { // the caller has given up
		if err := vol.Delete(libvirt.STORAGE_VOL_DELETE_NORMAL); err != nil && !errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) {
			s.o.Log.Info("a volume that nobody waits for was not there to be removed", "host", c.pool.host, "volume", c.To, "error", err)
		}
	}
	return ctx.Err()
}

// roleOf returns the role of the images or nodes pool that contains a file; empty if
// neither does.
func (s *Service) roleOf(host, file string) (string, error) {
	for _, role := range []string{imagesRole, nodesRole} {
		p, err := s.place(host, role)
		if err != nil {
			return "", err
		}
		if path.Dir(file) == path.Clean(p.path) {
			return role, nil
		}
	}
	return "", nil
}

// workName returns the name of the temporary pool in which libvirt converts volumes.
func (s *Service) workName(role string) string { return s.poolNames()[role] + "-work" }

// openWork creates a temporary pool for conversions on the folder of a pool; closeWork
// removes it. libvirt refuses two pools whose paths are spelled the same, so this one is
// spelled differently. openWork waits for operations in the temporary pool that a process
// which has ended left running.
func (s *Service) openWork(ctx context.Context, conn *libvirt.Connect, host, role string) (*libvirt.StoragePool, error) {
	p, err := s.place(host, role)
	if err != nil {
		return nil, err
	}
	def := libvirtxml.StoragePool{Type: "dir", Name: s.workName(role), Target: &libvirtxml.StoragePoolTarget{Path: path.Clean(p.path) + "/."}}
	text, err := def.Marshal()
	if err != nil {
		return nil, err
	}
	for {
		left, err := conn.LookupStoragePoolByName(def.Name)
		switch {
		case err == nil:
			err = left.Destroy()
			_ = left.Free()
		case errors.Is(err, libvirt.ERR_NO_STORAGE_POOL):
			err = nil
		}
		if err == nil {
			return conn.StoragePoolCreateXML(text, 0)
		}
		if !errors.Is(err, libvirt.ERR_INTERNAL_ERROR) { // otherwise it is busy
			return nil, err
		}
		if err := Pause(ctx, WorkPause); err != nil {
			return nil, err
		}
	}
}

// closeWork removes a temporary pool. Its volumes stay in the folder.
func closeWork(p *libvirt.StoragePool) {
	_ = p.Destroy() // another process may be using it
	_ = p.Free()
}

// convertedBytes returns how much of a conversion's new volume is written.
func (s *Service) convertedBytes(ctx context.Context, c Copy) (bytes int64, err error) {
	err = s.o.Hosts.Do(ctx, c.pool.host, "disk.converted-bytes", func(conn *libvirt.Connect) error {
		work, err := conn.LookupStoragePoolByName(s.workName(c.pool.role))
		if err != nil {
			return err
		}
		defer func() { _ = work.Free() }()
		vol, err := work.LookupStorageVolByName(c.To)
		if err != nil {
			return err
		}
		defer func() { _ = vol.Free() }()
		info, err := vol.GetInfo()
		if err == nil {
			bytes = int64(info.Allocation) //nolint:gosec // bytes of a real file
		}
		return err
	})
	return bytes, err
}

// libvirtFormat returns libvirt's name of a format.
func libvirtFormat(format string) string {
	if format == diskimage.VHD {
		return "vpc"
	}
	return format
}

// ImageMode is the mode of image files: QEMU reads a base image as a user other than the
// owner. The pool's folder denies access to other users of the host.
const ImageMode = "0644"

// Progress receives the progress of a long-running task.
type Progress interface {
	// Begin starts a step.
	Begin(step string)
	// Progress reports how many bytes of the current step are done; a total of 0 means
	// unknown.
	Progress(doneBytes, totalBytes int64)
}
