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
	// requestRetry is how long a client should wait before it asks again for an answer in progress.
	requestRetry = time.Second
)

// Request is a request that has an Idempotency-Key.
type Request struct {
	Account string // id of the account that sends it; keys are per account
	Key     string // ASCII, at most 255 characters
	Route   string // "POST /api/labs", for people who inspect the table
	Digest  string // of everything that identifies the same request; at most 64 characters
}

// Answer is the response to a request.
type Answer struct {
	Status      int
	Location    string
	ContentType string
	Body        []byte // may hold secrets
}

// Vault encrypts answers. Open needs the purpose that was passed to Seal.
type Vault interface {
	Seal(purpose, text string) (string, error)
	Open(purpose, sealed string) (string, error)
}

// requestRow is a stored Request; it is in progress while its status is 0.
type requestRow struct {
	Account        string    `gorm:"primaryKey;type:varchar(36)"`
	IdempotencyKey string    `gorm:"primaryKey;type:varchar(255)"`
	Route          string    `gorm:"type:varchar(255);not null"`
	Digest         string    `gorm:"type:varchar(64);not null"`
	Attempt        string    `gorm:"type:varchar(36);not null"` // the attempt that may write the answer
	Holder         string    `gorm:"type:varchar(36);not null"` // the process that works on it; see Hold
	Status         int       `gorm:"not null"`
	Location       string    `gorm:"type:text;not null"`
	ContentType    string    `gorm:"type:varchar(255);not null"`
	Body           string    `gorm:"type:text;not null"` // encrypted
	Created        time.Time `gorm:"not null"`
}

// TableName returns the table's name.
func (requestRow) TableName() string { return "idempotency_keys" }

// purpose binds an encrypted body to its request.
func (r requestRow) purpose() string {
	return "idempotency:" + r.Account + ":" + r.Digest + ":" + r.IdempotencyKey
}

// RequestMigrations returns the migrations of the requests' table, for Open.
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

// RequestOptions configures Requests.
type RequestOptions struct {
	DB    *gorm.DB         // required; opened with RequestMigrations
	Lease *Lease           // required, and held: it identifies the process of a request in progress
	Vault Vault            // required
	Log   *slog.Logger     // nil discards
	Now   func() time.Time // nil is time.Now
}

// Requests stores the answers to requests with an Idempotency-Key for a day. Its methods are safe
// for concurrent use.
type Requests struct {
	o RequestOptions

	mu      sync.Mutex
	ongoing map[string]bool // the attempts that this process works on
}

// NewRequests returns the Requests of a database. Run deletes old ones.
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

// Attempt is a request that its caller is processing. End it with Keep or Drop.
type Attempt struct {
	s   *Requests
	row requestRow
}

// Begin records a request before it is processed. It returns either the attempt that the caller
// must answer, or the earlier answer to the same request. It returns fault.IdempotencyReused if the
// key belongs to another request, and fault.RequestInProgress if an earlier attempt is in progress.
// An attempt whose process ended, or could not store its answer, is no longer in progress: the
// request then begins again, because nobody knows how far the earlier attempt came.
func (s *Requests) Begin(ctx context.Context, r Request) (*Attempt, *Answer, error) {
	row := requestRow{
		Account: r.Account, IdempotencyKey: r.Key, Route: r.Route, Digest: r.Digest,
		Attempt: uuid.NewString(), Holder: s.o.Lease.Holder(), Created: s.o.Now().UTC().Truncate(time.Microsecond),
	}
	s.begun(row.Attempt) // before others can read the row
	won, earlier, err := s.claim(ctx, row)
	if !won {
		s.ended(row.Attempt)
		return nil, earlier, err
	}
	return &Attempt{s, row}, nil, nil
}

// claim writes a row, replacing one that is no longer valid. It returns whether it did; if not, it
// returns the stored answer.
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
	if errors.Is(err, gorm.ErrRecordNotFound) { // the earlier attempt has just failed
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
	// If several find the row invalid, only one may replace it.
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

// left returns whether nobody is working on a request in progress.
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

// Keep stores the answer of the attempt for repeated requests, even if ctx has ended.
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

// Drop deletes the record of a request that changed nothing, so that it can be repeated, even if
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

// mine selects the attempt's row if it still belongs to the attempt.
func (a *Attempt) mine(ctx context.Context) *gorm.DB {
	return a.s.o.DB.WithContext(ctx).Model(&requestRow{}).
		Where("account = ? AND idempotency_key = ? AND attempt = ?", a.row.Account, a.row.IdempotencyKey, a.row.Attempt)
}

// Run deletes answers older than a day, every hour, until ctx ends.
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

// Reseal encrypts all answers with the vault's newest key; it leaves those that it cannot decrypt
// unchanged. It may be interrupted and repeated.
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
