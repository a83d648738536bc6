package storagepool

import (
	"context"
	"crypto/sha256"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"strings"
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

// uploadExpiry is how long an upload that gets no more bytes is kept.
const uploadExpiry = 24 * time.Hour

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

// incoming is an Incoming as it is stored.
type incoming struct {
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

func (incoming) TableName() string { return "uploads" }

func (u incoming) key() string { return u.Host + "/" + u.ID }

func uploadMigrations() []*gormigrate.Migration {
	return []*gormigrate.Migration{{
		ID: "2026112410_uploads",
		Migrate: func(tx *gorm.DB) error {
			type uploads struct {
				ID       string    `gorm:"primaryKey;type:varchar(255)"`
				Host     string    `gorm:"primaryKey;type:varchar(255)"`
				Owner    string    `gorm:"type:varchar(255);not null"`
				Volume   string    `gorm:"type:varchar(255);not null"`
				Format   string    `gorm:"type:varchar(16);not null"`
				Size     int64     `gorm:"not null"`
				Stored   int64     `gorm:"not null"`
				Head     []byte    //
				Hash     []byte    //
				SHA256   string    `gorm:"column:sha256;type:varchar(64);not null"`
				Metadata string    `gorm:"type:text;not null"`
				Once     bool      `gorm:"not null"`
				Complete bool      `gorm:"not null"`
				Holder   string    `gorm:"type:varchar(36);not null"`
				Expires  time.Time `gorm:"not null"`
			}
			return tx.Migrator().CreateTable(&uploads{})
		},
		Rollback: func(tx *gorm.DB) error { return tx.Migrator().DropTable("uploads") },
	}, {
		ID: "2026112501_converted_uploads",
		Migrate: func(tx *gorm.DB) error {
			type uploads struct {
				Result string `gorm:"type:varchar(255);not null;default:''"`
				Pulled bool   `gorm:"not null;default:false"`
			}
			return store.AddColumns(tx, &uploads{}, "Result", "Pulled")
		},
	}, {
		ID: "2026112503_parts",
		Migrate: func(tx *gorm.DB) error {
			type uploads struct {
				Part     bool   `gorm:"not null;default:false"`
				JoinedTo string `gorm:"type:varchar(255);not null;default:''"`
				Parts    string `gorm:"type:text;not null;default:''"`
			}
			return store.AddColumns(tx, &uploads{}, "Part", "JoinedTo", "Parts")
		},
	}, {
		ID: "2026113021_taken_by_uploads",
		Migrate: func(tx *gorm.DB) error {
			type uploads struct {
				Taken int64 `gorm:"not null;default:0"`
			}
			return store.AddColumns(tx, &uploads{}, "Taken")
		},
	}, {
		ID:      "2026113011_upload_owners",
		Migrate: func(tx *gorm.DB) error { return store.OwnersByID(tx, "uploads") },
	}}
}

func (u incoming) incoming() (Incoming, error) {
	in := Incoming{ID: u.ID, Host: u.Host, Owner: u.Owner, SizeBytes: u.Size, OffsetBytes: u.Offset, TakenBytes: u.Taken, Complete: u.Complete, Expires: u.Expires.UTC(), Part: u.Part, Parts: strings.Fields(u.Parts)}
	if err := json.Unmarshal([]byte(u.Metadata), &in.Metadata); err != nil {
		return Incoming{}, fmt.Errorf("read the metadata of upload %s: %w", u.ID, err)
	}
	return in, nil
}

// digest is the SHA-256 of what is stored, which goes on where it stood.
func (u incoming) digest() (hash.Hash, error) {
	sum := sha256.New()
	if len(u.Hash) == 0 {
		return sum, nil
	}
	return sum, sum.(encoding.BinaryUnmarshaler).UnmarshalBinary(u.Hash)
}

// BeginUpload records an image that is to come in pieces: see Append. Its size
// must be known, and is checked against the limit and the room in the pool.
// Errors: fault.Invalid, ImageTooLarge, StorageFull, PoolUnavailable,
// HostUnreachable, Unsupported (a base image that is there).
func (s *Service) BeginUpload(ctx context.Context, u Upload, metadata map[string]string) (Incoming, error) {
	if u.SizeBytes <= 0 {
		return Incoming{}, fault.Field("size", "The size of the upload must be known and more than 0 bytes.")
	}
	row, err := s.admit(ctx, u, metadata, false)
	if err != nil {
		return Incoming{}, err
	}
	if err := s.refresh(ctx, row.Host, false); err != nil { // shows it as uploading
		return Incoming{}, err
	}
	return row.incoming()
}

// admit records an upload and its image, if it is to be one, when there is room for it. The room
// that other uploads were promised is taken.
func (s *Service) admit(ctx context.Context, u Upload, metadata map[string]string, once bool) (incoming, error) {
	h, err := s.o.Hosts.Host(u.Host)
	if err != nil {
		return incoming{}, err
	}
	if u.SizeBytes > s.o.MaxImageBytes {
		return incoming{}, s.tooLarge()
	}
	text, err := json.Marshal(metadata)
	if err != nil {
		return incoming{}, err
	}
	rec := s.newRecord(h.Name(), u)
	row := incoming{
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
	lib := s.libraries[rec.Host]
	select {
	case lib.admitting <- struct{}{}:
		defer func() { <-lib.admitting }()
	case <-ctx.Done():
		return incoming{}, ctx.Err()
	}
	if err := s.mustBeFree(ctx, rec); err != nil {
		return incoming{}, err
	}
	if err := s.checkUploadRoom(ctx, rec.Host, u.SizeBytes); err != nil {
		return incoming{}, err
	}
	if once {
		s.mark(row.key()) // before others see it: they undo what nobody works on
	}
	err = s.o.DB.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if row.Part {
			return tx.Create(&row).Error
		}
		if err := tx.Where("state IN ?", []ImageState{missing, Rejected}).Delete(&record{Host: rec.Host, ID: rec.ID}).Error; err != nil {
			return fmt.Errorf("replace the record of an image that is gone: %w", err)
		}
		// Create, not save: a base image that is already there is never overwritten.
		if err := tx.Create(&rec).Error; err != nil {
			return fmt.Errorf("record the image: %w", err)
		}
		if err := tx.Create(&row).Error; err != nil {
			return err
		}
		return claim(tx, row, u.parts)
	})
	if err != nil && once {
		s.unmark(row.key())
	}
	if err == nil && u.Recorded != nil {
		u.Recorded()
	}
	return row, err
}

// UploadsOf returns the uploads of an owner that are under way, to all hosts. Parts
// that are being joined are not among them: what they are joined to is.
func (s *Service) UploadsOf(ctx context.Context, owner string) ([]Incoming, error) {
	return readUploads(s.o.DB.WithContext(ctx).Where("owner = ?", owner))
}

// Uploads is UploadsOf for everybody.
func (s *Service) Uploads(ctx context.Context) ([]Incoming, error) {
	return readUploads(s.o.DB.WithContext(ctx))
}

func readUploads(chosen *gorm.DB) ([]Incoming, error) {
	var rows []incoming
	if err := chosen.Where("joined_to = ''").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list the uploads: %w", err)
	}
	list := make([]Incoming, 0, len(rows))
	for _, row := range rows {
		in, err := row.incoming()
		if err != nil {
			return nil, err
		}
		list = append(list, in)
	}
	return list, nil
}

