package storagepool

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"gorm.io/gorm"
	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/diskimage"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// The formats of images that are used as they are.
const (
	QCOW2 = diskimage.QCOW2
	ISO   = diskimage.ISO // installation media
)

// FinishUpload has an upload verified whose last byte has come; until then its
// image is shown as verifying. It answers fault.UploadIncomplete when bytes are
// missing, and fault.Invalid when the file's digest is not the expected one:
// then the upload is gone.
func (s *Service) FinishUpload(ctx context.Context, host, id string) error {
	row, release, err := s.hold(ctx, host, id)
	if err != nil {
		return err
	}
	defer s.wakeVerifier(row.Host)
	defer release()
	if row.Complete {
		return nil
	}
	if err := s.complete(ctx, &row); err != nil {
		if fault.CodeOf(err) == fault.Invalid {
			ctx, cancel := Cleanup(ctx)
			defer cancel()
			err = errors.Join(err, s.discard(ctx, row))
		}
		return err
	}
	return s.refresh(ctx, row.Host, false)
}

// complete closes an upload that the caller holds: its digest is known now.
func (s *Service) complete(ctx context.Context, row *incoming) error {
	if !row.Once && row.Offset != row.Size {
		return fault.New(fault.UploadIncomplete, "The upload has %d bytes, of which %d were received. Continue it.", row.Size, row.Offset)
	}
	sum, err := row.digest()
	if err != nil {
		return fmt.Errorf("read the digest of upload %s: %w", row.ID, err)
	}
	digest := hex.EncodeToString(sum.Sum(nil))
	if row.SHA256 != "" && !strings.EqualFold(row.SHA256, digest) {
		return fault.Field("sha256", "The file's SHA-256 is %s, not the expected one. It was damaged on the way. Upload it again.", digest)
	}
	next := *row
	next.Complete, next.SHA256 = true, digest
	values := map[string]any{"state": Verifying, "sha256": digest}
	if diskimage.UsedAsIs(row.Format) {
		values["format"], values["source_format"] = row.Format, row.Format
	} else {
		next.Once, next.Size = false, row.Offset // a job takes it from here
	}
	err = s.o.DB.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		err := tx.Model(&record{}).Where("host = ? AND id = ?", row.Host, row.ID).Updates(values).Error
		if err != nil {
			return err
		}
		return tx.Save(&next).Error
	})
	if err != nil {
		return fmt.Errorf("record that the upload %s is complete: %w", row.ID, err)
	}
	*row = next
	return nil
}

// accept makes an upload's image ready, and ends the upload.
func (s *Service) accept(ctx context.Context, row incoming, found verified) error {
	return s.conclude(ctx, row, bindTo(found))
}

// reject ends an upload whose image is not to be used. The file goes at once;
// what was wrong with it stays to be read.
func (s *Service) reject(ctx context.Context, row incoming, reason string) error {
	err := s.o.DB.WithContext(ctx).Model(&record{}).Where("host = ? AND id = ?", row.Host, row.ID).
		Updates(map[string]any{"state": Rejected, "reason": reason}).Error
	if err != nil {
		return fmt.Errorf("record why the image %s is refused: %w", row.ID, err)
	}
	if err := s.deleteVolumes(ctx, row); err != nil {
		return err
	}
	return s.conclude(ctx, row, map[string]any{"state": Rejected})
}

func (s *Service) conclude(ctx context.Context, row incoming, image map[string]any) error {
	err := s.o.DB.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := tx.Model(&record{}).Where("host = ? AND id = ?", row.Host, row.ID).Updates(image).Error; err != nil {
			return err
		}
		return tx.Delete(&row).Error
	})
	if err != nil {
		return fmt.Errorf("end the upload %s: %w", row.ID, err)
	}
	return nil
}

// wakeVerifier has the uploads of a host looked at now.
func (s *Service) wakeVerifier(host string) {
	select {
	case s.libraries[host].completed <- struct{}{}:
	default:
	}
}

// verifyUploads verifies the complete uploads of a host, one after another, as
// they come and until ctx ends. What a crash interrupted is begun again when the
// pools are read.
func (s *Service) verifyUploads(ctx context.Context, host string) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.libraries[host].completed:
		}
		if s.Problem(host) != nil {
			continue
		}
		if err := s.verifyCompleted(ctx, host); err != nil && ctx.Err() == nil {
			s.o.Log.Warn("uploads could not be verified; it is tried again", "host", host, "error", err)
		}
	}
}

