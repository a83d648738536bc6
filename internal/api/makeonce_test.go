package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/sandboxlabs/sandboxlabs/internal/secret"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

// newMaker is a server of one operation that takes an Idempotency-Key, answered by
// handle.
func newMaker(t *testing.T, handle echo.HandlerFunc) *Server {
	t.Helper()
	db, err := store.Open(t.Context(), storetest.SQLite(t), nil, append(store.IntentMigrations(), store.RequestMigrations()...)...)
	if err != nil {
		t.Fatal(err)
	}
	lease := store.NewLease(db)
	release, err := lease.Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(release(), store.Close(db)); err != nil {
			t.Error(err)
		}
	})
	requests, err := store.NewRequests(store.RequestOptions{DB: db, Lease: lease, Vault: secret.In(t.TempDir())})
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{o: Options{Requests: requests, Log: slog.New(slog.DiscardHandler)}, echo: echo.New(), making: map[string]bool{"POST /api/things": true}}
	s.echo.HTTPErrorHandler = s.writeError
	s.echo.Use(s.logRequest, s.recoverPanic, s.makeOnce)
	s.echo.POST("/api/things", handle)
	return s
}

func (s *Server) sendThing(key string, body io.Reader) *httptest.ResponseRecorder {
	rec, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/api/things", body)
	if key != "" {
		r.Header.Set(idempotencyKey, key)
	}
	s.echo.ServeHTTP(rec, r)
	return rec
}

// TestMakeOnce has one operation end in all ways.
func TestMakeOnce(t *testing.T) {
	var calls int
	var how func(c echo.Context) error
	s := newMaker(t, func(c echo.Context) error {
		calls++
		return how(c)
	})
	made := func(c echo.Context) error {
		text, err := io.ReadAll(c.Request().Body)
		if err != nil {
			return err
		}
		c.Response().Header().Set("Location", "/api/things/1")
		return c.JSON(http.StatusCreated, string(text))
	}
	for _, failure := range []struct {
		name   string
		status int
		how    echo.HandlerFunc
	}{
		{"an error", 500, func(echo.Context) error { return errors.New("no") }},
		{"a panic", 500, func(echo.Context) error { panic("no") }},
		{"a panic in the middle of the answer", 500, func(c echo.Context) error {
			c.Response().Header().Set("Location", "/api/things/1")
			_ = c.JSON(http.StatusCreated, "half")
			panic("no")
		}},
		{"a refusal", 422, func(c echo.Context) error { return c.JSON(http.StatusUnprocessableEntity, "no") }},
		{"an outage", 503, func(c echo.Context) error { return c.JSON(http.StatusServiceUnavailable, "no") }},
	} {
		t.Run(failure.name, func(t *testing.T) {
			before := calls
			how = failure.how
			for range 2 {
				if a := s.sendThing(failure.name, strings.NewReader("x")); a.Code != failure.status || a.Header().Get(idempotencyReplayed) != "" || (a.Code == 500 && (a.Header().Get("Location") != "" || !strings.Contains(a.Body.String(), `"code":"internal"`))) {
					t.Errorf("answered with %d %v %s", a.Code, a.Header(), a.Body)
				}
			}
			how = made
			first, second := s.sendThing(failure.name, strings.NewReader("x")), s.sendThing(failure.name, strings.NewReader("x"))
			if first.Code != http.StatusCreated || first.Header().Get(idempotencyReplayed) != "" || calls != before+3 {
				t.Errorf("then it was answered with %d, after %d calls", first.Code, calls-before)
			}
			if second.Code != first.Code || second.Body.String() != first.Body.String() || second.Header().Get("Location") != "/api/things/1" ||
				second.Header().Get("Content-Type") != first.Header().Get("Content-Type") || second.Header().Get(idempotencyReplayed) != "true" {
				t.Errorf("and again with %d %v %s", second.Code, second.Header(), second.Body)
			}
		})
	}
	t.Run("a client that goes away", func(t *testing.T) {
		cut := func(handle echo.HandlerFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/api/things", strings.NewReader("x"))
			r.Header.Set(idempotencyKey, "cut")
			how = func(c echo.Context) error {
				cancel()
				return handle(c)
			}
			s.echo.ServeHTTP(httptest.NewRecorder(), r)
			how = made
		}
		before := calls
		cut(func(c echo.Context) error { return c.Request().Context().Err() }) // nothing was made
		cut(made)
		if a := s.sendThing("cut", strings.NewReader("x")); a.Code != http.StatusCreated || a.Header().Get(idempotencyReplayed) != "true" || calls != before+2 {
			t.Errorf("answered with %d %v, after %d calls", a.Code, a.Header(), calls-before)
		}
	})
	t.Run("no key", func(t *testing.T) {
		before := calls
		for range 2 {
			if a := s.sendThing("", strings.NewReader("x")); a.Code != http.StatusCreated {
				t.Errorf("answered with %d", a.Code)
			}
		}
		if calls != before+2 {
			t.Errorf("%d calls", calls-before)
		}
	})
	t.Run("no body", func(t *testing.T) {
		how = func(c echo.Context) error { return c.NoContent(http.StatusNoContent) }
		s.sendThing("empty", nil)
		if a := s.sendThing("empty", nil); a.Code != http.StatusNoContent || a.Body.Len() > 0 || a.Header().Get(idempotencyReplayed) != "true" {
			t.Errorf("answered with %d %v %q", a.Code, a.Header(), a.Body)
		}
	})
	t.Run("a bad key", func(t *testing.T) {
		for _, key := range []string{strings.Repeat("k", maxKeyBytes+1), "ключ"} {
			if a := s.sendThing(key, strings.NewReader("x")); a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.Body.String(), `"invalid_request"`) {
				t.Errorf("key %q is answered with %d %s", key, a.Code, a.Body)
			}
		}
	})
	t.Run("a body that is too large", func(t *testing.T) {
		sent := bytes.Repeat([]byte("x"), maxJSONBytes+2)
		how = func(c echo.Context) error { // all of it is there for the handler to refuse
			if text, err := io.ReadAll(c.Request().Body); err != nil || !bytes.Equal(text, sent) {
				t.Errorf("%d bytes came, %v", len(text), err)
			}
			return c.NoContent(http.StatusRequestEntityTooLarge)
		}
		if a := s.sendThing("large", bytes.NewReader(sent)); a.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("answered with %d", a.Code)
		}
	})
}
