package main

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
	"github.com/sandboxlabs/sandboxlabs/internal/guacamole/guacamoletest"
	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

// withGuacamole returns the flags that connect a lab with Guacamole's database and web
// application.
func (l *lab) withGuacamole(g *guacamoletest.Database, web *guacamoletest.Web, more ...string) []string {
	l.t.Helper()
	// Secrets are passed in files, not on the command line.
	dir := l.t.TempDir()
	for name, text := range map[string]string{"database": g.URL, "key": guacamoletest.Key} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600); err != nil {
			l.t.Fatal(err)
		}
	}
	return append([]string{"--guacamole-database=file:" + filepath.Join(dir, "database"), "--guacamole-json-secret=file:" + filepath.Join(dir, "key"), "--guacamole-url=" + web.URL}, more...)
}

func (l *lab) health() api.Health {
	l.t.Helper()
	var h api.Health
	l.call(http.MethodGet, "/api/health", nil, http.StatusOK, &h)
	return h
}

// connectionOf waits until Guacamole has a connection to the current port of the node's
// screen, and returns it.
func (l *lab) connectionOf(g *guacamoletest.Database, name string) (c guacamoletest.Connection, took time.Duration) {
	l.t.Helper()
	port := strings.TrimPrefix(l.virsh("domdisplay", l.name(name)), "vnc://127.0.0.1:")
	display, err := strconv.Atoi(port[strings.LastIndex(port, ":")+1:])
	if err != nil {
		l.t.Fatalf("domdisplay: %q", port)
	}
	begin := time.Now()
	until(l.t, promptly, said("Guacamole has the node at its port"), func() bool {
		c = g.Connections()[l.name(name)]
		return c.Parameters["port"] == strconv.Itoa(5900+display)
	})
	return c, time.Since(begin)
}

