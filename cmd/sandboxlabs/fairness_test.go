package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// clientAt returns a client with its own address that opens a new connection for each
// request.
func (l *lab) clientAt(address string) *http.Client {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	return &http.Client{Timeout: promptly, Transport: &http.Transport{DisableKeepAlives: true, DialContext: dialer.DialContext}}
}

// healthFrom requests the health from an address, and returns the error if there is no
// response.
func (l *lab) healthFrom(address string) error {
	req, err := http.NewRequestWithContext(l.t.Context(), http.MethodGet, l.url("/api/health"), nil)
	if err != nil {
		return err
	}
	res, err := l.clientAt(address).Do(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// connectFrom opens a connection from an address and sends a text.
func (l *lab) connectFrom(address, text string) net.Conn {
	l.t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: promptly}
	conn, err := dialer.DialContext(l.t.Context(), "tcp", l.address)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		l.t.Fatal(err)
	}
	return conn
}

// connections returns the number of client connections of the service.
func (l *lab) connections() (n int) {
	l.t.Helper()
	inodes := map[string]bool{}
	files, err := filepath.Glob("/proc/" + strconv.Itoa(l.service.cmd.Process.Pid) + "/fd/*")
	if err != nil {
		l.t.Fatal(err)
	}
	for _, file := range files {
		if to, err := os.Readlink(file); err == nil {
			if inode, ok := strings.CutPrefix(to, "socket:["); ok {
				inodes[strings.TrimSuffix(inode, "]")] = true
			}
		}
	}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		l.t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) > 9 && fields[3] != "0A" && inodes[fields[9]] {
			n++
		}
	}
	return n
}

// TestManyConnections opens thousands of idle connections from one address, and the
// maximum number of busy ones from some others. Other clients are still served, and the
// service keeps enough file descriptors for itself.
func TestManyConnections(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	for range 3000 {
		l.connectFrom("127.0.0.5", "")
	}
	for _, address := range []string{"127.0.0.6", "127.0.0.5"} {
		if err := l.healthFrom(address); err != nil {
			t.Errorf("beside 3,000 idle connections, %s: %v", address, err)
		}
	}
	if n := l.connections(); n > api.DefaultMaxConnectionsPerAddress+20 {
		t.Errorf("the service has %d connections", n)
	}
	l.stop()

	l.launch(nil, "--max-connections=40", "--max-connections-per-address=16")
	l.awaitHealth("ok")
	l.client.CloseIdleConnections()
	busy := "POST /api/images/custom HTTP/1.1\r\nHost: " + l.address + "\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n"
	refused := func(address string) bool {
		conn := l.connectFrom(address, "GET /api/health HTTP/1.1\r\nHost: "+l.address+"\r\nConnection: close\r\n\r\n")
		defer func() { _ = conn.Close() }()
		_, err := http.ReadResponse(bufio.NewReader(conn), nil)
		return err != nil
	}
	var open []net.Conn
	for range 16 {
		conn := l.connectFrom("127.0.0.5", busy)
		_ = conn.SetReadDeadline(time.Now().Add(promptly))
		if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
			t.Fatalf("the service does not wait for the body: %q, %v", line, err)
		}
		open = append(open, conn)
	}
	if !refused("127.0.0.5") {
		t.Error("an address with as many busy connections as it may have gets one more")
	}
	if err := l.healthFrom("127.0.0.6"); err != nil {
		t.Errorf("beside the busy connections of another address: %v", err)
	}
	_ = open[0].Close()
	until(t, promptly, said("the address is served again"), func() bool { return !refused("127.0.0.5") })
	for _, conn := range open {
		_ = conn.Close()
	}
	// Idle connections from many addresses use up the limit; new clients are still served.
	for i := range 200 {
		l.connectFrom(fmt.Sprintf("127.0.1.%d", i/4), "")
	}
	if err := l.healthFrom("127.0.0.7"); err != nil {
		t.Errorf("beside idle connections of many addresses: %v", err)
	}

	// Streams have a separate limit of three quarters.
	events := func(address string) (*http.Response, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.url("/api/events"), nil)
		if err != nil {
			return nil, err
		}
		client := l.clientAt(address)
		client.Timeout = 0
		return client.Do(req)
	}
	for i := range 13 {
		res, err := events("127.0.0.8")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = res.Body.Close() })
		if want := map[bool]int{true: http.StatusOK, false: http.StatusTooManyRequests}[i < 12]; res.StatusCode != want {
			t.Errorf("stream %d of an address: %d, want %d", i+1, res.StatusCode, want)
		}
	}
	if res, err := events("127.0.0.9"); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("a stream of another address: %v", err)
	} else {
		_ = res.Body.Close()
	}
	l.stop()
}

