// Package access authenticates users: accounts with passwords, browser sessions, bearer
// tokens for scripts, and one-use tickets that open a WebSocket.
//
// Every authentication returns a Principal. Secrets are stored only as hashes, except for
// those of second factors, which are encrypted. They never appear in errors or logs.
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

// Role defines what an account may do. Roles are stored and part of the REST contract:
// their spelling never changes.
type Role string

// The roles, from the most to the least powerful.
const (
	RoleAdmin      Role = "admin"
	RoleInstructor Role = "instructor"
	RoleStudent    Role = "student"
	RoleViewer     Role = "viewer"
)

// Principal is the account behind a request. It is a snapshot: get it again for each
// request.
type Principal struct {
	UserID    string // empty for Open
	Name      string // the account's name
	Role      Role
	SessionID string   // public ID of the session, not a secret; empty without a session
	TokenID   string   // the bearer token's id; empty without one
	Scopes    ScopeSet // scopes of the token
	// MustChange is set while another user knows the account's password: sessions and
	// tokens are good for nothing but changing it then.
	MustChange bool

	// Key of the session for Refresh.
	sessionKey string
	epoch      int64
}

// Open is the principal of every request while sign-in is turned off: an administrator
// without an account.
func Open() Principal { return Principal{Name: "local", Role: RoleAdmin} }

// OwnerID returns the recorded owner of what p creates: the account's ID, or the name of
// Open, which is not the ID of any account.
func (p Principal) OwnerID() string { return cmp.Or(p.UserID, p.Name) }

// Vault encrypts stored secrets. Open needs the purpose that was passed to Seal.
type Vault interface {
	Seal(purpose, text string) (sealed string, err error)
	Open(purpose, sealed string) (text string, err error)
}

// The default lifetime of sessions.
const (
	SessionLifetime = 24 * time.Hour // since the sign-in
	SessionIdle     = 8 * time.Hour  // since the last request
)

// Options configures a Service.
type Options struct {
	DB    *gorm.DB // required; opened with Migrations
	Vault Vault    // required
	// Lifetime and Idle limit a session since its sign-in and since its last use. Zero is
	// SessionLifetime and SessionIdle.
	Lifetime, Idle time.Duration
	// Fresh is how long after a sign-in a session may make tokens that can change
	// things, and set up a second factor. Zero is SessionFresh.
	Fresh time.Duration
	Log   *slog.Logger     // nil discards
	Now   func() time.Time // nil is time.Now
	// LabNodes returns the node IDs of each lab, by lab ID; nil if there are no labs.
	LabNodes func(ctx context.Context) (map[string][]string, error)
	// Leases are required for Reserve.
	Leases Leases
}

// Service manages accounts, sessions, tokens and tickets. All methods may be called from
// any goroutine. Sessions and tokens are shared by every replica on one database; tickets
// and the count of failed sign-ins are each process's own.
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
	// compare reports whether a password matches a hash; the tests count its calls.
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
	// Stored times have the precision of both databases. Other times keep Go's monotonic
	// clock, which can't be set.
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

// storable reports whether a text of at most maxBytes, with something in it, can be stored:
// PostgreSQL takes neither broken UTF-8 nor a NUL.
func storable(text string, maxBytes int) bool {
	return text != "" && len(text) <= maxBytes && utf8.ValidString(text) &&
		!strings.ContainsFunc(text, unicode.IsControl)
}

// canonical returns the spelling of an account's name that is stored and compared.
func canonical(name string) string { return strings.ToLower(strings.TrimSpace(name)) }
