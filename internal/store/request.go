package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

const (
	// requestLife is how long an answer is kept.
	requestLife  = 24 * time.Hour
	requestSweep = time.Hour
	// requestRetry is how long a client should wait for an answer that is being made.
	requestRetry = time.Second
)

// Request is a request that carries an Idempotency-Key.
type Request struct {
	Account string // id of who makes it; keys of different accounts differ
	Key     string // ASCII, at most 255 characters
	Route   string // "POST /api/labs", for who looks into the table
	Digest  string // of all that makes it the same request; at most 64 characters
}

// Answer is what a request was answered with.
type Answer struct {
	Status      int
	Location    string
	ContentType string
	Body        []byte // may hold secrets
}

// Vault encrypts answers. Open wants the purpose that Seal was given.
type Vault interface {
	Seal(purpose, text string) (string, error)
	Open(purpose, sealed string) (string, error)
}

// requestRow is a Request as it is stored: under way while its status is 0.
type requestRow struct {
	Account        string    `gorm:"primaryKey;type:varchar(36)"`
	IdempotencyKey string    `gorm:"primaryKey;type:varchar(255)"`
	Route          string    `gorm:"type:varchar(255);not null"`
	Digest         string    `gorm:"type:varchar(64);not null"`
	Attempt        string    `gorm:"type:varchar(36);not null"` // who may write the answer
	Holder         string    `gorm:"type:varchar(36);not null"` // the process that works on it; see Hold
	Status         int       `gorm:"not null"`
	Location       string    `gorm:"type:text;not null"`
	ContentType    string    `gorm:"type:varchar(255);not null"`
	Body           string    `gorm:"type:text;not null"` // encrypted
	Created        time.Time `gorm:"not null"`
}

// TableName names the table.
func (requestRow) TableName() string { return "idempotency_keys" }

// purpose binds a body to the request that it answers.
func (r requestRow) purpose() string {
	return "idempotency:" + r.Account + ":" + r.Digest + ":" + r.IdempotencyKey
}

// RequestMigrations returns the migrations of the table of the Requests, for Open.
func RequestMigrations() []*gormigrate.Migration {
	return []*gormigrate.Migration{{
		ID: "2026112901_idempotency_keys",
		Migrate: func(tx *gorm.DB) error {
			type key struct {
				Account        string    `gorm:"primaryKey;type:varchar(36)"`
				IdempotencyKey string    `gorm:"primaryKey;type:varchar(255)"`
				Route          string    `gorm:"type:varchar(255);not null"`
				Digest         string    `gorm:"type:varchar(64);not null"`
				Attempt        string    `gorm:"type:varchar(36);not null"`
				Holder         string    `gorm:"type:varchar(36);not null"`
				Status         int       `gorm:"not null"`
				Location       string    `gorm:"type:text;not null"`
				ContentType    string    `gorm:"type:varchar(255);not null"`
				Body           string    `gorm:"type:text;not null"`
				Created        time.Time `gorm:"not null;index:idx_idempotency_keys_created"`
			}
			return tx.Table("idempotency_keys").Migrator().CreateTable(&key{})
		},
	}}
}

// RequestOptions are what Requests work with.
type RequestOptions struct {
	DB    *gorm.DB         // required; opened with RequestMigrations
	Lease *Lease           // required, and held: it tells whose requests are under way
	Vault Vault            // required
	Log   *slog.Logger     // nil discards
	Now   func() time.Time // nil is time.Now
}

// Requests keep how requests with an Idempotency-Key were answered, for a day. All
// methods may be called from any goroutine.
type Requests struct {
	o RequestOptions

	mu      sync.Mutex
	ongoing map[string]bool // the attempts that this process works on
}

