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
	// convertInterval is how often a conversion is looked at.
	convertInterval = 300 * time.Millisecond
	// WorkPause is how long a pool that is still busy is left alone.
	WorkPause = 500 * time.Millisecond
)

// Copy is one volume that libvirt makes of another one, in qcow2 format and
// without what that one lies on.
type Copy struct {
	From string // the volume's file, in one of our pools or in one of others
	// Format is what the volume was found to be. libvirt must see the same in it:
	// it is told to QEMU, which guesses nothing.
	Format string
	To     string // the name of the new volume, which is not there
	// DataBytes is about how much the new volume will hold, for the progress.
	DataBytes int64
	// Release gives the host's slot for conversions back, which Convert does; nil: Convert
	// takes the slot first.
	Release func()

	pool Pool
}

// Convert has libvirt make a volume of the pool. libvirt cannot be told to stop: when ctx
// ends, Convert returns as soon as the new volume can be seen; it is removed when
// libvirt is done with it, unless it was removed before. One host does one
// conversion at a time. Errors: slotTaken, fault.StorageFull, PoolUnavailable, HostUnreachable.
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
	// It ends when libvirt's call does. The process may end before: libvirt goes on
	// alone, and the next attempt waits for that.
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

// convertOn does a conversion, in pools for this alone: while libvirt makes a
// volume out of another one, it reads neither's pool anew, and would not see what
// others make and remove there meanwhile.
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
		from, err = s.findVolumeAt(ctx, conn, c.pool.host, c.From) // in a pool of others
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
	if ctx.Err() != nil { // nobody waits for it
		if err := vol.Delete(libvirt.STORAGE_VOL_DELETE_NORMAL); err != nil && !errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) {
			s.o.Log.Info("a volume that nobody waits for was not there to be removed", "host", c.pool.host, "volume", c.To, "error", err)
		}
	}
	return ctx.Err()
}

// roleOf tells which of our pools for disks a file is in; none is empty.
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

// workName names the pool in which libvirt makes volumes beside one of ours.
func (s *Service) workName(role string) string { return s.poolNames()[role] + "-work" }

// openWork makes a pool that lives until closeWork, on the folder of one of ours.
// libvirt refuses two pools on one folder, by the path's spelling. It waits for
// what a process that ended has had libvirt do there.
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
		if !errors.Is(err, libvirt.ERR_INTERNAL_ERROR) { // else it has work to do
			return nil, err
		}
		if err := Pause(ctx, WorkPause); err != nil {
			return nil, err
		}
	}
}

// closeWork lets a pool of openWork go. What is in it is in ours.
func closeWork(p *libvirt.StoragePool) {
	_ = p.Destroy() // another process may have taken it over
	_ = p.Free()
}

// convertedBytes is how much there is of a conversion's new volume.
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

// libvirtFormat is libvirt's name of a format.
func libvirtFormat(format string) string {
	if format == diskimage.VHD {
		return "vpc"
	}
	return format
}

// ImageMode is that of the files of images: QEMU reads a base image as another user
// than its owner. The pool's folder keeps other users of the host out.
const ImageMode = "0644"

// Progress is how long work tells how far it is.
type Progress interface {
	// Begin names the step that begins now.
	Begin(step string)
	// Progress tells how many of how many bytes of it are done; a total of 0 is not
	// known.
	Progress(doneBytes, totalBytes int64)
}
