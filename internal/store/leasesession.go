package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/google/uuid"
)

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
