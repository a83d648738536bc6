package store

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// Lease shows other processes on the same database that this one is alive, and provides locks that
// they share. A process marks its work with its Holder, so that others ignore that work until the
// process has ended. All methods but Hold are safe for concurrent use.
type Lease struct {
	db     *gorm.DB
	holder string // empty until Hold
	held   leases // nil until Hold
	locks  named

	looking sync.Mutex
	known   leases // nil until needed; same as held if that is not nil
}

// NewLease returns the lease of this process on a database. Call Hold to acquire it.
func NewLease(db *gorm.DB) *Lease { return &Lease{db: db} }

// Hold acquires the lease, so that others see this process alive, and sets the Holder for its work.
// A command may then run beside the service, and several replicas beside each other. Call it once,
// before anything uses the lease. The system frees the lease when the process ends, even after a
// crash; release frees it earlier. Call release before the database's Close.
func (l *Lease) Hold(ctx context.Context) (release func() error, err error) {
	leases, err := l.leases(ctx)
	if err != nil {
		return nil, fmt.Errorf("hold the lease of this process: %w", err)
	}
	holder := uuid.New()
	if err := leases.take(ctx, holder); err != nil {
		return nil, fmt.Errorf("hold the lease of this process: %w", err)
	}
	l.holder = holder.String()
	l.held = leases
	return leases.release, nil
}

// Holder returns the id that marks the work of this process; empty before Hold.
func (l *Lease) Holder() string { return l.holder }

const (
	// keepInterval is how often a process renews its lease.
	keepInterval = 2 * time.Second
	// lookAgain is the minimum time between the two checks after which a process counts as ended.
	lookAgain = 2 * keepInterval
)

// Run renews the lease until ctx ends: if a PostgreSQL server ends a session, the lease ends with
// it. Call it after Hold, and keep it running as long as changes run.
func (l *Lease) Run(ctx context.Context) error {
	tick := time.NewTicker(keepInterval)
	defer tick.Stop()
	for well := true; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := l.keep(ctx)
		if err != nil && ctx.Err() == nil && well {
			l.db.Logger.Warn(ctx, fmt.Sprintf("other processes may take this one for ended; it is tried again until they see it: %v", err))
		}
		well = err == nil
	}
}

// keep renews the lease if it was held.
func (l *Lease) keep(ctx context.Context) error {
	if l.held == nil {
		return nil
	}
	return l.held.keep(ctx)
}

// Ended returns whether the process with that Holder has ended. On PostgreSQL it returns false for
// the first few seconds: see sessionLeases.
func (l *Lease) Ended(ctx context.Context, holder string) (bool, error) {
	id, err := uuid.Parse(holder)
	if err != nil {
		return false, fmt.Errorf("check whether a process lives: %w", err)
	}
	leases, err := l.leases(ctx)
	if err != nil {
		return false, fmt.Errorf("check whether a process lives: %w", err)
	}
	ended, err := leases.expired(ctx, id)
	if err != nil {
		return false, fmt.Errorf("check whether a process lives: %w", err)
	}
	return ended, nil
}

// leases is the mechanism by which processes on a database detect each other.
type leases interface {
	// take acquires the lease of this process.
	take(ctx context.Context, holder uuid.UUID) error
	// keep checks that the lease is still held, and acquires it again if not.
	keep(ctx context.Context) error
	// expired returns whether another holder has ended.
	expired(ctx context.Context, holder uuid.UUID) (bool, error)
	release() error
}

func (l *Lease) leases(ctx context.Context) (leases, error) {
	l.looking.Lock()
	defer l.looking.Unlock()
	if l.known != nil {
		return l.known, nil
	}
	conns, err := l.db.DB()
	if err != nil {
		return nil, err
	}
	if l.db.Name() == "postgres" {
		l.known = &sessionLeases{db: conns, free: map[uuid.UUID]time.Time{}}
		return l.known, nil
	}
	path, err := l.databaseFile(ctx)
	if err != nil {
		return nil, err
	}
	l.known = &fileLeases{folder: path + ".holders"}
	return l.known, nil
}

// databaseFile returns the file of a SQLite database.
func (l *Lease) databaseFile(ctx context.Context) (path string, err error) {
	conns, err := l.db.DB()
	if err != nil {
		return "", err
	}
	err = conns.QueryRowContext(ctx, "SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&path)
	return path, err
}
