package guacamole

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/guacamole/guacamoletest"
	"github.com/sandboxlabs/sandboxlabs/internal/secret"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

const patience = 30 * time.Second

// lab is nodes and users without real hosts.
type lab struct {
	mu      sync.Mutex
	nodes   map[string]Node
	screens map[string]Screen
	unknown map[string]bool // hosts
	viewers []Viewer
	failure error // of listing the viewers
	reads   int   // of screens
	// asked is called after each call of Inventory, with mu held; may be nil.
	asked func()
}

func newLab(people ...string) *lab {
	l := &lab{nodes: map[string]Node{}, screens: map[string]Screen{}, unknown: map[string]bool{}}
	for _, name := range people {
		l.viewers = append(l.viewers, Viewer{ID: "id-of-" + name, Name: name, Sees: func(Node) bool { return true }})
	}
	return l
}

// nodeID returns an id in the format of a UUID.
func nodeID(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// run starts a node, or changes its screen's port.
func (l *lab) run(n int, name string, port int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := nodeID(n)
	l.nodes[id] = Node{ID: id, Name: name, Host: "local", Running: true}
	l.screens[id] = Screen{Listen: "127.0.0.1", Port: port, Password: fmt.Sprintf("pass%04d", n)}
	return id
}

// halt stops a node.
func (l *lab) halt(n int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	node := l.nodes[nodeID(n)]
	node.Running = false
	l.nodes[node.ID] = node
	delete(l.screens, node.ID)
	return node.ID
}

// change runs f with the lab locked.
func (l *lab) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

func (l *lab) Inventory() ([]Node, map[string]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked != nil {
		defer l.asked()
	}
	return slices.Collect(maps.Values(l.nodes)), maps.Clone(l.unknown)
}

func (l *lab) Screen(_ context.Context, id string) (Screen, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	s, ok := l.screens[id]
	if !ok {
		return Screen{}, ErrNoScreen
	}
	return s, nil
}

func (l *lab) Viewers(context.Context) ([]Viewer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.viewers), l.failure
}

// newService creates a reconciler for the lab and a Guacamole database.
func newService(t *testing.T, g *guacamoletest.Database, l *lab, edit func(*Options)) *Service {
	t.Helper()
	address, err := url.Parse("https://labs.example.org/guacamole/")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Database: g.URL, URL: address, Nodes: l, Viewers: l, Ended: func(context.Context, string) (bool, error) { return false, nil }}
	if edit != nil {
		edit(&o)
	}
	if o.DB == nil {
		o.DB, o.Vault = newStore(t)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// newStore opens a database for the service and creates its keys.
func newStore(t *testing.T) (*gorm.DB, Vault) {
	t.Helper()
	db, err := store.Open(t.Context(), storetest.SQLite(t), nil, Migrations()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(db); err != nil {
			t.Error(err)
		}
	})
	return db, secret.In(t.TempDir())
}

// start runs a reconciler until the test ends, or until stop is called.
func start(t *testing.T, s *Service) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// mustSync runs one pass that must succeed and leave nothing unfinished.
func (s *Service) mustSync(t *testing.T) Report {
	t.Helper()
	r, err := s.Sync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Problems) > 0 {
		t.Errorf("problems: %q", r.Problems)
	}
	return r
}

// until waits for a condition, and returns how long it took.
func until(t *testing.T, within time.Duration, what string, met func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for !met() {
		if time.Since(begin) > within {
			t.Fatalf("after %v: not yet that %s", within, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(begin)
}