// End to end: guacd shows the guest's screen with the parameters from the tables. This
// test cannot run in parallel with others, because it stops the database server of all
// tests.
func TestGuacamoleShowsTheScreen(t *testing.T) {
	takeGuest(t)
	guacd := guacamoletest.Guacd(t)
	g, web := guacamoletest.NewDatabase(t), guacamoletest.NewWeb(t)
	l := newLab(t)
	l.addMicro()
	l.launch(nil, l.withGuacamole(g, web, "--guacamole-stopped=remove")...)
	l.awaitHealth("ok")
	until(t, promptly, said("health reports the web application"), func() bool { return l.health().GuacamoleWeb == "ok" })
	if h := l.health(); h.Guacamole != "ok" {
		t.Errorf("health: %+v", h)
	}
	n := l.create("seen")
	l.act(n.ID, "run", nil)
	first, took := l.connectionOf(g, "seen")
	t.Logf("the connection was there %v after the start", took)
	l.looksTheSame(guacd, first, "seen")

	// The API shows the node's connection and a link to it.
	var link *api.NodeGuacamole
	until(t, promptly, said("the node has its link"), func() bool { link = l.node(n.ID).Guacamole; return link != nil })
	if link.ConnectionID != first.ID || !strings.HasPrefix(link.URL, web.URL+"/#/client/") {
		t.Errorf("link %+v, connection %d", link, first.ID)
	}
	var way struct{ URL string }
	l.call(http.MethodPost, "/api/nodes/"+n.ID+"/guacamole", nil, http.StatusOK, &way)
	if !strings.HasPrefix(way.URL, link.URL+"?token=TOKEN") {
		t.Errorf("the way there: %s", way.URL)
	}
	if !slices.Equal(first.Readers, []string{"local"}) {
		t.Errorf("it may be opened by %q", first.Readers)
	}

	// When the node stops, its row is deleted. If another program takes its port, the old
	// parameters do not show that program's screen, and the node gets another port at its next
	// start.
	l.act(n.ID, "stop", forced)
	until(t, promptly, said("the connection of the stopped node is gone"), func() bool { return g.Connections()[l.name("seen")].ID == 0 })
	other := l.create("other")
	l.act(other.ID, "run", nil)
	second, _ := l.connectionOf(g, "other")
	l.looksTheSame(guacd, second, "other")
	if second.Parameters["password"] == first.Parameters["password"] || second.Parameters["password"] == "" {
		t.Error("two nodes have one VNC password")
	}
	stale := maps.Clone(second.Parameters)
	stale["password"] = first.Parameters["password"]
	l.showsNothing(guacd, "the port of another node", stale)
	delete(stale, "port")
	l.showsNothing(guacd, "no port", stale)
	l.act(n.ID, "run", nil)
	again, took := l.connectionOf(g, "seen")
	t.Logf("the connection was there again %v after the start", took)
	l.looksTheSame(guacd, again, "seen")

	// Guacamole's database is unreachable while the node gets another port.
	end := storetest.Outage(t)
	l.act(n.ID, "stop", forced)
	hold(t, again.Parameters["port"])
	l.act(n.ID, "run", nil)
	until(t, promptly, said("health reports the outage"), func() bool { return l.health().Guacamole == "unreachable" })
	if metrics := string(l.send(http.MethodGet, "/metrics", nil).body); !strings.Contains(metrics, "\nsandboxlabs_guacamole_up 0\n") {
		t.Errorf("the metrics do not report the outage:\n%s", metrics)
	}
	if l.health().Status != "degraded" || l.node(n.ID).State != "running" {
		t.Error("the outage is not told, or reaches the nodes")
	}
	end()
	moved, took := l.connectionOf(g, "seen")
	t.Logf("caught up %v after the database's return", took)
	if moved.ID != again.ID || moved.Parameters["port"] == again.Parameters["port"] {
		t.Errorf("before %+v, after %+v", again, moved)
	}
	l.looksTheSame(guacd, moved, "seen")
	l.awaitHealth("ok")

	// An operator compares the state, with and without the service running. Guests of other
	// tests start and stop meanwhile, and are in Guacamole, too.
	inStep := func() bool {
		out, code := l.run(append([]string{"guacamole", "status"}, l.withGuacamole(g, web, "--guacamole-stopped=remove")...)...)
		return code == 0 && strings.Contains(out, "It is in sync")
	}
	until(t, patience, said("the database is in sync"), inStep)
	l.service.kill()
	l.virsh("destroy", l.name("other"))
	if out, code := l.run(append([]string{"guacamole", "status"}, l.withGuacamole(g, web, "--guacamole-stopped=remove")...)...); code != 0 || !regexp.MustCompile(`not in sync: .*[1-9]\d* to remove`).MatchString(out) {
		t.Errorf("guacamole status: %d: %s", code, out)
	}
	if out, code := l.run(append([]string{"guacamole", "sync"}, l.withGuacamole(g, web, "--guacamole-stopped=remove")...)...); code != 0 || !regexp.MustCompile(`[1-9]\d* removed`).MatchString(out) {
		t.Errorf("guacamole sync: %d: %s", code, out)
	}
	if c := g.Connections(); c[l.name("other")].ID != 0 || c[l.name("seen")].ID != moved.ID {
		t.Errorf("after the operator's sync: %+v", c)
	}
	for _, p := range l.all {
		if strings.Contains(p.log.String()+p.out.String(), moved.Parameters["password"]) || strings.Contains(p.log.String(), ":guest@") {
			t.Error("a password is in the log")
		}
	}
}

// hold waits until a port is free and keeps it in use until the test ends.
func hold(t *testing.T, port string) {
	t.Helper()
	var l net.Listener
	until(t, promptly, said("the port is free"), func() (free bool) {
		var err error
		l, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:"+port)
		return err == nil
	})
	t.Cleanup(func() { _ = l.Close() })
}

