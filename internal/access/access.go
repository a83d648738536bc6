// Package access decides who may come in and as whom: accounts with passwords,
// browser sessions, the bearer tokens of scripts, and the one-use tickets that
// open a WebSocket.
//
// Every way in ends in a Principal. Secrets are kept as hashes only — but for those
// of second factors, which are encrypted — and never appear in an error or a log
// line.
package access

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
	"github.com/alexedwards/scs/v2"
	"gorm.io/gorm"
)

// Role is what an account may do. Roles are stored and part of the REST
// contract: their spelling never changes.
type Role string

// The roles, from the most to the least powerful.
const (
	RoleAdmin      Role = "admin"
	RoleInstructor Role = "instructor"
	RoleStudent    Role = "student"
	RoleViewer     Role = "viewer"
)

// Principal is who makes a request. It is a snapshot: ask again for each request.
type Principal struct {
	UserID    string // empty for Open
	Name      string // the account's name
	Role      Role
	SessionID string   // names the session, opens nothing; empty without a session
	TokenID   string   // the bearer token's id; empty without one
	Scopes    ScopeSet // what the token is good for
	// MustChange is set while another user knows the account's password: sessions and
	// tokens are good for nothing but changing it then.
	MustChange bool

	// What Refresh looks the session up by.
	sessionKey string
	epoch      int64
}

// Open is the principal of every request to a service whose sign-in is switched
// off: an administrator without an account.
func Open() Principal { return Principal{Name: "local", Role: RoleAdmin} }

// OwnerID is what things that p makes are recorded to belong to: the account's id, or
// the name of Open, which no account has as its id.
func (p Principal) OwnerID() string { return cmp.Or(p.UserID, p.Name) }

// Vault encrypts what is stored and has to be read again. Open wants the purpose
// that Seal was given.
type Vault interface {
	Seal(purpose, text string) (sealed string, err error)
	Open(purpose, sealed string) (text string, err error)
}

// How long a session lasts, where the options do not say.
const (
	SessionLifetime = 24 * time.Hour // from sign-in, however much it is used
	SessionIdle     = 8 * time.Hour  // from the last request
)

// Options are what a Service works with.
type Options struct {
	DB    *gorm.DB // required; opened with Migrations
	Vault Vault    // required
	// Lifetime and Idle are how long a session lasts: from sign-in, and from its
	// last use. Zero is SessionLifetime and SessionIdle.
	Lifetime, Idle time.Duration
	// Fresh is how long after a sign-in a session may make tokens that can change
	// things, and set up a second factor. Zero is SessionFresh.
	Fresh time.Duration
	Log   *slog.Logger     // nil discards
	Now   func() time.Time // nil is time.Now
	// LabNodes returns the ids of the nodes of each lab, by the lab's id; nil:
	// there are no labs.
	LabNodes func(ctx context.Context) (map[string][]string, error)
	// Leases are required where quotas are kept (Reserve).
	Leases Leases
}

// Service knows accounts, sessions, tokens and tickets. All methods may be called
// from any goroutine. Sessions and tokens are shared by every replica on one
// database; tickets and the count of failed sign-ins are each process's own.
type Service struct {
	db       *gorm.DB
	vault    Vault
	log      *slog.Logger
	now      func() time.Time
	lifetime time.Duration // of sessions
	idle     time.Duration
	fresh    time.Duration
	sessions *scs.SessionManager
	hashing  *gate
	attempts *throttle
	tickets  *ticketBox
	ledger   *ledger
	leases   Leases
	labNodes func(ctx context.Context) (map[string][]string, error)
	// compare reports whether a password fits a hash; the tests count its calls.
	compare func(password, hash string) (bool, error)
	names   *directory
	// nobody is the hash that a sign-in to an unknown account is compared with.
	nobody string
}

// New returns a Service. It starts no goroutine and needs no closing.
func New(o Options) (*Service, error) {
	if o.DB == nil {
		return nil, errors.New("access: a database is required")
	}
	if o.Vault == nil {
		return nil, errors.New("access: a vault is required")
	}
	o.Lifetime, o.Idle = cmp.Or(o.Lifetime, SessionLifetime), cmp.Or(o.Idle, SessionIdle)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.LabNodes == nil {
		o.LabNodes = func(context.Context) (map[string][]string, error) { return map[string][]string{}, nil }
	}
	// What is stored has the precision that both databases keep. What is not keeps Go's
	// monotonic clock, which no one sets.
	now := func() time.Time { return o.Now().UTC().Truncate(time.Microsecond) }
	return &Service{
		db:       o.DB,
		vault:    o.Vault,
		log:      o.Log,
		now:      now,
		lifetime: o.Lifetime,
		idle:     o.Idle,
		fresh:    cmp.Or(o.Fresh, SessionFresh),
		sessions: newSessions(sessionStore{db: o.DB, now: now, idle: o.Idle}, o.Lifetime),
		hashing:  newGate(),
		attempts: newThrottle(o.Now),
		tickets:  newTicketBox(o.Now),
		ledger:   newLedger(),
		leases:   o.Leases,
		labNodes: o.LabNodes,
		compare:  argon2id.ComparePasswordAndHash,
		names:    &directory{db: o.DB, log: o.Log, now: o.Now},
		nobody:   unusableHash(),
	}, nil
}

// storable reports whether a text of at most maxBytes, with something in it, may go to the
// database: PostgreSQL takes neither broken UTF-8 nor a NUL.
func storable(text string, maxBytes int) bool {
	return text != "" && len(text) <= maxBytes && utf8.ValidString(text) &&
		!strings.ContainsFunc(text, unicode.IsControl)
}

// canonical is the spelling of an account's name that is stored and compared.
func canonical(name string) string { return strings.ToLower(strings.TrimSpace(name)) }
