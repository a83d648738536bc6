package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"libvirt.org/go/libvirtxml"
	"nhooyr.io/websocket"

	"github.com/sandboxlabs/sandboxlabs/internal/display/rfbtest"
)

const screenPassword = "hidden-8"

// defineScreen defines a foreign domain that shows its firmware on a screen.
func (l *lab) defineScreen(name string, graphics ...libvirtxml.DomainGraphic) (id string) {
	l.t.Helper()
	id = l.defineForeign(l.name(name), func(d *libvirtxml.Domain) {
		d.Devices = &libvirtxml.DomainDeviceList{
			Graphics: graphics,
			Videos:   []libvirtxml.DomainVideo{{Model: libvirtxml.DomainVideoModel{Type: "vga"}}},
		}
	})
	until(l.t, promptly, said("the domain is listed"), func() bool { return l.listed(id).ID == id })
	return id
}

func vncScreen() libvirtxml.DomainGraphic {
	return libvirtxml.DomainGraphic{VNC: &libvirtxml.DomainGraphicVNC{Port: -1, AutoPort: "yes", Listen: "127.0.0.1", Passwd: screenPassword}}
}

// screenSocket is a screen's WebSocket as a stream. It keeps the control frames that it
// receives.
type screenSocket struct {
	l      *lab
	socket *websocket.Conn
	net    io.ReadWriter
	told   bytes.Buffer
}

func (s *screenSocket) Write(p []byte) (int, error) { return s.net.Write(p) }

func (s *screenSocket) Read(p []byte) (int, error) {
	n, err := s.net.Read(p)
	s.told.Write(p[:n])
	return n, err
}

func (l *lab) screen(query url.Values) *screenSocket {
	l.t.Helper()
	socket, a, err := l.dialSocket("/ws/vnc", query, nil)
	if err != nil {
		l.t.Fatalf("screen: %v (%d %s)", err, a.status, a.body)
	}
	l.t.Cleanup(func() { _ = socket.CloseNow() })
	return &screenSocket{l: l, socket: socket, net: websocket.NetConn(context.Background(), socket, websocket.MessageBinary)}
}

// end reads the socket to its end, and returns the control frame with the reason and the
// close code.
func (s *screenSocket) end() (why struct{ Type, Code, Message string }, code websocket.StatusCode) {
	s.l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), promptly)
	defer cancel()
	for {
		kind, data, err := s.socket.Read(ctx)
		if end := (websocket.CloseError{}); errors.As(err, &end) {
			return why, end.Code
		}
		if err != nil {
			s.l.t.Fatalf("the socket broke without a close frame: %v", err)
		}
		if kind == websocket.MessageText {
			if err := json.Unmarshal(data, &why); err != nil {
				s.l.t.Errorf("control frame %q: %v", data, err)
			}
		}
	}
}