// looksTheSame compares guacd's picture with the hypervisor's screenshot. The guest is
// paused meanwhile.
func (l *lab) looksTheSame(guacd string, c guacamoletest.Connection, name string) {
	l.t.Helper()
	until(l.t, patience, said("something is on the screen of "+name), func() bool { return lit(l.picture(name)) > 100 })
	l.virsh("suspend", l.name(name))
	defer l.virsh("resume", l.name(name))
	want := l.picture(name)
	ctx, cancel := context.WithTimeout(l.t.Context(), promptly)
	defer cancel()
	got, err := guacamoletest.Screen(ctx, guacd, c.Protocol, c.Parameters)
	if err != nil {
		l.t.Fatalf("guacd does not show %s: %v", name, err)
	}
	if got.Bounds() != want.Bounds() {
		l.t.Fatalf("guacd shows %s in the size %v, want %v", name, got.Bounds(), want.Bounds())
	}
	off := 0
	for y := range want.Bounds().Dy() {
		for x := range want.Bounds().Dx() {
			if differ(got.At(x, y), want.At(x, y)) {
				off++
			}
		}
	}
	all := want.Bounds().Dx() * want.Bounds().Dy()
	if off > all/1000 || lit(got) < 100 { // the cursor may blink
		l.t.Errorf("guacd shows %s otherwise: %d of %d pixels, %d lit", name, off, all, lit(got))
	}
	l.t.Logf("%s through guacd: %v, %d of %d pixels differ, %d lit", name, got.Bounds().Size(), off, all, lit(got))
}

// showsNothing checks that guacd shows no picture.
func (l *lab) showsNothing(guacd, what string, parameters map[string]string) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), promptly)
	defer cancel()
	if _, err := guacamoletest.Screen(ctx, guacd, "vnc", parameters); err == nil || !strings.Contains(err.Error(), "519") {
		l.t.Errorf("%s: guacd shows a screen, or %v", what, err)
	}
}

// picture returns the hypervisor's screenshot.
func (l *lab) picture(name string) image.Image {
	l.t.Helper()
	file := filepath.Join(l.t.TempDir(), "screen.png")
	l.virsh("screenshot", l.name(name), file)
	f, err := os.Open(file)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	p, err := png.Decode(f)
	if err != nil {
		l.t.Fatal(err)
	}
	return p
}

// lit counts the pixels that are not black.
func lit(p image.Image) (n int) {
	for y := range p.Bounds().Dy() {
		for x := range p.Bounds().Dx() {
			if differ(p.At(x, y), color.Black) {
				n++
			}
		}
	}
	return n
}

// differ reports whether two pixels have different colors.
func differ(a, b color.Color) bool {
	const much = 8 << 8
	r1, g1, b1, _ := a.RGBA()
	r2, g2, b2, _ := b.RGBA()
	return max(r1, r2)-min(r1, r2) > much || max(g1, g2)-min(g1, g2) > much || max(b1, b2)-min(b1, b2) > much
}

