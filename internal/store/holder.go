package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
)

// Hold marks the intents that are begun from now on as this process's: Pending
// does not show them to other processes while this one lives. So a command may
// run beside the service, and a replica beside another. Call it once, before
// the first Begin. The system frees what it holds when the process ends, however
// it ends; release does so before, and comes before the database's Close.
func (s *Intents) Hold(ctx context.Context) (release func() error, err error) {
	leases, err := s.leases(ctx)
	if err != nil {
		return nil, fmt.Errorf("hold the intents: %w", err)
	}
	holder := uuid.New()
	if err := leases.take(ctx, holder); err != nil {
		return nil, fmt.Errorf("hold the intents: %w", err)
	}
	s.holder = holder.String()
	s.held = leases
	return leases.release, nil
}

// Holder names this process in what it works on; empty before Hold.
func (s *Intents) Holder() string { return s.holder }

const (
	// keepInterval is how often a process makes sure that others see it alive.
	keepInterval = 2 * time.Second
	// lookAgain is how long after the first look the second one is that tells that a
	// process has ended.
	lookAgain = 2 * keepInterval
)

// Run has others see this process alive until ctx ends: a PostgreSQL server that ends
// a session ends the lease with it. Call it behind Hold, for as long as there are
// changes under way.
func (s *Intents) Run(ctx context.Context) error {
	tick := time.NewTicker(keepInterval)
	defer tick.Stop()
	for well := true; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := s.held.keep(ctx)
		if err != nil && ctx.Err() == nil && well {
			s.db.Logger.Warn(ctx, fmt.Sprintf("other processes may take this one for ended; it is tried again until they see it: %v", err))
		}
		well = err == nil
	}
}

// Ended tells whether another process, by its Holder, works no more. On PostgreSQL it
// is told a few seconds late, by who has looked before: see sessionLeases.
func (s *Intents) Ended(ctx context.Context, holder string) (bool, error) {
	id, err := uuid.Parse(holder)
	if err != nil {
		return false, fmt.Errorf("look whether a process lives: %w", err)
	}
	ended, err := s.held.expired(ctx, id)
	if err != nil {
		return false, fmt.Errorf("look whether a process lives: %w", err)
	}
	return ended, nil
}

// leases are what shows the processes on one database to each other.
type leases interface {
	// take takes the lease of this process.
	take(ctx context.Context, holder uuid.UUID) error
	// keep makes sure that it is still held.
	keep(ctx context.Context) error
	// expired tells whether another holder has ended.
	expired(ctx context.Context, holder uuid.UUID) (bool, error)
	release() error
}

func (s *Intents) leases(ctx context.Context) (leases, error) {
	s.looking.Lock()
	defer s.looking.Unlock()
	if s.known != nil {
		return s.known, nil
	}
	conns, err := s.db.DB()
	if err != nil {
		return nil, err
	}
	if s.db.Name() == "postgres" {
		s.known = &sessionLeases{db: conns, free: map[uuid.UUID]time.Time{}}
		return s.known, nil
	}
	path, err := s.databaseFile(ctx)
	if err != nil {
		return nil, err
	}
	s.known = &fileLeases{folder: path + ".holders"}
	return s.known, nil
}

// databaseFile is the file of a SQLite database.
func (s *Intents) databaseFile(ctx context.Context) (path string, err error) {
	conns, err := s.db.DB()
	if err != nil {
		return "", err
	}
	err = conns.QueryRowContext(ctx, "SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&path)
	return path, err
}

// left tells whether nobody works on an intent any more: its holder has ended,
// or never was one. Own ones are not left.
func (s *Intents) left(ctx context.Context, holders map[string]bool, row intentRow) (bool, error) {
	if row.Holder == s.holder {
		return true, nil // the caller knows its own
	}
	if known, ok := holders[row.Holder]; ok {
		return known, nil
	}
	holder, err := uuid.Parse(row.Holder)
	if err != nil {
		return true, nil //nolint:nilerr // begun without Hold
	}
	leases, err := s.leases(ctx)
	if err != nil {
		return false, err
	}
	expired, err := leases.expired(ctx, holder)
	if err != nil {
		return false, fmt.Errorf("look whether the holder of an intent lives: %w", err)
	}
	holders[row.Holder] = expired
	return expired, nil
}

// fileLeases are locked files beside a SQLite database (flock(2)).
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
	// Another process may have swept it away before it was locked.
	if _, err := os.Lstat(path); err != nil {
		_ = file.Close()
		return l.take(ctx, holder)
	}
	l.mine = file
	return nil
}