// TestManyRanges requests thousands of ranges of an image at once. The service sends the
// whole image, as without ranges.
func TestManyRanges(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	want := l.fullImage(2)
	path := "/api/images/" + l.uploaded("ranges.qcow2", want).ID + "/download"
	var many []string
	for i := range 3000 {
		many = append(many, fmt.Sprintf("%d-%d", i*8, i*8))
	}
	for _, ask := range []string{"bytes=" + strings.Join(many, ","), "bytes=0-1,5-9", "bytes=0-,0-,0-", "bytes=5-9, ", "bytes=,5-9"} {
		a := l.send(http.MethodGet, path, nil, "Range", ask)
		if a.status != http.StatusOK || !bytes.Equal(a.body, want) {
			t.Errorf("%.30s…: status %d, %d bytes of %s", ask, a.status, len(a.body), a.header.Get("Content-Type"))
		}
	}
	a := l.send(http.MethodGet, path, nil, "Range", "bytes=5-9")
	if a.status != http.StatusPartialContent || !bytes.Equal(a.body, want[5:10]) {
		t.Errorf("one range: status %d, %d bytes", a.status, len(a.body))
	}
	l.stop()
}

// TestManyDownloads opens the maximum number of downloads of an account and reads none of
// them. The account gets no more, including console logs; other accounts do. A download
// ends when the image is no longer shared.
func TestManyDownloads(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	s.bearer[owner], s.bearer[studentUse] = s.enrol(s.owner(), "instructor"), s.enrol("use", "student")
	img, n := s.imageOf(owner, s.fullImage(32)), s.nodeOf(owner, "logged")
	s.share("images", img.ID, "users/use", "use")
	s.share("nodes", n.ID, "users/use", "use")
	path, log := "/api/images/"+img.ID+"/download", "/api/nodes/"+n.ID+"/console/log"
	open := s.download(path, studentUse, 100)
	if len(open) == 100 {
		t.Fatal("an account may have 100 downloads at once")
	}
	busy := refusal{http.StatusTooManyRequests, "too_many_requests", "downloads, uploads and console logs"}
	s.refused(http.MethodGet, log, nil, busy, s.as(studentUse)...)
	s.refused(http.MethodGet, log+"/search?text=x", nil, busy, s.as(studentUse)...)
	s.call(http.MethodGet, log, nil, http.StatusOK, nil, s.as(owner)...)
	if a := s.send(http.MethodGet, path, nil, append(s.as(owner), "Range", "bytes=0-9")...); a.status != http.StatusPartialContent {
		t.Errorf("another account's download: %d", a.status)
	}
	_ = open[0].Body.Close()
	until(t, promptly, said("a download that has ended frees its slot"), func() bool {
		return s.send(http.MethodGet, log, nil, s.as(studentUse)...).status == http.StatusOK
	})

	other := s.imageOf(owner, s.fullImage(32))
	s.share("images", other.ID, "users/use", "use")
	s.call(http.MethodDelete, "/api/images/"+img.ID+"/shares/users/use", nil, http.StatusNoContent, nil, s.as(owner)...)
	var others []*http.Response
	until(t, patience, said("all downloads of the image that is no longer shared have ended"), func() bool {
		others = append(others, s.download("/api/images/"+other.ID+"/download", studentUse, len(open)-len(others))...)
		return len(others) == len(open)
	})
	for _, res := range open[1:] {
		if _, err := io.Copy(io.Discard, res.Body); err == nil {
			t.Error("a download continues to its end although the image is no longer shared")
		}
	}
	for _, res := range append(open[1:], others...) {
		_ = res.Body.Close()
	}
	s.stop()
}

