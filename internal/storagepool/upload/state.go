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

// uploadExpiry is how long an upload that gets no more bytes is kept.
const uploadExpiry = 24 * time.Hour

// An upload goes from one state to the next, and this file has all that writes its record:
//
//	receiving → received → converting → verifying → ready | rejected
//
// Before any state but the last two, it can be discarded. What is used as it is, an ISO or
// a qcow2 file, is never converting. When an upload is ready or rejected, its record is
// gone, and the image's tells.

// state is how far an upload has come.
type state string

const (
	receiving  state = "receiving"  // more bytes come
	received   state = "received"   // its bytes are there: in the volume, or in parts to be joined
	converting state = "converting" // its digest is right; an image is to be made of the file
	verifying  state = "verifying"  // its digest is right; the file is the image, to be looked into
)

// state is that of an upload whose record is there.
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

// Incoming is an upload that is not complete, or complete and not yet verified.
type Incoming struct {
	// ID is that of the image which it becomes.
	ID    string
	Host  string
	Owner string
	// SizeBytes is the declared size. OffsetBytes of them are stored: it is never
	// more than what is in the volume or, of the first bytes, in the database.
	SizeBytes, OffsetBytes int64
	// TakenBytes is what it may take in all while it is unpacked and converted; 0 before.
	TakenBytes int64
	// Metadata is what the client gave at the beginning; it is not interpreted.
	Metadata map[string]string
	// Complete uploads take no more bytes.
	Complete bool
	// Part tells that it is a part of a file, and no image.
	Part bool
	// Parts are the ids of those that it is made of, in their order.
	Parts []string
	// Expires is when it is given up unless more bytes come.
	Expires time.Time
}

// record is an Incoming as it is stored.
type record struct {
	ID       string `gorm:"primaryKey;type:varchar(255)"` // the image record's, too
	Host     string `gorm:"primaryKey;type:varchar(255)"`
	Owner    string `gorm:"type:varchar(255);not null"`
	Volume   string `gorm:"type:varchar(255);not null"` // empty until its name is decided: when the first bytes told the format
	Format   string `gorm:"type:varchar(16);not null"`  // of the file as it comes; of one that is packed, how
	Size     int64  `gorm:"not null"`
	Offset   int64  `gorm:"column:stored;not null"`
	Head     []byte // the first bytes, as long as they are too few to be judged
	Hash     []byte // SHA-256 of the Offset bytes, to be continued
	SHA256   string `gorm:"column:sha256;type:varchar(64);not null"` // expected, or empty
	Metadata string `gorm:"type:text;not null"`
	// Once is set where the bytes come in one request, whose end is theirs and
	// Size only what was announced. Nobody can resume it.
	Once     bool      `gorm:"not null"`
	Complete bool      `gorm:"not null"`
	Holder   string    `gorm:"type:varchar(36);not null"` // the process that works on it; see store.Lease
	Expires  time.Time `gorm:"not null"`
	// Result is the volume that is made of what came, from when it may be there;
	// empty where what came is the image.
	Result string `gorm:"type:varchar(255);not null;default:''"`
	// Pulled is set where a job fetches the file: the same job converts it.
	Pulled bool `gorm:"not null;default:false"`
	// Part is set where it becomes no image itself, and JoinedTo is the upload that
	// it is joined to, if any. Parts of that one names them, with spaces between.
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

// digest is the SHA-256 of what is stored, which goes on where it stood.
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

// begin writes down an upload that the caller holds, with the image that it is to become.
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

// claim notes to which upload its parts are joined: nobody else can have them then.
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

// name decides the volume that takes what comes, before it is there: what is written down
// is removed after a crash.
func (s *Service) name(ctx context.Context, row *record, volume string) error {
	row.Volume = volume
	if err := s.saveUpload(ctx, *row); err != nil || !diskimage.UsedAsIs(row.Format) {
		return err
	}
	return image.Change(s.o.DB.WithContext(ctx), row.Host, row.ID, map[string]any{"volume": volume})
}

// store notes that the first offset bytes are in the volume, and what their digest is.
func (s *Service) store(ctx context.Context, row *record, offset int64, digest []byte) error {
	next := *row
	next.Offset, next.Hash, next.Head, next.Expires = offset, digest, nil, time.Now().Add(uploadExpiry)
	if err := s.saveUpload(ctx, next); err != nil {
		return err
	}
	*row = next
	return nil
}

// complete takes an upload that the caller holds from received to converting or verifying:
// its digest is known now.
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
		next.Once, next.Size = false, row.Offset // a job takes it from here
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

// beginResult notes what the volume of the image will be, and removes what an
// attempt before this one has made of it.
func (s *Service) beginResult(ctx context.Context, row *record, format string) error {
	name := image.VolumeOf(row.ID, format)
	if row.Result != name {
		next := *row
		next.Result = name
		rec := image.Record{Host: row.Host, Type: image.Base, Volume: name} // whose names others may have used, too
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

// reserveBytes notes what an upload may take in all while it is converted.
func (s *Service) reserveBytes(ctx context.Context, row record, bytes int64) error {
	return s.o.DB.WithContext(ctx).Model(&record{}).Where("id = ? AND host = ?", row.ID, row.Host).Update("taken", bytes).Error
}

// end removes the record of an upload of which nothing is left, or its image alone.
func (s *Service) end(ctx context.Context, row record) error {
	if err := s.o.DB.WithContext(ctx).Delete(&row).Error; err != nil {
		return fmt.Errorf("end the upload %s: %w", row.ID, err)
	}
	return nil
}

// accept takes an upload from verifying to ready.
func (s *Service) accept(ctx context.Context, row record, found image.Verified) error {
	return s.conclude(ctx, row, found.Columns())
}

// reject takes an upload to rejected: its image is not to be used. The file goes at once;
// what was wrong with it stays to be read.
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

// conclude writes down what has become of the image, and ends the upload.
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

// discard removes an upload with all that came of it, volume first: while the
// record is there, the volume is not taken for somebody else's. An image that is
// ready stays, and what it was made of goes.
func (s *Service) discard(ctx context.Context, row record) error {
	ready, err := s.o.Images.IsReady(ctx, row.Host, row.ID)
	if err != nil {
		return fmt.Errorf("look whether the image %s is ready: %w", row.ID, err)
	}
	if ready {
		row.Result = "" // the image's: disks may lie on it by now
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