// Screens in Guacamole accept input, so only users who may use the node can open them.
func TestGuacamoleObeysRights(t *testing.T) {
	t.Parallel()
	takeGuest(t)
	g, web := guacamoletest.NewDatabase(t), guacamoletest.NewWeb(t)
	l := newLab(t)
	flags := l.withGuacamole(g, web)
	s := openSchool(l, flags...)
	s.bearer[owner], s.bearer[studentUse], s.bearer[studentView] = s.enrol(s.owner(), "instructor"), s.enrol("use", "student"), s.enrol("view", "student")
	n := s.nodeOf(owner, "screen")
	s.call(http.MethodPost, "/api/nodes/"+n.ID+"/run", nil, http.StatusOK, nil, s.as(owner)...)
	s.call(http.MethodPost, "/api/nodes/"+n.ID+"/pause", nil, http.StatusOK, nil, s.as(owner)...) // its screen stays the same
	readers := func(what string, want ...string) {
		t.Helper()
		slices.Sort(want)
		var got []string
		began := time.Now()
		until(t, promptly, func() string { return fmt.Sprintf("%s: it may be opened by %q, want %q", what, got, want) }, func() bool {
			got = slices.Sorted(slices.Values(g.Connections()[n.Name].Readers))
			return slices.Equal(got, want)
		})
		t.Logf("%s: in Guacamole after %v", what, time.Since(began).Round(time.Millisecond))
	}
	readers("made", "admin", s.owner())
	s.share("nodes", n.ID, "users/view", "view")
	s.share("nodes", n.ID, "users/use", "use")
	readers("shared", "admin", s.owner(), "use")
	tokens := map[string]string{} // Guacamole tokens by user
	for name, who := range map[string]int{"use": studentUse, s.owner(): owner} {
		var way struct{ URL string }
		s.call(http.MethodPost, "/api/nodes/"+n.ID+"/guacamole", nil, http.StatusOK, &way, s.as(who)...)
		_, tokens[name], _ = strings.Cut(way.URL, "?token=")
		web.Open(tokens[name], g.Connections()[n.Name].ID)
	}
	// A new process, as after an upgrade, still recognizes them.
	l.kill()
	l.launch(nil, flags...)
	l.awaitHealth("ok")
	s.refused(http.MethodPost, "/api/nodes/"+n.ID+"/guacamole", nil, refusal{http.StatusForbidden, "forbidden", `need "use"`}, s.as(studentView)...)
	s.call(http.MethodPatch, "/api/users/use", request{"role": "viewer"}, http.StatusOK, nil, s.as(admin)...)
	readers("a viewer now", "admin", s.owner())
	s.call(http.MethodPatch, "/api/users/use", request{"role": "student"}, http.StatusOK, nil, s.as(admin)...)
	readers("a student again", "admin", s.owner(), "use")
	s.call(http.MethodDelete, "/api/nodes/"+n.ID+"/shares/users/use", nil, http.StatusNoContent, nil, s.as(owner)...)
	readers("not shared any more", "admin", s.owner())
	if open := web.Screens(tokens["use"]); len(open) != 0 {
		t.Errorf("not shared any more, and %v is open", open)
	}
	s.call(http.MethodPatch, "/api/users/"+s.owner(), request{"disabled": true}, http.StatusOK, nil, s.as(admin)...)
	readers("disabled", "admin")
	until(t, promptly, func() string { return fmt.Sprintf("the disabled account's session ends: %v", web.Live()) }, func() bool { return web.Live()[tokens[s.owner()]] == "" })
	s.call(http.MethodPatch, "/api/users/"+s.owner(), request{"disabled": false}, http.StatusOK, nil, s.as(admin)...)
	readers("enabled", "admin", s.owner())

	// Deleting an account also deletes its Guacamole user, which a new account with the same
	// name would otherwise inherit.
	users := func() []string {
		return guacamoletest.One[[]string](g, "SELECT array_agg(name ORDER BY name) FROM guacamole_entity")
	}
	before := users()
	s.call(http.MethodDelete, "/api/users/use", nil, http.StatusNoContent, nil, s.as(admin)...)
	until(t, promptly, func() string { return fmt.Sprintf("of the users %q the deleted is gone: %q", before, users()) }, func() bool {
		return slices.Contains(before, "use") && slices.Equal(users(), slices.DeleteFunc(slices.Clone(before), func(name string) bool { return name == "use" }))
	})
}

func TestGuacamoleIsOffByDefault(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	if h := l.health(); h.Guacamole != "off" || h.Status != "ok" {
		t.Errorf("health: %+v", h)
	}
	if out, code := l.run("guacamole", "status"); code == 0 || !strings.Contains(out, "Guacamole is off") {
		t.Errorf("guacamole status: %d: %s", code, out)
	}
	for _, c := range []struct{ flag, says string }{
		{"--guacamole-database=postgres://u:hidden@127.0.0.1/x", "set both"},
		{"--guacamole-url=http://x/guacamole", "set both"},
		{"--guacamole-json-secret=hidden", "32 hexadecimal digits"},
		{"--guacamole-stopped=maybe", "must be remove or keep"},
		{"--guacamole-vnc-host=a,b", "neither an address nor"},
		{"--guacamole-guacd=a=host:4822,a=host:4823", "neither an address nor"},
		{"--guacamole-guacd=host", "not of the form address:port"},
		{"--guacamole-guacd=tls://host:70000", "not of the form address:port"},
		{"--guacamole-database=file:/nonexistent/file", "no such file"},
	} {
		if out, code := l.run("guacamole", "status", c.flag); code == 0 || !strings.Contains(out, c.says) || strings.Contains(out, "hidden") {
			t.Errorf("%s: %d: %s", c.flag, code, out)
		}
	}
}
