package job

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

// row is a stored Job.
type row struct {
	ID         string `gorm:"primaryKey"`
	Kind       string
	Owner      string
	TargetType string
	TargetID   string
	TargetHost string
	// ActiveKey combines the kind and target of a job that has not ended, if it must be the only
	// one; nil otherwise.
	ActiveKey   *string
	Args        string
	State       State
	Step        string
	DoneBytes   int64
	TotalBytes  int64
	Attempt     int
	MaxAttempts int
	NextAttempt *time.Time
	// Outcome is the state that the job enters after its changes are undone.
	Outcome   State
	ErrorCode fault.Code
	Error     string
	Holder    string // the process that runs it; see store.Lease
	QueueID   int64  // id of River's row
	Created   time.Time
	Started   *time.Time
	Finished  *time.Time
}

func (row) TableName() string { return "jobs" }

func (r row) job() Job {
	return Job{
		ID: r.ID, Kind: r.Kind, Owner: r.Owner, Target: Target{Type: r.TargetType, ID: r.TargetID, Host: r.TargetHost},
		State: r.State, Step: r.Step, DoneBytes: r.DoneBytes, TotalBytes: r.TotalBytes,
		Attempt: r.Attempt, MaxAttempts: r.MaxAttempts, NextAttempt: timeOf(r.NextAttempt),
		ErrorCode: r.ErrorCode, Error: r.Error,
		Created: r.Created.UTC(), Started: timeOf(r.Started), Finished: timeOf(r.Finished),
		args: json.RawMessage(r.Args),
	}
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// Migrations returns the migrations of the package's table.
func Migrations() []*gormigrate.Migration {
	return []*gormigrate.Migration{{
		ID: "2026112410_jobs",
		Migrate: func(tx *gorm.DB) error {
			type jobs struct {
				ID          string     `gorm:"primaryKey;type:varchar(36)"`
				Kind        string     `gorm:"type:varchar(64);not null"`
				Owner       string     `gorm:"type:varchar(255);not null"`
				TargetType  string     `gorm:"type:varchar(16);not null"`
				TargetID    string     `gorm:"type:varchar(255);not null"`
				TargetHost  string     `gorm:"type:varchar(255);not null"`
				ActiveKey   *string    `gorm:"type:varchar(600);uniqueIndex:idx_jobs_active"`
				Args        string     `gorm:"type:text;not null"`
				Checkpoint  string     `gorm:"type:text;not null"`
				State       string     `gorm:"type:varchar(16);not null;index:idx_jobs_state"`
				Step        string     `gorm:"type:varchar(64);not null"`
				DoneBytes   int64      `gorm:"not null"`
				TotalBytes  int64      `gorm:"not null"`
				Attempt     int        `gorm:"not null"`
				MaxAttempts int        `gorm:"not null"`
				NextAttempt *time.Time //
				Outcome     string     `gorm:"type:varchar(16);not null"`
				ErrorCode   string     `gorm:"type:varchar(64);not null"`
				Error       string     `gorm:"type:text;not null"`
				Holder      string     `gorm:"type:varchar(36);not null"`
				QueueID     int64      `gorm:"not null"`
				Created     time.Time  `gorm:"not null"`
				Started     *time.Time //
				Finished    *time.Time //
			}
			return tx.Migrator().CreateTable(&jobs{})
		},
	}, {
		ID: "2026113011_job_owners",
		Migrate: func(tx *gorm.DB) error {
			if err := ownersInArgs(tx); err != nil {
				return err
			}
			return store.OwnersByID(tx, "jobs")
		},
	}, {
		ID:      "2026120101_job_checkpoints",
		Migrate: func(tx *gorm.DB) error { return tx.Exec("ALTER TABLE jobs DROP COLUMN checkpoint").Error },
	}}
}

// ownersInArgs replaces owners' names with account ids in the arguments of jobs that have not
// ended.
func ownersInArgs(tx *gorm.DB) error {
	ids, err := store.AccountIDs(tx)
	if err != nil {
		return err
	}
	var rows []struct{ ID, Args string }
	if err := tx.Table("jobs").Select("id", "args").Where("state IN ?", Active).Scan(&rows).Error; err != nil {
		return err
	}
	for _, r := range rows {
		args := map[string]json.RawMessage{}
		var name string
		if json.Unmarshal([]byte(r.Args), &args) != nil || json.Unmarshal(args["owner"], &name) != nil || ids[name] == "" {
			continue // no owner
		}
		if args["owner"], err = json.Marshal(ids[name]); err != nil {
			return err
		}
		text, err := json.Marshal(args)
		if err != nil {
			return err
		}
		if err := tx.Table("jobs").Where("id = ?", r.ID).Update("args", string(text)).Error; err != nil {
			return err
		}
	}
	return nil
}

// queueLock is the PostgreSQL advisory lock that serializes the migration of River's tables.
const queueLock int64 = 0x53424c4a4f425301

// migrateQueue migrates River's own tables. PostgreSQL cannot run all of River's migrations in one
// transaction, so they are not part of Migrations.
func migrateQueue(ctx context.Context, db *gorm.DB, d riverdriver.Driver[*sql.Tx]) error {
	migrator, err := rivermigrate.New(d, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	if db.Name() != "postgres" {
		return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error { // takes the write lock at the beginning
			sqlTx, err := transaction(tx)
			if err != nil {
				return err
			}
			_, err = migrator.MigrateTx(ctx, sqlTx, rivermigrate.DirectionUp, nil) //nolint:staticcheck // SQLite does all steps in one, and others wait
			return err
		})
	}
	return db.WithContext(ctx).Transaction(func(lock *gorm.DB) error {
		if err := lock.Exec("SELECT pg_advisory_xact_lock(?)", queueLock).Error; err != nil {
			return err
		}
		_, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
		return err
	})
}

// driver returns River's driver for the service's database.
func driver(db *gorm.DB, conns *sql.DB) riverdriver.Driver[*sql.Tx] {
	if db.Name() == "postgres" {
		return riverdatabasesql.New(conns)
	}
	return riversqlite.New(conns)
}

// transaction returns the database/sql transaction of a GORM transaction.
func transaction(tx *gorm.DB) (*sql.Tx, error) {
	sqlTx, ok := tx.Statement.ConnPool.(*sql.Tx)
	if !ok {
		return nil, errors.New("job: not within a transaction")
	}
	return sqlTx, nil
}
