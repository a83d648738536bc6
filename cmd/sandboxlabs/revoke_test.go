package main

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"nhooyr.io/websocket"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// soon is the timeout for closing streams whose user has lost the right to them.
const soon = patience

// watch opens a node's console with the given headers.
func (s *school) watch(id string, header ...string) *terminal {
	s.t.Helper()
	return s.watchAt(url.Values{"nodeId": {id}}, header...)
}

// watchAt is watch with a given query.
func (s *school) watchAt(query url.Values, header ...string) *terminal {
	s.t.Helper()
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	socket, a, err := s.dialConsole(query, h)
	if err != nil {
		s.t.Fatalf("console at %s: %v (%d %s)", query.Encode(), err, a.status, a.body)
	}
	c := &terminal{t: s.t, socket: socket, done: make(chan struct{}), fresh: make(chan struct{}, 1)}
	go c.read()
	s.t.Cleanup(func() {
		_ = socket.CloseNow()
		<-c.done
	})
	return c
}

// endsWith expects the console to be closed with a code soon.
func (c *terminal) endsWith(what string, code websocket.StatusCode) {
	c.t.Helper()
	began := time.Now()
	select {
	case <-c.done:
	case <-time.After(soon):
		c.t.Errorf("%s: the console is still open after %v", what, soon)
		return
	}
	var end websocket.CloseError
	if !errors.As(c.err, &end) || end.Code != code {
		c.t.Errorf("%s: the console ended with %v, want %d", what, c.err, code)
	}
	c.t.Logf("%s: closed after %v", what, time.Since(began).Round(time.Millisecond))
}

func (e *events) endsSoon(what string) {
	e.t.Helper()
	select {
	case <-e.ended:
	case <-time.After(soon):
		e.t.Errorf("%s: the events still flow after %v", what, soon)
	}
}

