// Package guacamole keeps Guacamole's PostgreSQL database equal to the screens
// of the running nodes, and takes people from a node straight into its screen.
//
// It owns a connection group, one connection in it for each running node, and one user for
// each account. Each of these rows has our attributes; rows without them are never changed.
// Guacamole reads its tables again whenever a connection is opened, so that nothing has to
// tell it of a change.
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

// Node is what matters here of a node.
type Node struct {
	ID   string // the domain's UUID
	Name string
	Host string
	// Running reports that it has a QEMU process, so that it may have a screen.
	Running bool
}

// Screen is how a running node's VNC server is reached.
type Screen struct {
	Listen   string // address on the node's host
	Port     int
	Password string // empty when the server asks for none
}

// LogValue keeps the password out of logs.
func (s Screen) LogValue() slog.Value {
	return slog.GroupValue(slog.String("listen", s.Listen), slog.Int("port", s.Port))
}

// Nodes is what this package needs of the nodes. Its methods may be called from
// any goroutine.
type Nodes interface {
	// Inventory returns the nodes, from memory, and the hosts whose nodes are not all
	// known: what Guacamole has of those is not changed. A pass asks once, since a host
	// that becomes known in the middle of it would seem to have lost all its nodes.
	Inventory() (nodes []Node, unknown map[string]bool)
	// Screen returns a running node's screen; ErrNoScreen when it has none.
	Screen(ctx context.Context, id string) (Screen, error)
}

// ErrNoScreen reports that a node has no VNC screen: because it is off, or because it was
// defined without one.
var ErrNoScreen = errors.New("the node has no VNC screen")

// Viewer is a person who may see nodes.
type Viewer struct {
	ID   string // of the account; never changes
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
	// JSONSecret is the key of Guacamole's JSON sign-on (json-secret-key); without
	// one, people sign in to Guacamole by what else it offers.
	JSONSecret Secret
	// VNCHosts are the addresses at which guacd reaches the hosts' screens, by the
	// host's name; the empty name stands for all others. A host without one is
	// reached at the address that its VNC servers listen on.
	VNCHosts map[string]string
	// Guacds are the guacd of each host, by the host's name; the empty name stands
	// for all others. The screens of a host without one are shown by the guacd that
	// Guacamole's web application is set up with.
	Guacds map[string]Guacd
	// KeepStopped keeps the connection of a node that is off, marked and without a
	// port, until the node is deleted.
	KeepStopped bool
	Nodes       Nodes
	Viewers     Viewers
	DB          *gorm.DB // of the service, for the sessions in Guacamole; opened with Migrations
	Vault       Vault    // encrypts them
	// Ended reports whether what a Person's Entry names has ended.
	Ended func(ctx context.Context, entry string) (bool, error)
	// Changed is called with the id of each node whose Link changed. It must not
	// block. May be nil.
	Changed func(nodeID string)
	Log     *slog.Logger
}

// Guacd is where Guacamole's web application reaches a guacd.
type Guacd struct {
	Host string
	Port int
	TLS  bool
}

// State reports whether a part of Guacamole can be used.
type State string

// The states of Guacamole's database, of its web application and of a guacd.
const (
	Unknown     State = "unknown" // nothing was tried yet
	OK          State = "ok"
	Unreachable State = "unreachable"
)

// Status is how the last passes went.
type Status struct {
	State State
	// Problem says why the state is not OK, for an operator.
	Problem     string
	Connections int       // managed by SandboxLabs
	Users       int       // managed by SandboxLabs
	Passed      time.Time // end of the last pass that went well
	Failures    int       // since then
	// Web is the state of Guacamole's web application, and WebProblem says why it is not OK.
	Web        State
	WebProblem string
	// Guacds are the states of the guacd that Options.Guacds names, by the same names.
	Guacds map[string]State
}

// Link is a node's place in Guacamole.
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
	wake     chan struct{} // one slot
	turn     chan struct{} // one slot: whoever fills it makes a pass

	mu      sync.Mutex
	dirty   map[string]bool   // nodes whose screen must be read again
	screens map[string]screen // what was read, by node; only the pass writes it
	links   map[string]Link   // by node
	names   map[string]string // Guacamole's user by account
	status  Status
}

const (
	// interval is the time between comparisons that no event asks for.
	interval = 10 * time.Second
	// firstRetry and lastRetry bound the pauses after a failure.
	firstRetry = 250 * time.Millisecond
	lastRetry  = 2 * time.Second
	// unfinishedPause follows a pass that left something as it was.
	unfinishedPause = time.Second
)

// New creates a Service. It connects to nothing: Run and Sync do. Close it.
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

// Close closes the connections to Guacamole. Call it when Run has returned.
func (s *Service) Close() {
	s.pool.Close()
	s.web.client.CloseIdleConnections()
}

// NodeChanged has a node compared at once. It never blocks.
func (s *Service) NodeChanged(id string) {
	s.mu.Lock()
	s.dirty[id] = true
	s.mu.Unlock()
	s.Wake()
}

// Wake has all compared at once: who may see what may have changed. It never
// blocks.
func (s *Service) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run keeps Guacamole's database equal to the nodes until ctx ends. While the database is
// unreachable it tries again and again; what was missed meanwhile is made up for by the
// first pass that goes well.
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
			wake = nil // events do not shorten the pause: the pass after it is a whole one
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

// Link returns where a node is in Guacamole; false while it is not there.
func (s *Service) Link(nodeID string) (Link, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.links[nodeID]
	return l, ok
}

// Status returns how the last passes and checks went, from memory.
func (s *Service) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.status
	st.Guacds = maps.Clone(st.Guacds)
	return st
}

// passed notes the end of a pass, and logs when the state changes.
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

// Report is what a pass found and did.
type Report struct {
	Nodes      int // running, with a screen
	Made       int // connections
	Updated    int
	Removed    int
	Users      int // made, renamed or removed
	Duration   time.Duration
	Statements int64 // sent to Guacamole's database, those of transactions included
	// UnknownHosts are hosts whose nodes are not known now: what Guacamole has of them was
	// not changed.
	UnknownHosts []string
	// Problems are what could not be brought in sync, for an operator.
	Problems []string

	dry        bool  // count, and write nothing
	webProblem error // of closing screens by the web application
}

// String tells it in a line.
func (r Report) String() string {
	return fmt.Sprintf("%d running nodes with a screen: %d connections made, %d updated, %d removed, %d users changed, by %d statements in %d ms",
		r.Nodes, r.Made, r.Updated, r.Removed, r.Users, r.Statements, r.Duration.Milliseconds())
}
