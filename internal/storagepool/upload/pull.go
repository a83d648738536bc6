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
	// maxChecksumBytes bounds a list of checksums.
	maxChecksumBytes = 1 << 20
	// maxSignatureBytes bounds the signature of one: a few, by large keys.
	maxSignatureBytes = 16 << 10
	// cuts in a row without a byte between them end an attempt.
	cuts     = 3
	cutPause = time.Second
	// verdictInterval is how often a pull looks whether its image was verified.
	verdictInterval = 200 * time.Millisecond
)

// The keys of what a pull keeps with its upload.
const (
	pullVersion = "version" // of the file at the source
	pullSHA512  = "sha512"  // that it must have, where its SHA-256 is not known
)

// Pull is an image of the catalogue that is to be fetched.
type Pull struct {
	ID    string `json:"id"`
	Host  string `json:"host"`
	Owner string `json:"owner"`
}

// CheckPull tells whether an image of the catalogue can be pulled to a host now,
// the first for the empty name, and returns it with the host's name. Errors:
// fault.ImageNotFound, Unsupported (it has no source, or is there already),
// HostNotFound.
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

// Pull fetches an image of the catalogue into the images pool, as an upload that
// the service sends itself: what came is kept, and the next call goes on there.
// The file must have the catalogue's checksum, and is verified like any upload.
//
// Errors that may pass: fault.SourceUnavailable, HostUnreachable,
// PoolUnavailable. Others: Invalid (the digest), SignatureInvalid, ImageUnsafe,
// ImageTooLarge, StorageFull, Unsupported.
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
				return nil // an attempt before this one came so far
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

// sourceCut is the error of a source that cannot be read to its end now.
func sourceCut(err error) error {
	if fault.CodeOf(err) == fault.SourceUnavailable {
		return err
	}
	return fault.Wrap(err, fault.SourceUnavailable, "The server repeatedly closed the connection before the file was complete.")
}

// beginPull finds out what the file's digest must be and how large it is, and
// records the upload.
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
	// The bytes come by the next request: here only the size is wanted.
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

// digestOf is what the catalogue says that a file's digest is.
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

// signedPart is what of a list of checksums is signed by the catalogue's keys.
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

// fetch goes on with a transfer, and tells whether its last byte came. When the
// source has another file by now, what came is given up.
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
	case body.Offset < in.OffsetBytes: // the same file; the server begins at its beginning alone
		if _, err := io.CopyN(io.Discard, source{r}, in.OffsetBytes); err != nil {
			return false, err
		}
	}
	came, err := s.Append(ctx, in.Host, in.ID, in.OffsetBytes, io.LimitReader(r, in.SizeBytes-in.OffsetBytes), nil)
	return in.OffsetBytes+came == in.SizeBytes, err
}

// finishPull has the file image.Verified, and waits for the verdict.
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
	// The verifier is done with it.
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

// checkSHA512 reads back what came.
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

// UndoPull gives up what a pull has fetched. An image that is ready stays, and so does
// an upload of somebody else's that came before it.
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
