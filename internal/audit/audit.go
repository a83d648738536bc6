// Package audit keeps the record of who did what to what, from where, and with
// what result. Entries are added and, when they are older than the operator
// wants, removed; nothing changes one.
package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gorm.io/gorm"
)

// Entry is one action, or an attempt. It contains no request bodies and no secrets.
type Entry struct {
	ID         int64     `gorm:"primaryKey;autoIncrement"` // given by the database; grows with time
	Time       time.Time // UTC; Record and Write set it where it is zero
	Actor      string    // the account's name; empty where no one is known
	ActorID    string    // the account's id
	Via        string    // how the actor came in: session, token, ticket, password, oidc, command, open
	Action     string    // the operation's id in the API, or the command
	TargetKind string    // nodes, images, users, …
	TargetID   string
	TargetName string // as it was called then
	Detail     string // what else names the target
	Address    string // of the client, without a port
	Status     int    // HTTP status; 0 for a command
	Code       string // the problem's code; empty on success
}

// TableName names the table.
func (Entry) TableName() string { return "audit_entries" }

const (
	maxText     = 255  // bytes that are kept of each text
	queued      = 8192 // entries that wait for a database that is unreachable
	batch       = 500  // entries in one statement
	retryAfter  = time.Second
	lastAttempt = 5 * time.Second // for what waits when the service stops
	// storeTimeout is how long Record waits until an entry is stored. A database that is
	// slower than that does not slow requests down further.
	storeTimeout = 50 * time.Millisecond
)

// Options are what a Service works with.
type Options struct {
	DB   *gorm.DB         // required; opened with Migrations
	Days int              // entries older than that are removed; 0 keeps all
	Log  *slog.Logger     // nil discards
	Now  func() time.Time // nil is time.Now
}

// Service keeps the entries. All methods may be called from any goroutine.
type Service struct {
	db    *gorm.DB
	days  int
	log   *slog.Logger
	now   func() time.Time
	queue chan waiting
	fold  *folder
}

// waiting is an entry on its way into the database. stored is closed once it is
// there, or has been written to the log instead.
type waiting struct {
	entry  Entry
	stored chan struct{}
}

// New returns a Service. Run stores what is recorded.
func New(o Options) (*Service, error) {
	if o.DB == nil {
		return nil, errors.New("audit: a database is required")
	}
	if o.Days < 0 {
		return nil, errors.New("audit: the days must not be negative")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Service{db: o.DB, days: o.Days, log: o.Log, now: o.Now, queue: make(chan waiting, queued), fold: newFolder()}, nil
}

// Record adds an entry. Usually it is stored when Record returns. While the database is
// slow or away the entry waits in memory; one that does not fit is written to the log in
// full, as an error. Refusals that are alike are folded: of those beyond the first few, one
// entry says how many there were.
func (s *Service) Record(e Entry) {
	w := waiting{entry: s.clean(e), stored: make(chan struct{})}
	if !s.fold.take(w.entry) {
		return
	}
	select {
	case s.queue <- w:
	default:
		s.logLost(w.entry, "too many entries wait for the database")
		return
	}
	limit := time.NewTimer(storeTimeout)
	defer limit.Stop()
	select {
	case <-w.stored:
	case <-limit.C:
	}
}

// Write adds an entry and returns once it is stored; Run need not run.
func (s *Service) Write(ctx context.Context, e Entry) error {
	e = s.clean(e)
	if err := s.db.WithContext(ctx).Create(&e).Error; err != nil {
		return fmt.Errorf("write the audit entry: %w", err)
	}
	return nil
}

// Run stores what is recorded, and removes what is too old, until ctx ends; what
// waits then is stored before it returns.
func (s *Service) Run(ctx context.Context) error {
	const daily = 24 * time.Hour
	sweep := time.NewTicker(daily)
	defer sweep.Stop()
	folds := time.NewTicker(foldInterval)
	defer folds.Stop()
	s.sweep(ctx)
	for {
		select {
		case <-ctx.Done():
			err := s.drain(context.WithoutCancel(ctx))
			s.storeFolded(ctx, true)
			return err
		case <-sweep.C:
			s.sweep(ctx)
		case <-folds.C:
			s.storeFolded(ctx, false)
		case first := <-s.queue:
			s.store(ctx, s.gather(first))
		}
	}
}

// gather adds to an entry those that wait behind it: they share a statement.
func (s *Service) gather(first waiting) []waiting {
	list := []waiting{first}
	for len(list) < batch {
		select {
		case w := <-s.queue:
			list = append(list, w)
		default:
			return list
		}
	}
	return list
}

// store writes a batch, however long the database is unreachable; when ctx ends before, it
// goes to the log.
func (s *Service) store(ctx context.Context, list []waiting) {
	rows := make([]Entry, len(list))
	for i, w := range list {
		rows[i] = w.entry
	}
	for failures := 0; ; failures++ {
		err := s.db.WithContext(ctx).Create(&rows).Error
		if err == nil {
			break
		}
		if failures == 0 {
			s.log.Error("audit entries are waiting: the database is unavailable", "entries", len(rows), "error", err)
		}
		select {
		case <-time.After(retryAfter):
			continue
		case <-ctx.Done():
		}
		// Once more without ctx, which may be why it failed.
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastAttempt)
		err = s.db.WithContext(last).Create(&rows).Error
		cancel()
		if err != nil {
			for _, e := range rows {
				s.logLost(e, err.Error())
			}
		}
		break
	}
	for _, w := range list {
		close(w.stored)
	}
}

