package upload

import (
	"context"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/diskimage"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

// uploadExpiry is how long an upload is kept that receives no more data.
const uploadExpiry = 24 * time.Hour

// This file contains all code that writes the record of an upload. An upload passes
// through these states:
//
//	receiving → received → converting → verifying → ready | rejected
//
// It can be discarded in any state except the last two. A file that is used as it is, an
// ISO or qcow2 file, skips converting. When an upload is ready or rejected, its record is
// deleted and the image's record holds the result.

// state is the progress of an upload.
type state string

const (
	receiving  state = "receiving"  // expects more data
	received   state = "received"   // all data is stored: in the volume, or in parts to be joined
	converting state = "converting" // the digest is correct; the file must be converted to an image
	verifying  state = "verifying"  // the digest is correct; the file is the image, and must be inspected
)

// state returns the state of an upload that has a record.
func (u record) state() state {
	switch {
	case !u.Complete && u.Parts == "" && (u.Once || u.Offset < u.Size):
		return receiving
	case !u.Complete || u.Part:
		return received
	case !diskimage.UsedAsIs(u.Format):
		return converting
	}
	return verifying
}

// Incoming is an upload that is incomplete, or complete but not yet verified.
type Incoming struct {
	// ID is the id of the image that it becomes.
	ID    string
	Host  string
	Owner string
	// SizeBytes is the declared size. OffsetBytes is how much is stored: it never exceeds
	// what is in the volume or, for the first bytes, in the database.
	SizeBytes, OffsetBytes int64
	// TakenBytes is the maximum total space that it may use while it is unpacked and
	// converted; 0 before that.
	TakenBytes int64
	// Metadata is what the client sent when it created the upload; it is not interpreted.
	Metadata map[string]string
	// Complete uploads accept no more data.
	Complete bool
	// Part is true for a part of a file, which is not an image itself.
	Part bool
	// Parts are the ids of the parts that it consists of, in order.
	Parts []string
	// Expires is when it is removed unless it receives more data.
	Expires time.Time
}

// record is the database row of an Incoming.
type record struct {
	ID       string `gorm:"primaryKey;type:varchar(255)"` // same as the image record's
	Host     string `gorm:"primaryKey;type:varchar(255)"`
	Owner    string `gorm:"type:varchar(255);not null"`
	Volume   string `gorm:"type:varchar(255);not null"` // empty until the first bytes show the format, which decides the name
	Format   string `gorm:"type:varchar(16);not null"`  // of the file as uploaded; for a packed file, the packing
	Size     int64  `gorm:"not null"`
	Offset   int64  `gorm:"column:stored;not null"`
	Head     []byte // the first bytes, while there are too few to detect the format
	Hash     []byte // state of the SHA-256 of the first Offset bytes
	SHA256   string `gorm:"column:sha256;type:varchar(64);not null"` // expected, or empty
	Metadata string `gorm:"type:text;not null"`
	// Once is set if all data comes in one request: the end of the request is the end of
	// the file, and Size only what was announced. It cannot be resumed.
	Once     bool      `gorm:"not null"`
	Complete bool      `gorm:"not null"`
	Holder   string    `gorm:"type:varchar(36);not null"` // the process that has locked it; see store.Lease
	Expires  time.Time `gorm:"not null"`
	// Result is the volume that is created from the uploaded file, set before it may
	// exist; empty if the uploaded file is the image.
	Result string `gorm:"type:varchar(255);not null;default:''"`
	// Pulled is set if a job downloads the file: the same job converts it.
	Pulled bool `gorm:"not null;default:false"`
	// Part is set if it does not become an image itself, and JoinedTo is the upload that
	// it is joined to, if any. Parts of that upload lists the ids, separated by spaces.
	Part     bool   `gorm:"not null;default:false"`
	JoinedTo string `gorm:"type:varchar(255);not null;default:''"`
	Parts    string `gorm:"type:text;not null;default:''"`
	Taken    int64  `gorm:"not null;default:0"` // see Incoming.TakenBytes
}

func (record) TableName() string { return "uploads" }

func (u record) key() string { return u.Host + "/" + u.ID }

func (u record) view() (Incoming, error) {
	in := Incoming{ID: u.ID, Host: u.Host, Owner: u.Owner, SizeBytes: u.Size, OffsetBytes: u.Offset, TakenBytes: u.Taken, Complete: u.Complete, Expires: u.Expires.UTC(), Part: u.Part, Parts: strings.Fields(u.Parts)}
	if err := json.Unmarshal([]byte(u.Metadata), &in.Metadata); err != nil {
		return Incoming{}, fmt.Errorf("read the metadata of upload %s: %w", u.ID, err)
	}
	return in, nil
}

// digest returns the SHA-256 of the stored data, ready to be continued.
func (u record) digest() (hash.Hash, error) {
	sum := sha256.New()
	if len(u.Hash) == 0 {
		return sum, nil
	}
	return sum, sum.(encoding.BinaryUnmarshaler).UnmarshalBinary(u.Hash)
}

func (s *Service) upload(ctx context.Context, host, id string) (record, error) {
	var row record
	err := s.o.DB.WithContext(ctx).Where(record{ID: id, Host: host}).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return row, UploadNotFound(id)
	}
	return row, err
}

