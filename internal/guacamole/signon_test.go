package guacamole

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/guacamole/guacamoletest"
)

const testKey = guacamoletest.Key

func TestSeal(t *testing.T) {
	secret, err := ParseSecret(testKey)
	if err != nil {
		t.Fatal(err)
	}
	got, err := secret.seal([]byte(`{"username":"alice","expires":1800000000000,"singleUse":true,"connections":{"vm-42":{"protocol":"vnc","parameters":{"hostname":"127.0.0.1","port":"5900"}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	// This is the result of openssl (dgst -mac HMAC, then enc -aes-128-cbc).
	const want = "wmnnBkohRwAw3D3EF16KXzA0bFr+7LFcs9gdbAO9riDsWWbB7GWntMHsQ2KMHRNvbZBsFd7CQsp7n9muOgq7cnCzlUo8E1+2vq+x7L+B0zjTHzwLndon5QSqtfMxZig/" +
		"TK5vIfjo2w/hr/Z5Kw6PABWBmyy0lKrZ3AehTwPFg2eHVaRnlgEWr/k7Mbot+9GLefHioMt9HXtuZjsJ8s0aFRK/IcFugBUKnGgjJGmuRwW3mjfcBxZ4+3QtbbR94VkV"
	if got != want {
		t.Errorf("sealed\n%s, want\n%s", got, want)
	}
	for size := range 40 { // every padding
		text := bytes.Repeat([]byte{'x'}, size)
		data, err := secret.seal(text)
		if err != nil {
			t.Fatal(err)
		}
		if opened, err := guacamoletest.OpenIdentity(testKey, data); err != nil || !bytes.Equal(opened, text) {
			t.Errorf("%d bytes: %q, %v", size, opened, err)
		}
	}
}

func TestSecretIsNotPrinted(t *testing.T) {
	secret, err := ParseSecret(testKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprint(secret), fmt.Sprintf("%+v", Options{JSONSecret: secret}), fmt.Sprintf("%#v", secret)} {
		if strings.Contains(text, testKey[:6]) || strings.Contains(text, "76 11 86") {
			t.Errorf("printed: %s", text)
		}
	}
	for _, bad := range []string{"12", testKey + "00", strings.Replace(testKey, "4", "g", 1)} {
		if _, err := ParseSecret(bad); err == nil || strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestClientURL(t *testing.T) {
	for _, base := range []string{"https://host/guacamole", "https://host/guacamole/"} {
		u, err := url.Parse(base)
		if err != nil {
			t.Fatal(err)
		}
		s := &Service{web: newWebApp(u.String())}
		if got := s.clientURL(42); got != "https://host/guacamole/#/client/NDIAYwBwb3N0Z3Jlc3Fs" {
			t.Errorf("%s: %s", base, got)
		}
	}
}

func TestNames(t *testing.T) {
	long := strings.Repeat("ä", 200)
	for name, n := range map[string]Node{
		"plain": {ID: nodeID(1), Name: "web1", Host: "local"}, "long": {ID: nodeID(1), Name: long, Host: "local"},
		"long host": {ID: nodeID(1), Name: "web1", Host: long}, "broken": {ID: nodeID(1), Name: "a\x00\xff\nb", Host: "local"},
		"nothing": {ID: nodeID(1), Name: "\x00", Host: "local"},
	} {
		for _, off := range []bool{false, true} {
			names := connectionNames(n, off)
			for _, got := range names {
				if !utf8.ValidString(got) || utf8.RuneCountInString(got) > maxNameRunes || strings.ContainsAny(got, "\x00\n") || got == "" {
					t.Errorf("%s: %q", name, got)
				}
			}
			if last := names[len(names)-1]; !strings.Contains(last, n.ID) || strings.HasSuffix(last, offMark) != off {
				t.Errorf("%s: the last resort is %q", name, last)
			}
		}
	}
	if got := connectionNames(Node{ID: "1", Name: "web1", Host: "h"}, true)[0]; got != "web1 (off)" {
		t.Errorf("off: %q", got)
	}
}

func TestEscapeTokens(t *testing.T) {
	for value, want := range map[string]string{
		"plain12": "plain12", "$": "$", "${": "${", "a${GUAC_USERNAME}b": "a$${GUAC_USERNAME}b",
		"${A}${B:x}": "$${A}$${B:x}", "$${A}": "$$${A}", "${a b}": "${a b}",
	} {
		if got := escapeTokens(value); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

func TestAddress(t *testing.T) {
	for name, c := range map[string]struct {
		hosts        map[string]string
		listen, want string
	}{
		"as it listens":       {nil, "192.0.2.7", "192.0.2.7"},
		"anywhere":            {nil, "0.0.0.0", "127.0.0.1"},
		"anywhere, IPv6":      {nil, "::", "127.0.0.1"},
		"unknown":             {nil, "", "127.0.0.1"},
		"for all":             {map[string]string{"": "vm.example.org"}, "127.0.0.1", "vm.example.org"},
		"for this host":       {map[string]string{"": "x", "local": "y"}, "127.0.0.1", "y"},
		"for another, not it": {map[string]string{"other": "y"}, "127.0.0.1", "127.0.0.1"},
	} {
		s := &Service{o: Options{VNCHosts: c.hosts}}
		if got := s.address("local", c.listen); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// newSignOn creates a reconciler for the lab that signs users in to web.
func newSignOn(t *testing.T, g *guacamoletest.Database, l *lab, web string, edit func(*Options)) *Service {
	t.Helper()
	secret, err := ParseSecret(testKey)
	if err != nil {
		t.Fatal(err)
	}
	return newService(t, g, l, func(o *Options) {
		o.JSONSecret = secret
		if o.URL, err = url.Parse(web); err != nil {
			t.Fatal(err)
		}
		if edit != nil {
			edit(o)
		}
	})
}

func TestSignOn(t *testing.T) {
	web := guacamoletest.NewWeb(t)
	g, l := guacamoletest.NewDatabase(t), newLab("ann", "bob")
	over := map[string]bool{}
	s := newSignOn(t, g, l, web.URL, func(o *Options) {
		o.Ended = func(_ context.Context, entry string) (bool, error) { return over[entry], nil }
	})
	one, two := l.run(1, "web1", 5901), l.run(2, "web2", 5902)
	ann, bob := Person{AccountID: "id-of-ann", Entry: "s1"}, Person{AccountID: "id-of-bob", Entry: "s2"}

	// No pass has run yet: the sign-on runs one.
	first, err := s.SignOn(t.Context(), ann, one)
	if err != nil {
		t.Fatal(err)
	}
	link, _ := s.Link(one)
	if first != link.URL+"?token=TOKEN1" || web.Live()["TOKEN1"] != "ann" {
		t.Errorf("first: %s, %v", first, web.Live())
	}
	// A second screen uses the same session, so the first one stays open. It sends no
	// identity, which Guacamole could count as a failed sign-on.
	if second, err := s.SignOn(t.Context(), ann, two); err != nil || !strings.HasSuffix(second, "?token=TOKEN1") || web.Posts() != 1 {
		t.Errorf("second: %s, %v, %d identities sent", second, err, web.Posts())
	}
	// Another person gets another session, also in the same browser.
	if other, err := s.SignOn(t.Context(), bob, one); err != nil || !strings.HasSuffix(other, "?token=TOKEN2") || web.Live()["TOKEN2"] != "bob" {
		t.Errorf("bob: %s, %v", other, err)
	}
	web.Restart()
	if again, err := s.SignOn(t.Context(), ann, one); err != nil || !strings.HasSuffix(again, "?token=TOKEN3") {
		t.Errorf("after Guacamole's restart: %s, %v", again, err)
	}
	s.SignOut(t.Context(), ann)
	if live := web.Live(); len(live) != 0 {
		t.Errorf("after signing out: %v", live)
	}
	// A person whose session ends without SignOut, for example by a new password, is
	// signed out too.
	carl := Person{AccountID: "id-of-ann", Entry: "s3"}
	if _, err := s.SignOn(t.Context(), carl, one); err != nil {
		t.Fatal(err)
	}
	if s.endOver(t.Context()); len(web.Live()) != 1 {
		t.Errorf("while the session lasts: %v", web.Live())
	}
	over["s3"] = true
	if s.endOver(t.Context()); len(web.Live()) != 0 {
		t.Errorf("after the session's end: %v", web.Live())
	}

	if _, err := s.SignOn(t.Context(), ann, nodeID(9)); fault.CodeOf(err) != fault.Unsupported {
		t.Errorf("no screen: %v", err)
	}
	if _, err := s.SignOn(t.Context(), Person{AccountID: "stranger", Entry: "s"}, one); fault.CodeOf(err) != fault.GuacamoleAway {
		t.Errorf("no user: %v", err)
	}

	// The service cannot reach Guacamole: the browser gets the identity.
	web.Close()
	alone, err := s.SignOn(t.Context(), ann, one)
	if err != nil {
		t.Fatal(err)
	}
	_, query, _ := strings.Cut(alone, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	text, err := guacamoletest.OpenIdentity(testKey, values.Get("data"))
	if err != nil || !strings.HasPrefix(alone, link.URL+"?") || !strings.Contains(string(text), `"username":"ann"`) ||
		!strings.Contains(string(text), `"singleUse":true,"connections":{}`) {
		t.Errorf("the browser's own: %s, %s, %v", alone, text, err)
	}
	s.o.JSONSecret = Secret{}
	if plain, err := s.SignOn(t.Context(), ann, one); err != nil || plain != link.URL {
		t.Errorf("without a key: %s, %v", plain, err)
	}
}

// Sessions in Guacamole are known to other processes: to a replica, and to the same
// service after a restart. The database without the keys gives no access.
func TestSessionsOutliveTheProcess(t *testing.T) {
	web := guacamoletest.NewWeb(t)
	g, l := guacamoletest.NewDatabase(t), newLab("ann")
	db, vault := newStore(t)
	over := false
	shared := func(o *Options) {
		o.DB, o.Vault = db, vault
		o.Ended = func(context.Context, string) (bool, error) { return over, nil }
	}
	node := l.run(1, "web1", 5901)
	ann := Person{AccountID: "id-of-ann", Entry: "s1"}
	before := newSignOn(t, g, l, web.URL, shared)
	if _, err := before.SignOn(t.Context(), ann, node); err != nil {
		t.Fatal(err)
	}
	var stored session
	if err := db.Take(&stored).Error; err != nil || strings.Contains(stored.Token, "TOKEN1") || stored.Username != "ann" {
		t.Errorf("stored: %+v, %v", stored, err)
	}
	after := newSignOn(t, g, l, web.URL, shared)
	if again, err := after.SignOn(t.Context(), ann, node); err != nil || !strings.HasSuffix(again, "?token=TOKEN1") {
		t.Errorf("by another process: %s, %v", again, err)
	}
	if n, err := after.Reseal(t.Context()); err != nil || n != 1 {
		t.Errorf("encrypted again: %d, %v", n, err)
	}
	// A disabled account's screens are closed even though this process did not open them.
	// While Guacamole fails, the service retries.
	over = true
	web.Fail(http.StatusInternalServerError)
	after.endOver(t.Context())
	web.Fail(0)
	if len(web.Live()) != 1 {
		t.Errorf("while Guacamole fails: %v", web.Live())
	}
	if after.endOver(t.Context()); len(web.Live()) != 0 {
		t.Errorf("after the account was disabled: %v", web.Live())
	}
	if rows, err := after.sessions.all(t.Context(), nil); err != nil || len(rows) != 0 {
		t.Errorf("still on record: %v, %v", rows, err)
	}
	// Signing out while Guacamole is unreachable takes effect later.
	over = false
	if _, err := after.SignOn(t.Context(), ann, node); err != nil {
		t.Fatal(err)
	}
	web.Fail(http.StatusBadGateway)
	after.SignOut(t.Context(), ann)
	web.Fail(0)
	if before.endOver(t.Context()); len(web.Live()) != 0 {
		t.Errorf("after signing out: %v", web.Live())
	}
}

// Two concurrent requests leave one session open.
func TestSignOnAtOnce(t *testing.T) {
	web := guacamoletest.NewWeb(t)
	g, l := guacamoletest.NewDatabase(t), newLab("ann")
	db, vault := newStore(t)
	shared := func(o *Options) { o.DB, o.Vault = db, vault }
	node := l.run(1, "web1", 5901)
	services := []*Service{newSignOn(t, g, l, web.URL, shared), newSignOn(t, g, l, web.URL, shared)}
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			if _, err := services[i%2].SignOn(t.Context(), Person{AccountID: "id-of-ann", Entry: "s1"}, node); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if live := web.Live(); len(live) != 1 {
		t.Errorf("%d sessions are open: %v", len(live), live)
	}
}

// Revoking a right closes the screens that needed it, and no others.
func TestRevokedRightClosesTheScreen(t *testing.T) {
	web := guacamoletest.NewWeb(t)
	g, l := guacamoletest.NewDatabase(t), newLab("ann", "bob")
	s := newSignOn(t, g, l, web.URL, nil)
	one, two := l.run(1, "web1", 5901), l.run(2, "web2", 5902)
	for _, p := range []Person{{AccountID: "id-of-ann", Entry: "s1"}, {AccountID: "id-of-bob", Entry: "s2"}} {
		if _, err := s.SignOn(t.Context(), p, one); err != nil {
			t.Fatal(err)
		}
	}
	first, _ := s.Link(one)
	second, _ := s.Link(two)
	for _, token := range []string{"TOKEN1", "TOKEN2"} {
		web.Open(token, first.ConnectionID)
		web.Open(token, second.ConnectionID)
	}
	sees := func(node string) {
		l.change(func() { l.viewers[0].Sees = func(n Node) bool { return n.Name == node } })
	}
	sees("web2")
	s.mustSync(t)
	if got := web.Screens("TOKEN1"); !slices.Equal(got, []int{second.ConnectionID}) {
		t.Errorf("ann may only see web2, and has %v open", got)
	}
	if got := web.Screens("TOKEN2"); len(got) != 2 {
		t.Errorf("bob's screens: %v", got)
	}
	if c := g.Connections()["web1"]; !slices.Equal(c.Readers, []string{"bob"}) {
		t.Errorf("readers: %v", c.Readers)
	}
	// If this fails, the next pass ends the whole session.
	web.Fail(http.StatusInternalServerError)
	sees("neither")
	s.mustSync(t)
	web.Fail(0)
	if c := g.Connections()["web2"]; !slices.Equal(c.Readers, []string{"bob"}) {
		t.Errorf("while Guacamole fails, readers: %v", c.Readers)
	}
	if s.endOver(t.Context()); len(web.Screens("TOKEN1")) != 0 || web.Live()["TOKEN1"] != "" {
		t.Errorf("after the next pass: %v, %v", web.Screens("TOKEN1"), web.Live())
	}
}

// A sign-on that fails says why.
func TestSignOnFailures(t *testing.T) {
	web := guacamoletest.NewWeb(t)
	g, l := guacamoletest.NewDatabase(t), newLab("ann")
	s := newSignOn(t, g, l, web.URL, nil)
	node := l.run(1, "web1", 5901)
	ann := Person{AccountID: "id-of-ann", Entry: "s1"}
	refused := func(what, says string) {
		t.Helper()
		address, err := s.SignOn(t.Context(), ann, node)
		var f *fault.Error
		if !errors.As(err, &f) || f.Code != fault.GuacamoleAway || !strings.Contains(f.Message, says) || address != "" {
			t.Errorf("%s: %q, %v", what, address, err)
		}
		if (f != nil && f.RetryAfter > 0) != (says == "BAN_ENABLED") {
			t.Errorf("%s: try again after %v", what, f.RetryAfter)
		}
	}
	web.SetKey(strings.Repeat("00", 16))
	refused("another key", "json-secret-key")
	web.SetKey(testKey)
	for status, says := range map[int]string{http.StatusTooManyRequests: "BAN_ENABLED", http.StatusInternalServerError: "log", http.StatusNotFound: "ends in /guacamole"} {
		web.Fail(status)
		refused(fmt.Sprint(status), says)
	}
	web.Fail(0)
	// Slower than the timeout for connecting.
	web.Delay(reachTimeout + time.Second/2)
	if address, err := s.SignOn(t.Context(), ann, node); err != nil || !strings.HasSuffix(address, "?token=TOKEN1") {
		t.Errorf("a slow answer: %s, %v", address, err)
	}
	s.web.answer = 100 * time.Millisecond
	refused("no answer", "in time")
}

// The web application and guacd have their own states, which do not depend on the
// database.
func TestPartsHaveTheirStates(t *testing.T) {
	web := guacamoletest.NewWeb(t)
	g, l := guacamoletest.NewDatabase(t), newLab()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := net.SplitHostPort(listener.Addr().String())
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	s := newSignOn(t, g, l, web.URL, func(o *Options) {
		o.Guacds = map[string]Guacd{"": {Host: "127.0.0.1", Port: port}, "lab2": {Host: "127.0.0.1", Port: 1}}
	})
	if st := s.Status(); st.Web != Unknown || st.Guacds[""] != Unknown {
		t.Errorf("before the first look: %+v", st)
	}
	s.checkParts(t.Context())
	if st := s.Status(); st.Web != OK || st.Guacds[""] != OK || st.Guacds["lab2"] != Unreachable {
		t.Errorf("web application and one guacd run: %+v", st)
	}
	web.Fail(http.StatusBadGateway)
	s.checkParts(t.Context())
	if st := s.Status(); st.Web != Unreachable || !strings.Contains(st.WebProblem, "502") {
		t.Errorf("behind a proxy without a backend: %+v", st)
	}
	web.Close()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	s.checkParts(t.Context())
	if st := s.Status(); st.Web != Unreachable || !strings.Contains(st.WebProblem, "guacamole-url") || st.Guacds[""] != Unreachable {
		t.Errorf("nothing runs: %+v", st)
	}
}
