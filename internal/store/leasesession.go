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

// sessionLeases are PostgreSQL advisory locks, which end with the session that acquired them. A
// restart of the server ends all of them, and living processes acquire theirs again within
// keepInterval. A holder therefore counts as ended only if its lock was free in two checks at least
// lookAgain apart, without a restart of the server between them.
type sessionLeases struct {
	db *sql.DB

	mu      sync.Mutex
	holder  uuid.UUID
	session *sql.Conn // nil before take

	looks sync.Mutex
	// free has, by holder, the time since which its lock has been free; the zero time if the holder
	// has ended.
	free map[uuid.UUID]time.Time
}

// keepPatience is the timeout for the server's response.
const keepPatience = 10 * time.Second

// lockNumber returns the number of a holder's advisory lock.
func lockNumber(holder uuid.UUID) int64 {
	return int64(binary.BigEndian.Uint64(holder[8:])) //nolint:gosec // any 64 bits will do
}

func (l *sessionLeases) take(ctx context.Context, holder uuid.UUID) error {
	session, err := l.db.Conn(ctx)
	if err != nil {
		return err
	}
	// Another process may be checking this lock: wait for it.
	if _, err := session.ExecContext(ctx, "SELECT pg_advisory_lock($1)", lockNumber(holder)); err != nil {
		return errors.Join(err, session.Close())
	}
	l.holder, l.session = holder, session
	return nil
}

// keep acquires the lease again if the server ended the session. Cancelling the caller must not end
// the session: the driver closes a session whose statement is interrupted, and other processes
// would then recover changes that are still in progress.
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
	_ = l.session.Close() // already broken: its error adds nothing
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
	// If the server has restarted since the first check, that check does not count.
	if err := l.keep(ctx); err != nil || !l.note(holder, true) {
		return false, err
	}
	l.looks.Lock()
	defer l.looks.Unlock()
	l.free[holder] = time.Time{}
	return true, nil
}

// note records since when a lock has been free, and returns whether that is long enough.
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

// isFree returns whether nobody holds a holder's lock. Several processes can check at once.
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