// checkUploadRoom refuses an upload that does not fit into the images pool beside
// those that are under way.
func (s *Service) checkUploadRoom(ctx context.Context, host string, bytes int64) error {
	promised, err := s.promised(ctx, host)
	if err != nil {
		return err
	}
	return s.ImagesPool(host).Do(ctx, func(h *Handle) error {
		return h.CheckRoom(bytes + promised)
	})
}

// promised is how many bytes the uploads under way to a host are still to bring.
func (s *Service) promised(ctx context.Context, host string) (bytes int64, err error) {
	err = s.o.DB.WithContext(ctx).Model(&incoming{}).Where("host = ? AND size > stored AND NOT complete", host).
		Select("COALESCE(SUM(size - stored), 0)").Scan(&bytes).Error
	if err != nil {
		return 0, fmt.Errorf("sum up the uploads: %w", err)
	}
	return bytes, nil
}

// Upload returns an upload that is under way to a host, to any for the empty
// name; fault.NotFound when there is none.
func (s *Service) Upload(ctx context.Context, host, id string) (Incoming, error) {
	row, err := s.upload(ctx, host, id)
	if err != nil {
		return Incoming{}, err
	}
	return row.incoming()
}

func (s *Service) upload(ctx context.Context, host, id string) (incoming, error) {
	var row incoming
	err := s.o.DB.WithContext(ctx).Where(incoming{ID: id, Host: host}).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return row, UploadNotFound(id)
	}
	return row, err
}

// UploadNotFound is the error of an upload that is not there.
func UploadNotFound(id string) error {
	return fault.New(fault.NotFound, "Upload %q not found. It was completed, cancelled, or has expired. Start a new one.", id)
}

