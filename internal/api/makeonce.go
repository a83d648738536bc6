package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

const (
	idempotencyKey      = "Idempotency-Key"
	idempotencyReplayed = "Idempotency-Replayed"
	maxKeyBytes         = 255
)

// makes has an operation accept an Idempotency-Key: makeOnce processes the same request with the
// same key only once. POST /api/nodes has its own mechanism, whose keys remain valid as long as the
// node exists.
func (s *Server) makes(op huma.Operation) huma.Operation {
	s.making[op.Method+" "+op.Path] = true
	longest := maxKeyBytes
	op.Parameters = append(op.Parameters, &huma.Param{
		Name: idempotencyKey, In: "header", Schema: &huma.Schema{Type: huma.TypeString, MaxLength: &longest},
		Description: "A string of your choice. The same request with the same key within a day creates nothing more and returns the first response, with `Idempotency-Replayed: true`. " +
			"While the first request is running, the response is 409 `request_in_progress`. A different request with the key is refused with 422 `idempotency_key_reused`. " +
			"A request that failed, or was interrupted by a crash, is executed again.",
	})
	return op
}

// makeOnce repeats the stored answer to a request that was already answered. It stores an answer
// before the client gets any of it. It does not store answers of failed requests, which created
// nothing.
func (s *Server) makeOnce(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		key, route := r.Header.Get(idempotencyKey), ruleName(r.Method, c.Path())
		if key == "" || !s.making[route] {
			return next(c)
		}
		if len(key) > maxKeyBytes || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
			return fault.New(fault.Invalid, "The Idempotency-Key must be at most %d ASCII characters, for example a UUID.", maxKeyBytes)
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, maxJSONBytes+1))
		// What follows ends the deadline of the body, or says again what is wrong with it.
		r.Body = bodyReader{io.MultiReader(bytes.NewReader(body), r.Body), r.Body}
		if err != nil || len(body) > maxJSONBytes {
			return next(c) // which refuses it
		}
		who, _ := principalOf(r.Context())
		attempt, earlier, err := s.o.Requests.Begin(r.Context(), store.Request{
			Account: who.UserID, Key: key, Route: route, Digest: digest(r, who.TokenID, body),
		})
		switch {
		case err != nil:
			return err
		case earlier != nil:
			return replay(c, *earlier)
		}
		return s.attempt(c, next, attempt)
	}
}

// digest identifies a request. It includes the token: an answer may reveal more than another token
// of the account may read.
func digest(r *http.Request, tokenID string, body []byte) string {
	h := sha256.New()
	for _, part := range []string{r.Method, r.URL.EscapedPath(), r.URL.Query().Encode(), tokenID} {
		_, _ = fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	_, _ = h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

// replay sends a stored answer again.
func replay(c echo.Context, a store.Answer) error {
	noteOf(c.Request().Context()).replayed = true
	h := c.Response().Header()
	h.Set(idempotencyReplayed, "true")
	if a.Location != "" {
		h.Set(echo.HeaderLocation, a.Location)
	}
	if a.ContentType == "" {
		return c.NoContent(a.Status)
	}
	return c.Blob(a.Status, a.ContentType, a.Body)
}

// attempt processes a request, and stores the answer.
func (s *Server) attempt(c echo.Context, next echo.HandlerFunc, attempt *store.Attempt) error {
	ctx, answer := c.Request().Context(), c.Response()
	held := &heldAnswer{ResponseWriter: answer.Writer}
	answer.Writer = held
	ended := false
	defer func() {
		answer.Writer = held.ResponseWriter
		if ended {
			return
		}
		// The handler panics: the held answer is not sent, and is replaced by an error.
		s.drop(ctx, attempt)
		answer.Committed, answer.Status, answer.Size = false, http.StatusOK, 0
		answer.Header().Del(echo.HeaderLocation)
	}()
	err := next(c)
	ended = true
	if err != nil || held.status < 200 || held.status > 299 {
		s.drop(ctx, attempt)
	} else if keepErr := attempt.Keep(ctx, store.Answer{
		Status: held.status, Location: answer.Header().Get(echo.HeaderLocation),
		ContentType: answer.Header().Get(echo.HeaderContentType), Body: held.body.Bytes(),
	}); keepErr != nil { // it is made, and the client may know
		s.o.Log.ErrorContext(ctx, "the answer to a request is not kept: if it is repeated, it is done again", "path", cut(c.Request().URL.Path), "error", keepErr)
	}
	if sendErr := held.send(); sendErr != nil {
		s.o.Log.DebugContext(ctx, "an answer could not be sent", "error", sendErr)
	}
	return err
}

// drop deletes the record of a request that created nothing.
func (s *Server) drop(ctx context.Context, attempt *store.Attempt) {
	if err := attempt.Drop(ctx); err != nil {
		s.o.Log.WarnContext(ctx, "a request that failed is still on record; it can be repeated", "error", err)
	}
}

// heldAnswer buffers an answer until it is sent.
type heldAnswer struct {
	http.ResponseWriter
	status int // 0 if there is none
	body   bytes.Buffer
}

func (h *heldAnswer) WriteHeader(status int) {
	if h.status == 0 {
		h.status = status
	}
}

func (h *heldAnswer) Write(p []byte) (int, error) {
	if h.status == 0 {
		h.status = http.StatusOK
	}
	return h.body.Write(p)
}

// Unwrap is for http.ResponseController, which sets deadlines.
func (h *heldAnswer) Unwrap() http.ResponseWriter { return h.ResponseWriter }

func (h *heldAnswer) send() error {
	if h.status == 0 {
		return nil
	}
	h.ResponseWriter.WriteHeader(h.status)
	_, err := h.body.WriteTo(h.ResponseWriter)
	return err
}