func (s *Service) saveUpload(ctx context.Context, row record) error {
	if err := s.o.DB.WithContext(ctx).Save(&row).Error; err != nil {
		return fmt.Errorf("record how far the upload %s has come: %w", row.ID, err)
	}
	return nil
}

// begin writes the records of an upload that the caller has locked and of the image that
// it becomes.
func (s *Service) begin(ctx context.Context, row record, img image.Record, parts []record) error {
	return s.o.DB.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if row.Part {
			return tx.Create(&row).Error
		}
		if err := img.Create(tx); err != nil {
			return err
		}
		if err := tx.Create(&row).Error; err != nil {
			return err
		}
		return claim(tx, row, parts)
	})
}

// claim records to which upload the parts are joined, so that no other upload can use
// them.
func claim(tx *gorm.DB, row record, parts []record) error {
	for _, part := range parts {
		taken := tx.Model(&record{}).Where("host = ? AND id = ? AND joined_to = ''", part.Host, part.ID).Update("joined_to", row.ID)
		if taken.Error != nil {
			return fmt.Errorf("claim the part %s: %w", part.ID, taken.Error)
		}
		if taken.RowsAffected != 1 {
			return uploadBusy(part.ID)
		}
	}
	return nil
}

// keepHead stores the first bytes of an upload in the database.
func (s *Service) keepHead(ctx context.Context, row *record, head []byte) error {
	ctx, cancel := store.Outlasting(ctx)
	defer cancel()
	next := *row
	next.Head, next.Offset, next.Expires = head, int64(len(head)), time.Now().Add(uploadExpiry)
	if err := s.saveUpload(ctx, next); err != nil {
		return err
	}
	*row = next
	return nil
}

// name records the name of the volume that receives the data before it is created, so that
// it can be removed after a crash.
func (s *Service) name(ctx context.Context, row *record, volume string) error {
	row.Volume = volume
	if err := s.saveUpload(ctx, *row); err != nil || !diskimage.UsedAsIs(row.Format) {
		return err
	}
	return image.Change(s.o.DB.WithContext(ctx), row.Host, row.ID, map[string]any{"volume": volume})
}

// store records that the first offset bytes are in the volume, and the state of their
// digest.
func (s *Service) store(ctx context.Context, row *record, offset int64, digest []byte) error {
	next := *row
	next.Offset, next.Hash, next.Head, next.Expires = offset, digest, nil, time.Now().Add(uploadExpiry)
	if err := s.saveUpload(ctx, next); err != nil {
		return err
	}
	*row = next
	return nil
}