func (s *Service) verifyCompleted(ctx context.Context, host string) error {
	var ids []string
	err := s.o.DB.WithContext(ctx).Model(&incoming{}).Where("host = ? AND NOT once AND NOT part AND (stored = size OR parts <> '')", host).Order("expires, id").Pluck("id", &ids).Error
	if err != nil {
		return fmt.Errorf("list the complete uploads: %w", err)
	}
	for _, id := range ids {
		err := s.verifyUpload(ctx, host, id)
		if code := fault.CodeOf(err); code == fault.UploadBusy || code == fault.NotFound {
			continue // somebody else is at it, or was
		}
		if err != nil {
			return fmt.Errorf("verify %s: %w", id, err)
		}
		if err := s.refresh(ctx, host, false); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) verifyUpload(ctx context.Context, host, id string) error {
	row, release, err := s.hold(ctx, host, id)
	if err != nil {
		return err
	}
	defer func() { release() }()
	toJoin := row.Parts != "" && !row.Complete
	if !row.Complete && !toJoin { // the service was killed behind the last byte
		err = s.complete(ctx, &row)
	}
	if err == nil && (toJoin || !diskimage.UsedAsIs(row.Format)) {
		release()
		release = func() {}
		return s.convertLater(ctx, row)
	}
	var found verified
	if err == nil {
		found, err = s.inspectUpload(ctx, row)
	}
	if reason, refused := verdict(err); refused {
		return s.reject(ctx, row, reason)
	}
	if err != nil {
		return err
	}
	return s.accept(ctx, row, found)
}

// verdict tells whether an error says that an image is not to be used, and why.
func verdict(err error) (reason string, refused bool) {
	if errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) {
		err = diskimage.Unsafe("another program removed its volume while it was verified. Upload it again")
	}
	var f *fault.Error
	if errors.As(err, &f) && (f.Code == fault.ImageUnsafe || f.Code == fault.Invalid) {
		return f.Message, true
	}
	return "", false
}

// inspectUpload looks into the volume of a complete upload. What is stored is what
// counts: its first bytes are read back.
func (s *Service) inspectUpload(ctx context.Context, row incoming) (verified, error) {
	found, err := s.inspect(ctx, row.Host, row.Volume)
	if err == nil && found.format != row.Format {
		err = diskimage.Unsafe("its first bytes have changed: it was a %s file, and is a %s file", row.Format, found.format)
	}
	return found, err
}

// verified is what inspect has found good.
type verified struct {
	format      string // as the file's own first bytes say
	fingerprint string // of the file; see fingerprintOf
	path        string // on the host
}

// inspect looks into a volume of the images pool: at its header, that the file is
// whole, at what libvirt sees in it, and, where the file is at hand, at what
// qemu-img finds. It answers fault.ImageUnsafe with the reason when it must not
// be used, also when it is written to meanwhile. Nothing else opens the file before its
// header was found safe.
func (s *Service) inspect(ctx context.Context, host, volume string) (found verified, err error) {
	err = s.ImagesPool(host).Volume(ctx, volume, func(v *File) error {
		before, err := readFingerprint(v)
		if err != nil {
			return err
		}
		if found.format, found.path, err = inspectVolume(ctx, v); err != nil {
			return err
		}
		if found.format == QCOW2 {
			if err := s.checkFile(ctx, host, found.path); err != nil {
				return err
			}
		}
		found.fingerprint, err = readFingerprint(v)
		if err == nil && found.fingerprint != before {
			err = diskimage.Unsafe("another program has written to it while it was verified. Verify it again when that is done")
		}
		return err
	})
	return found, err
}

// inspectVolume returns the file's format and its path on the host.
func inspectVolume(ctx context.Context, v *File) (format, path string, err error) {
	head, err := v.ReadPart(0, diskimage.HeaderBytes)
	if err != nil {
		return "", "", err
	}
	if format, err = diskimage.Recognise(head); err != nil {
		return "", "", err
	}
	size, err := v.Bytes()
	if err != nil {
		return "", "", err
	}
	switch format {
	case ISO:
		iso, err := diskimage.ParseISO(head)
		if err == nil {
			err = iso.Verify(size)
		}
		if err != nil {
			return "", "", err
		}
	default:
		q, err := diskimage.ParseQcow2(head, diskimage.MaxVirtualBytes)
		if err != nil {
			return "", "", err
		}
		if err := q.VerifyAll(size, v.Parts(ctx)); err != nil {
			return "", "", err
		}
	}
	def, err := v.Describe()
	if err == nil && formatOf(def) != format {
		// Somebody had libvirt look at the pool while the file was still coming.
		if err = v.Rescan(); err == nil {
			def, err = v.Describe()
		}
	}
	if err != nil {
		return "", "", err
	}
	if def.BackingStore != nil {
		return "", "", diskimage.Unsafe("libvirt finds a backing file in it, %q. Flatten it with `qemu-img convert -O qcow2 SOURCE image.qcow2`", def.BackingStore.Path)
	}
	if formatOf(def) != format {
		return "", "", diskimage.Unsafe("libvirt does not take it for a %s file, as its first bytes say", format)
	}
	return format, def.Target.Path, nil
}