// download opens downloads without reading them: at most the given number, or as many as
// the account may have.
func (s *school) download(path string, as, most int) (open []*http.Response) {
	s.t.Helper()
	for len(open) < most {
		req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url(path), nil)
		if err != nil {
			s.t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+s.bearer[as])
		res, err := s.client.Do(req)
		if err != nil {
			s.t.Fatal(err)
		}
		if res.StatusCode != http.StatusOK {
			if _ = res.Body.Close(); res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") == "" {
				s.t.Errorf("download %d: %d", len(open)+1, res.StatusCode)
			}
			break
		}
		open = append(open, res)
	}
	return open
}

// TestRefusalsFillNothing sends hundreds of a viewer's requests that are refused, with
// long paths and methods. The audit and the log stay small, and the viewer's tickets do
// not evict those of other accounts.
func TestRefusalsFillNothing(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	s.bearer[owner], s.bearer[viewerUse] = s.enrol(s.owner(), "instructor"), s.enrol("eve", "viewer")
	n := s.nodeOf(owner, "watched")
	s.share("nodes", n.ID, "users/eve", "view")
	var ticket api.Ticket
	s.call(http.MethodPost, "/api/nodes/"+n.ID+"/tickets", request{"kind": "console"}, http.StatusCreated, &ticket, s.as(owner)...)
	for range 200 {
		s.call(http.MethodPost, "/api/nodes/"+n.ID+"/tickets", request{"kind": "console"}, http.StatusCreated, nil, s.as(viewerUse)...)
	}
	socket, _, err := s.dialConsole(map[string][]string{"nodeId": {n.ID}, "ticket": {ticket.Ticket}}, nil)
	if err != nil {
		t.Errorf("after 200 tickets of another account: %v", err)
	} else {
		_ = socket.CloseNow()
	}

	long := strings.Repeat("a", 20000)
	logged := len(s.service.log.String())
	for i := range 300 {
		s.send(http.MethodDelete, fmt.Sprintf("/api/nodes/%s%d", long, i), nil, s.as(viewerUse)...)
		s.send(http.MethodDelete, "/api/nodes/"+n.ID, nil, s.as(viewerUse)...)
		s.send("M"+strings.ToUpper(long), "/api/nodes", nil, s.as(viewerUse)...)
	}
	if grown := len(s.service.log.String()) - logged; grown > 900*1500 {
		t.Errorf("900 requests are %d bytes of the log", grown)
	}
	s.stop() // stores the counted refusals
	s.launch(nil)
	s.awaitHealth("ok")
	var page struct {
		Entries []api.AuditEntry `json:"entries"`
	}
	s.call(http.MethodGet, "/api/audit?actor=eve&action=delete-node&limit=200", nil, http.StatusOK, &page, s.as(admin)...)
	if len(page.Entries) > 25 {
		t.Errorf("600 refusals are %d entries", len(page.Entries))
	}
	text := fmt.Sprint(page.Entries)
	if !strings.Contains(text, "refused 290 more times") {
		t.Errorf("the entries say %s", text)
	}
	s.stop()
}

// TestDocsAreRenderedOnce requests the documentation again with its ETag.
func TestDocsAreRenderedOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	a := l.call(http.MethodGet, "/api/docs", nil, http.StatusOK, nil)
	tag := a.header.Get("ETag")
	if tag == "" || !strings.Contains(string(a.body), "/api/nodes/{id}/run") || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		t.Errorf("the documentation has the ETag %q and %d bytes", tag, len(a.body))
	}
	if again := l.call(http.MethodGet, "/api/docs", nil, http.StatusNotModified, nil, "If-None-Match", tag); len(again.body) != 0 {
		t.Errorf("what has not changed is sent again: %d bytes", len(again.body))
	}
	if again := l.call(http.MethodGet, "/api/docs", nil, http.StatusOK, nil); !bytes.Equal(again.body, a.body) || again.header.Get("ETag") != tag {
		t.Error("the documentation differs from one request to the next")
	}
	l.stop()
}