// sweep removes what processes that were killed have left.
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

// keep has nothing to do: the lock goes with the process.
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

// sessionLeases are advisory locks of PostgreSQL, which end with the session
// that took them. A server that restarts ends everybody's, and who lives takes its own
// again within keepInterval: a holder has ended whose lock was free at two looks with
// lookAgain between them, in which the server did not restart.
type sessionLeases struct {
	db *sql.DB

	mu      sync.Mutex
	holder  uuid.UUID
	session *sql.Conn // nil before take

	looks sync.Mutex
	// free is since when locks were seen free; since the zero time those of holders
	// that have ended.
	free map[uuid.UUID]time.Time
}

// keepPatience bounds how long a server may take to answer.
const keepPatience = 10 * time.Second

// lockNumber is the advisory lock of a holder.
func lockNumber(holder uuid.UUID) int64 {
	return int64(binary.BigEndian.Uint64(holder[8:])) //nolint:gosec // any 64 bits will do
}

func (l *sessionLeases) take(ctx context.Context, holder uuid.UUID) error {
	session, err := l.db.Conn(ctx)
	if err != nil {
		return err
	}
	// Another process may be looking at this very lock: wait for it.
	if _, err := session.ExecContext(ctx, "SELECT pg_advisory_lock($1)", lockNumber(holder)); err != nil {
		return errors.Join(err, session.Close())
	}
	l.holder, l.session = holder, session
	return nil
}

// keep takes the lease anew when the server ended the session. A caller that goes
// away must not end it: the driver closes a session whose statement is cut off,
// and others would take the changes under way for left.
func (l *sessionLeases) keep(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepPatience)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session == nil || l.session.PingContext(ctx) == nil {
		return nil
	}
	_ = l.session.Close() // it is broken: the error would say so again
	l.looks.Lock()
	maps.DeleteFunc(l.free, func(_ uuid.UUID, since time.Time) bool { return !since.IsZero() })
	l.looks.Unlock()
	return l.take(ctx, l.holder)
}

func (l *sessionLeases) expired(ctx context.Context, holder uuid.UUID) (bool, error) {
	free, err := l.isFree(ctx, holder)
	if err != nil || !l.note(holder, free) {
		return false, err
	}
	// If the server has restarted since the first look, that was not the first.
	if err := l.keep(ctx); err != nil || !l.note(holder, true) {
		return false, err
	}
	l.looks.Lock()
	defer l.looks.Unlock()
	l.free[holder] = time.Time{}
	return true, nil
}

// note keeps since when a lock is seen free, and tells whether that is long enough.
func (l *sessionLeases) note(holder uuid.UUID, free bool) bool {
	l.looks.Lock()
	defer l.looks.Unlock()
	if !free {
		delete(l.free, holder)
		return false
	}
	since, before := l.free[holder]
	if !before {
		since = time.Now()
		l.free[holder] = since
	}
	return time.Since(since) >= lookAgain
}

// isFree tells whether nobody has a holder's lock now. Others may look at it at once.
func (l *sessionLeases) isFree(ctx context.Context, holder uuid.UUID) (bool, error) {
	session, err := l.db.Conn(ctx)
	if err != nil {
		return false, err
	}
	defer func() { _ = session.Close() }()
	var got bool
	if err := session.QueryRowContext(ctx, "SELECT pg_try_advisory_lock_shared($1)", lockNumber(holder)).Scan(&got); err != nil || !got {
		return false, err
	}
	_, err = session.ExecContext(ctx, "SELECT pg_advisory_unlock_shared($1)", lockNumber(holder))
	return true, err
}

func (l *sessionLeases) release() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.session.ExecContext(context.Background(), "SELECT pg_advisory_unlock($1)", lockNumber(l.holder))
	return errors.Join(err, l.session.Close())
}