// NewRequests returns the Requests of a database. Run removes the old ones.
func NewRequests(o RequestOptions) (*Requests, error) {
	if o.DB == nil || o.Lease == nil || o.Vault == nil || o.Lease.Holder() == "" {
		return nil, errors.New("store: an option of the requests is missing, or the intents are not held")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Requests{o: o, ongoing: map[string]bool{}}, nil
}

// Attempt is a request that its caller answers now. End it by Keep or by Drop.
type Attempt struct {
	s   *Requests
	row requestRow
}

// Begin puts a request on record before anything is done for it. It returns the
// attempt that the caller is to answer, or else what the same request was answered
// before. It answers fault.IdempotencyReused for a key of another request, and
// fault.RequestInProgress while an earlier attempt is under way. One whose process
// ended, or could not write down its answer, is under way no more: the request is
// begun anew then, for nobody knows how far the first one came.
func (s *Requests) Begin(ctx context.Context, r Request) (*Attempt, *Answer, error) {
	row := requestRow{
		Account: r.Account, IdempotencyKey: r.Key, Route: r.Route, Digest: r.Digest,
		Attempt: uuid.NewString(), Holder: s.o.Lease.Holder(), Created: s.o.Now().UTC().Truncate(time.Microsecond),
	}
	s.begun(row.Attempt) // before anybody can read it
	won, earlier, err := s.claim(ctx, row)
	if !won {
		s.ended(row.Attempt)
		return nil, earlier, err
	}
	return &Attempt{s, row}, nil, nil
}

// claim writes a row, in the place of one that stands for nothing any more. It tells
// whether it did; if not, how the request was answered.
func (s *Requests) claim(ctx context.Context, row requestRow) (won bool, earlier *Answer, err error) {
	db := s.o.DB.WithContext(ctx)
	result := db.Clauses(clause.OnConflict{DoNothing: true}).Create(&row)
	if result.Error != nil {
		return false, nil, fmt.Errorf("put a request on record: %w", result.Error)
	}
	if result.RowsAffected > 0 {
		return true, nil, nil
	}
	var there requestRow
	err = db.Where("account = ? AND idempotency_key = ?", row.Account, row.IdempotencyKey).Take(&there).Error
	if errors.Is(err, gorm.ErrRecordNotFound) { // it has just failed
		return false, nil, inProgress()
	}
	if err != nil {
		return false, nil, fmt.Errorf("read a request: %w", err)
	}
	old := there.Created.Before(row.Created.Add(-requestLife))
	switch {
	case !old && there.Digest != row.Digest:
		return false, nil, fault.New(fault.IdempotencyReused, "This Idempotency-Key was used for another request (%s). Use a new key for each request.", there.Route)
	case !old && there.Status != 0:
		body, err := s.o.Vault.Open(there.purpose(), there.Body)
		if err != nil {
			return false, nil, fmt.Errorf("decrypt the answer of a request: %w", err)
		}
		return false, &Answer{Status: there.Status, Location: there.Location, ContentType: there.ContentType, Body: []byte(body)}, nil
	case there.Status == 0:
		left, err := s.left(ctx, there)
		if err != nil {
			return false, nil, err
		}
		if !left {
			return false, nil, inProgress()
		}
		s.o.Log.WarnContext(ctx, "a request that was cut off is made anew", "route", row.Route, "begun", there.Created)
	}
	// Of several that find it so, one takes it.
	result = db.Model(&requestRow{}).Where("account = ? AND idempotency_key = ? AND attempt = ?", there.Account, there.IdempotencyKey, there.Attempt).
		Select("*").Updates(row)
	switch {
	case result.Error != nil:
		return false, nil, fmt.Errorf("take a request up: %w", result.Error)
	case result.RowsAffected == 0:
		return false, nil, inProgress()
	}
	return true, nil, nil
}

func inProgress() error {
	err := fault.New(fault.RequestInProgress, "The same request is still running. Retry in a moment, with the same Idempotency-Key, to get its response.")
	err.RetryAfter = requestRetry
	return err
}

// left tells whether nobody works on a request that is under way.
func (s *Requests) left(ctx context.Context, row requestRow) (bool, error) {
	if row.Holder != s.o.Lease.Holder() {
		return s.o.Lease.Ended(ctx, row.Holder)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.ongoing[row.Attempt], nil
}

func (s *Requests) begun(attempt string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ongoing[attempt] = true
}

func (s *Requests) ended(attempt string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ongoing, attempt)
}

// Keep stores the answer of the attempt, for who repeats the request; also when ctx
// has ended.
func (a *Attempt) Keep(ctx context.Context, answer Answer) error {
	defer a.s.ended(a.row.Attempt)
	ctx, cancel := Outlasting(ctx)
	defer cancel()
	body, err := a.s.o.Vault.Seal(a.row.purpose(), string(answer.Body))
	if err != nil {
		return fmt.Errorf("encrypt the answer of a request: %w", err)
	}
	if err := a.mine(ctx).Updates(map[string]any{
		"status": answer.Status, "location": answer.Location, "content_type": answer.ContentType, "body": body,
	}).Error; err != nil {
		return fmt.Errorf("store the answer of a request: %w", err)
	}
	return nil
}

// Drop forgets a request that made nothing, so that it can be repeated; also when
// ctx has ended.
func (a *Attempt) Drop(ctx context.Context) error {
	defer a.s.ended(a.row.Attempt)
	ctx, cancel := Outlasting(ctx)
	defer cancel()
	if err := a.mine(ctx).Delete(&requestRow{}).Error; err != nil {
		return fmt.Errorf("forget a request: %w", err)
	}
	return nil
}

// mine chooses the attempt's row, while it is its own.
func (a *Attempt) mine(ctx context.Context) *gorm.DB {
	return a.s.o.DB.WithContext(ctx).Model(&requestRow{}).
		Where("account = ? AND idempotency_key = ? AND attempt = ?", a.row.Account, a.row.IdempotencyKey, a.row.Attempt)
}

// Run removes what is older than a day, every hour, until ctx ends.
func (s *Requests) Run(ctx context.Context) error {
	tick := time.NewTicker(requestSweep)
	defer tick.Stop()
	for {
		if err := s.sweep(ctx); err != nil && ctx.Err() == nil {
			s.o.Log.Error("old Idempotency-Keys could not be removed", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (s *Requests) sweep(ctx context.Context) error {
	return s.o.DB.WithContext(ctx).Where("created < ?", s.o.Now().UTC().Add(-requestLife)).Delete(&requestRow{}).Error
}

// Reseal encrypts all answers by the vault's newest key; those that cannot be read
// stay as they are. It may be broken off, and done again.
func (s *Requests) Reseal(ctx context.Context) error {
	var rows []requestRow
	if err := s.o.DB.WithContext(ctx).Where("status <> 0").Find(&rows).Error; err != nil {
		return fmt.Errorf("list the answers of requests: %w", err)
	}
	for _, row := range rows {
		body, err := s.o.Vault.Open(row.purpose(), row.Body)
		if err != nil {
			s.o.Log.WarnContext(ctx, "the answer of a request cannot be read", "route", row.Route, "error", err)
			continue
		}
		sealed, err := s.o.Vault.Seal(row.purpose(), body)
		if err != nil {
			return fmt.Errorf("encrypt the answer of a request: %w", err)
		}
		err = s.o.DB.WithContext(ctx).Model(&requestRow{}).Where("account = ? AND idempotency_key = ? AND body = ?", row.Account, row.IdempotencyKey, row.Body).Update("body", sealed).Error
		if err != nil {
			return fmt.Errorf("store the answer of a request: %w", err)
		}
	}
	return nil
}
