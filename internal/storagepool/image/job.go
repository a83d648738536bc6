package image

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/diskimage"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
)

// Work describes a long-running task on an image, as its job stores it.
type Work struct {
	ID    string `json:"id"`
	Host  string `json:"host"`
	Owner string `json:"owner,omitempty"`
	// Volume is the volume that the task creates, Old the one that it replaces.
	Volume string `json:"volume,omitempty"`
	Old    string `json:"old,omitempty"`
	// Name is the display name of a new image.
	Name string `json:"name,omitempty"`
	// Node is the node that a new image is captured from.
	Node string `json:"node,omitempty"`
	// VirtualBytes is the new virtual size of an image.
	VirtualBytes int64 `json:"virtualBytes,omitempty"`
	// Changed is set if the task verifies an image again whose file was changed.
	Changed bool `json:"changed,omitempty"`
}

// Jobs runs the long-running tasks on images. Its Check methods check in advance whether a
// task can run, and return its description.
type Jobs struct{ *Service }

// Jobs returns the long-running tasks on images.
func (s *Service) Jobs() Jobs { return Jobs{s} }

// NewImage returns the description of a new image with the given display name, or
// fault.Invalid if the name is not valid.
func (s Jobs) NewImage(host, name, owner string) (Work, error) {
	if err := checkDisplayName("name", name); err != nil {
		return Work{}, err
	}
	id := fmt.Sprintf("%s_%d.%s", safeStem(name), s.uniqueMilli(time.Now()), diskimage.QCOW2)
	return Work{ID: id, Host: host, Owner: owner, Volume: id, Name: name}, nil
}

// CheckVerify returns the task to verify an image, or fault.Unsupported if the image does
// not need it.
func (s Jobs) CheckVerify(id string) (Work, error) {
	img, err := s.Image("", id)
	if err != nil {
		return Work{}, err
	}
	if img.Path == "" || img.State != Unverified && img.State != Rejected && img.State != Changed {
		return Work{}, fault.New(fault.Unsupported, "Image %q is %s. Only images that another program added or changed need to be verified.", id, img.State)
	}
	return Work{ID: img.ID, Host: img.Host, Changed: img.State == Changed}, nil
}

// Verify inspects a volume that another program has put into the images pool, or changed
// there, and makes the image ready if it is a safe qcow2 or diskimage.ISO file. It refuses
// disks in other formats: uploading them converts them. Errors: fault.ImageUnsafe,
// ImageNotFound, HostUnreachable, PoolUnavailable.
func (s Jobs) Verify(ctx context.Context, w Work, progress storagepool.Progress) error {
	if err := s.o.Pools.Prepare(ctx, w.Host); err != nil {
		return err
	}
	progress.Begin("verifying")
	img, err := s.Image(w.Host, w.ID)
	if err != nil || img.State == Ready {
		return err // verified by an earlier attempt
	}
	volume := volumeName(img)
	found, err := s.Inspect(ctx, w.Host, volume)
	if reason, refused := Verdict(err); refused {
		return fault.New(fault.ImageUnsafe, "%s", reason)
	}
	if err != nil {
		return err
	}
	r := Record{
		Host: w.Host, ID: img.ID, Type: img.Type, Volume: volume, DisplayName: img.DisplayName, OSType: img.OSType, State: string(Ready),
		Format: found.Format, SourceFormat: found.Format, Fingerprint: found.Fingerprint, Owner: img.Owner, Created: img.Created, Description: img.Description, Tags: img.Tags,
		Firmware: img.Firmware, TPM: img.TPM,
	}
	if err := s.save(ctx, r); err != nil {
		return fmt.Errorf("record that %s is verified: %w", w.ID, err)
	}
	return s.Refresh(ctx, w.Host, false)
}

// CheckChange returns the task to compact or grow an image, or the reason why that is not
// possible as far as can be told without reading the pools.
func (s Jobs) CheckChange(id string) (Work, error) {
	img, err := s.Usable("", id)
	if err != nil {
		return Work{}, err
	}
	if img.Format != diskimage.QCOW2 {
		return Work{}, fault.New(fault.Unsupported, "Image %q is in %s format, which can't be changed.", id, img.Format)
	}
	old := volumeName(img)
	// A new name that still identifies the volume as this image's; see match.
	return Work{ID: img.ID, Host: img.Host, Old: old, Volume: fmt.Sprintf("%s.r%d.%s", stemOf(old), s.uniqueMilli(time.Now()), diskimage.QCOW2)}, nil
}

// CheckGrow is CheckChange for a new virtual size.
func (s Jobs) CheckGrow(id string, virtualBytes int64) (Work, error) {
	w, err := s.CheckChange(id)
	if err != nil {
		return w, err
	}
	img, err := s.Image(w.Host, id)
	if err != nil {
		return w, err
	}
	w.VirtualBytes = virtualBytes
	switch {
	case virtualBytes > diskimage.MaxVirtualBytes:
		return w, fault.Field("virtualSize", "The disk can have at most %d bytes.", int64(diskimage.MaxVirtualBytes))
	case virtualBytes <= img.VirtualBytes || virtualBytes%SectorBytes != 0:
		return w, fault.Field("virtualSize", "The image's disk has %d bytes and can only be enlarged, to a multiple of %d.", img.VirtualBytes, SectorBytes)
	}
	return w, nil
}

