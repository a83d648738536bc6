package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestSlowAndHugeRequests holds connections open by sending little, and sends too much.
// The service ends both, and serves others meanwhile.
func TestSlowAndHugeRequests(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()

	// Each sends a beginning, then a byte a second, and returns when it is cut off or
	// answered.
	slow := func(beginning, drip string) time.Duration {
		conn, err := net.Dial("tcp", l.address)
		if err != nil {
			t.Error(err)
			return 0
		}
		defer func() { _ = conn.Close() }()
		start := time.Now()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = io.Copy(io.Discard, conn)
		}()
		if _, err := io.WriteString(conn, beginning); err != nil {
			t.Error(err)
		}
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return time.Since(start)
			case <-tick.C:
				_, _ = io.WriteString(conn, drip)
			}
			if time.Since(start) > time.Minute {
				return time.Since(start)
			}
		}
	}
	host := "Host: " + l.address + "\r\n"
	var all sync.WaitGroup
	for name, c := range map[string]struct {
		beginning, drip string
	}{
		"nothing":             {"", ""},
		"headers":             {"GET / HTTP/1.1\r\n" + host, "X"},
		"a header each time":  {"GET / HTTP/1.1\r\n" + host, "A: b\r\n"},
		"JSON":                {"POST /api/nodes HTTP/1.1\r\n" + host + "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", " "},
		"chunks":              {"POST /api/nodes HTTP/1.1\r\n" + host + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n"},
		"a body nobody reads": {"POST /api/nodes/00000000-0000-4000-8000-000000000000/run HTTP/1.1\r\n" + host + "Content-Length: 1000\r\n\r\n", " "},
	} {
		all.Add(1)
		go func() {
			defer all.Done()
			took := slow(c.beginning, c.drip)
			if took > time.Minute {
				t.Errorf("%s, slowly: the connection was held for %v", name, took)
			}
			t.Logf("%s, slowly: the connection was cut after %v", name, took.Round(time.Second))
		}()
	}

	// Meanwhile: too large, too deep, too many.
	send := func(head, body string) int {
		t.Helper()
		conn, err := net.DialTimeout("tcp", l.address, promptly)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(promptly))
		go func() { _, _ = fmt.Fprintf(conn, "%s\r\n%s\r\n%s", head, host, body) }()
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%.60s: %v", head, err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	if got := send("GET / HTTP/1.1\r\nX: "+strings.Repeat("a", 64<<10), ""); got != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a header of 64 KiB: %d", got)
	}
	if got := send("GET / HTTP/1.1\r\n"+strings.Repeat("X: a\r\n", 20000), ""); got != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("20,000 headers: %d", got)
	}
	if got := send("GET /?"+strings.Repeat("a", 64<<10)+" HTTP/1.1", ""); got != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("an address of 64 KiB: %d", got)
	}
	for name, body := range map[string]string{
		"deep lists":   `{"name":` + strings.Repeat("[", 400_000) + strings.Repeat("]", 400_000) + "}",
		"deep objects": strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000),
		"many members": `{"name":"x"` + strings.Repeat(`,"a":1`, 150_000) + "}",
		"a long name":  `{"name":"` + strings.Repeat("a", 900_000) + `"}`,
		"a big number": `{"name":"x","resources":{"ram":` + strings.Repeat("9", 900_000) + "}}",
		"an exponent":  `{"name":"x","resources":{"ram":1e999999999}}`,
		"YAML bomb":    `{"name":"x","baseImage":"none","cloudInit":{"userData":"#cloud-config\na: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n"}}`,
	} {
		if a := l.send(http.MethodPost, "/api/nodes", strings.NewReader(body)); a.status < 400 || a.status >= 500 || len(a.body) > 64<<10 {
			t.Errorf("%s: status %d, %d bytes", name, a.status, len(a.body))
		}
	}
	l.refused(http.MethodPost, "/api/nodes", strings.NewReader(strings.Repeat(" ", 2<<20)), refusal{http.StatusRequestEntityTooLarge, "body_too_large", ""})
	l.call(http.MethodGet, "/api/nodes", nil, http.StatusOK, nil)
	all.Wait()
	l.stop()
}