// TestScreen watches the screen of a foreign domain from before its start to its end.
func TestScreen(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	id := l.defineScreen("screen", vncScreen())
	events := l.follow()

	l.refused(http.MethodGet, "/api/nodes/"+id+"/screenshot", nil, refusal{http.StatusConflict, "node_not_running", "not running"})
	if why, code := l.screen(url.Values{"nodeId": {id}}).end(); code != 4409 || why.Code != "node_not_running" {
		t.Errorf("a node that is off: %d %+v", code, why)
	}

	l.virsh("start", id)
	events.state(id, "running")
	s := l.screen(url.Values{"nodeId": {id}})
	c, err := rfbtest.Connect(s)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(c.Name, l.prefix) {
		t.Errorf("the screen is called %q", c.Name)
	}
	until(t, patience, said("the firmware's text is on the screen"), func() bool {
		if err := c.Update(); err != nil {
			t.Fatal(err)
		}
		return c.Screen.Rect.Dy() == 400 && rfbtest.Lit(c.Screen) > 1000
	})
	if bytes.Contains(s.told.Bytes(), []byte(screenPassword)) || strings.Contains(l.service.log.String(), screenPassword) {
		t.Error("the password was told")
	}
	if xml := l.send(http.MethodGet, "/api/nodes/"+id+"/xml", nil); strings.Contains(string(xml.body), screenPassword) {
		t.Error("the XML has the password")
	}

	file := filepath.Join(t.TempDir(), "virsh.png")
	l.virsh("screenshot", id, file)
	theirs, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	ours := l.call(http.MethodGet, "/api/nodes/"+id+"/screenshot", nil, http.StatusOK, nil)
	if a, b := pictureSize(t, theirs), pictureSize(t, ours.body); a != b {
		t.Errorf("the screenshot has %v pixels, that of virsh %v", b, a)
	}
	if got := ours.header.Get("Content-Type") + "; " + ours.header.Get("Cache-Control"); got != "image/png; private, no-cache" {
		t.Errorf("headers: %s", got)
	}
	if got := pictureSize(t, l.call(http.MethodGet, "/api/nodes/"+id+"/screenshot?width=320", nil, http.StatusOK, nil).body); got[0] != 320 {
		t.Errorf("scaled to 320, it has %v pixels", got)
	}
	for _, width := range []string{"15", "1921", "x"} {
		l.refused(http.MethodGet, "/api/nodes/"+id+"/screenshot?width="+width, nil, refusal{http.StatusUnprocessableEntity, "invalid_request", "width"})
	}
	until(t, promptly, said("an unchanged screen is not sent again"), func() bool {
		tag := l.call(http.MethodGet, "/api/nodes/"+id+"/screenshot", nil, http.StatusOK, nil).header.Get("ETag")
		a := l.send(http.MethodGet, "/api/nodes/"+id+"/screenshot", nil, "If-None-Match", tag)
		return a.status == http.StatusNotModified && len(a.body) == 0
	})

	l.virsh("destroy", id)
	if why, code := s.end(); code != 4409 || why.Code != "node_not_running" {
		t.Errorf("a node that stopped: %d %+v", code, why)
	}
	events.state(id, "stopped")

	l.virsh("start", id)
	events.state(id, "running")
	s = l.screen(url.Values{"nodeId": {id}, "readonly": {"true"}})
	if _, err := rfbtest.Connect(s); err != nil {
		t.Fatal(err)
	}
	if err := s.socket.Write(t.Context(), websocket.MessageBinary, []byte{99}); err != nil {
		t.Fatal(err)
	}
	if why, code := s.end(); code != websocket.StatusPolicyViolation || why.Code != "invalid_request" {
		t.Errorf("data that is not RFB: %d %+v", code, why)
	}
	s = l.screen(url.Values{"nodeId": {id}})
	if _, err := rfbtest.Connect(s); err != nil {
		t.Fatal(err)
	}
	if err := s.socket.Write(t.Context(), websocket.MessageText, []byte(`{"type":"resize"}`)); err != nil {
		t.Fatal(err)
	}
	if why, code := s.end(); code != websocket.StatusPolicyViolation || why.Code != "invalid_request" {
		t.Errorf("text: %d %+v", code, why)
	}

	s = l.screen(url.Values{"nodeId": {id}})
	if _, err := rfbtest.Connect(s); err != nil {
		t.Fatal(err)
	}
	l.virsh("undefine", id)
	l.virsh("destroy", id)
	if _, code := s.end(); code != 4404 {
		t.Errorf("a node that was deleted: %d", code)
	}
}

