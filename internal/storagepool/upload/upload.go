package upload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/diskimage"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

// Upload describes an image to upload.
type Upload struct {
	Host     string // empty means the first host
	FileName string // as the client sent it: untrusted
	OSType   string
	// Firmware and TPM are those of Image.
	Firmware string
	TPM      bool
	Owner    string
	// SizeBytes is the size that the client announced, 0 if unknown. It is checked against
	// the free space before any data is read.
	SizeBytes int64
	// SHA256 is the digest that the client expects, in hex; empty if it sent none.
	SHA256 string
	// BaseID makes the upload the base image with this id; empty makes it a custom image.
	BaseID string
	// Recorded, which may be nil, is called when the upload is in the database, so that
	// UploadsOf returns it.
	Recorded func()

	pulled bool     // sent by a job of this service; see Pull
	part   bool     // see BeginPart
	parts  []record // see BeginJoined
}

// MaxImageBytes returns the maximum size of an uploaded file.
func (s *Service) MaxImageBytes() int64 { return s.o.MaxImageBytes }

func (s *Service) tooLarge() error {
	return fault.New(fault.ImageTooLarge, "The image is larger than the limit of %d bytes. Shrink it (`qemu-img convert -c -O qcow2`), or ask the operator to raise max-upload-bytes.", s.o.MaxImageBytes)
}

// BeginUpload records an image that is sent in several requests; see Append. The size must
// be known, and is checked against the limit and the pool's free space. Errors:
// fault.Invalid, ImageTooLarge, StorageFull, PoolUnavailable, HostUnreachable, Unsupported
// (the base image exists).
func (s *Service) BeginUpload(ctx context.Context, u Upload, metadata map[string]string) (Incoming, error) {
	if u.SizeBytes <= 0 {
		return Incoming{}, fault.Field("size", "The size of the upload must be known and more than 0 bytes.")
	}
	row, err := s.admit(ctx, u, metadata, false)
	if err != nil {
		return Incoming{}, err
	}
	if err := s.o.Images.Refresh(ctx, row.Host, false); err != nil { // shows it as uploading
		return Incoming{}, err
	}
	return row.view()
}

// admit records an upload, and its image unless it is a part, if the pool has enough
// space. Space that is reserved for other uploads counts as used.
func (s *Service) admit(ctx context.Context, u Upload, metadata map[string]string, once bool) (record, error) {
	h, err := s.o.Hosts.Host(u.Host)
	if err != nil {
		return record{}, err
	}
	if u.SizeBytes > s.o.MaxImageBytes {
		return record{}, s.tooLarge()
	}
	text, err := json.Marshal(metadata)
	if err != nil {
		return record{}, err
	}
	rec := s.o.Images.NewRecord(image.Arrival{
		Host: h.Name(), FileName: u.FileName, OSType: u.OSType, Firmware: u.Firmware, TPM: u.TPM, Owner: u.Owner, BaseID: u.BaseID,
	})
	row := record{
		ID: rec.ID, Host: rec.Host, Owner: u.Owner, Size: u.SizeBytes, SHA256: u.SHA256, Metadata: string(text), Once: once,
		Expires: time.Now().Add(uploadExpiry), Pulled: u.pulled, Part: u.part,
	}
	if u.part {
		row.ID = uuid.NewString()
	}
	for _, part := range u.parts {
		row.Parts = strings.TrimSpace(row.Parts + " " + part.ID)
	}
	if once {
		row.Holder = s.o.Lease.Holder()
	}
	desk := s.desks[rec.Host]
	select {
	case desk.admitting <- struct{}{}:
		defer func() { <-desk.admitting }()
	case <-ctx.Done():
		return record{}, ctx.Err()
	}
	if err := s.o.Images.MustBeFree(ctx, rec); err != nil {
		return record{}, err
	}
	if err := s.checkUploadRoom(ctx, rec.Host, u.SizeBytes); err != nil {
		return record{}, err
	}
	if once {
		s.busy.take(row.key()) // before others see the record: they remove uploads that no process works on
	}
	err = s.begin(ctx, row, rec, u.parts)
	if err != nil && once {
		s.busy.drop(row.key())
	}
	if err == nil && u.Recorded != nil {
		u.Recorded()
	}
	return row, err
}

// checkUploadRoom returns fault.StorageFull if an upload does not fit into the images pool
// in addition to the uploads in progress.
func (s *Service) checkUploadRoom(ctx context.Context, host string, bytes int64) error {
	promised, err := s.promised(ctx, host)
	if err != nil {
		return err
	}
	return s.o.Pools.ImagesPool(host).CheckRoom(ctx, bytes+promised)
}

// promised returns how many bytes the uploads to a host have still to send.
func (s *Service) promised(ctx context.Context, host string) (bytes int64, err error) {
	err = s.o.DB.WithContext(ctx).Model(&record{}).Where("host = ? AND size > stored AND NOT complete", host).
		Select("COALESCE(SUM(size - stored), 0)").Scan(&bytes).Error
	if err != nil {
		return 0, fmt.Errorf("sum up the uploads: %w", err)
	}
	return bytes, nil
}

// UploadsOf returns an owner's uploads in progress, on all hosts. It leaves out parts that
// are being joined: the upload that they are joined to is listed instead.
func (s *Service) UploadsOf(ctx context.Context, owner string) ([]Incoming, error) {
	return readUploads(s.o.DB.WithContext(ctx).Where("owner = ?", owner))
}

// Uploads is UploadsOf for all owners.
func (s *Service) Uploads(ctx context.Context) ([]Incoming, error) {
	return readUploads(s.o.DB.WithContext(ctx))
}

