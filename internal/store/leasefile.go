package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/uuid"
)

// fileLeases are locked files next to a SQLite database (flock(2)).
type fileLeases struct {
	folder string
	mine   *os.File
}

func (l *fileLeases) take(ctx context.Context, holder uuid.UUID) error {
	if err := os.MkdirAll(l.folder, 0o700); err != nil {
		return err
	}
	if err := l.sweep(ctx); err != nil {
		return err
	}
	path := filepath.Join(l.folder, holder.String())
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return errors.Join(err, file.Close())
	}
	// Another process may have deleted the file before it was locked.
	if _, err := os.Lstat(path); err != nil {
		_ = file.Close()
		return l.take(ctx, holder)
	}
	l.mine = file
	return nil
}

// sweep removes the files of processes that were killed.
func (l *fileLeases) sweep(ctx context.Context) error {
	entries, err := os.ReadDir(l.folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		holder, err := uuid.Parse(e.Name())
		if err != nil {
			continue
		}
		if _, err := l.expired(ctx, holder); err != nil {
			return err
		}
	}
	return nil
}

// keep does nothing: the lock lasts as long as the process.
func (l *fileLeases) keep(context.Context) error { return nil }

func (l *fileLeases) expired(_ context.Context, holder uuid.UUID) (bool, error) {
	path := filepath.Join(l.folder, holder.String())
	file, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = file.Close() }()
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return true, nil
}

func (l *fileLeases) release() error {
	return errors.Join(os.Remove(l.mine.Name()), l.mine.Close())
}