// SectorBytes is the unit of disk sizes.
const SectorBytes = 512

// Compact rewrites an image without the data that its disk no longer uses. It returns
// fault.ImageInUse if disks are backed by the image. Other errors: fault.StorageFull,
// ImageNotFound, HostUnreachable, PoolUnavailable.
func (s Jobs) Compact(ctx context.Context, w Work, progress storagepool.Progress) error {
	if err := s.o.Pools.Prepare(ctx, w.Host); err != nil {
		return err
	}
	swapped, err := s.isSwapped(ctx, w)
	if err != nil {
		return err
	}
	if !swapped {
		img, err := s.Usable(w.Host, w.ID)
		if err != nil {
			return err
		}
		if err := s.alone(ctx, img, func(ctx context.Context) error { return s.compact(ctx, w, img, progress) }); err != nil {
			return err
		}
	}
	return s.UndoCompact(ctx, w) // at this point it only removes the old volume
}

func (s Jobs) compact(ctx context.Context, w Work, img Image, progress storagepool.Progress) error {
	if err := s.CheckUnchanged(ctx, w.Host, w.ID); err != nil {
		return err
	}
	if err := s.o.Pools.ImagesPool(w.Host).Delete(ctx, w.Volume); err != nil { // of an earlier attempt
		return err
	}
	c := storagepool.Copy{From: img.Path, Format: diskimage.QCOW2, To: w.Volume, DataBytes: img.FileBytes}
	if err := s.o.Pools.ImagesPool(w.Host).Convert(ctx, c, progress); err != nil {
		return err
	}
	progress.Begin("verifying")
	if err := s.o.Pools.ImagesPool(w.Host).RescanWhenIdle(ctx, progress); err != nil {
		return err
	}
	if err := s.CheckUnchanged(ctx, w.Host, w.ID); err != nil { // so that the verified file is the one that was read
		return err
	}
	found, err := s.Inspect(ctx, w.Host, w.Volume)
	if err != nil {
		return err
	}
	return s.swap(ctx, w, found)
}

