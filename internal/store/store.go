// Package store opens the service's database (an embedded SQLite file, or a PostgreSQL server that
// several replicas share), migrates its schema, and manages the tables that belong to no single
// feature: the intents, and the requests with an Idempotency-Key.
//
// All other tables belong to the packages that use them, which pass their migrations to Open.
package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// migrationLock is the PostgreSQL advisory lock that a process holds while it migrates. The number
// is arbitrary but must never change.
const migrationLock int64 = 0x53424c4d49475201

// Open opens the database and migrates its schema. url is a SQLite file ("sqlite:/path/to/file.db",
// or the bare absolute path) or a PostgreSQL URL ("postgres://user:password@host:port/name"). If
// the SQLite file and its folder do not exist, Open creates them with permissions for their owner
// only.
//
// Migrations run in the order of their ids, whatever the order of the arguments, in one
// transaction. Several processes may open one database at once: one migrates while the others wait.
// Open refuses a database with a migration that is not among the arguments, because a newer version
// wrote it.
//
// ctx applies to opening the database, not to its use. Errors are written for operators: they say
// what to do, and never contain the database's password. The caller closes the handle with Close.
// The handle is safe for concurrent use. Errors of its statements are GORM's own if there is one
// (gorm.ErrDuplicatedKey, gorm.ErrForeignKeyViolated).
func Open(ctx context.Context, url string, log *slog.Logger, migrations ...*gormigrate.Migration) (*gorm.DB, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	path, isSQLite, err := parse(url)
	if err != nil {
		return nil, err
	}
	if isSQLite {
		return openSQLite(ctx, path, log, migrations)
	}
	return openPostgres(ctx, url, log, migrations)
}

// Close closes the database's connections. It waits for running statements.
func Close(db *gorm.DB) error {
	conns, err := db.DB()
	if err != nil {
		return fmt.Errorf("close the database: %w", err)
	}
	if err := conns.Close(); err != nil {
		return fmt.Errorf("close the database: %w", err)
	}
	return nil
}

// parse distinguishes a SQLite path from a PostgreSQL URL. Its errors contain only the scheme,
// because the rest may contain a password.
func parse(raw string) (path string, isSQLite bool, err error) {
	scheme, rest, found := strings.Cut(raw, ":")
	switch {
	case filepath.IsAbs(raw):
		return filepath.Clean(raw), true, nil
	case found && scheme == "sqlite":
		path := strings.TrimPrefix(rest, "//")
		if path == "" {
			return "", false, errors.New("open the database: the SQLite URL names no file; write sqlite:/path/to/file.db")
		}
		if path, err = filepath.Abs(path); err != nil {
			return "", false, fmt.Errorf("open the database: %w", err)
		}
		return path, true, nil
	case found && (scheme == "postgres" || scheme == "postgresql"):
		return "", false, nil
	case found && !strings.ContainsAny(scheme, "/@ "):
		return "", false, fmt.Errorf("open the database: %q is not a kind of database that is supported; use sqlite:/path/to/file.db or postgres://user:password@host:port/name", scheme)
	default:
		return "", false, errors.New("open the database: the setting is not a database URL; use sqlite:/path/to/file.db or postgres://user:password@host:port/name")
	}
}

// connect opens GORM on a connection pool.
func connect(dialector gorm.Dialector, log *slog.Logger) (*gorm.DB, error) {
	return gorm.Open(dialector, &gorm.Config{
		Logger:               statementLog{log: log, slow: slowStatement},
		TranslateError:       true,
		DisableAutomaticPing: true,
		NowFunc:              func() time.Time { return time.Now().UTC() },
	})
}

// migrate runs the missing migrations. The transaction excludes other processes: on SQLite because
// it takes the write lock when it begins (_txlock), on PostgreSQL by an advisory lock.
func migrate(ctx context.Context, db *gorm.DB, migrations []*gormigrate.Migration) error {
	ordered := slices.Clone(migrations)
	slices.SortStableFunc(ordered, func(a, b *gormigrate.Migration) int { return cmp.Compare(a.ID, b.ID) })
	err := db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if tx.Name() == "postgres" {
			if err := tx.Exec("SELECT pg_advisory_xact_lock(?)", migrationLock).Error; err != nil {
				return err
			}
		}
		err := gormigrate.New(tx, &gormigrate.Options{
			TableName:                 "schema_migrations",
			IDColumnName:              "id",
			IDColumnSize:              255,
			ValidateUnknownMigrations: true,
		}, ordered).Migrate()
		if errors.Is(err, gormigrate.ErrNoMigrationDefined) {
			return nil
		}
		return err
	})
	if errors.Is(err, gormigrate.ErrUnknownPastMigration) {
		return fmt.Errorf("open the database: it was written by a newer version of SandboxLabs; run that version, or restore a backup made before the upgrade: %w", err)
	}
	if err != nil {
		return fmt.Errorf("bring the database's schema up to date (nothing was changed; free space and rights of the database's user are the usual causes): %w", err)
	}
	return nil
}

// finish migrates a newly opened database, and closes it if that fails.
func finish(ctx context.Context, dialector gorm.Dialector, conns *sql.DB, log *slog.Logger, migrations []*gormigrate.Migration) (*gorm.DB, error) {
	db, err := connect(dialector, log)
	if err == nil {
		err = migrate(ctx, db, migrations)
	}
	if err != nil {
		return nil, errors.Join(err, conns.Close())
	}
	return db, nil
}

// fileURL returns path as the file: URL that SQLite parses, with all characters escaped that could
// be read as an option.
func fileURL(path string, options url.Values) string {
	return (&url.URL{Scheme: "file", Path: path, RawQuery: options.Encode()}).String()
}
