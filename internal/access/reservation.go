package access

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

const (
	// settleTime is how long a reservation counts for other processes after it was
	// released: they learn from libvirt's events what it was for.
	settleTime = 3 * time.Second
	// releaseTimeout bounds the writing down of a release.
	releaseTimeout = 10 * time.Second
)

// Leases know which processes of the service live; store.Lease is one.
type Leases interface {
	// Holder names this process.
	Holder() string
	// Ended returns whether another process has ended.
	Ended(ctx context.Context, holder string) (bool, error)
}

// reservation is what a request under way will take, so that two at once do not both
// take what is left for one, in whatever process they are.
type reservation struct {
	ID       string `gorm:"primaryKey"`
	UserID   string
	Thing    string
	Amount   Amount `gorm:"embedded"`
	Holder   string // the process
	Released *time.Time
}

// TableName names the table.
func (reservation) TableName() string { return "quota_reservations" }

// reservationsMigration adds limits for networks and labs, and the reservations of quotas.
func reservationsMigration() *gormigrate.Migration {
	return &gormigrate.Migration{
		ID: "2026113020_reservations",
		Migrate: func(tx *gorm.DB) error {
			type User struct {
				ID            string `gorm:"primaryKey;type:varchar(36)"`
				QuotaNetworks *int64
				QuotaLabs     *int64
			}
			type QuotaReservation struct {
				ID        string     `gorm:"primaryKey;type:varchar(36)"`
				UserID    string     `gorm:"type:varchar(36);not null;index:idx_quota_reservations_user_id"`
				User      User       `gorm:"constraint:OnDelete:CASCADE"`
				Thing     string     `gorm:"type:text;not null"`
				Nodes     int64      `gorm:"not null"`
				Running   int64      `gorm:"not null"`
				CPUs      int64      `gorm:"column:cpus;not null"`
				RAMMiB    int64      `gorm:"column:ram_mib;not null"`
				DiskBytes int64      `gorm:"not null"`
				Uploads   int64      `gorm:"not null"`
				Networks  int64      `gorm:"not null"`
				Labs      int64      `gorm:"not null"`
				Holder    string     `gorm:"type:varchar(36);not null"`
				Released  *time.Time //
			}
			if err := store.AddColumns(tx, &User{}, "QuotaNetworks", "QuotaLabs"); err != nil {
				return err
			}
			return tx.Migrator().CreateTable(&QuotaReservation{})
		},
	}
}

// ledger is this process's part in the reservations.
type ledger struct {
	turn chan struct{} // one slot: who holds it compares and reserves

	mu     sync.Mutex
	unsaid []string // released, but the database did not take it
}

func newLedger() *ledger { return &ledger{turn: make(chan struct{}, 1)} }

// Reserve holds an amount for one thing of an account (by its id), until release is
// called: when the thing shows in taken, or was not made after all. taken returns what the
// account has now, by thing; where the thing is among it, the larger of both
// counts. It returns fault.QuotaExceeded. An account without bounds, or that does
// not exist, is never refused. The reservations of all processes on the database count;
// those of a process that has ended do not.
func (s *Service) Reserve(ctx context.Context, account, thing string, amount Amount, taken func() (map[string]Amount, error)) (release func(), err error) {
	u, found, err := s.userByID(ctx, account)
	if err != nil {
		return nil, fmt.Errorf("read the quota of account %s: %w", account, err)
	}
	if !found || u.Quota == (Quota{}) {
		return func() {}, nil
	}
	select {
	case s.ledger.turn <- struct{}{}:
		defer func() { <-s.ledger.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := s.dropReservations(ctx, account); err != nil {
		return nil, fmt.Errorf("read what is reserved for account %s: %w", account, err)
	}
	begun := s.now()
	things, err := taken() // before the transaction: it reads the database, too
	if err != nil {
		return nil, err
	}
	r := reservation{ID: newID(), UserID: account, Thing: thing, Amount: amount, Holder: s.holder()}
	err = s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		// One process at a time: on SQLite, because the transaction begins as a writer.
		u, found, err := one[user](tx.Clauses(clause.Locking{Strength: "UPDATE"}).Where("id = ?", account))
		if err != nil || !found {
			return err
		}
		var held []reservation
		if err := tx.Where("user_id = ?", account).Find(&held).Error; err != nil {
			return err
		}
		for _, h := range held {
			// Reservations that were released since might not be part of taken yet.
			if h.Released == nil || !h.Released.Before(begun) || h.Holder != r.Holder && s.now().Sub(*h.Released) < settleTime {
				things[h.Thing] = things[h.Thing].most(h.Amount)
			}
		}
		before := Sum(things)
		things[thing] = things[thing].most(amount)
		if err := u.Quota.exceeded(u.Name, before, Sum(things)); err != nil {
			return err
		}
		return tx.Create(&r).Error
	})
	if err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() { s.release(ctx, r.ID) }), nil
}

// Unreserve forgets what was reserved for a thing that is gone, or takes less: other
// processes need not wait until they learn of that.
func (s *Service) Unreserve(ctx context.Context, thing string) {
	err := s.db.WithContext(ctx).Where("thing = ? AND released IS NOT NULL", thing).Delete(&reservation{}).Error
	if err != nil && ctx.Err() == nil { // it counts a few seconds longer
		s.log.WarnContext(ctx, "what was reserved cannot be forgotten yet", "thing", thing, "error", err)
	}
}

// release notes that a reservation's thing shows, or was not made.
func (s *Service) release(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	err := s.db.WithContext(ctx).Model(&reservation{}).Where("id = ?", id).Update("released", s.now()).Error
	if err == nil {
		return
	}
	s.log.WarnContext(ctx, "a reservation cannot be released yet", "error", err)
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	s.ledger.unsaid = append(s.ledger.unsaid, id)
}

// dropReservations removes the reservations of an account that count no more.
func (s *Service) dropReservations(ctx context.Context, account string) error {
	db := s.db.WithContext(ctx)
	s.ledger.mu.Lock()
	unsaid := s.ledger.unsaid
	s.ledger.unsaid = nil
	s.ledger.mu.Unlock()
	if len(unsaid) > 0 {
		if err := db.Where("id IN ?", unsaid).Delete(&reservation{}).Error; err != nil {
			s.ledger.mu.Lock()
			defer s.ledger.mu.Unlock()
			s.ledger.unsaid = append(s.ledger.unsaid, unsaid...)
			return err
		}
	}
	err := db.Where("user_id = ? AND (released < ? OR released IS NOT NULL AND holder = ?)", account, s.now().Add(-settleTime), s.holder()).Delete(&reservation{}).Error
	if err != nil {
		return err
	}
	var holders []string
	err = db.Model(&reservation{}).Where("user_id = ? AND released IS NULL AND holder <> ?", account, s.holder()).Distinct().Pluck("holder", &holders).Error
	if err != nil {
		return err
	}
	for _, holder := range holders {
		ended, err := s.leases.Ended(ctx, holder)
		if err != nil {
			return err
		}
		if !ended {
			continue
		}
		if err := db.Where("holder = ?", holder).Delete(&reservation{}).Error; err != nil {
			return err
		}
	}
	return nil
}

// holder names this process; empty where no one reserves.
func (s *Service) holder() string {
	if s.leases == nil {
		return ""
	}
	return s.leases.Holder()
}
