// Package outboundtest runs HTTP servers that answer as no server should.
package outboundtest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// Kind is a way to misbehave.
type Kind string

// The ways to misbehave.
const (
	Endless  Kind = "endless body"    // sends JSON that never ends, as fast as it is read
	Silent   Kind = "body that stops" // sends the start of a body, and then nothing
	Redirect Kind = "redirect"        // sends the request, with its body, to another origin
)

// Kinds are all of them.
func Kinds() []Kind { return []Kind{Endless, Silent, Redirect} }

// Hostile answers with one kind of misbehaviour, and records what came of it.
type Hostile struct {
	Sent     atomic.Int64 // bytes of the endless body
	Followed atomic.Int64 // requests that reached the other origin

	kind  Kind
	other *httptest.Server
	end   chan struct{}
}

// New returns a handler that misbehaves until the test ends.
func New(t testing.TB, kind Kind) *Hostile {
	t.Helper()
	h := &Hostile{kind: kind, end: make(chan struct{})}
	h.other = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h.Followed.Add(1)
		_, _ = w.Write([]byte("{}"))
	}))
	t.Cleanup(h.other.Close)
	t.Cleanup(func() { close(h.end) })
	return h
}

// ServeHTTP misbehaves.
func (h *Hostile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.kind == Redirect {
		http.Redirect(w, r, h.other.URL+r.URL.Path, http.StatusTemporaryRedirect)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"a":"`))
	if h.kind == Endless {
		for block := []byte(strings.Repeat("x", 64<<10)); ; {
			n, err := w.Write(block)
			h.Sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	}
	_ = http.NewResponseController(w).Flush()
	select {
	case <-h.end:
	case <-r.Context().Done():
	}
}