// complete moves an upload that the caller has locked from received to converting or
// verifying, after checking its digest.
func (s *Service) complete(ctx context.Context, row *record) error {
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
	values := map[string]any{"state": image.Verifying, "sha256": digest}
	if diskimage.UsedAsIs(row.Format) {
		values["format"], values["source_format"] = row.Format, row.Format
	} else {
		next.Once, next.Size = false, row.Offset // a job continues from here
	}
	err = s.o.DB.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := image.Change(tx, row.Host, row.ID, values); err != nil {
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

// beginResult records the name of the image's volume, and removes the volume of an earlier
// attempt.
func (s *Service) beginResult(ctx context.Context, row *record, format string) error {
	name := image.VolumeOf(row.ID, format)
	if row.Result != name {
		next := *row
		next.Result = name
		rec := image.Record{Host: row.Host, Type: image.Base, Volume: name} // other programs may have used the name of a base image
		if err := s.o.Images.MustBeFree(ctx, rec); err != nil {
			return err
		}
		if err := s.saveUpload(ctx, next); err != nil {
			return err
		}
		*row = next
	}
	if err := image.Change(s.o.DB.WithContext(ctx), row.Host, row.ID, map[string]any{"volume": name}); err != nil {
		return err
	}
	return s.o.Pools.ImagesPool(row.Host).Delete(ctx, name)
}

// reserveBytes records how much space an upload may use in total while it is converted.
func (s *Service) reserveBytes(ctx context.Context, row record, bytes int64) error {
	return s.o.DB.WithContext(ctx).Model(&record{}).Where("id = ? AND host = ?", row.ID, row.Host).Update("taken", bytes).Error
}

// end removes the record of an upload of which nothing, or only its image, is left.
func (s *Service) end(ctx context.Context, row record) error {
	if err := s.o.DB.WithContext(ctx).Delete(&row).Error; err != nil {
		return fmt.Errorf("end the upload %s: %w", row.ID, err)
	}
	return nil
}

// accept moves an upload from verifying to ready.
func (s *Service) accept(ctx context.Context, row record, found image.Verified) error {
	return s.conclude(ctx, row, found.Columns())
}

// reject moves an upload to rejected: its image must not be used. It deletes the file
// immediately and keeps the reason.
func (s *Service) reject(ctx context.Context, row record, reason string) error {
	err := image.Change(s.o.DB.WithContext(ctx), row.Host, row.ID, map[string]any{"state": image.Rejected, "reason": reason})
	if err != nil {
		return fmt.Errorf("record why the image %s is refused: %w", row.ID, err)
	}
	if err := s.deleteVolumes(ctx, row); err != nil {
		return err
	}
	return s.conclude(ctx, row, map[string]any{"state": image.Rejected})
}

// conclude writes the result to the image's record and ends the upload.
func (s *Service) conclude(ctx context.Context, row record, columns map[string]any) error {
	err := s.o.DB.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := image.Change(tx, row.Host, row.ID, columns); err != nil {
			return err
		}
		return tx.Delete(&row).Error
	})
	if err != nil {
		return fmt.Errorf("end the upload %s: %w", row.ID, err)
	}
	return nil
}

// discard removes an upload and its data, the volume first: while the record exists, the
// volume is not mistaken for another program's. An image that is ready is kept, and only
// the files that it was made from are removed.
func (s *Service) discard(ctx context.Context, row record) error {
	ready, err := s.o.Images.IsReady(ctx, row.Host, row.ID)
	if err != nil {
		return fmt.Errorf("look whether the image %s is ready: %w", row.ID, err)
	}
	if ready {
		row.Result = "" // it belongs to the image: disks may already be backed by it
	}
	if err := s.deleteVolumes(ctx, row); err != nil {
		return err
	}
	err = s.o.DB.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := image.ForgetUnfinished(tx, row.Host, row.ID); err != nil {
			return err
		}
		return tx.Delete(&row).Error
	})
	if err != nil {
		return fmt.Errorf("forget the upload %s: %w", row.ID, err)
	}
	return s.o.Images.Refresh(ctx, row.Host, false)
}
