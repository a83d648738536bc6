package guacamole

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

const (
	promptly = time.Second // what an event may take
	patience = 30 * time.Second
)

// gateway is Guacamole's database, as its own initdb.sh leaves it.
type gateway struct {
	t     *testing.T
	owner *pgx.Conn
	url   string // of the role that has our rights and no others
}

// newGateway makes a database with Guacamole's tables and our role.
func newGateway(t *testing.T) *gateway {
	t.Helper()
	ownerURL := storetest.Postgres(t)
	g := &gateway{t: t, owner: connect(t, ownerURL)}
	schema, err := os.ReadFile("testdata/schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	g.exec(string(schema))
	g.exec(`INSERT INTO guacamole_entity (name, type) VALUES ('guacadmin', 'USER');
		INSERT INTO guacamole_user (entity_id, password_hash, password_date) SELECT entity_id, sha256('guacadmin'), now() FROM guacamole_entity;
		INSERT INTO guacamole_system_permission SELECT entity_id, 'ADMINISTER' FROM guacamole_entity`)

	// Roles are the server's, not the database's: each test has one of its own.
	u, err := url.Parse(ownerURL)
	if err != nil {
		t.Fatal(err)
	}
	role := "sandboxlabs_" + strings.TrimPrefix(u.Path, "/")
	grants, err := os.ReadFile("../../deploy/compose/guacamole-role.sql")
	if err != nil {
		t.Fatal(err)
	}
	g.exec(fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD 'guest'", role))
	g.exec(strings.ReplaceAll(string(grants), "sandboxlabs_guacamole", role))
	t.Cleanup(func() {
		// The connection is a new one: the server may have been down meanwhile.
		c := connect(t, ownerURL)
		if _, err := c.Exec(context.Background(), "DROP OWNED BY "+role+"; DROP ROLE "+role); err != nil {
			t.Error(err)
		}
	})
	u.User = url.UserPassword(role, "guest")
	g.url = u.String()
	return g
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// reconnect is for the time after the server was down.
func (g *gateway) reconnect() { g.owner = connect(g.t, g.owner.Config().ConnString()) }

func (g *gateway) exec(sql string, args ...any) {
	g.t.Helper()
	if _, err := g.owner.Exec(context.Background(), sql, args...); err != nil {
		g.t.Fatalf("%s: %v", sql, err)
	}
}

// one returns the only value that a query gives.
func one[T any](g *gateway, sql string, args ...any) T {
	g.t.Helper()
	var v T
	if err := g.owner.QueryRow(context.Background(), sql, args...).Scan(&v); err != nil {
		g.t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// row is a connection as Guacamole would open it.
type row struct {
	ID         int
	Name       string
	Protocol   string
	Group      string
	Parameters map[string]string
	Readers    []string
}

// rows returns all connections by name.
func (g *gateway) rows() map[string]row {
	g.t.Helper()
	found, err := g.owner.Query(context.Background(), `
		SELECT connection_id, connection_name, protocol, COALESCE(connection_group_name, ''),
		       COALESCE((SELECT json_object_agg(parameter_name, parameter_value) FROM guacamole_connection_parameter p WHERE p.connection_id = c.connection_id), '{}'),
		       ARRAY(SELECT e.name FROM guacamole_connection_permission m JOIN guacamole_entity e USING (entity_id)
		              WHERE m.connection_id = c.connection_id AND m.permission = 'READ' ORDER BY 1)
		  FROM guacamole_connection c LEFT JOIN guacamole_connection_group g ON g.connection_group_id = c.parent_id`)
	if err != nil {
		g.t.Fatal(err)
	}
	list, err := pgx.CollectRows(found, pgx.RowToStructByPos[row])
	if err != nil {
		g.t.Fatal(err)
	}
	byName := map[string]row{}
	for _, r := range list {
		byName[r.Name] = r
	}
	if len(byName) != len(list) {
		g.t.Errorf("two connections have one name: %+v", list)
	}
	return byName
}

// snapshot is everything that the tables hold, for comparison.
func (g *gateway) snapshot(where string) string {
	g.t.Helper()
	var all []string
	for _, table := range []string{
		"connection_group", "connection_group_attribute", "connection_group_permission", "connection", "connection_attribute",
		"connection_parameter", "connection_permission", "entity", "user", "user_attribute", "system_permission", "user_permission",
	} {
		all = append(all, one[string](g, `SELECT COALESCE(string_agg(t::text, E'\n' ORDER BY t::text), '') FROM guacamole_`+table+` t WHERE t::text LIKE $1`, where))
	}
	return strings.Join(all, "\n")
}

// lab is nodes and people without machines behind them.
type lab struct {
	mu      sync.Mutex
	nodes   map[string]Node
	screens map[string]Screen
	unknown map[string]bool // hosts
	viewers []Viewer
	failure error // of listing the viewers
	reads   int   // of screens
}

func newLab(people ...string) *lab {
	l := &lab{nodes: map[string]Node{}, screens: map[string]Screen{}, unknown: map[string]bool{}}
	for _, name := range people {
		l.viewers = append(l.viewers, Viewer{ID: "id-of-" + name, Name: name, Sees: func(Node) bool { return true }})
	}
	return l
}

// nodeID makes an id of the form of a UUID.
func nodeID(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// run starts a node, or moves its screen.
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

// change edits the lab.
func (l *lab) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

func (l *lab) Nodes() []Node {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Values(l.nodes))
}

func (l *lab) Known(host string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.unknown[host]
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

// newService makes a reconciler of the lab for the gateway.
func newService(t *testing.T, g *gateway, l *lab, edit func(*Options)) *Service {
	t.Helper()
	address, err := url.Parse("https://labs.example.org/guacamole/")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Database: g.url, URL: address, Nodes: l, Viewers: l}
	if edit != nil {
		edit(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
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

// sync makes one pass, which must go well and leave nothing undone.
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
