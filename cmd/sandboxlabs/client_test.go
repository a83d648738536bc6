package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"nhooyr.io/websocket"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// answer is a complete HTTP response.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) decode(into any) error { return json.Unmarshal(a.body, into) }

// try sends a request. body is a reader, a value to encode as JSON, or nil.
func (l *lab) try(method, path string, body any, header ...string) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var r io.Reader
	kind := ""
	switch v := body.(type) {
	case nil:
	case io.Reader:
		r = v
	default:
		text, err := json.Marshal(v)
		if err != nil {
			return answer{}, err
		}
		r, kind = bytes.NewReader(text), "application/json"
	}
	req, err := http.NewRequestWithContext(ctx, method, l.url(path), r)
	if err != nil {
		return answer{}, err
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	switch {
	case l.token != "":
		req.Header.Set("Authorization", "Bearer "+l.token)
	case l.cookie != "":
		req.Header.Set("Cookie", l.cookie)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	res, err := l.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, text}, err
}

func (l *lab) send(method, path string, body any, header ...string) answer {
	l.t.Helper()
	a, err := l.try(method, path, body, header...)
	if err != nil {
		l.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// call sends a request, checks that it returns the given status, and decodes the response
// into the value unless that is nil.
func (l *lab) call(method, path string, body any, status int, into any, header ...string) answer {
	l.t.Helper()
	a := l.send(method, path, body, header...)
	if a.status != status {
		l.t.Fatalf("%s %s: status %d, want %d: %s", method, path, a.status, status, a.body)
	}
	if into != nil {
		if err := a.decode(into); err != nil {
			l.t.Fatalf("%s %s: %v: %s", method, path, err, a.body)
		}
	}
	return a
}

// signIn opens a session. All later requests send its cookie.
func (l *lab) signIn(name, password string) {
	l.t.Helper()
	a := l.call(http.MethodPost, "/api/auth/login", request{"username": name, "password": password}, http.StatusOK, nil)
	l.cookie, _, _ = strings.Cut(a.header.Get("Set-Cookie"), ";")
}

// refusal is an expected error response: its status, its code, and a part of its message.
type refusal struct {
	status int
	code   string
	detail string
}

// check compares a response with the expected refusal.
func (r refusal) check(t *testing.T, what string, a answer) {
	t.Helper()
	var p api.Problem
	if err := a.decode(&p); err != nil {
		t.Errorf("%s: status %d and no problem: %s", what, a.status, a.body)
		return
	}
	if a.status != r.status || p.Status != r.status || p.Code != r.code || !strings.Contains(p.Detail, r.detail) {
		t.Errorf("%s:\n got %d %s %q\nwant %d %s …%q…", what, a.status, p.Code, p.Detail, r.status, r.code, r.detail)
	}
	if kind := a.header.Get("Content-Type"); kind != "application/problem+json" {
		t.Errorf("%s: the problem's type is %q", what, kind)
	}
}

// refused sends a request and checks that it returns the refusal.
func (l *lab) refused(method, path string, body any, want refusal, header ...string) {
	l.t.Helper()
	want.check(l.t, method+" "+path, l.send(method, path, body, header...))
}

// request is a JSON request body.
type request map[string]any

// create creates a node with little memory from the micro image.
func (l *lab) create(name string) api.Node {
	l.t.Helper()
	var n api.Node
	l.call(http.MethodPost, "/api/nodes", request{"name": l.name(name), "baseImage": "micro", "resources": request{"ram": 256}}, http.StatusCreated, &n)
	return n
}

func (l *lab) node(id string) api.Node {
	l.t.Helper()
	var n api.Node
	l.call(http.MethodGet, "/api/nodes/"+id, nil, http.StatusOK, &n)
	return n
}

// act performs an action on a node, such as "run" or "stop".
func (l *lab) act(id, verb string, body any) api.Node {
	l.t.Helper()
	var n api.Node
	l.call(http.MethodPost, "/api/nodes/"+id+"/"+verb, body, http.StatusOK, &n)
	return n
}

func (l *lab) delete(id string) {
	l.t.Helper()
	l.call(http.MethodDelete, "/api/nodes/"+id, nil, http.StatusNoContent, nil)
}

var forced = request{"force": true}

type imageList struct {
	BaseImages   []api.Image `json:"baseImages"`
	CustomImages []api.Image `json:"customImages"`
}

func (l *lab) images() imageList {
	l.t.Helper()
	var list imageList
	l.call(http.MethodGet, "/api/images", nil, http.StatusOK, &list)
	return list
}

// upload streams a file as a multipart form, like a browser or curl -F.
func (l *lab) upload(fileName string, content io.Reader, fields ...string) answer {
	l.t.Helper()
	body, kind := form(fileName, content, fields...)
	return l.send(http.MethodPost, "/api/images/custom", body, "Content-Type", kind)
}

// form returns the multipart body of an upload.
func form(fileName string, content io.Reader, fields ...string) (body io.Reader, contentType string) {
	r, w := io.Pipe()
	m := multipart.NewWriter(w)
	go func() {
		err := func() error {
			for i := 0; i < len(fields); i += 2 {
				if err := m.WriteField(fields[i], fields[i+1]); err != nil {
					return err
				}
			}
			part, err := m.CreateFormFile("image", fileName)
			if err != nil {
				return err
			}
			if _, err := io.Copy(part, content); err != nil {
				return err
			}
			return m.Close()
		}()
		_ = w.CloseWithError(err)
	}()
	return r, m.FormDataContentType()
}

// serverEvent is a server-sent event and the time it arrived.
type serverEvent struct {
	id, kind string
	data     []byte
	at       time.Time
}

// node decodes the data of a node.changed event.
func (e serverEvent) node() api.Node {
	var n api.Node
	if e.kind == "node.changed" {
		_ = json.Unmarshal(e.data, &n)
	}
	return n
}

// events reads GET /api/events until the test or the stream ends.
type events struct {
	t     *testing.T
	mu    sync.Mutex
	list  []serverEvent
	next  int // first event not yet consumed by await
	fresh chan struct{}
	ended chan struct{}
}

func (l *lab) follow() *events {
	l.t.Helper()
	return l.followWith(l.t.Context())
}

// followWith is follow with additional headers. It ends with ctx.
func (l *lab) followWith(ctx context.Context, header ...string) *events {
	l.t.Helper()
	res := l.eventStream(ctx, header...)
	e := &events{t: l.t, fresh: make(chan struct{}, 1), ended: make(chan struct{})}
	go func() {
		defer close(e.ended)
		defer func() { _ = res.Body.Close() }()
		e.read(res.Body)
	}()
	return e
}

// eventStream opens the event stream. The caller must close the body.
func (l *lab) eventStream(ctx context.Context, header ...string) *http.Response {
	l.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url("/api/events"), nil)
	if err != nil {
		l.t.Fatal(err)
	}
	if l.token != "" {
		req.Header.Set("Authorization", "Bearer "+l.token)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := l.client.Do(req)
	if err != nil {
		l.t.Fatal(err)
	}
	if kind := res.Header.Get("Content-Type"); res.StatusCode != http.StatusOK || kind != "text/event-stream" {
		l.t.Fatalf("GET /api/events: status %d, type %q", res.StatusCode, kind)
	}
	return res
}

func (e *events) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	var now serverEvent
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "id":
			now.id = value
		case "event":
			now.kind = value
		case "data":
			now.data = []byte(value)
		case "":
			if now.kind == "" {
				continue
			}
			now.at = time.Now()
			e.mu.Lock()
			e.list = append(e.list, now)
			e.mu.Unlock()
			now = serverEvent{}
			select {
			case e.fresh <- struct{}{}:
			default:
			}
		}
	}
}