func readUploads(chosen *gorm.DB) ([]Incoming, error) {
	var rows []record
	if err := chosen.Where("joined_to = ''").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list the uploads: %w", err)
	}
	list := make([]Incoming, 0, len(rows))
	for _, row := range rows {
		in, err := row.view()
		if err != nil {
			return nil, err
		}
		list = append(list, in)
	}
	return list, nil
}

// Upload returns an upload in progress on a host, or on any host if host is empty;
// fault.NotFound if there is none.
func (s *Service) Upload(ctx context.Context, host, id string) (Incoming, error) {
	row, err := s.upload(ctx, host, id)
	if err != nil {
		return Incoming{}, err
	}
	return row.view()
}

// UploadNotFound returns the error for an upload that does not exist.
func UploadNotFound(id string) error {
	return fault.New(fault.NotFound, "Upload %q not found. It was completed, cancelled, or has expired. Start a new one.", id)
}

// Receive streams an image from r, until EOF, into a volume of the images pool. It writes
// nothing before it has checked the first bytes. Memory use does not depend on the image's
// size. An upload that fails or is interrupted is removed completely, also if the service
// crashes. An image that must be unpacked or converted is returned in the state Verifying:
// see Convert.
//
// Errors: fault.ImageUnsafe, ImageTooLarge, StorageFull, UploadIncomplete (r failed),
// Invalid (digest), PoolUnavailable, HostUnreachable.
func (s *Service) Receive(ctx context.Context, u Upload, r io.Reader) (image.Image, error) {
	row, err := s.admit(ctx, u, nil, true)
	if err != nil {
		return image.Image{}, err
	}
	defer func() {
		if row.Once {
			s.busy.drop(row.key())
		} else { // the conversion job continues from here
			s.letGo(ctx, row)
			s.wakeVerifier(row.Host)
		}
	}()
	if err := s.receive(ctx, &row, r); err != nil {
		ctx, cancel := store.Outlasting(ctx)
		defer cancel()
		return image.Image{}, errors.Join(err, s.discard(ctx, row))
	}
	if err := s.o.Images.Refresh(ctx, row.Host, false); err != nil {
		return image.Image{}, err
	}
	return s.o.Images.Image(row.Host, row.ID)
}

func (s *Service) receive(ctx context.Context, row *record, r io.Reader) error {
	if err := s.o.Images.Refresh(ctx, row.Host, false); err != nil { // shows it as uploading
		return err
	}
	if err := s.take(ctx, row, r, nil); err != nil {
		return err
	}
	if err := s.complete(ctx, row); err != nil {
		return err
	}
	if !diskimage.UsedAsIs(row.Format) {
		return nil
	}
	found, err := s.inspectUpload(ctx, *row)
	for storagepool.IsBusy(err) { // the data is kept while the pool is busy
		if err := storagepool.Pause(ctx, storagepool.WorkPause); err != nil {
			return err
		}
		found, err = s.inspectUpload(ctx, *row)
	}
	if err != nil {
		return err
	}
	return s.accept(ctx, *row, found)
}

// Append appends the data from r to an upload that has offset bytes, and returns how many
// bytes it stored. If r fails, the data read so far is kept and the error is
// fault.UploadIncomplete. The first bytes of an upload are checked before they are
// written: an unsafe file ends the upload with fault.ImageUnsafe.
//
// With check, either all bytes are kept or none: check is called when r has ended without
// an error, and its error is returned.
//
// Other errors: fault.NotFound, UploadBusy, UploadMismatch (offset is not the upload's
// offset), ImageTooLarge (r returns more than was declared), StorageFull, PoolUnavailable,
// HostUnreachable.
func (s *Service) Append(ctx context.Context, host, id string, offset int64, r io.Reader, check func() error) (int64, error) {
	row, release, err := s.hold(ctx, host, id)
	if err != nil {
		return 0, err
	}
	defer release()
	switch {
	case row.Once || row.Complete || row.Parts != "":
		return 0, fault.New(fault.UploadBusy, "The upload %q is already complete.", id)
	case row.Offset != offset:
		return 0, fault.New(fault.UploadMismatch, "The offset of the upload is %d, not %d. Request its offset (HEAD), and continue there.", row.Offset, offset)
	}
	err = s.take(ctx, &row, r, check)
	if fault.CodeOf(err) == fault.ImageUnsafe {
		ctx, cancel := store.Outlasting(ctx)
		defer cancel()
		return 0, errors.Join(err, s.discard(ctx, row))
	}
	return row.Offset - offset, err
}

// FinishUpload starts the verification of an upload that has received its last byte; the
// image has the state verifying until it ends. It returns fault.UploadIncomplete if bytes
// are missing. It returns fault.Invalid, and removes the upload, if the digest is not the
// expected one.
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
			ctx, cancel := store.Outlasting(ctx)
			defer cancel()
			err = errors.Join(err, s.discard(ctx, row))
		}
		return err
	}
	return s.o.Images.Refresh(ctx, row.Host, false)
}

// CancelUpload removes an upload and its data. It returns fault.NotFound, or
// fault.UploadBusy while data is being received or the upload is being joined.
func (s *Service) CancelUpload(ctx context.Context, host, id string) error {
	row, release, err := s.hold(ctx, host, id)
	if err != nil {
		return err
	}
	defer release()
	// Read again: another process may have joined it before this one locked it.
	if row, err = s.upload(ctx, row.Host, id); err != nil {
		return err
	}
	if row.JoinedTo != "" {
		return partTaken(row)
	}
	return s.discard(ctx, row)
}
