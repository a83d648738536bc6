package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// lockClass separates the advisory locks of names from those of holders (see lockNumber), which
// have no class.
const lockClass = 0x5b1a

// named has this process's locks by name: each is a channel with one slot.
type named struct {
	mu    sync.Mutex
	slots map[string]chan struct{}
}

func (n *named) slot(name string) chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.slots == nil {
		n.slots = map[string]chan struct{}{}
	}
	if n.slots[name] == nil {
		n.slots[name] = make(chan struct{}, 1)
	}
	return n.slots[name]
}

// Lock waits until no other goroutine of this process, and no other process on the database, holds
// the lock with that name. unlock, or the end of the process, releases it.
func (l *Lease) Lock(ctx context.Context, name string) (unlock func(), err error) {
	slot := l.locks.slot(name)
	select {
	case slot <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	lock := l.lockFile
	if l.db.Name() == "postgres" {
		lock = l.lockSession
	}
	release, err := lock(ctx, name)
	if err != nil {
		<-slot
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return func() {
		release()
		<-slot
	}, nil
}

// lockSession acquires a PostgreSQL advisory lock.
func (l *Lease) lockSession(ctx context.Context, name string) (release func(), err error) {
	db, err := l.db.DB()
	if err != nil {
		return nil, err
	}
	session, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(name))
	key := int32(binary.BigEndian.Uint32(sum[:])) //nolint:gosec // any 32 bits will do
	if _, err := session.ExecContext(ctx, "SELECT pg_advisory_lock($1, $2)", lockClass, key); err != nil {
		return nil, errors.Join(err, drop(session))
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepPatience)
		defer cancel()
		if _, err := session.ExecContext(ctx, "SELECT pg_advisory_unlock($1, $2)", lockClass, key); err != nil {
			_ = drop(session)
			return
		}
		_ = session.Close()
	}, nil
}

// drop closes a session instead of returning it to the pool, so that its locks are released.
func drop(session *sql.Conn) error {
	err := session.Raw(func(any) error { return driver.ErrBadConn })
	if errors.Is(err, driver.ErrBadConn) {
		return nil
	}
	return errors.Join(err, session.Close())
}

// lockFile locks a file next to a SQLite database (flock(2)).
func (l *Lease) lockFile(ctx context.Context, name string) (release func(), err error) {
	path, err := l.databaseFile(ctx)
	if err != nil {
		return nil, err
	}
	folder := path + ".locks"
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(name))
	file, err := os.OpenFile(filepath.Join(folder, hex.EncodeToString(sum[:16])), os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	locked := make(chan error, 1)
	go func() {
		for {
			err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
			if !errors.Is(err, syscall.EINTR) {
				locked <- err
				return
			}
		}
	}()
	select {
	case err := <-locked:
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
		return func() { _ = file.Close() }, nil
	case <-ctx.Done():
		go func() { // flock cannot be interrupted
			<-locked
			_ = file.Close()
		}()
		return nil, ctx.Err()
	}
}
