package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"github.com/google/uuid"
	"gorm.io/gorm"
)

// Intent is the record of a change of several steps, written before the first step. After a crash,
// recovery uses it to complete or undo the change.
type Intent struct {
	ID      string          // time-ordered UUID
	Kind    string          // chosen by the package that makes the change ("node.create")
	Host    string          // the libvirt host that the change is on; may be empty
	Data    json.RawMessage // what recovery needs to finish or undo the change
	Created time.Time       // UTC
	// Attempts is how often settling failed, Tried when it last failed (UTC), and Reason why.
	Attempts int
	Tried    time.Time
	Reason   string
}

// intentRow is a stored Intent.
type intentRow struct {
	ID      string    `gorm:"primaryKey;type:varchar(36)"`
	Kind    string    `gorm:"type:varchar(64);not null"`
	Host    string    `gorm:"type:varchar(255);not null;index"`
	Data    string    `gorm:"type:text;not null"`
	Created time.Time `gorm:"not null"`
	Holder  string    `gorm:"type:varchar(36);not null"` // the process that works on it; see Lease

	Attempts int        `gorm:"not null;default:0"` // see Failed
	Tried    *time.Time // nil while Attempts is 0
	Reason   string     `gorm:"type:text;not null;default:''"`
}

// TableName returns the table's name.
func (intentRow) TableName() string { return "intents" }

// IntentMigrations returns the migrations of the intents' table, for Open.
func IntentMigrations() []*gormigrate.Migration {
	return []*gormigrate.Migration{{
		ID: "2026112301_intents",
		Migrate: func(tx *gorm.DB) error {
			type intent struct {
				ID      string    `gorm:"primaryKey;type:varchar(36)"`
				Kind    string    `gorm:"type:varchar(64);not null"`
				Host    string    `gorm:"type:varchar(255);not null;index:idx_intents_host"`
				Data    string    `gorm:"type:text;not null"`
				Created time.Time `gorm:"not null"`
				Holder  string    `gorm:"type:varchar(36);not null"`
			}
			return tx.Table("intents").Migrator().CreateTable(&intent{})
		},
	}, reasonMigration()}
}

// reasonMigration adds the columns for failed attempts to settle an intent.
func reasonMigration() *gormigrate.Migration {
	return &gormigrate.Migration{
		ID: "2026113001_intents_attempts",
		Migrate: func(tx *gorm.DB) error {
			return AddColumns(tx.Table("intents"), &intentRow{}, "Attempts", "Tried", "Reason")
		},
	}
}

// Intents stores intents. Its methods are safe for concurrent use.
type Intents struct {
	db      *gorm.DB
	lease   *Lease
	ongoing ongoing
}

// NewIntents returns the intents of a database that was opened with IntentMigrations. Begun intents
// belong to the holder of lease; other processes ignore them while that process lives.
func NewIntents(db *gorm.DB, lease *Lease) *Intents {
	return &Intents{db: db, lease: lease, ongoing: ongoing{ids: map[string]bool{}}}
}

// Begin records an intent; data is stored as JSON. When Begin returns without an error, the record
// is on disk and survives a crash of the service and of the machine. (On PostgreSQL this depends on
// the server's synchronous_commit, which is on by default.)
func (s *Intents) Begin(ctx context.Context, kind, host string, data any) (Intent, error) {
	encoded, err := json.Marshal(data)
	if err != nil {
		return Intent{}, fmt.Errorf("begin intent %s: encode its data: %w", kind, err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Intent{}, fmt.Errorf("begin intent %s: %w", kind, err)
	}
	if err := s.lease.keep(ctx); err != nil {
		return Intent{}, fmt.Errorf("begin intent %s: %w", kind, err)
	}
	row := intentRow{Holder: s.lease.Holder(), ID: id.String(), Kind: kind, Host: host, Data: string(encoded), Created: time.Now().UTC().Truncate(time.Microsecond)}
	if err := s.db.WithContext(ctx).Create(&row).Error; err != nil {
		return Intent{}, fmt.Errorf("begin intent %s: %w", kind, err)
	}
	return row.intent(), nil
}

// Done deletes an intent after its change is complete or undone. It returns no error if the intent
// is already gone.
func (s *Intents) Done(ctx context.Context, id string) error {
	if err := s.db.WithContext(ctx).Where("id = ?", id).Delete(&intentRow{}).Error; err != nil {
		return fmt.Errorf("end intent %s: %w", id, err)
	}
	return nil
}

func (r intentRow) intent() Intent {
	in := Intent{ID: r.ID, Kind: r.Kind, Host: r.Host, Data: json.RawMessage(r.Data), Created: r.Created.UTC(), Attempts: r.Attempts, Reason: r.Reason}
	if r.Tried != nil {
		in.Tried = r.Tried.UTC()
	}
	return in
}
