package upload

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/download"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
)

const (
	// maxChecksumBytes is the maximum size of a list of checksums.
	maxChecksumBytes = 1 << 20
	// maxSignatureBytes is the maximum size of its signature: enough for several
	// signatures with large keys.
	maxSignatureBytes = 16 << 10
	// cuts is how many interruptions in a row, without new data in between, end an
	// attempt.
	cuts     = 3
	cutPause = time.Second
	// verdictInterval is how often a pull checks whether its image was verified.
	verdictInterval = 200 * time.Millisecond
)

// Metadata keys that a pull stores with its upload.
const (
	pullVersion = "version" // of the file at the source
	pullSHA512  = "sha512"  // the expected digest if its SHA-256 is not known
)

// Pull identifies an image of the catalogue to download.
type Pull struct {
	ID    string `json:"id"`
	Host  string `json:"host"`
	Owner string `json:"owner"`
}

// CheckPull checks whether an image of the catalogue can be pulled to a host now, and
// returns the pull with the host's name. An empty host means the first one. Errors:
// fault.ImageNotFound, Unsupported (it has no source, or already exists), HostNotFound.
func (s *Service) CheckPull(host, id string) (Pull, error) {
	h, err := s.o.Hosts.Host(host)
	if err != nil {
		return Pull{}, err
	}
	e, ok := s.o.Images.Catalog().Entry(id)
	if !ok {
		return Pull{}, fault.New(fault.ImageNotFound, "Image %q not found in the catalogue.", id)
	}
	if e.URL == "" {
		return Pull{}, fault.New(fault.Unsupported, "The catalogue does not say where to pull %q from.", id)
	}
	if img, err := s.o.Images.Image(h.Name(), id); err == nil && img.State != image.Rejected {
		return Pull{}, fault.New(fault.Unsupported, "Image %q already exists on host %q (%s). Delete it first to pull it again.", id, h.Name(), img.State)
	}
	return Pull{ID: id, Host: h.Name()}, nil
}

// Pull downloads an image of the catalogue into the images pool. It uses an upload that
// the service sends to itself: after an interruption, the next call resumes it. The file
// must have the catalogue's checksum, and is verified like any upload.
//
// Temporary errors: fault.SourceUnavailable, HostUnreachable, PoolUnavailable. Others:
// Invalid (the digest), SignatureInvalid, ImageUnsafe, ImageTooLarge, StorageFull,
// Unsupported.
func (s *Service) Pull(ctx context.Context, p Pull, progress storagepool.Progress) error {
	if err := s.o.Pools.Prepare(ctx, p.Host); err != nil {
		return err
	}
	e, ok := s.o.Images.Catalog().Entry(p.ID)
	if !ok || e.URL == "" {
		return fault.New(fault.Unsupported, "The catalogue does not say where to pull %q from any more.", p.ID)
	}
	var in Incoming
	for fails := 0; !in.Complete; {
		var err error
		in, err = s.Upload(ctx, p.Host, p.ID)
		if fault.CodeOf(err) == fault.NotFound {
			if img, gone := s.o.Images.Image(p.Host, p.ID); gone == nil && img.State == image.Ready {
				return nil // finished by an earlier attempt
			}
			in, err = s.beginPull(ctx, e, p, progress)
		}
		if err != nil {
			return err
		}
		if in.Complete || in.OffsetBytes == in.SizeBytes {
			break
		}
		came, err := s.fetch(ctx, e, in, progress)
		switch {
		case err == nil:
			in.Complete = came
		case fault.CodeOf(err) != fault.UploadIncomplete && fault.CodeOf(err) != fault.SourceUnavailable:
			return err
		default:
			now, again := s.Upload(ctx, p.Host, p.ID)
			if again != nil || now.OffsetBytes <= in.OffsetBytes {
				if fails++; fails == cuts {
					return sourceCut(err)
				}
			} else {
				fails = 0
			}
			if err := storagepool.Pause(ctx, cutPause); err != nil {
				return err
			}
		}
	}
	return s.finishPull(ctx, p, progress)
}

// sourceCut returns the error for a source that cannot be read to its end.
func sourceCut(err error) error {
	if fault.CodeOf(err) == fault.SourceUnavailable {
		return err
	}
	return fault.Wrap(err, fault.SourceUnavailable, "The server repeatedly closed the connection before the file was complete.")
}

// beginPull gets the file's expected digest and size, and creates the upload.
func (s *Service) beginPull(ctx context.Context, e image.CatalogEntry, p Pull, progress storagepool.Progress) (Incoming, error) {
	progress.Begin("asking")
	digest, err := s.digestOf(ctx, e)
	if err != nil {
		return Incoming{}, err
	}
	body, err := s.o.Downloads.Open(ctx, e.URL, 0, "")
	if err != nil {
		return Incoming{}, err
	}
	// A later request downloads the data: this one only gets the size.
	if err := body.Close(); err != nil && ctx.Err() != nil {
		return Incoming{}, ctx.Err()
	}
	up := Upload{Host: p.Host, FileName: path.Base(e.URL), OSType: e.OSType, Owner: p.Owner, SizeBytes: body.SizeBytes, BaseID: e.ID, pulled: true}
	keep := map[string]string{pullVersion: body.Version}
	if digest.IsSHA512() {
		keep[pullSHA512] = string(digest)
	} else {
		up.SHA256 = string(digest)
	}
	var in Incoming
	err = s.reserve(ctx, Conversion(p), up.SizeBytes, func() (err error) {
		in, err = s.BeginUpload(ctx, up, keep)
		return err
	})
	return in, err
}

