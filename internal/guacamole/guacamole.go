// Package guacamole keeps Guacamole's PostgreSQL database in sync with the screens of the
// running nodes, and opens a node's screen in Guacamole for a user.
//
// It owns a connection group, one connection in it for each running node, and one user for
// each account. Each of these rows has our attributes; rows without them are never
// changed. Guacamole reads its tables whenever a connection is opened, so it needs no
// notification of changes.
package guacamole

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"gorm.io/gorm"
)

// Node is the part of a node that this package needs.
type Node struct {
	ID   string // the domain's UUID
	Name string
	Host string
	// Running reports that the node has a QEMU process, so it may have a screen.
	Running bool
}

// Screen is the address of a running node's VNC server.
type Screen struct {
	Listen   string // address on the node's host
	Port     int
	Password string // empty if the server requires none
}

// LogValue keeps the password out of logs.
func (s Screen) LogValue() slog.Value {
	return slog.GroupValue(slog.String("listen", s.Listen), slog.Int("port", s.Port))
}

// Nodes gives access to the nodes. Its methods may be called from any goroutine.
type Nodes interface {
	// Inventory returns the nodes from memory, and the hosts whose nodes are not all
	// known: their rows in Guacamole are not changed. A pass calls it once, because a host
	// that becomes known during a pass would seem to have lost all of its nodes.
	Inventory() (nodes []Node, unknown map[string]bool)
	// Screen returns a running node's screen, or ErrNoScreen if it has none.
	Screen(ctx context.Context, id string) (Screen, error)
}

// ErrNoScreen reports that a node has no VNC screen, because it is off or was defined
// without one.
var ErrNoScreen = errors.New("the node has no VNC screen")

// Viewer is a user who may see nodes.
type Viewer struct {
	ID   string // of the account; it never changes
	Name string
	Sees func(Node) bool
}

// Viewers lists everyone who may see nodes.
type Viewers interface {
	Viewers(ctx context.Context) ([]Viewer, error)
}

// Options configures a Service. Database, URL, Nodes, Viewers, DB, Vault and Ended are
// required.
type Options struct {
	Database string   // PostgreSQL URL of Guacamole's database
	URL      *url.URL // of Guacamole's web application, as browsers reach it
	// JSONSecret is the key of Guacamole's JSON sign-on (json-secret-key). Without it,
	// users sign in to Guacamole with its other methods.
	JSONSecret Secret
	// VNCHosts are the addresses at which guacd reaches the hosts' screens, by host name;
	// the empty name stands for all others. Without an entry, a host is reached at the
	// address that its VNC servers listen on.
	VNCHosts map[string]string
	// Guacds are the guacd of each host, by host name; the empty name stands for all
	// others. Without an entry, the default guacd of Guacamole's web application shows the
	// host's screens.
	Guacds map[string]Guacd
	// KeepStopped keeps the connection of a node that is off until the node is deleted,
	// with a mark in its name and without a port.
	KeepStopped bool
	Nodes       Nodes
	Viewers     Viewers
	DB          *gorm.DB // the service's database, for sessions in Guacamole; opened with Migrations
	Vault       Vault    // encrypts the sessions
	// Ended reports whether the session or token that a Person's Entry names has ended.
	Ended func(ctx context.Context, entry string) (bool, error)
	// Changed is called with the id of each node whose Link changed. It must not
	// block. May be nil.
	Changed func(nodeID string)
	Log     *slog.Logger
}

// Guacd is the address at which Guacamole's web application reaches a guacd.
type Guacd struct {
	Host string
	Port int
	TLS  bool
}

// State reports whether a part of Guacamole can be used.
type State string

// The states of Guacamole's database, of its web application and of a guacd.
const (
	Unknown     State = "unknown" // not tried yet
	OK          State = "ok"
	Unreachable State = "unreachable"
)

// Status describes the last passes.
type Status struct {
	State State
	// Problem tells an operator why the state is not OK.
	Problem     string
	Connections int       // managed by SandboxLabs
	Users       int       // managed by SandboxLabs
	Passed      time.Time // end of the last successful pass
	Failures    int       // since then
	// Web is the state of Guacamole's web application. WebProblem says why it is not OK.
	Web        State
	WebProblem string
	// Guacds are the states of the guacds in Options.Guacds, by the same names.
	Guacds map[string]State
}

// Link is a node's connection in Guacamole.
type Link struct {
	ConnectionID int
	URL          string
}

// Service is the reconciler. Its methods may be called from any goroutine.
type Service struct {
	o        Options
	sessions sessions
	pool     *pgxpool.Pool
	sent     *statementCount
	web      *webApp
	wake     chan struct{} // capacity 1
	turn     chan struct{} // capacity 1: whoever fills it runs a pass

	mu      sync.Mutex
	dirty   map[string]bool   // nodes whose screens must be read again
	screens map[string]screen // known screens by node id; only the pass writes it
	links   map[string]Link   // by node id
	names   map[string]string // Guacamole's user name by account
	status  Status
}

