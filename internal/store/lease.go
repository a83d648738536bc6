package store

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// Lease is the sign by which processes that share a database see each other alive, and the
// locks that they share. What a process works on names it by its Holder, so that others
// leave it alone until the process has ended. All methods but Hold may be called from any
// goroutine.
type Lease struct {
	db     *gorm.DB
	holder string // empty until Hold
	held   leases // nil until Hold
	locks  named

	looking sync.Mutex
	known   leases // nil until they are needed; held, if that is not nil
}

// NewLease returns the lease of this process on a database. It is not held yet: see Hold.
func NewLease(db *gorm.DB) *Lease { return &Lease{db: db} }

// Hold has other processes see this one alive, and names it in what it works on from now
// on. A command may then run beside the service, and a replica beside another. Call it
// once, before anything uses the lease. The system frees the lease when the process ends,
// however it ends; release frees it before that, and comes before the database's Close.
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

// Holder names this process in what it works on; empty before Hold.
func (l *Lease) Holder() string { return l.holder }

const (
	// keepInterval is how often a process makes sure that others see it alive.
	keepInterval = 2 * time.Second
	// lookAgain is the least time between the two looks after which a process counts as ended.
	lookAgain = 2 * keepInterval
)

// Run has others see this process alive until ctx ends: a PostgreSQL server that ends
// a session ends the lease with it. Call it after Hold, for as long as changes run.
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

// keep makes sure that the lease is still held, if it was.
func (l *Lease) keep(ctx context.Context) error {
	if l.held == nil {
		return nil
	}
	return l.held.keep(ctx)
}

// Ended returns whether the process with that Holder has ended. On PostgreSQL the first
// calls return false for some seconds: see sessionLeases.
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

// leases are what shows the processes on one database to each other.
type leases interface {
	// take acquires the lease of this process.
	take(ctx context.Context, holder uuid.UUID) error
	// keep makes sure that it is still held.
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