// storeFolded stores what was folded and is over, or all of it.
func (s *Service) storeFolded(ctx context.Context, all bool) {
	for list := s.fold.over(s.now(), all); len(list) > 0; list = list[min(batch, len(list)):] {
		some := make([]waiting, min(batch, len(list)))
		for i := range some {
			some[i] = waiting{entry: s.clean(list[i]), stored: make(chan struct{})}
		}
		s.store(ctx, some)
	}
}

func (s *Service) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lastAttempt)
	defer cancel()
	for {
		select {
		case first := <-s.queue:
			s.store(ctx, s.gather(first))
		default:
			return nil
		}
	}
}

// logLost writes an entry that can't be stored to the log.
func (s *Service) logLost(e Entry, why string) {
	s.log.Error("an audit entry could not be stored and is only in this log", "why", why, "time", e.Time, "actor", e.Actor, "actor-id", e.ActorID,
		"via", e.Via, "action", e.Action, "target-kind", e.TargetKind, "target-id", e.TargetID, "target-name", e.TargetName,
		"detail", e.Detail, "address", e.Address, "status", e.Status, "code", e.Code)
}

// sweep removes entries that are older than configured.
func (s *Service) sweep(ctx context.Context) {
	if s.days == 0 {
		return
	}
	end := s.now().UTC().AddDate(0, 0, -s.days)
	if err := s.db.WithContext(ctx).Where("time < ?", end).Delete(&Entry{}).Error; err != nil && ctx.Err() == nil {
		s.log.Error("old audit entries could not be removed", "error", err)
	}
}

// clean makes an entry such that every database takes it: what names a target
// came from a client.
func (s *Service) clean(e Entry) Entry {
	e.ID = 0
	if e.Time.IsZero() {
		e.Time = s.now()
	}
	e.Time = e.Time.UTC().Truncate(time.Microsecond) // as both databases keep it
	for _, text := range []*string{&e.Actor, &e.ActorID, &e.Via, &e.Action, &e.TargetKind, &e.TargetID, &e.TargetName, &e.Detail, &e.Address, &e.Code} {
		*text = plain(*text)
	}
	return e
}

// plain is a text without control characters and of bounded length.
func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(text, string(utf8.RuneError)))
	if len(text) <= maxText {
		return text
	}
	end := maxText
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}
