package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"strings"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/diskimage"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
)

// A ready image is bound to the file that was verified: anyone who may write to its volume
// (`virsh vol-upload`, `vol-wipe`, an editor in the pool's folder) can put a file there
// that was never inspected. The fingerprint of the file is recorded when it is verified.
// It is compared whenever the pool is read, and again right before anything opens the
// image.

// changedReason explains why a changed image cannot be used.
const changedReason = "Its file is not the one that was verified: another program has replaced it or written to it. Verify it again."

// fingerprintOf returns a fingerprint of a volume's content, from libvirt's description of
// it: the file's size and modification time. It does not include the time of the last
// attribute change, because libvirt changes the owner of image files whenever a guest
// starts. Nor does it include the allocated size, which a file system may change on its
// own, and the virtual size, which changes when libvirt detects the format. timed is false
// if libvirt does not know the modification time.
func fingerprintOf(def libvirtxml.StorageVolume) (fingerprint string, timed bool) {
	var physical uint64
	if def.Physical != nil {
		physical = def.Physical.Value
	}
	fingerprint = fmt.Sprintf("%d/", physical)
	if def.Target == nil || def.Target.Timestamps == nil || def.Target.Timestamps.Mtime == "" {
		return fingerprint, false
	}
	return fingerprint + def.Target.Timestamps.Mtime, true
}

// readFingerprint is fingerprintOf for a volume's current content. If libvirt does not
// know the modification time, it uses the digest of the first bytes instead.
func readFingerprint(v *storagepool.File) (string, error) {
	def, err := v.Describe()
	if err != nil {
		return "", err
	}
	fingerprint, timed := fingerprintOf(def)
	if timed {
		return fingerprint, nil
	}
	head, err := v.ReadPart(0, diskimage.HeaderBytes)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(head)
	return fingerprint + hex.EncodeToString(sum[:]), nil
}

// isChanged returns whether a volume, according to libvirt's description, differs from a
// fingerprint.
func isChanged(fingerprint string, def libvirtxml.StorageVolume) bool {
	now, timed := fingerprintOf(def)
	if !timed { // its digest is compared before it is used
		return !strings.HasPrefix(fingerprint, now)
	}
	return fingerprint != now
}

// bind compares a record with its volume. A record from before fingerprints were
// introduced is bound to the current file.
func (s *Service) bind(ctx context.Context, r *Record, def libvirtxml.StorageVolume) {
	if State(r.State) != Ready {
		return
	}
	if r.Fingerprint != "" {
		if isChanged(r.Fingerprint, def) {
			r.State, r.Reason, r.SHA256 = string(Changed), changedReason, ""
		}
		return
	}
	fingerprint, timed := fingerprintOf(def)
	if !timed {
		return
	}
	err := s.o.DB.WithContext(ctx).Model(&Record{}).Where("host = ? AND id = ? AND volume = ? AND fingerprint = ''", r.Host, r.ID, r.Volume).
		Update("fingerprint", fingerprint).Error
	if err != nil {
		s.o.Log.Error("an image record cannot be saved", "image", r.ID, "error", err)
	}
}

// CheckUnchanged returns fault.ImageNotReady if the file of a ready image is not the one
// that was verified. It asks libvirt, so that it detects a file that was written a moment
// ago. Other errors: fault.ImageNotFound, PoolUnavailable, HostUnreachable.
func (s *Service) CheckUnchanged(ctx context.Context, host, id string) error {
	var r Record
	found := s.o.DB.WithContext(ctx).Where("host = ? AND id = ?", host, id).Limit(1).Find(&r)
	if found.Error != nil {
		return fmt.Errorf("read the record of image %s: %w", id, found.Error)
	}
	if found.RowsAffected == 0 {
		return NotFound(id)
	}
	return s.checkRecord(ctx, r)
}

// checkRecord is CheckUnchanged for the image of a record.
func (s *Service) checkRecord(ctx context.Context, r Record) error {
	if r.Fingerprint == "" {
		return nil // from before fingerprints; the next refresh binds it
	}
	now, err := s.fingerprintNow(ctx, r)
	if err == nil && now != r.Fingerprint {
		err = changedFault(r.ID)
	}
	switch {
	case errors.Is(err, libvirt.ERR_NO_STORAGE_VOL):
		return fault.Wrap(err, fault.ImageNotFound, "The file of image %q no longer exists.", r.ID)
	case fault.CodeOf(err) == fault.ImageNotReady:
		return errors.Join(err, s.Refresh(ctx, r.Host, false)) // so that the new state is visible
	}
	return err
}

// fingerprintNow reads the fingerprint of a record's volume.
func (s *Service) fingerprintNow(ctx context.Context, r Record) (fingerprint string, err error) {
	timed := false
	err = s.o.Pools.ImagesPool(r.Host).Do(ctx, func(h *storagepool.Handle) error {
		vol, err := h.LookupStorageVolByName(r.Volume)
		if err != nil {
			return err
		}
		defer func() { _ = vol.Free() }()
		def, err := storagepool.Describe(vol)
		fingerprint, timed = fingerprintOf(def)
		return err
	})
	if err != nil || timed {
		return fingerprint, err
	}
	// Streams need a dedicated connection.
	err = s.o.Pools.ImagesPool(r.Host).Volume(ctx, r.Volume, func(v *storagepool.File) (err error) {
		fingerprint, err = readFingerprint(v)
		return err
	})
	return fingerprint, err
}

func changedFault(id string) error {
	return fault.New(fault.ImageNotReady, "Image %q cannot be used, it is %s. %s", id, Changed, changedReason)
}

// CheckChain returns fault.ImageNotReady if a file of a disk's backing chain is an image
// whose file is not the one that was verified: whatever reads the disk would open the
// files that the changed image names.
func (s *Service) CheckChain(ctx context.Context, host string, chain []storagepool.Volume) error {
	files := make([]string, len(chain))
	for i, v := range chain {
		files[i] = v.Path
	}
	return s.CheckFiles(ctx, host, files...)
}

// CheckFiles returns fault.ImageNotReady if one of files on a host is an image whose file
// is not the one that was verified, or that was rejected since. It ignores files that are
// not images. Other errors: those of CheckUnchanged.
func (s *Service) CheckFiles(ctx context.Context, host string, files ...string) error {
	images, err := s.o.Pools.ImagesPool(host).Folder()
	if err != nil {
		return err
	}
	for _, file := range files {
		file = s.o.Pools.RealPath(host, file)
		if path.Dir(file) != path.Clean(images) {
			continue
		}
		var list []Record
		err := s.o.DB.WithContext(ctx).Where("host = ? AND volume = ? AND state IN ?", host, path.Base(file), []State{Ready, Rejected}).Limit(1).Find(&list).Error
		if err != nil {
			return fmt.Errorf("read the record of volume %s: %w", file, err)
		}
		for _, r := range list {
			if State(r.State) == Rejected {
				return fault.New(fault.ImageNotReady, "Image %q cannot be used, it is %s: %s", r.ID, Rejected, r.Reason)
			}
			if err := s.checkRecord(ctx, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// Columns returns the columns of a record that make its image ready and bind it to the
// verified file.
func (v Verified) Columns() map[string]any {
	return map[string]any{"state": Ready, "reason": "", "format": v.Format, "fingerprint": v.Fingerprint}
}
