package upload

import (
	"context"
	"fmt"

	"github.com/sandboxlabs/sandboxlabs/internal/diskimage"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
)

// wakeVerifier makes the verifier check the uploads of a host now.
func (s *Service) wakeVerifier(host string) {
	select {
	case s.desks[host].completed <- struct{}{}:
	default:
	}
}

// verifyUploads verifies the complete uploads of a host, one at a time, until ctx ends. A
// verification that a crash interrupted is restarted when the pools are read.
func (s *Service) verifyUploads(ctx context.Context, host string) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.desks[host].completed:
		}
		if s.o.Pools.Problem(host) != nil {
			continue
		}
		if err := s.verifyCompleted(ctx, host); err != nil && ctx.Err() == nil {
			s.o.Log.Warn("uploads could not be verified; it is tried again", "host", host, "error", err)
		}
	}
}

func (s *Service) verifyCompleted(ctx context.Context, host string) error {
	var ids []string
	err := s.o.DB.WithContext(ctx).Model(&record{}).Where("host = ? AND NOT once AND NOT part AND (stored = size OR parts <> '')", host).Order("expires, id").Pluck("id", &ids).Error
	if err != nil {
		return fmt.Errorf("list the complete uploads: %w", err)
	}
	for _, id := range ids {
		err := s.verifyUpload(ctx, host, id)
		if code := fault.CodeOf(err); code == fault.UploadBusy || code == fault.NotFound {
			continue // another process is verifying it, or has done so
		}
		if err != nil {
			return fmt.Errorf("verify %s: %w", id, err)
		}
		if err := s.o.Images.Refresh(ctx, host, false); err != nil {
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
	if !row.Complete && row.Parts == "" { // the service was killed after the last byte
		err = s.complete(ctx, &row)
	}
	if err == nil && row.state() != verifying {
		release()
		release = func() {}
		return s.convertLater(ctx, row)
	}
	var found image.Verified
	if err == nil {
		found, err = s.inspectUpload(ctx, row)
	}
	if reason, refused := image.Verdict(err); refused {
		return s.reject(ctx, row, reason)
	}
	if err != nil {
		return err
	}
	return s.accept(ctx, row, found)
}

// inspectUpload inspects the volume of a complete upload. It reads the first bytes back,
// because only the stored data matters.
func (s *Service) inspectUpload(ctx context.Context, row record) (image.Verified, error) {
	found, err := s.o.Images.Inspect(ctx, row.Host, row.Volume)
	if err == nil && found.Format != row.Format {
		err = diskimage.Unsafe("its first bytes have changed: it was a %s file, and is a %s file", row.Format, found.Format)
	}
	return found, err
}
