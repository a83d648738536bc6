package guacamole

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/guacamole/guacamoletest"
	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

func TestConnectionOfARunningNode(t *testing.T) {
	g, l := guacamoletest.NewDatabase(t), newLab("ann", "bob")
	s := newService(t, g, l, nil)
	id := l.run(1, "web1", 5901)
	empty := g.Snapshot()
	if r, err := s.Compare(t.Context()); err != nil || r.Made != 1 || r.Users != 2 || g.Snapshot() != empty {
		t.Errorf("a comparison: %v, %v", r, err)
	}
	if r := s.mustSync(t); r.Nodes != 1 || r.Made != 1 || r.Users != 2 {
		t.Errorf("report: %v", r)
	}
	got := g.Connections()["web1"]
	want := guacamoletest.Connection{
		ID: got.ID, Name: "web1", Protocol: "vnc", Group: "SandboxLabs", Readers: []string{"ann", "bob"},
		Parameters: map[string]string{"hostname": "127.0.0.1", "port": "5901", "password": "pass0001", "autoretry": "2"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Guacamole has\n%+v, want\n%+v", got, want)
	}
	link, ok := s.Link(id)
	if !ok || link.ConnectionID != got.ID || !strings.HasPrefix(link.URL, "https://labs.example.org/guacamole/#/client/") {
		t.Errorf("link %+v", link)
	}
	if n := guacamoletest.One[int](g, `SELECT count(*) FROM guacamole_connection_group_permission p JOIN guacamole_entity e USING (entity_id)
		WHERE e.name IN ('ann', 'bob') AND permission = 'READ'`); n != 2 {
		t.Errorf("%d people see the group, want 2", n)
	}
	if n := guacamoletest.One[int](g, `SELECT count(*) FROM guacamole_system_permission`); n != 1 {
		t.Errorf("%d rights over the whole of Guacamole, want only that of guacadmin", n)
	}
	if st := s.Status(); st.State != OK || st.Connections != 1 || st.Users != 2 || st.Passed.IsZero() {
		t.Errorf("status %+v", st)
	}

	// Another pass changes nothing.
	before := g.Snapshot()
	if r := s.mustSync(t); r.Made+r.Updated+r.Removed+r.Users != 0 || r.Statements > 4 {
		t.Errorf("a pass without differences: %v", r)
	}
	if after := g.Snapshot(); after != before {
		t.Errorf("a pass without differences changed\n%s\nto\n%s", before, after)
	}

	// Another port updates the row.
	l.run(1, "web1", 5999)
	s.NodeChanged(id)
	if r := s.mustSync(t); r.Updated != 1 || r.Made != 0 {
		t.Errorf("another port: %v", r)
	}
	if moved := g.Connections()["web1"]; moved.ID != got.ID || moved.Parameters["port"] != "5999" {
		t.Errorf("another port: %+v", moved)
	}

	// A rename updates the row.
	l.run(1, "web2", 5999)
	s.NodeChanged(id)
	s.mustSync(t)
	if renamed := g.Connections()["web2"]; renamed.ID != got.ID {
		t.Errorf("renamed: %+v", g.Connections())
	}

	// Off: the row is removed, and the history stays.
	g.Exec(`INSERT INTO guacamole_connection_history (username, connection_id, connection_name, start_date) VALUES ('ann', $1, 'web2', now())`, got.ID)
	l.halt(1)
	if r := s.mustSync(t); r.Removed != 1 {
		t.Errorf("off: %v", r)
	}
	if rows := g.Connections(); len(rows) != 0 {
		t.Errorf("off, and still there: %+v", rows)
	}
	if _, ok := s.Link(id); ok {
		t.Error("a node that is off has a link")
	}
	if n := guacamoletest.One[int](g, `SELECT count(*) FROM guacamole_connection_history WHERE connection_id IS NULL`); n != 1 {
		t.Error("the history went with the connection")
	}
}

func TestStoppedNodesAreKept(t *testing.T) {
	g, l := guacamoletest.NewDatabase(t), newLab("ann")
	s := newService(t, g, l, func(o *Options) { o.KeepStopped = true })
	id := l.run(1, "web1", 5901)
	l.run(2, "never", 5902)
	l.halt(2)
	s.mustSync(t)
	before := g.Connections()["web1"]
	l.halt(1)
	s.NodeChanged(id)
	s.mustSync(t)
	rows := g.Connections()
	off := rows["web1 (off)"]
	if len(rows) != 1 || off.ID != before.ID || !reflect.DeepEqual(off.Parameters, map[string]string{"hostname": "127.0.0.1"}) {
		t.Fatalf("off: %+v", rows)
	}
	if _, ok := s.Link(id); !ok {
		t.Error("a kept connection has no link")
	}
	l.run(1, "web1", 5905)
	s.NodeChanged(id)
	s.mustSync(t)
	if on := g.Connections()["web1"]; on.ID != before.ID || on.Parameters["port"] != "5905" || on.Parameters["password"] == "" {
		t.Errorf("on again: %+v", on)
	}
	l.change(func() { delete(l.nodes, id) })
	s.mustSync(t)
	if rows := g.Connections(); len(rows) != 0 {
		t.Errorf("deleted, and still there: %+v", rows)
	}
}

func TestRowsOfOthersStay(t *testing.T) {
	g, l := guacamoletest.NewDatabase(t), newLab("ann")
	s := newService(t, g, l, nil)
	l.run(1, "web1", 5901)
	s.mustSync(t)
	ours := g.Connections()["web1"].ID
	// An administrator's own rows: next to our group, in it, copies of our rows, and
	// additions to our rows.
	g.Exec(`
		INSERT INTO guacamole_connection_group (connection_group_name) VALUES ('SandboxLabs');
		INSERT INTO guacamole_connection (connection_name, protocol) VALUES ('foreign top', 'ssh');
		INSERT INTO guacamole_connection (connection_name, protocol, parent_id) SELECT 'web2', 'rdp', parent_id FROM guacamole_connection WHERE connection_name = 'web1';
		INSERT INTO guacamole_connection (connection_name, protocol, parent_id) SELECT 'foreign clone', 'vnc', parent_id FROM guacamole_connection WHERE connection_name = 'web1';
		INSERT INTO guacamole_connection_attribute SELECT c.connection_id, a.attribute_name, a.attribute_value
		  FROM guacamole_connection c, guacamole_connection_attribute a WHERE c.connection_name = 'foreign clone';
		INSERT INTO guacamole_entity (name, type) VALUES ('Bob', 'USER'), ('ann', 'USER_GROUP');
		INSERT INTO guacamole_user (entity_id, password_hash, password_date) SELECT entity_id, '\x00', now() FROM guacamole_entity WHERE name = 'Bob';
		INSERT INTO guacamole_system_permission SELECT entity_id, 'ADMINISTER' FROM guacamole_entity WHERE name = 'Bob';
		INSERT INTO guacamole_connection_parameter SELECT connection_id, 'color-depth', '16' FROM guacamole_connection WHERE connection_name = 'web1';
		INSERT INTO guacamole_connection_permission SELECT entity_id, connection_id, p::guacamole_object_permission_type
		  FROM guacamole_entity, guacamole_connection, unnest(ARRAY['READ', 'UPDATE']) p WHERE name = 'Bob' AND connection_name = 'web1'`)
	foreign := g.Snapshot()

	if r := s.mustSync(t); r.Made+r.Updated+r.Removed+r.Users != 0 || g.Snapshot() != foreign {
		t.Errorf("rows of others were touched: %v", r)
	}

	// A node and an account whose names are in use get other names.
	l.run(2, "web2", 5902)
	l.change(func() {
		l.viewers = append(l.viewers, Viewer{ID: "7", Name: "bob", Sees: func(n Node) bool { return n.Name == "web2" }})
	})
	s.mustSync(t)
	rows := g.Connections()
	if r := rows["web2 (local)"]; r.Parameters["port"] != "5902" || !slices.Equal(r.Readers, []string{"ann", "bob (SandboxLabs)"}) {
		t.Errorf("a node of a taken name: %+v", rows)
	}
	if r := rows["web1"]; r.ID != ours || r.Parameters["color-depth"] != "16" || !slices.Equal(r.Readers, []string{"Bob", "ann"}) {
		t.Errorf("web1: %+v", r)
	}
	// When all our rows are removed, all of the administrator's are unchanged.
	l.change(func() { clear(l.nodes); l.viewers = nil })
	s.mustSync(t)
	for line := range strings.Lines(foreign) {
		if strings.Contains(line, "foreign") || strings.Contains(line, "Bob") || strings.Contains(line, "guacadmin") || strings.Contains(line, "rdp") {
			if !strings.Contains(g.Snapshot(), strings.TrimSpace(line)) {
				t.Errorf("lost: %s", line)
			}
		}
	}
	if n := guacamoletest.One[int](g, `SELECT count(*) FROM guacamole_entity WHERE name LIKE '%SandboxLabs%' OR (name = 'ann' AND type = 'USER')`); n != 0 {
		t.Errorf("%d of our users are left", n)
	}
}

func TestDriftIsCorrected(t *testing.T) {
	g, l := guacamoletest.NewDatabase(t), newLab("ann")
	s := newService(t, g, l, nil)
	id := l.run(1, "web1", 5901)
	s.mustSync(t)
	want := g.Connections()["web1"]
	for _, damage := range []string{
		`UPDATE guacamole_connection_parameter SET parameter_value = '1' WHERE parameter_name = 'port'`,
		`DELETE FROM guacamole_connection_parameter`,
		`DELETE FROM guacamole_connection_permission`,
		`UPDATE guacamole_connection SET connection_name = 'x', parent_id = NULL, protocol = 'ssh'`,
		`UPDATE guacamole_connection SET proxy_hostname = 'x', proxy_port = 1, proxy_encryption_method = 'SSL'`,
		`DELETE FROM guacamole_connection_group_permission`,
		`DELETE FROM guacamole_connection_attribute WHERE attribute_name = 'sandboxlabs-host'`,
	} {
		g.Exec(damage)
		s.mustSync(t)
		if got := g.Connections()["web1"]; !reflect.DeepEqual(got, want) {
			t.Errorf("after %s:\n%+v, want\n%+v", damage, got, want)
		}
		if r := s.mustSync(t); r.Made+r.Updated+r.Removed+r.Users != 0 {
			t.Errorf("after %s, the pass after the next: %v", damage, r)
		}
	}
	// Deleted rows are created again with new ids.
	for _, damage := range []string{`DELETE FROM guacamole_connection`, `DELETE FROM guacamole_connection_group`, `DELETE FROM guacamole_entity WHERE name = 'ann'`} {
		g.Exec(damage)
		s.mustSync(t)
		got := g.Connections()["web1"]
		link, _ := s.Link(id)
		want.ID = got.ID
		if !reflect.DeepEqual(got, want) || link.ConnectionID != got.ID {
			t.Errorf("after %s:\n%+v, want\n%+v", damage, got, want)
		}
	}
	// A renamed account keeps its user.
	before := guacamoletest.One[int](g, `SELECT entity_id FROM guacamole_entity WHERE name = 'ann'`)
	l.change(func() { l.viewers[0].Name = "anna" })
	s.mustSync(t)
	if after := guacamoletest.One[int](g, `SELECT entity_id FROM guacamole_entity WHERE name = 'anna'`); after != before {
		t.Error("a renamed account has a new user")
	}
	// The rights of a user change.
	l.change(func() { l.viewers[0].Sees = func(Node) bool { return false } })
	s.mustSync(t)
	if r := g.Connections()["web1"]; len(r.Readers) != 0 {
		t.Errorf("may still be seen by %q", r.Readers)
	}
}

// Rows whose desired state is not known are not changed.
func TestUnknownIsLeft(t *testing.T) {
	g, l := guacamoletest.NewDatabase(t), newLab("ann")
	s := newService(t, g, l, nil)
	l.run(1, "web1", 5901)
	s.mustSync(t)
	before := g.Snapshot()

	l.change(func() { l.unknown["local"] = true })
	if r := s.mustSync(t); !slices.Equal(r.UnknownHosts, []string{"local"}) || g.Snapshot() != before {
		t.Errorf("the host is unreachable: %v", r)
	}
	// A new process whose host has not answered yet.
	empty := newLab("ann")
	empty.unknown["local"] = true
	fresh := newService(t, g, empty, nil)
	if fresh.mustSync(t); g.Snapshot() != before {
		t.Error("a fresh process removed what it did not know")
	}
	if link, ok := fresh.Link(nodeID(1)); !ok || link.ConnectionID == 0 {
		t.Error("a fresh process does not know the link")
	}
	// Our own database is unreachable: rights stay, and changes of screens are applied.
	l.change(func() { l.unknown["local"] = false; l.failure = errors.New("no accounts now") })
	l.run(1, "web1", 5907)
	s.NodeChanged(nodeID(1))
	if r, err := s.Sync(t.Context()); err != nil || len(r.Problems) != 1 {
		t.Errorf("accounts unknown: %v, %v", r, err)
	}
	if r := g.Connections()["web1"]; r.Parameters["port"] != "5907" || !slices.Equal(r.Readers, []string{"ann"}) {
		t.Errorf("accounts unknown: %+v", r)
	}
}

// If a host becomes known during a pass, as at each start of the service, the connections
// of its nodes remain.
func TestHostBecomesKnownDuringAPass(t *testing.T) {
	g, l := guacamoletest.NewDatabase(t), newLab("ann")
	l.run(1, "web1", 5901)
	newService(t, g, l, nil).mustSync(t)
	before := g.Connections()["web1"].ID

	starting := newLab("ann")
	starting.unknown["local"] = true
	starting.asked = func() {
		delete(starting.unknown, "local")
		starting.nodes, starting.screens, starting.asked = l.nodes, l.screens, nil
	}
	restarted := newService(t, g, starting, nil)
	if r := restarted.mustSync(t); r.Removed != 0 || !slices.Equal(r.UnknownHosts, []string{"local"}) {
		t.Errorf("the pass in which the host became known: %v, unknown %q", r, r.UnknownHosts)
	}
	if r := restarted.mustSync(t); r.Made+r.Removed != 0 || g.Connections()["web1"].ID != before {
		t.Errorf("the next pass: %v, %+v", r, g.Connections())
	}
}

// A node that libvirt migrates is on two hosts for a while.
func TestMigration(t *testing.T) {
	g, l := guacamoletest.NewDatabase(t), newLab("ann")
	s := newService(t, g, l, func(o *Options) {
		o.VNCHosts = map[string]string{"two": "10.0.0.2"}
		o.Guacds = map[string]Guacd{"": {Host: "guacd.example.org", Port: 4822}, "two": {Host: "10.0.0.2", Port: 4823, TLS: true}}
	})
	id := l.run(1, "web1", 5901)
	s.mustSync(t)
	if c := g.Connections()["web1"]; c.Guacd != "guacd.example.org 4822 NONE" {
		t.Errorf("made: %+v", c)
	}
	before := g.Connections()["web1"].ID
	l.change(func() { l.nodes[id] = Node{ID: id, Name: "web1", Host: "two", Running: true} })
	s.NodeChanged(id)
	s.mustSync(t)
	if r := g.Connections()["web1"]; r.ID != before || r.Parameters["hostname"] != "10.0.0.2" || r.Guacd != "10.0.0.2 4823 SSL" {
		t.Errorf("moved: %+v", r)
	}
	l.change(func() { l.unknown["local"] = true; delete(l.nodes, id) })
	if s.mustSync(t); len(g.Connections()) != 0 {
		t.Error("the connection is still counted to the old host")
	}
}

func TestTwoReconcilersAtOnce(t *testing.T) {
	g, l := guacamoletest.NewDatabase(t), newLab("ann", "bob")
	const nodes = 30
	for i := range nodes {
		l.run(i, fmt.Sprintf("node%d", i/2), 5900+i) // two nodes with each name
	}
	services := []*Service{newService(t, g, l, nil), newService(t, g, l, nil), newService(t, g, l, nil)}
	for round := range 3 {
		var wg sync.WaitGroup
		for _, s := range services {
			wg.Go(func() {
				if r, err := s.Sync(t.Context()); err != nil || len(r.Problems) > 0 {
					t.Errorf("round %d: %v, %q", round, err, r.Problems)
				}
			})
		}
		wg.Wait()
		rows := g.Connections()
		if len(rows) != nodes {
			t.Errorf("round %d: %d connections, want %d", round, len(rows), nodes)
		}
		if n := guacamoletest.One[int](g, `SELECT count(*) FROM guacamole_connection_group`); n != 1 {
			t.Errorf("round %d: %d groups", round, n)
		}
		if n := guacamoletest.One[int](g, `SELECT count(*) FROM guacamole_entity`); n != 3 {
			t.Errorf("round %d: %d users, want 3", round, n)
		}
		for i := range nodes {
			l.run(i, fmt.Sprintf("node%d", i/2), 6900+100*round+i)
			for _, s := range services {
				s.NodeChanged(nodeID(i))
			}
		}
	}
}

func TestEventsAreFollowed(t *testing.T) {
	g, l := guacamoletest.NewDatabase(t), newLab("ann")
	changed := make(chan string, 100)
	s := newService(t, g, l, func(o *Options) { o.Changed = func(id string) { changed <- id } })
	start(t, s)
	until(t, patience, "the first pass is over", func() bool { return s.Status().State == OK })
	s.NodeChanged(l.run(1, "web1", 5901))
	if id := <-changed; id != nodeID(1) {
		t.Errorf("event for %s", id)
	}
	slowest := time.Duration(0)
	for port := 5910; port < 5920; port++ {
		s.NodeChanged(l.run(1, "web1", port))
		slowest = max(slowest, until(t, patience, "the port is followed", func() bool { return g.Connections()["web1"].Parameters["port"] == fmt.Sprint(port) }))
	}
	s.NodeChanged(l.halt(1))
	slowest = max(slowest, until(t, patience, "the stop is followed", func() bool { return len(g.Connections()) == 0 }))
	<-changed
	t.Logf("slowest of 11 changes: %v", slowest)
}

func TestDatabaseOutage(t *testing.T) {
	g, l := guacamoletest.NewDatabase(t), newLab("ann")
	s := newService(t, g, l, nil)
	l.run(1, "web1", 5901)
	l.run(2, "web2", 5902)
	start(t, s)
	until(t, patience, "the first pass is over", func() bool { return s.Status().State == OK })
	before := g.Connections()["web1"].ID

	end := storetest.Outage(t)
	s.NodeChanged(l.run(1, "web1", 5911))
	s.NodeChanged(l.halt(2))
	s.NodeChanged(l.run(3, "web3", 5903))
	until(t, patience, "the outage is noticed", func() bool { return s.Status().State == Unreachable })
	if st := s.Status(); !strings.Contains(st.Problem, "check that it runs") || strings.Contains(st.Problem, "guest@") {
		t.Errorf("problem: %s", st.Problem)
	}
	if _, ok := s.Link(nodeID(1)); !ok {
		t.Error("the link is gone with the database")
	}
	end()
	took := until(t, patience, "the sync has caught up", func() bool { return s.Status().State == OK && g.Connections()["web3"].ID != 0 })
	rows := g.Connections()
	if len(rows) != 2 || rows["web1"].ID != before || rows["web1"].Parameters["port"] != "5911" {
		t.Errorf("after the outage: %+v", rows)
	}
	t.Logf("caught up %v after the server's return", took)
}

func TestTwoHundredNodes(t *testing.T) {
	g, l := guacamoletest.NewDatabase(t), newLab("ann", "bob", "cy")
	s := newService(t, g, l, nil)
	const nodes = 200
	for i := range nodes {
		l.run(i, fmt.Sprintf("node%03d", i), 5900+i)
	}
	r := s.mustSync(t)
	t.Logf("first pass: %v", r)
	if r.Made != nodes || len(g.Connections()) != nodes {
		t.Errorf("first pass: %v", r)
	}
	r = s.mustSync(t)
	t.Logf("nothing to do: %v", r)
	if r.Statements > 4 || l.reads != nodes {
		t.Errorf("nothing to do: %v, %d screens read", r, l.reads)
	}
	for i := range nodes {
		s.NodeChanged(l.run(i, fmt.Sprintf("node%03d", i), 6900+i))
	}
	r = s.mustSync(t)
	t.Logf("all ports moved: %v", r)
	if r.Updated != nodes {
		t.Errorf("all ports moved: %v", r)
	}
	s.NodeChanged(l.run(7, "node007", 7777))
	r = s.mustSync(t)
	t.Logf("one port moved: %v", r)
	for i := range nodes {
		s.NodeChanged(l.halt(i))
	}
	r = s.mustSync(t)
	t.Logf("all off: %v", r)
	if r.Removed != nodes || len(g.Connections()) != 0 {
		t.Errorf("all off: %v", r)
	}
}

func TestProblemsOfTheDatabaseAreExplained(t *testing.T) {
	g, l := guacamoletest.NewDatabase(t), newLab("ann")
	for name, c := range map[string]struct{ url, says string }{
		"wrong password": {strings.Replace(g.URL, ":guest@", ":wrong@", 1), "refuses the user"},
		"no database":    {strings.Replace(g.URL, "/test_", "/absent_", 1), "does not exist"},
		"no tables":      {storetest.Postgres(t), "does not have the tables"},
		"nobody there":   {"postgres://u:secret@127.0.0.1:1/x", "check that it runs"},
	} {
		s := newService(t, g, l, func(o *Options) { o.Database = c.url })
		if _, err := s.Sync(t.Context()); err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	g.Exec(`REVOKE INSERT ON guacamole_connection FROM ` + g.Role)
	l.run(1, "web1", 5901)
	if _, err := newService(t, g, l, nil).Sync(t.Context()); err == nil || !strings.Contains(err.Error(), "guacamole-role.sql") {
		t.Errorf("missing rights: %v", err)
	}
	if _, err := New(Options{Database: "postgres://u:secret@h:x/y", URL: newService(t, g, l, nil).o.URL, Nodes: l, Viewers: l}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a broken URL: %v", err)
	}
}