// await returns the next matching event and skips those before it.
func (e *events) await(what string, within time.Duration, match func(serverEvent) bool) serverEvent {
	e.t.Helper()
	limit := time.NewTimer(within)
	defer limit.Stop()
	for {
		e.mu.Lock()
		for e.next < len(e.list) {
			ev := e.list[e.next]
			e.next++
			if match(ev) {
				e.mu.Unlock()
				return ev
			}
		}
		e.mu.Unlock()
		select {
		case <-e.fresh:
		case <-e.ended:
			e.t.Fatalf("the event stream ended before: %s", what)
		case <-limit.C:
			e.t.Fatalf("no event within %v: %s", within, what)
		}
	}
}

// state waits until a node enters a state.
func (e *events) state(id, state string) serverEvent {
	e.t.Helper()
	return e.await("node is "+state, patience, func(ev serverEvent) bool {
		n := ev.node()
		return n.ID == id && n.State == state
	})
}

// removed waits until a node is deleted.
func (e *events) removed(id string) serverEvent {
	e.t.Helper()
	return e.await("node is gone", patience, func(ev serverEvent) bool {
		return ev.kind == "node.removed" && strings.Contains(string(ev.data), id)
	})
}

// terminal is a viewer of a console.
type terminal struct {
	t      *testing.T
	socket *websocket.Conn
	done   chan struct{} // closed with the socket

	mu       sync.Mutex
	unread   []byte
	all      []byte
	controls []control
	states   []string // all received states, in order
	err      error    // why the connection ended
	fresh    chan struct{}
}

// control is a text frame from the service.
type control struct {
	Type   string `json:"type"`
	State  string `json:"state"`
	Count  int    `json:"count"`
	Bytes  int64  `json:"bytes"`
	By     string `json:"by"`
	Code   string `json:"code"`
	Paused bool   `json:"paused"`
}

// dialConsole opens the WebSocket of a console, or returns the error response.
func (l *lab) dialConsole(query url.Values, header http.Header) (*websocket.Conn, answer, error) {
	return l.dialSocket("/ws/console", query, header)
}