// swap replaces an image's volume. It blocks reading of the pool in the meantime, which
// would find a volume that belongs to no image.
func (s Jobs) swap(ctx context.Context, w Work, found Verified) error {
	shelf := s.shelves[w.Host]
	select {
	case shelf.turn <- struct{}{}:
		defer func() { <-shelf.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	err := s.o.DB.WithContext(ctx).Model(&Record{}).Where("host = ? AND id = ?", w.Host, w.ID).
		Updates(map[string]any{"volume": w.Volume, "fingerprint": found.Fingerprint}).Error
	if err != nil {
		return fmt.Errorf("record the new volume of %s: %w", w.ID, err)
	}
	return s.o.Pools.ImagesPool(w.Host).Delete(ctx, w.Old)
}

// revision matches the suffix that compacting adds to the name of an image's volume.
var revision = regexp.MustCompile(`\.r\d{13}$`)

// stemOf returns the common part of the names of all volumes that an image has had.
func stemOf(volume string) string {
	return revision.ReplaceAllString(strings.TrimSuffix(volume, "."+diskimage.QCOW2), "")
}

// isSwapped returns whether an image already has the volume that the task creates.
func (s Jobs) isSwapped(ctx context.Context, w Work) (bool, error) {
	var n int64
	err := s.o.DB.WithContext(ctx).Model(&Record{}).Where("host = ? AND id = ? AND volume = ?", w.Host, w.ID, w.Volume).Count(&n).Error
	return n > 0, err
}

// UndoCompact removes the one of the two volumes that is not the image's.
func (s Jobs) UndoCompact(ctx context.Context, w Work) error {
	swapped, err := s.isSwapped(ctx, w)
	if err != nil {
		return err
	}
	left := w.Volume
	if swapped {
		left = w.Old
	}
	if err := s.o.Pools.ImagesPool(w.Host).Delete(ctx, left); err != nil {
		return err
	}
	return s.Refresh(ctx, w.Host, true)
}

// Grow enlarges the disk of an image. Overlays have their own size and would not change,
// so it returns fault.ImageInUse if disks are backed by the image.
func (s Jobs) Grow(ctx context.Context, w Work, progress storagepool.Progress) error {
	if err := s.o.Pools.Prepare(ctx, w.Host); err != nil {
		return err
	}
	progress.Begin("growing")
	img, err := s.Image(w.Host, w.ID)
	grown := err == nil && img.State == Changed && img.VirtualBytes == w.VirtualBytes // by an earlier attempt
	if !grown {
		if img, err = s.Usable(w.Host, w.ID); err != nil || img.VirtualBytes >= w.VirtualBytes {
			return err
		}
	}
	if err := s.alone(ctx, img, func(ctx context.Context) error { return s.grow(ctx, w, volumeName(img), grown) }); err != nil {
		return err
	}
	return s.Refresh(ctx, w.Host, true)
}

// grow resizes the disk of an image, unless that is done, and records the fingerprint of
// the new file. It blocks reading of the pool in the meantime, which would find the image
// changed.
func (s Jobs) grow(ctx context.Context, w Work, volume string, grown bool) error {
	shelf := s.shelves[w.Host]
	if !grown {
		if err := s.CheckUnchanged(ctx, w.Host, w.ID); err != nil {
			return err
		}
	}
	select {
	case shelf.turn <- struct{}{}:
		defer func() { <-shelf.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if !grown {
		err := s.o.Pools.ImagesPool(w.Host).Volume(ctx, volume, func(v *storagepool.File) error {
			return v.Resize(uint64(w.VirtualBytes), 0) //nolint:gosec // more than the disk had
		})
		if err != nil {
			return err
		}
	}
	found, err := s.Inspect(ctx, w.Host, volume)
	if err != nil {
		return err
	}
	return s.o.DB.WithContext(ctx).Model(&Record{}).Where("host = ? AND id = ?", w.Host, w.ID).Updates(found.Columns()).Error
}

// Capture creates an image from the disk in the file source, including its backing chain,
// as described by w. Nothing may write to the disk in the meantime, and its definition
// must say that it is a qcow2 file. Errors: fault.Unsupported, ImageUnsafe, StorageFull,
// HostUnreachable, PoolUnavailable.
func (s Jobs) Capture(ctx context.Context, w Work, source string, progress storagepool.Progress) error {
	if err := s.o.Pools.Prepare(ctx, w.Host); err != nil {
		return err
	}
	if img, err := s.Image(w.Host, w.ID); err == nil && img.State == Ready {
		return nil // finished by an earlier attempt
	}
	all, err := s.o.Pools.Survey(ctx, w.Host)
	if err != nil {
		return err
	}
	from, ok := all.File(source)
	nodes, err := s.o.Pools.NodesPool(w.Host).Folder()
	if err != nil {
		return err
	}
	if !ok || path.Dir(from.Path) != path.Clean(nodes) || from.Format != diskimage.QCOW2 {
		return fault.New(fault.Unsupported, "The disk %s is no qcow2 file in storage pool %q. Nothing may guess what is in a disk that a guest has written to.", source, s.o.Pools.NodesPool(w.Host).Name())
	}
	if err := s.CheckChain(ctx, w.Host, all.Chain(source)); err != nil {
		return err
	}
	var data int64
	for _, v := range all.Chain(source) {
		if v.Pool == "" || v.Format != diskimage.QCOW2 {
			return fault.New(fault.Unsupported, "The disk is backed by %s, which is not a qcow2 file in a storage pool.", v.Path)
		}
		data += v.AllocatedBytes
	}
	if err := s.o.Pools.ImagesPool(w.Host).Delete(ctx, w.Volume); err != nil { // of an earlier attempt
		return err
	}
	r := Record{Host: w.Host, ID: w.ID, Type: Custom, Volume: w.Volume, DisplayName: w.Name, State: string(Verifying), Owner: w.Owner, Created: time.Now()}
	if err := s.save(ctx, r); err != nil {
		return fmt.Errorf("record the image %s: %w", w.ID, err)
	}
	err = s.Refresh(ctx, w.Host, false) // makes it visible
	if err == nil {
		err = s.o.Pools.ImagesPool(w.Host).Convert(ctx, storagepool.Copy{From: from.Path, Format: diskimage.QCOW2, To: w.Volume, DataBytes: data}, progress)
	}
	if err != nil {
		return err
	}
	progress.Begin("verifying")
	if err := s.o.Pools.ImagesPool(w.Host).RescanWhenIdle(ctx, progress); err != nil {
		return err
	}
	if err := s.CheckChain(ctx, w.Host, all.Chain(source)); err != nil { // so that the verified file is the one that was read
		return err
	}
	found, err := s.Inspect(ctx, w.Host, w.Volume)
	if err != nil {
		return err
	}
	r.State, r.SourceFormat, r.Format, r.Fingerprint = string(Ready), diskimage.QCOW2, found.Format, found.Fingerprint
	if err := s.save(ctx, r); err != nil {
		return fmt.Errorf("record that %s is ready: %w", w.ID, err)
	}
	return s.Refresh(ctx, w.Host, false)
}

// UndoCapture removes what Capture has created, unless the image is ready.
func (s Jobs) UndoCapture(ctx context.Context, w Work) error {
	if ready, err := s.IsReady(ctx, w.Host, w.ID); err != nil || ready {
		return err
	}
	err := s.o.Pools.ImagesPool(w.Host).Delete(ctx, w.Volume)
	if err == nil {
		err = s.o.DB.WithContext(ctx).Where("state = ?", Verifying).Delete(&Record{Host: w.Host, ID: w.ID}).Error
	}
	return errors.Join(err, s.Refresh(ctx, w.Host, true))
}
