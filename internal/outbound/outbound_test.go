package outbound_test

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/outbound"
	"github.com/sandboxlabs/sandboxlabs/internal/outbound/outboundtest"
)

const limit = 1 << 20

// ask sends a POST with a secret and reads the whole answer.
func ask(t *testing.T, address string, timeout time.Duration) (int, error) {
	t.Helper()
	client := outbound.NewClient(outbound.Options{Timeout: timeout, MaxBytes: limit})
	defer client.CloseIdleConnections()
	res, err := client.Post(address, "text/plain", strings.NewReader("secret"))
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	return len(body), err
}

func TestHostileServers(t *testing.T) {
	const most = limit + 64<<20 // what the sockets on the way may hold besides
	for _, kind := range outboundtest.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			h := outboundtest.New(t, kind)
			server := httptest.NewServer(h)
			t.Cleanup(server.Close)
			timeout := time.Minute
			if kind == outboundtest.Silent {
				timeout = 200 * time.Millisecond
			}
			n, err := ask(t, server.URL, timeout)
			if err == nil || outbound.Reason(err) == nil || n > limit {
				t.Errorf("%d bytes, %v", n, err)
			}
			if kind == outboundtest.Endless && !errors.Is(err, outbound.ErrTooLarge) || kind == outboundtest.Redirect && !errors.Is(err, outbound.ErrRedirect) {
				t.Errorf("error = %v", err)
			}
			if h.Followed.Load() != 0 {
				t.Error("the other origin got the request")
			}
			if sent := h.Sent.Load(); sent > most {
				t.Errorf("the server sent %d bytes", sent)
			}
		})
	}
}

func TestSizes(t *testing.T) {
	for name, c := range map[string]struct {
		size             int
		packed, declared bool
		tooLarge         bool
	}{
		"nothing":             {size: 0},
		"at the limit":        {size: limit},
		"above the limit":     {size: limit + 1, tooLarge: true},
		"declared at it":      {size: limit, declared: true},
		"declared above it":   {size: limit + 1, declared: true, tooLarge: true},
		"a small gzip":        {size: limit, packed: true},
		"a gzip that unfolds": {size: 64 * limit, packed: true, tooLarge: true},
	} {
		t.Run(name, func(t *testing.T) {
			body := make([]byte, c.size)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if c.packed {
					w.Header().Set("Content-Encoding", "gzip")
					var packed bytes.Buffer
					z := gzip.NewWriter(&packed)
					_, _ = z.Write(body)
					_ = z.Close()
					_, _ = w.Write(packed.Bytes())
					return
				}
				if c.declared {
					w.Header().Set("Content-Length", strconv.Itoa(c.size))
				} else {
					_ = http.NewResponseController(w).Flush()
				}
				_, _ = w.Write(body)
			}))
			t.Cleanup(server.Close)
			n, err := ask(t, server.URL, time.Minute)
			if errors.Is(err, outbound.ErrTooLarge) != c.tooLarge || !c.tooLarge && (err != nil || n != c.size) || n > limit {
				t.Errorf("%d bytes, %v", n, err)
			}
		})
	}
}

func TestRedirects(t *testing.T) {
	var target string
	mux := http.NewServeMux()
	mux.HandleFunc("/end", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("end")) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, target, http.StatusTemporaryRedirect)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	secure := httptest.NewUnstartedServer(mux)
	secure.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	secure.StartTLS()
	t.Cleanup(secure.Close)
	port := server.URL[strings.LastIndex(server.URL, ":"):]
	for name, c := range map[string]struct {
		to   string
		left bool // the origin
		ok   bool
	}{
		"a path":               {to: "/end", ok: true},
		"the same origin":      {to: server.URL + "/end", ok: true},
		"another name":         {to: "http://localhost" + port + "/end", left: true},
		"another port":         {to: strings.TrimSuffix(server.URL, port) + ":1/end", left: true},
		"another scheme":       {to: secure.URL + "/end", left: true},
		"the port as user":     {to: "http://127.0.0.1" + port + "@localhost/end", left: true},
		"no scheme":            {to: "//localhost" + port + "/end", left: true},
		"in circles":           {to: "/again"},
		"a scheme without net": {to: "file:///etc/passwd", left: true},
	} {
		t.Run(name, func(t *testing.T) {
			target = c.to
			_, err := ask(t, server.URL+"/start", time.Minute)
			if (err == nil) != c.ok || errors.Is(err, outbound.ErrRedirect) != c.left {
				t.Errorf("to %s: %v", c.to, err)
			}
		})
	}
}
