package image

import (
	"context"
	"errors"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/diskimage"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
)

// Verdict returns whether an error means that an image must not be used, and the reason.
func Verdict(err error) (reason string, refused bool) {
	if errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) {
		err = diskimage.Unsafe("another program removed its volume while it was verified. Upload it again")
	}
	var f *fault.Error
	if errors.As(err, &f) && (f.Code == fault.ImageUnsafe || f.Code == fault.Invalid) {
		return f.Message, true
	}
	return "", false
}

// Verified is the result of a successful Inspect.
type Verified struct {
	Format      string // as detected in the file's first bytes
	Fingerprint string // of the file
	Path        string // on the host
}

// Inspect verifies a volume of the images pool: its header, that the file is complete,
// what libvirt detects in it, and, if the file is on this machine, the result of `qemu-img
// check`. It returns fault.ImageUnsafe with the reason if the volume must not be used,
// also if another program writes to it in the meantime. Nothing else opens the file before
// its header was found safe.
func (s *Service) Inspect(ctx context.Context, host, volume string) (found Verified, err error) {
	err = s.o.Pools.ImagesPool(host).Volume(ctx, volume, func(v *storagepool.File) error {
		before, err := readFingerprint(v)
		if err != nil {
			return err
		}
		if found.Format, found.Path, err = inspectVolume(ctx, v); err != nil {
			return err
		}
		if found.Format == diskimage.QCOW2 {
			if err := s.checkFile(ctx, host, found.Path); err != nil {
				return err
			}
		}
		found.Fingerprint, err = readFingerprint(v)
		if err == nil && found.Fingerprint != before {
			err = diskimage.Unsafe("another program has written to it while it was verified. Verify it again when that is done")
		}
		return err
	})
	return found, err
}

// inspectVolume verifies a volume, and returns the file's format and its path on the host.
func inspectVolume(ctx context.Context, v *storagepool.File) (format, path string, err error) {
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
	case diskimage.ISO:
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
	if err == nil && storagepool.FormatOf(def) != format {
		// libvirt refreshed the pool while the file was still being written.
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
	if storagepool.FormatOf(def) != format {
		return "", "", diskimage.Unsafe("libvirt does not take it for a %s file, as its first bytes say", format)
	}
	return format, def.Target.Path, nil
}