// CancelUpload gives an upload up and removes what came of it. It answers
// fault.NotFound, and fault.UploadBusy while bytes come in or it is being joined.
func (s *Service) CancelUpload(ctx context.Context, host, id string) error {
	row, release, err := s.hold(ctx, host, id)
	if err != nil {
		return err
	}
	defer release()
	// Again: another process may have joined it before it was held.
	if row, err = s.upload(ctx, row.Host, id); err != nil {
		return err
	}
	if row.JoinedTo != "" {
		return partTaken(row)
	}
	return s.discard(ctx, row)
}

// hold keeps an upload for the caller alone, until release. It answers
// fault.UploadBusy while another one works on it, in whatever process.
func (s *Service) hold(ctx context.Context, host, id string) (row incoming, release func(), err error) {
	if row, err = s.upload(ctx, host, id); err != nil {
		return row, nil, err
	}
	key := row.key()
	if !s.mark(key) {
		return row, nil, uploadBusy(id)
	}
	defer func() {
		if err != nil {
			s.unmark(key)
		}
	}()
	// Again: whoever held it before has changed it.
	if row, err = s.upload(ctx, row.Host, id); err != nil {
		return row, nil, err
	}
	if row.Holder != "" && row.Holder != s.o.Lease.Holder() {
		ended, err := s.o.Lease.Ended(ctx, row.Holder)
		if err != nil {
			return row, nil, err
		}
		if !ended {
			return row, nil, uploadBusy(id)
		}
	}
	before := row.Holder
	row.Holder = s.o.Lease.Holder()
	taken := s.o.DB.WithContext(ctx).Model(&incoming{}).Where("id = ? AND host = ? AND holder = ?", id, row.Host, before).Update("holder", row.Holder)
	if taken.Error != nil {
		return row, nil, taken.Error
	}
	if taken.RowsAffected == 0 {
		return row, nil, uploadBusy(id)
	}
	return row, func() { s.letGo(ctx, row) }, nil
}

// letGo lets others work on an upload.
func (s *Service) letGo(ctx context.Context, row incoming) {
	ctx, cancel := Cleanup(ctx)
	defer cancel()
	err := s.o.DB.WithContext(ctx).Model(&incoming{}).Where("id = ? AND host = ?", row.ID, row.Host).Update("holder", "").Error
	if err != nil {
		s.o.Log.Error("an upload cannot be let go", "upload", row.ID, "error", err)
	}
	s.unmark(row.key())
}

func uploadBusy(id string) error {
	return fault.New(fault.UploadBusy, "Another request is using the upload %q. Try again when it has finished.", id)
}

// mark notes that this process works on an upload; false when it does so already.
func (s *Service) mark(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inFlight[key] {
		return false
	}
	s.inFlight[key] = true
	return true
}

func (s *Service) unmark(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.inFlight, key)
}

// discard removes an upload with all that came of it, volume first: while the
// record is there, the volume is not taken for somebody else's. An image that is
// ready stays, and what it was made of goes.
func (s *Service) discard(ctx context.Context, row incoming) error {
	ready, err := s.isReady(ctx, row)
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
		if err := tx.Where("state IN ?", []ImageState{Uploading, Verifying}).Delete(&record{Host: row.Host, ID: row.ID}).Error; err != nil {
			return err
		}
		return tx.Delete(&row).Error
	})
	if err != nil {
		return fmt.Errorf("forget the upload %s: %w", row.ID, err)
	}
	return s.refresh(ctx, row.Host, false)
}

// recoverUploads gives up the uploads that nobody can go on with: those that a
// crash of the service cut off in their one request, whatever had come by then,
// and those that expired. Parts that are needed no more go, too.
func (s *Service) recoverUploads(ctx context.Context, host string) error {
	var rows []incoming
	over := "host = ? AND (once OR joined_to = '' AND (part OR NOT complete) AND expires < ?)"
	if err := s.o.DB.WithContext(ctx).Where(over, host, time.Now()).Find(&rows).Error; err != nil {
		return fmt.Errorf("list the uploads: %w", err)
	}
	var failed []error
	for _, row := range rows {
		err := s.CancelUpload(ctx, host, row.ID)
		switch fault.CodeOf(err) {
		case fault.UploadBusy, fault.NotFound:
		case "":
			s.o.Log.Info("gave up an upload that was cut off", "host", host, "image", row.ID)
		default: // it holds up none of the others
			failed = append(failed, err)
		}
	}
	return errors.Join(append(failed, s.recoverParts(ctx, host))...)
}
