package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/diskimage"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

// A file can be uploaded in parallel parts. Each part is a separate upload, which is
// not an image, and whose volume is not inspected. When all parts are complete, they are
// joined: appended in order to an upload that becomes an image like any other.

// partPrefix is the prefix of the names of part volumes.
const partPrefix = ".part-"

// maxParts is the maximum number of parts of a file.
const maxParts = 100

// BeginPart is BeginUpload for a part of a file: see BeginJoined. A part expires unless it
// is joined.
func (s *Service) BeginPart(ctx context.Context, u Upload, metadata map[string]string) (Incoming, error) {
	u.part = true
	return s.BeginUpload(ctx, u, metadata)
}

// BeginJoined records an image that consists of complete parts of u.Owner, in the given
// order. It checks only the first bytes: if the file is unsafe, it returns an error and
// removes the parts. The job that the function of ConvertBy starts does the rest and
// removes the parts. A repeated call in the meantime returns the same upload.
//
// Errors: those of BeginUpload, and fault.NotFound (a part does not exist, or belongs to
// another owner), UploadIncomplete, UploadBusy (a part is joined to another image, or in
// use), ImageUnsafe.
func (s *Service) BeginJoined(ctx context.Context, u Upload, parts []string, metadata map[string]string) (Incoming, error) {
	if len(parts) > maxParts {
		return Incoming{}, fault.New(fault.Invalid, "A file can have at most %d parts, not %d.", maxParts, len(parts))
	}
	var held []func()
	defer func() {
		for _, release := range held {
			release()
		}
	}()
	u.SizeBytes = 0
	for i, id := range parts {
		if slices.Contains(parts[:i], id) {
			return Incoming{}, fault.New(fault.Invalid, "The part %q is listed twice.", id)
		}
		row, release, err := s.hold(ctx, "", id)
		if err != nil {
			return Incoming{}, err
		}
		held = append(held, release)
		if !row.Part || row.Owner != u.Owner {
			return Incoming{}, fault.New(fault.NotFound, "Part %q not found.", id)
		}
		if row.JoinedTo != "" {
			return s.joinedAlready(ctx, row, parts)
		}
		if u.Host == "" {
			u.Host = row.Host
		}
		if row.Host != u.Host {
			return Incoming{}, fault.New(fault.Invalid, "The part %q is on host %q, not on host %q. All parts must be on the image's host.", id, row.Host, u.Host)
		}
		if !row.Complete { // the service may have been killed after the last byte
			if err := s.complete(ctx, &row); err != nil {
				return Incoming{}, err
			}
		}
		u.parts = append(u.parts, row)
		u.SizeBytes += row.Size
	}
	head, err := s.headOf(ctx, u.parts)
	if err != nil {
		return Incoming{}, err
	}
	if _, err := diskimage.RecogniseIncoming(head); err != nil {
		ctx, cancel := store.Outlasting(ctx)
		defer cancel()
		return Incoming{}, errors.Join(err, s.dropParts(ctx, u.parts))
	}
	in, err := s.BeginUpload(ctx, u, metadata)
	if err == nil {
		s.wakeVerifier(in.Host)
	}
	return in, err
}

// joinedAlready returns the upload that a part is joined to, if it consists of the same
// parts.
func (s *Service) joinedAlready(ctx context.Context, part record, parts []string) (Incoming, error) {
	row, err := s.upload(ctx, part.Host, part.JoinedTo)
	if err != nil {
		return Incoming{}, err
	}
	if row.Parts != strings.Join(parts, " ") {
		return Incoming{}, partTaken(part)
	}
	return row.view()
}

func partTaken(part record) error {
	return fault.New(fault.UploadBusy, "The part %q is being joined to the image %q.", part.ID, part.JoinedTo)
}

// headOf reads the first bytes of the file that the parts will become.
func (s *Service) headOf(ctx context.Context, parts []record) (head []byte, err error) {
	for _, part := range parts {
		need := min(part.Size, int64(diskimage.HeaderBytes-len(head)))
		if need == 0 {
			break
		}
		err := s.o.Pools.ImagesPool(part.Host).Volume(ctx, part.Volume, func(v *storagepool.File) error {
			more, err := v.ReadPart(0, need)
			if err == nil && int64(len(more)) != need {
				err = s.lost(part.ID)
			}
			head = append(head, more...)
			return err
		})
		if errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) {
			err = s.lost(part.ID)
		}
		if err != nil {
			return nil, fmt.Errorf("read the part %s: %w", part.ID, err)
		}
	}
	return head, nil
}

// join appends the parts of an upload that the caller has locked, starting at its offset,
// completes the upload, and removes the parts. It does nothing for uploads that have no
// parts or are complete.
func (s *Service) join(ctx context.Context, row *record, progress storagepool.Progress) error {
	if row.Parts == "" || row.Complete {
		return nil
	}
	progress.Begin("joining")
	end := int64(0)
	for _, id := range strings.Fields(row.Parts) {
		part, err := s.upload(ctx, row.Host, id)
		if err != nil {
			return err
		}
		start := end
		if end += part.Size; row.Offset >= end {
			continue // done by an earlier attempt
		}
		err = s.o.Pools.ImagesPool(part.Host).Volume(ctx, part.Volume, func(v *storagepool.File) error {
			return v.Read(ctx, row.Offset-start, end-row.Offset, func(r io.Reader) error {
				in := &failing{r: &counting{r: r, done: row.Offset, total: row.Size, progress: progress}}
				err := s.take(ctx, row, in, nil)
				if in.err != nil { // otherwise it would be reported as the client's error
					return in.err
				}
				return err
			})
		})
		if err == nil && row.Offset != end || errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) {
			err = s.lost(id)
		}
		if err != nil {
			return fmt.Errorf("join the part %s: %w", id, err)
		}
	}
	if err := s.complete(ctx, row); err != nil {
		return err
	}
	if err := s.o.Images.Refresh(ctx, row.Host, false); err != nil { // shows it as verifying
		return err
	}
	return s.dropPartsOf(ctx, row.Host, row.ID)
}

// dropPartsOf removes the parts that are joined to an upload.
func (s *Service) dropPartsOf(ctx context.Context, host, id string) error {
	var parts []record
	if err := s.o.DB.WithContext(ctx).Where("host = ? AND joined_to = ?", host, id).Find(&parts).Error; err != nil {
		return fmt.Errorf("list the parts of %s: %w", id, err)
	}
	return s.dropParts(ctx, parts)
}

// dropParts removes parts, the volume first: what still has a record is removed after a
// crash.
func (s *Service) dropParts(ctx context.Context, parts []record) error {
	for _, part := range parts {
		if err := s.deleteVolumes(ctx, part); err != nil {
			return err
		}
		if err := s.end(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// recoverParts removes parts that a crash left and that no image needs any more.
func (s *Service) recoverParts(ctx context.Context, host string) error {
	var parts []record
	err := s.o.DB.WithContext(ctx).Where("host = ? AND joined_to <> ''", host).
		Where("NOT EXISTS (SELECT 1 FROM uploads AS whole WHERE whole.host = uploads.host AND whole.id = uploads.joined_to AND NOT whole.complete)").
		Find(&parts).Error
	if err != nil {
		return fmt.Errorf("list the parts that are left: %w", err)
	}
	return s.dropParts(ctx, parts)
}