const (
	// interval is the time between passes without an event.
	interval = 10 * time.Second
	// firstRetry and lastRetry limit the pauses after a failure.
	firstRetry = 250 * time.Millisecond
	lastRetry  = 2 * time.Second
	// unfinishedPause is the pause after a pass that could not change everything.
	unfinishedPause = time.Second
)

// New creates a Service. It does not connect: Run and Sync do. The caller must call Close.
func New(o Options) (*Service, error) {
	if o.Nodes == nil || o.Viewers == nil || o.URL == nil || o.DB == nil || o.Vault == nil || o.Ended == nil {
		return nil, errors.New("guacamole: a required option is missing")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Changed == nil {
		o.Changed = func(string) {}
	}
	sent := &statementCount{}
	pool, err := newPool(o.Database, sent)
	if err != nil {
		return nil, err
	}
	return &Service{
		o: o, sessions: sessions{o.DB, o.Vault}, pool: pool, sent: sent, web: newWebApp(o.URL.String()),
		wake: make(chan struct{}, 1), turn: make(chan struct{}, 1),
		dirty: map[string]bool{}, screens: map[string]screen{}, links: map[string]Link{}, names: map[string]string{},
		status: Status{State: Unknown, Web: Unknown, Guacds: unknownGuacds(o.Guacds)},
	}, nil
}

// Close closes the connections to Guacamole's database. Call it after Run has returned.
func (s *Service) Close() {
	s.pool.Close()
	s.web.client.CloseIdleConnections()
}

// NodeChanged starts a pass because a node has changed. It never blocks.
func (s *Service) NodeChanged(id string) {
	s.mu.Lock()
	s.dirty[id] = true
	s.mu.Unlock()
	s.Wake()
}

// Wake starts a pass because the rights of users may have changed. It never blocks.
func (s *Service) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run keeps Guacamole's database in sync with the nodes until ctx is done. While the
// database is unreachable it retries, and the first successful pass applies all changes
// since then.
func (s *Service) Run(ctx context.Context) error {
	var parts sync.WaitGroup
	defer parts.Wait()
	parts.Go(func() { s.watchParts(ctx) })
	retry := firstRetry
	for ctx.Err() == nil {
		report, err := s.Sync(ctx)
		s.endOver(ctx)
		pause := interval
		switch {
		case err != nil:
			pause, retry = retry, min(2*retry, lastRetry)
		case len(report.UnknownHosts) > 0 || len(report.Problems) > 0:
			pause, retry = unfinishedPause, firstRetry
		default:
			retry = firstRetry
		}
		wake := s.wake
		if err != nil {
			wake = nil // events do not shorten the pause: the next pass is a complete one
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-wake:
		}
		timer.Stop()
	}
	return nil
}

// Link returns a node's connection in Guacamole; false while there is none.
func (s *Service) Link(nodeID string) (Link, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.links[nodeID]
	return l, ok
}

// Status returns the result of the last passes and checks from memory.
func (s *Service) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.status
	st.Guacds = maps.Clone(st.Guacds)
	return st
}

// passed records the end of a pass, and logs changes of the state.
func (s *Service) passed(ctx context.Context, err error, have *contents) {
	s.mu.Lock()
	before := s.status.State
	if err == nil {
		s.status.State, s.status.Problem, s.status.Failures = OK, "", 0
		s.status.Connections, s.status.Users, s.status.Passed = len(have.connections), len(have.users), time.Now()
	} else {
		s.status.State, s.status.Problem = Unreachable, err.Error()
		s.status.Failures++
	}
	after := s.status.State
	s.mu.Unlock()
	switch {
	case before == after:
	case err != nil:
		s.o.Log.WarnContext(ctx, "Guacamole's database cannot be used; the nodes are not affected, and the sync catches up when it returns", "error", err)
	default:
		s.o.Log.InfoContext(ctx, "Guacamole's database is in sync", "connections", len(have.connections), "users", len(have.users))
	}
}

// Report is the result of a pass.
type Report struct {
	Nodes      int // running, with a screen
	Made       int // connections created
	Updated    int
	Removed    int
	Users      int // created, renamed or removed
	Duration   time.Duration
	Statements int64 // sent to Guacamole's database, including those of transactions
	// UnknownHosts are hosts whose nodes are not known now: their rows in Guacamole were
	// not changed.
	UnknownHosts []string
	// Problems tell an operator what could not be brought in sync.
	Problems []string

	dry        bool  // count changes without writing
	webProblem error // of closing screens through the web application
}

// String formats the report in one line.
func (r Report) String() string {
	return fmt.Sprintf("%d running nodes with a screen: %d connections made, %d updated, %d removed, %d users changed, by %d statements in %d ms",
		r.Nodes, r.Made, r.Updated, r.Removed, r.Users, r.Statements, r.Duration.Milliseconds())
}
