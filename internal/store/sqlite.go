package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"github.com/mattn/go-sqlite3"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
)

const (
	sqliteConns = 8 // connections: readers run concurrently, writers one at a time
	// lockRetry is the pause between two attempts to acquire the opening lock, because a blocking
	// flock cannot be cancelled by a context.
	lockRetry = 20 * time.Millisecond
)

// sqliteOptions are set on every connection:
//   - a writer that finds the file locked waits for up to ten seconds;
//   - a transaction takes the write lock when it begins, because one that reads
//     first and writes later fails at once when another wrote in between;
//   - each commit is on the disk when it returns. NORMAL, which WAL is often
//     used with, may lose the last commits to a power cut, and an intent that
//     is lost leaves a half-made change that nobody finishes. The service
//     writes seldom enough for the cost not to matter.
func sqliteOptions() url.Values {
	return url.Values{
		"_busy_timeout": {"10000"},
		"_foreign_keys": {"1"},
		"_synchronous":  {"FULL"},
		"_txlock":       {"immediate"},
	}
}

func openSQLite(ctx context.Context, path string, log *slog.Logger, migrations []*gormigrate.Migration) (*gorm.DB, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open the database: make its folder, or name another with the data-dir setting: %w", err)
	}
	unlock, err := lockOpening(ctx, path)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := keepPrivate(path); err != nil {
		return nil, err
	}
	conns, err := sql.Open(sqlite.DriverName, fileURL(path, sqliteOptions()))
	if err != nil {
		return nil, fmt.Errorf("open the database %s: %w", path, err)
	}
	conns.SetMaxOpenConns(sqliteConns)
	conns.SetMaxIdleConns(sqliteConns)
	// The journal mode is a property of the file. Two processes that switch a new file at once would
	// fail, hence the lock.
	var mode string
	if err := conns.QueryRowContext(ctx, "PRAGMA journal_mode=WAL").Scan(&mode); err != nil {
		return nil, errors.Join(sqliteError(path, err), conns.Close())
	}
	if mode != "wal" {
		return nil, errors.Join(fmt.Errorf("open the database %s: its file system has no shared memory for SQLite's write-ahead log; use a local disk, or PostgreSQL", path), conns.Close())
	}
	return finish(ctx, sqlite.New(sqlite.Config{Conn: conns}), conns, log, migrations)
}

// lockOpening lets one process at a time create the file, switch its journal mode and migrate it.
// The lock file is kept: if it were removed, two processes could lock two different files.
func lockOpening(ctx context.Context, path string) (unlock func(), err error) {
	file, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the database: the service's user must be able to write to its folder: %w", err)
	}
	tick := time.NewTicker(lockRetry)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil // closing releases the lock
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("open the database: lock %s: %w", file.Name(), err), file.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("open the database: another process is opening it: %w", ctx.Err()), file.Close())
		case <-tick.C:
		}
	}
}

// keepPrivate creates the file if it does not exist, and removes the permissions of group and
// others. SQLite gives its -wal and -shm files the same mode.
//
// It never opens an existing file: closing it again would release the locks that another handle of
// this process holds on it.
func keepPrivate(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
		if err != nil {
			return fmt.Errorf("open the database: make the file: %w", err)
		}
		return file.Close()
	}
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("open the database: %s is not a file; name one with the database setting", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(path, info.Mode().Perm()&0o700); err != nil {
			return fmt.Errorf("open the database: others may read it, and its mode cannot be changed; make the service's user its owner: %w", err)
		}
	}
	return nil
}

// sqliteError explains what to do about failures that an operator can fix.
func sqliteError(path string, err error) error {
	var failure sqlite3.Error
	if errors.As(err, &failure) {
		switch failure.Code {
		case sqlite3.ErrNotADB, sqlite3.ErrCorrupt:
			return fmt.Errorf("open the database: %s is damaged or not a SQLite database; restore a backup, or move it away to begin anew: %w", path, err)
		case sqlite3.ErrCantOpen, sqlite3.ErrReadonly, sqlite3.ErrPerm:
			return fmt.Errorf("open the database: the service's user must be able to write to %s and its folder: %w", path, err)
		case sqlite3.ErrBusy, sqlite3.ErrLocked:
			return fmt.Errorf("open the database: another program keeps %s locked; close it: %w", path, err)
		case sqlite3.ErrFull:
			return fmt.Errorf("open the database: no space is left for %s: %w", path, err)
		}
	}
	return fmt.Errorf("open the database %s: %w", path, err)
}