// digestOf returns the digest of an entry's file according to the catalogue.
func (s *Service) digestOf(ctx context.Context, e image.CatalogEntry) (download.Digest, error) {
	if e.Checksum != "" {
		return download.ParseDigest(e.Checksum)
	}
	list, err := s.o.Downloads.Text(ctx, e.Checksums, maxChecksumBytes)
	if err == nil && e.Signed() {
		list, err = s.signedPart(ctx, e, list)
	}
	if err != nil {
		return "", err
	}
	return download.FindDigest(list, path.Base(e.URL))
}

// signedPart returns the part of a list of checksums that is signed with the entry's keys.
func (s *Service) signedPart(ctx context.Context, e image.CatalogEntry, list []byte) ([]byte, error) {
	if e.Signature == "" {
		return e.SignedPart(list)
	}
	signature, err := s.o.Downloads.Text(ctx, e.Signature, maxSignatureBytes)
	if err != nil {
		return nil, err
	}
	return list, e.CheckSignature(list, signature)
}

// fetch continues a download, and returns whether the last byte has arrived. If the source
// has a different file by now, it cancels the upload.
func (s *Service) fetch(ctx context.Context, e image.CatalogEntry, in Incoming, progress storagepool.Progress) (whole bool, err error) {
	progress.Begin("downloading")
	progress.Progress(in.OffsetBytes, in.SizeBytes)
	body, err := s.o.Downloads.Open(ctx, e.URL, in.OffsetBytes, in.Metadata[pullVersion])
	if err != nil {
		return false, err
	}
	defer func() { _ = body.Close() }()
	r := &counting{r: body, done: body.Offset, total: in.SizeBytes, progress: progress}
	switch {
	case body.SizeBytes != in.SizeBytes || body.Version != in.Metadata[pullVersion]:
		if err := s.CancelUpload(ctx, in.Host, in.ID); err != nil {
			return false, err
		}
		return false, fault.New(fault.SourceUnavailable, "The file at the source was changed while it was pulled.")
	case body.Offset < in.OffsetBytes: // the same file, but the server does not support ranges
		if _, err := io.CopyN(io.Discard, source{r}, in.OffsetBytes); err != nil {
			return false, err
		}
	}
	came, err := s.Append(ctx, in.Host, in.ID, in.OffsetBytes, io.LimitReader(r, in.SizeBytes-in.OffsetBytes), nil)
	return in.OffsetBytes+came == in.SizeBytes, err
}

// finishPull starts the verification of the file and waits for its result.
func (s *Service) finishPull(ctx context.Context, p Pull, progress storagepool.Progress) error {
	progress.Begin("verifying")
	in, err := s.Upload(ctx, p.Host, p.ID)
	if err == nil && !in.Complete {
		if want := in.Metadata[pullSHA512]; want != "" {
			if err := s.checkSHA512(ctx, in, want, progress); err != nil {
				return err
			}
		}
		err = s.FinishUpload(ctx, p.Host, p.ID)
	}
	if err == nil {
		err = s.Convert(ctx, Conversion{ID: p.ID, Host: p.Host}, progress)
	}
	for err == nil || fault.CodeOf(err) == fault.UploadBusy {
		if err = storagepool.Pause(ctx, verdictInterval); err == nil {
			_, err = s.Upload(ctx, p.Host, p.ID)
		}
	}
	if fault.CodeOf(err) != fault.NotFound {
		return err
	}
	// The verifier has finished.
	if err := s.o.Images.Refresh(ctx, p.Host, false); err != nil {
		return err
	}
	img, err := s.o.Images.Image(p.Host, p.ID)
	switch {
	case err != nil:
		return err
	case img.State != image.Ready:
		return fault.New(fault.ImageUnsafe, "%s", img.Reason)
	}
	return nil
}

// checkSHA512 reads the stored file back and compares its SHA-512.
func (s *Service) checkSHA512(ctx context.Context, in Incoming, want string, progress storagepool.Progress) error {
	row, err := s.upload(ctx, in.Host, in.ID)
	if err != nil {
		return err
	}
	sum := sha512.New()
	err = s.o.Pools.ImagesPool(in.Host).Volume(ctx, row.Volume, func(v *storagepool.File) error {
		return v.Read(ctx, 0, in.SizeBytes, func(r io.Reader) error {
			_, err := io.CopyBuffer(sum, &counting{r: r, total: in.SizeBytes, progress: progress}, make([]byte, storagepool.BlockBytes))
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("read back what was pulled: %w", err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		return fault.Field("checksum", "The file's SHA-512 is %s, not the catalogue's. It was damaged on the way, or the source has changed. Pull it again.", got)
	}
	return nil
}

// UndoPull removes what a pull has downloaded. It keeps an image that is ready, and an
// upload of another user that existed before.
func (s *Service) UndoPull(ctx context.Context, p Pull) error {
	row, err := s.upload(ctx, p.Host, p.ID)
	if err == nil && row.Pulled {
		err = s.CancelUpload(ctx, p.Host, p.ID)
	}
	if fault.CodeOf(err) == fault.NotFound {
		return nil
	}
	return err
}