// TestOpenStreamsEnd revokes rights of users who have consoles and event streams open.
func TestOpenStreamsEnd(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	s.bearer[owner] = s.enrol(s.owner(), "instructor")
	s.bearer[student] = s.enrol("ann", "student")
	password := "the password of ann"
	n, other := s.nodeOf(owner, "shared"), s.nodeOf(owner, "secret")

	// Shares: shared nodes appear at once, and disappear when the share ends.
	seen := s.followWith(t.Context(), s.as(student)...)
	s.share("nodes", n.ID, "users/ann", "use")
	seen.await("the node is there", soon, func(e serverEvent) bool { return e.node().ID == n.ID && e.node().Access == "use" })
	typing, looking := s.watch(n.ID, s.as(student)...), s.watchAt(url.Values{"nodeId": {n.ID}, "readonly": {"true"}}, s.as(student)...)
	typing.status("offline")
	looking.status("offline")
	s.share("nodes", n.ID, "users/ann", "view")
	typing.endsWith("use becomes view", 4403)
	seen.await("the node may only be seen", soon, func(e serverEvent) bool { return e.node().ID == n.ID && e.node().Access == "view" })
	again := s.watch(n.ID, s.as(student)...)
	again.status("offline")
	s.call(http.MethodDelete, "/api/nodes/"+n.ID+"/shares/users/ann", nil, http.StatusNoContent, nil, s.as(owner)...)
	looking.endsWith("no share any more", 4404)
	again.endsWith("no share any more", 4404)
	seen.removed(n.ID)
	if status := s.ask("GET /ws/console", n.ID, nil, student); status != http.StatusNotFound {
		t.Errorf("a console that is shared no more: %d", status)
	}

	// A group.
	s.call(http.MethodPost, "/api/groups", request{"name": "class"}, http.StatusCreated, nil, s.as(admin)...)
	s.call(http.MethodPut, "/api/groups/class/members/ann", nil, http.StatusNoContent, nil, s.as(admin)...)
	s.share("nodes", n.ID, "groups/class", "use")
	seen.await("the group's node is there", soon, func(e serverEvent) bool { return e.node().ID == n.ID })

	// Sessions and tokens. A ticket ends with the session or token that created it.
	cookie, second := s.signIn("ann", password), s.signIn("ann", password)
	token := s.furtherToken(student, nil)
	bySession, byOther, byToken := s.watch(n.ID, "Cookie", cookie), s.watch(n.ID, "Cookie", second), s.watch(n.ID, "Authorization", "Bearer "+token)
	ticket := func(header ...string) string {
		t.Helper()
		var made api.Ticket
		s.call(http.MethodPost, "/api/nodes/"+n.ID+"/tickets", nil, http.StatusCreated, &made, header...)
		return made.Ticket
	}
	byTicket := s.watchAt(url.Values{"nodeId": {n.ID}, "ticket": {ticket("Cookie", cookie)}})
	late := ticket("Cookie", cookie)
	eventsOfSession := s.followWith(t.Context(), "Cookie", cookie)
	s.call(http.MethodPost, "/api/auth/logout", nil, http.StatusNoContent, nil, "Cookie", cookie)
	bySession.endsWith("signed out", 4401)
	byTicket.endsWith("signed out, by ticket", 4401)
	eventsOfSession.endsSoon("signed out")
	if _, a, err := s.dialConsole(url.Values{"nodeId": {n.ID}, "ticket": {late}}, nil); err == nil || a.status != http.StatusUnauthorized {
		t.Errorf("the ticket of a session that has ended: %v, %d", err, a.status)
	}
	if byOther.why() != nil || byToken.why() != nil {
		t.Error("one session's end ended another")
	}
	var tokens struct{ Tokens []api.Token }
	s.call(http.MethodGet, "/api/tokens", nil, http.StatusOK, &tokens, "Authorization", "Bearer "+token)
	s.call(http.MethodDelete, "/api/tokens/"+tokens.Tokens[len(tokens.Tokens)-1].ID, nil, http.StatusNoContent, nil, s.as(student)...)
	byToken.endsWith("token deleted", 4401)
	expiring := s.watch(n.ID, "Authorization", "Bearer "+s.furtherToken(student, request{"expires": time.Now().Add(2 * time.Second).UTC()}))
	expiring.endsWith("token expired", 4401)
	s.call(http.MethodPost, "/api/auth/password", request{"current": password, "new": password + " again"}, http.StatusNoContent, nil, "Cookie", second)
	byOther.endsWith("password changed", 4401)

	// The role, and the account.
	writing := s.watch(n.ID, s.as(student)...)
	s.call(http.MethodPatch, "/api/users/ann", request{"role": "viewer"}, http.StatusOK, nil, s.as(admin)...)
	writing.endsWith("student becomes viewer", 4403)
	watching := s.watch(n.ID, s.as(student)...)
	s.call(http.MethodPatch, "/api/users/ann", request{"disabled": true}, http.StatusOK, nil, s.as(admin)...)
	watching.endsWith("account disabled", 4401)
	seen.endsSoon("account disabled")
	s.refused(http.MethodGet, "/api/nodes", nil, refusal{http.StatusUnauthorized, "unauthenticated", ""}, s.as(student)...)

	// ann received no events of the other node.
	s.call(http.MethodDelete, "/api/nodes/"+other.ID, nil, http.StatusNoContent, nil, s.as(owner)...)
	for _, e := range seen.list {
		if strings.Contains(string(e.data), other.ID) {
			t.Errorf("ann was notified of a node that is not shared: %s %s", e.kind, e.data)
		}
	}
}