func pictureSize(t *testing.T, file []byte) [2]int {
	t.Helper()
	c, err := png.DecodeConfig(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return [2]int{c.Width, c.Height}
}

// enter signs in with a token as the administrator that the first start created.
func (l *lab) enter() (token string) {
	l.t.Helper()
	match := printedPassword.FindStringSubmatch(l.service.out.String())
	if match == nil {
		l.t.Fatalf("the first start printed no password: %q", l.service.out)
	}
	a := l.call(http.MethodPost, "/api/auth/login", request{"username": "admin", "password": match[1]}, http.StatusOK, nil)
	cookie, _, _ := strings.Cut(a.header.Get("Set-Cookie"), ";")
	var made struct{ Secret string }
	l.call(http.MethodPost, "/api/tokens", request{"name": "test"}, http.StatusCreated, &made, "Cookie", cookie)
	l.token = made.Secret
	return made.Secret
}

// TestScreenEntry opens screens with tickets, and expects them to close when the service
// stops.
func TestScreenEntry(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.auth = true
	l.start()
	token := l.enter()
	id := l.defineScreen("entry", vncScreen())
	events := l.follow()
	l.virsh("start", id)
	events.state(id, "running")

	ticket := func(kind string) string {
		var made struct{ Ticket string }
		l.call(http.MethodPost, "/api/nodes/"+id+"/tickets", request{"kind": kind}, http.StatusCreated, &made)
		return made.Ticket
	}
	screenTicket, consoleTicket := ticket("vnc"), ticket("console")
	l.refused(http.MethodPost, "/api/nodes/"+id+"/tickets", request{"kind": "other"}, refusal{http.StatusUnprocessableEntity, "invalid_request", "kind"})
	l.token = ""
	for name, query := range map[string]url.Values{
		"no ticket": {"nodeId": {id}}, "a console's": {"nodeId": {id}, "ticket": {consoleTicket}},
	} {
		if _, a, err := l.dialSocket("/ws/vnc", query, nil); err == nil || a.status != http.StatusUnauthorized {
			t.Errorf("%s: %d %v", name, a.status, err)
		}
	}
	s := l.screen(url.Values{"nodeId": {id}, "ticket": {screenTicket}})
	if _, err := rfbtest.Connect(s); err != nil {
		t.Fatal(err)
	}
	if _, a, err := l.dialSocket("/ws/vnc", url.Values{"nodeId": {id}, "ticket": {screenTicket}}, nil); err == nil {
		t.Errorf("the ticket worked twice (%d)", a.status)
	}
	l.token = token
	if _, a, err := l.dialSocket("/ws/vnc", url.Values{"nodeId": {id}}, http.Header{"Origin": {"http://elsewhere.example"}}); err == nil || a.status != http.StatusForbidden {
		t.Errorf("a page of another origin: %d %v", a.status, err)
	}

	_ = l.service.cmd.Process.Signal(os.Interrupt)
	if _, code := s.end(); code != websocket.StatusGoingAway {
		t.Errorf("at the service's end the socket was closed with %d", code)
	}
	if code := l.service.code(t, promptly); code != 0 {
		t.Errorf("the service ended with %d", code)
	}
}

// TestSocketsCloseOnce reads a socket to its end as a browser does, which treats a frame
// after the close frame as an error that hides the code.
func TestSocketsCloseOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	id := l.defineScreen("off", vncScreen())
	until(t, promptly, said("the node is listed"), func() bool {
		a, err := l.try(http.MethodGet, "/api/nodes/"+id, nil)
		return err == nil && a.status == http.StatusOK
	})
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", l.address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(promptly))
	_, err = fmt.Fprintf(conn, "GET /ws/vnc?nodeId=%s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", id, l.address)
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	for line := "…"; line != "\r\n"; {
		if line, err = r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	var codes []uint16
	for {
		head := make([]byte, 2)
		if _, err := io.ReadFull(r, head); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		size := int(head[1])
		if size == 126 {
			long := make([]byte, 2)
			if _, err := io.ReadFull(r, long); err != nil {
				t.Fatal(err)
			}
			size = int(binary.BigEndian.Uint16(long))
		}
		payload := make([]byte, size)
		if _, err := io.ReadFull(r, payload); err != nil {
			t.Fatal(err)
		}
		if head[0] != 0x88 {
			continue
		}
		codes = append(codes, binary.BigEndian.Uint16(payload))
		// The close frame in response, masked with zeros.
		if _, err := conn.Write(append([]byte{0x88, 0x82, 0, 0, 0, 0}, payload[:2]...)); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(codes, []uint16{4409}) {
		t.Errorf("the close frames are %v, want one with 4409", codes)
	}
}

// TestScreensThatAreNotVNC has domains with another kind of screen, or with none.
func TestScreensThatAreNotVNC(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	events := l.follow()
	for _, tt := range []struct {
		name     string
		graphics []libvirtxml.DomainGraphic
		message  string
	}{
		{"spice", []libvirtxml.DomainGraphic{{Spice: &libvirtxml.DomainGraphicSpice{AutoPort: "yes", Listen: "127.0.0.1"}}}, "is SPICE; VNC is shown here"},
		{"none", nil, "has no screen"},
	} {
		id := l.defineScreen(tt.name, tt.graphics...)
		l.virsh("start", id)
		events.state(id, "running")
		if why, code := l.screen(url.Values{"nodeId": {id}}).end(); code != 4406 || why.Code != "no_screen" || !strings.Contains(why.Message, tt.message) {
			t.Errorf("%s: %d %+v", tt.name, code, why)
		}
		// The host takes the screenshot, whatever the kind of the screen.
		pictureSize(t, l.call(http.MethodGet, "/api/nodes/"+id+"/screenshot", nil, http.StatusOK, nil).body)
	}
}