// dialSocket opens a WebSocket, or returns the error response.
func (l *lab) dialSocket(path string, query url.Values, header http.Header) (*websocket.Conn, answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), promptly)
	defer cancel()
	if header == nil {
		header = http.Header{}
	}
	if l.token != "" {
		header.Set("Authorization", "Bearer "+l.token)
	}
	options := &websocket.DialOptions{HTTPHeader: header, Host: header.Get("Host"), Subprotocols: header["Sec-Websocket-Protocol"]}
	socket, res, err := websocket.Dial(ctx, "ws://"+l.address+path+"?"+query.Encode(), options)
	if err != nil {
		a := answer{}
		if res != nil {
			a.status, a.header = res.StatusCode, res.Header
			a.body, _ = io.ReadAll(res.Body)
		}
		return nil, a, err
	}
	socket.SetReadLimit(1 << 20)
	return socket, answer{status: res.StatusCode}, nil
}

// console watches a node's console until the test ends.
func (l *lab) console(id string) *terminal {
	l.t.Helper()
	return l.consoleAt(url.Values{"nodeId": {id}})
}

// consoleAt is console with a custom query.
func (l *lab) consoleAt(query url.Values) *terminal {
	l.t.Helper()
	socket, a, err := l.dialConsole(query, nil)
	if err != nil {
		l.t.Fatalf("console at %s: %v (%d %s)", query.Encode(), err, a.status, a.body)
	}
	c := &terminal{t: l.t, socket: socket, done: make(chan struct{}), fresh: make(chan struct{}, 1)}
	go c.read()
	l.t.Cleanup(func() {
		_ = socket.CloseNow()
		<-c.done
		if l.t.Failed() {
			l.t.Logf("the console showed:\n%q\n%+v", tail(string(c.all)), c.controls)
			// Read the log to find out whether the guest was silent or the console failed.
			if a, err := l.try(http.MethodGet, "/api/nodes/"+query.Get("nodeId")+"/console/log?offset=-2048", nil); err == nil {
				l.t.Logf("the host's log of it ends with:\n%q", a.body)
			}
		}
	})
	return c
}

func (c *terminal) read() {
	defer close(c.done)
	for {
		kind, data, err := c.socket.Read(context.Background())
		c.mu.Lock()
		switch {
		case err != nil:
			c.err = err
		case kind == websocket.MessageText:
			var m control
			if c.err = json.Unmarshal(data, &m); c.err == nil {
				c.controls = append(c.controls, m)
				if m.State != "" {
					c.states = append(c.states, m.State)
				}
			}
		default:
			c.unread = append(c.unread, data...)
			c.all = append(c.all, data...)
		}
		err = c.err
		c.mu.Unlock()
		select {
		case c.fresh <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// seen returns all output of the console so far.
func (c *terminal) seen() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.all)
}

// wait waits until met, which examines the received data, returns true.
func (c *terminal) wait(what string, within time.Duration, met func() bool) {
	c.t.Helper()
	limit := time.NewTimer(within)
	defer limit.Stop()
	for {
		c.mu.Lock()
		ok, err := met(), c.err
		c.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-c.fresh:
			continue
		default:
		}
		if err != nil {
			c.t.Fatalf("the console was closed (%v) before: %s", err, what)
		}
		select {
		case <-c.fresh:
		case <-limit.C:
			c.t.Fatalf("the console has not shown within %v: %s", within, what)
		}
	}
}

// escapes matches the escape sequences in a shell's output.
var escapes = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]")

// expect waits for a text and discards the output up to its end.
func (c *terminal) expect(text string) {
	c.t.Helper()
	c.wait(fmt.Sprintf("%q", text), patience, func() bool {
		c.unread = escapes.ReplaceAll(c.unread, nil)
		i := bytes.Index(c.unread, []byte(text))
		if i >= 0 {
			c.unread = c.unread[i+len(text):]
		}
		return i >= 0
	})
}

// told waits for a control frame and discards those before it.
func (c *terminal) told(want control) {
	c.t.Helper()
	c.wait(fmt.Sprintf("%+v", want), patience, func() bool {
		for i, m := range c.controls {
			if m == want {
				c.controls = c.controls[i+1:]
				return true
			}
		}
		return false
	})
}

func (c *terminal) status(state string) {
	c.t.Helper()
	c.told(control{Type: "status", State: state})
}

func (c *terminal) typed(text string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), promptly)
	defer cancel()
	if err := c.socket.Write(ctx, websocket.MessageBinary, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// shell runs a command in the guest and waits for the next prompt. The terminal's echo
// does not contain the mark, so a match is the command's own output.
func (c *terminal) shell(command, want string) {
	c.t.Helper()
	c.typed(command + "; echo status=$?=\r")
	if want != "" {
		c.expect(want)
	}
	c.expect("status=0=")
	c.expect("# ")
}

// login waits until the guest has booted and signs in.
func (c *terminal) login() {
	c.t.Helper()
	c.expect("login: ")
	c.typed("root\r")
	c.expect("# ")
}

// closed waits until the socket is closed and returns the close code.
func (c *terminal) closed() websocket.StatusCode {
	c.t.Helper()
	select {
	case <-c.done:
	case <-time.After(promptly):
		c.t.Fatal("the socket is still open")
	}
	var end websocket.CloseError
	if !errors.As(c.err, &end) {
		c.t.Fatalf("the socket broke without a close frame: %v", c.err)
	}
	return end.Code
}