// why returns the reason why the console was closed, or nil while it is open.
func (c *terminal) why() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// TestConsoleByLevel checks what each user may do in an open console, and how many
// consoles may be open.
func TestConsoleByLevel(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	s.bearer[owner], s.bearer[studentView], s.bearer[studentUse] = s.enrol(s.owner(), "instructor"), s.enrol("view", "student"), s.enrol("use", "student")
	s.bearer[instructor] = s.enrol("other", "instructor")
	n := s.nodeOf(owner, "shared")
	s.share("nodes", n.ID, "users/view", "view")
	s.share("nodes", n.ID, "users/use", "use")
	s.share("nodes", n.ID, "users/other", "use")
	s.bearer[readToken] = s.furtherToken(owner, request{"scopes": []string{"read"}})
	for who, want := range map[int][2]string{
		studentView: {"forbidden", "forbidden"}, readToken: {"forbidden", "forbidden"}, studentUse: {"node_not_running", "forbidden"},
		instructor: {"node_not_running", "node_not_running"}, owner: {"node_not_running", "node_not_running"},
	} {
		c := s.watch(n.ID, s.as(who)...)
		c.status("offline")
		c.typed("rm -rf /\r")
		c.told(control{Type: "error", Code: want[0]})
		if err := c.socket.Write(t.Context(), websocket.MessageText, []byte(`{"type":"take"}`)); err != nil {
			t.Fatal(err)
		}
		c.told(control{Type: "error", Code: want[1]})
		_ = c.socket.CloseNow()
	}

	// A ticket is for one node, one kind of stream and one user. It gives no additional
	// rights.
	ticket := func(who int, kind string) string {
		t.Helper()
		var made api.Ticket
		s.call(http.MethodPost, "/api/nodes/"+n.ID+"/tickets", request{"kind": kind}, http.StatusCreated, &made, s.as(who)...)
		return made.Ticket
	}
	c := s.watchAt(url.Values{"nodeId": {n.ID}, "ticket": {ticket(studentView, "console")}})
	c.status("offline")
	c.typed("x")
	c.told(control{Type: "error", Code: "forbidden"})
	if _, a, err := s.dialConsole(url.Values{"nodeId": {n.ID}, "ticket": {ticket(owner, "vnc")}}, nil); err == nil || a.status != http.StatusUnauthorized {
		t.Errorf("a screen's ticket opens the console: %v, %d", err, a.status)
	}
	secret := s.nodeOf(owner, "secret")
	if _, a, err := s.dialConsole(url.Values{"nodeId": {secret.ID}, "ticket": {ticket(owner, "console")}}, nil); err == nil || a.status != http.StatusUnauthorized {
		t.Errorf("a ticket opens another node: %v, %d", err, a.status)
	}
	s.refused(http.MethodPost, "/api/nodes/"+secret.ID+"/tickets", nil, refusal{http.StatusNotFound, "node_not_found", "not found"}, s.as(studentUse)...)
	// Missing and hidden objects have the same response.
	gone := s.send(http.MethodGet, "/api/nodes/"+noID, nil, s.as(studentUse)...)
	hidden := s.send(http.MethodGet, "/api/nodes/"+secret.ID, nil, s.as(studentUse)...)
	if strings.ReplaceAll(string(hidden.body), secret.ID, noID) != string(gone.body) {
		t.Errorf("a hidden node is reported as %s, one that is not there as %s", hidden.body, gone.body)
	}

	// The number of streams is limited, and one user's streams do not keep out another
	// user.
	var open []io.Closer
	status := 0
	for range 300 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url("/api/events"), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+s.bearer[studentView])
		res, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, res.Body)
		if status = res.StatusCode; status != http.StatusOK {
			break
		}
	}
	if status != http.StatusTooManyRequests || len(open) < 200 {
		t.Errorf("the stream number %d was answered with %d", len(open), status)
	}
	if status := s.ask("GET /api/events", "", nil, owner); status != http.StatusOK {
		t.Errorf("another's stream: %d", status)
	}
	for _, body := range open {
		_ = body.Close()
	}
	until(t, promptly, said("the places are free again"), func() bool { return s.ask("GET /api/events", "", nil, studentView) == http.StatusOK })
}
