package guacamole

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/outbound"
)

const (
	// reachTimeout is the timeout for connecting to Guacamole's web application, including
	// TLS.
	reachTimeout = 3 * time.Second
	// answerTimeout is the timeout for a complete exchange. The web application queries
	// its database before it responds, so a busy one takes seconds.
	answerTimeout = 12 * time.Second
	// maxAnswerBytes limits how much of a response is read.
	maxAnswerBytes = 256 << 10
	// banTime is how long Guacamole's ban extension blocks an address by default.
	banTime = 5 * time.Minute

	tokenHeader = "Guacamole-Token"
)

// errUnreachable is returned when the service cannot connect to the web application.
var errUnreachable = errors.New("no connection to Guacamole's web application")

// webApp is a client of Guacamole's web application. Its methods may be called from any
// goroutine.
type webApp struct {
	base   string // without a trailing slash
	client *http.Client
	answer time.Duration // answerTimeout, except in tests
}

func newWebApp(base string) *webApp {
	return &webApp{
		base:   strings.TrimRight(base, "/"),
		client: outbound.NewClient(outbound.Options{MaxBytes: maxAnswerBytes}), // each request has its own timeout
		answer: answerTimeout,
	}
}

// question is a request to the web application.
type question struct {
	method string
	path   string // relative to the base
	token  string // of a session; "" without one
	form   url.Values
	body   any // sent as JSON; nil for none
}

// send sends a request, and returns the status and the body. It returns errUnreachable
// without a connection, and a fault for every other failure. No error contains the
// requested address, which may contain a token.
func (w *webApp) send(ctx context.Context, q question) (status int, answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, w.answer)
	defer cancel()
	var reached atomic.Bool
	late := time.AfterFunc(reachTimeout, func() {
		if !reached.Load() {
			cancel()
		}
	})
	defer late.Stop()
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { reached.Store(false) }, // called again after a kept connection turned out to be broken
		GotConn: func(httptrace.GotConnInfo) { reached.Store(true) },
	})
	r, err := q.request(traced, w.base)
	if err != nil {
		return 0, nil, err
	}
	resp, err := w.client.Do(r)
	if err != nil {
		return 0, nil, explainExchange(err, reached.Load())
	}
	defer func() { _ = resp.Body.Close() }()
	if answer, err = io.ReadAll(resp.Body); err != nil {
		return 0, nil, explainExchange(err, true)
	}
	return resp.StatusCode, answer, nil
}

// request makes the HTTP request.
func (q question) request(ctx context.Context, base string) (*http.Request, error) {
	var body io.Reader = http.NoBody
	kind := ""
	switch {
	case q.form != nil:
		body, kind = strings.NewReader(q.form.Encode()), "application/x-www-form-urlencoded"
	case q.body != nil:
		text, err := json.Marshal(q.body)
		if err != nil {
			return nil, err
		}
		body, kind = strings.NewReader(string(text)), "application/json"
	}
	r, err := http.NewRequestWithContext(ctx, q.method, base+q.path, body)
	if err != nil {
		return nil, errors.New("guacamole-url cannot be used for a request")
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	// Not sent, but makes net/http retry on a new connection when a kept one has been
	// closed, which happens whenever Guacamole restarts.
	r.Header["Idempotency-Key"] = nil
	if q.token != "" {
		r.Header.Set(tokenHeader, q.token)
	}
	return r, nil
}

// explainExchange adds what to do to an error of an exchange without a response.
func explainExchange(err error, reached bool) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // without the address
	}
	switch {
	case errors.Is(err, outbound.ErrRedirect):
		return fault.Wrap(err, fault.GuacamoleAway, "Guacamole redirects to another server, so nothing was sent there. An administrator should set guacamole-url to the address that Guacamole has.")
	case !reached:
		return fmt.Errorf("%w: %w", errUnreachable, err)
	case errors.Is(err, outbound.ErrTooLarge):
		return fault.Wrap(err, fault.GuacamoleAway, "Guacamole's answer is too large. An administrator should check guacamole-url.")
	case errors.Is(err, context.DeadlineExceeded):
		return fault.Wrap(err, fault.GuacamoleAway, "Guacamole did not answer in time. Try again in a moment; if it stays, an administrator should look at Guacamole's log.")
	default:
		return fault.Wrap(err, fault.GuacamoleAway, "Guacamole's answer was cut off. Try again in a moment; if it stays, an administrator should look at Guacamole's log.")
	}
}

// explainStatus returns an error for a response with an error status that says what to do.
func explainStatus(what string, status int) error {
	cause := fmt.Errorf("Guacamole answered %d to %s", status, what) //nolint:staticcheck // a name
	switch {
	case status == http.StatusForbidden || status == http.StatusUnauthorized:
		return fault.Wrap(cause, fault.GuacamoleAway, "Guacamole did not accept the sign-on (403). An administrator should compare guacamole-json-secret with Guacamole's json-secret-key, see that the service's clock is not behind, and that json-trusted-networks includes the service.")
	case status == http.StatusTooManyRequests:
		err := fault.Wrap(cause, fault.GuacamoleAway, "Guacamole refuses sign-ons from this service for some minutes (429, too many failed authentication attempts). An administrator should set BAN_ENABLED=false for Guacamole: all sign-ons come from the service's address.")
		err.RetryAfter = banTime
		return err
	case status >= http.StatusInternalServerError:
		return fault.Wrap(cause, fault.GuacamoleAway, "Guacamole failed (%d). An administrator should see in its log whether it reaches its database.", status)
	case status == http.StatusNotFound:
		return fault.Wrap(cause, fault.GuacamoleAway, "There is no Guacamole at guacamole-url (404). An administrator should check its path, which usually ends in /guacamole.")
	default:
		return fault.Wrap(cause, fault.GuacamoleAway, "Guacamole did not accept the sign-on (%d). An administrator should look at Guacamole's log, and at guacamole-url.", status)
	}
}

// signIn opens a session for the user of a sealed identity, and returns its token.
func (w *webApp) signIn(ctx context.Context, user, data string) (string, error) {
	status, answer, err := w.send(ctx, question{method: http.MethodPost, path: "/api/tokens", form: url.Values{"data": {data}}})
	if err != nil {
		return "", err
	}
	var opened struct {
		Token string `json:"authToken"`
		User  string `json:"username"`
	}
	if status != http.StatusOK {
		return "", explainStatus("POST /api/tokens", status)
	}
	if json.Unmarshal(answer, &opened) != nil || opened.Token == "" || opened.User != user {
		return "", fault.Wrap(errors.New("the answer to POST /api/tokens has no session of this user"), fault.GuacamoleAway,
			"What answers at guacamole-url is not Guacamole. An administrator should check guacamole-url.")
	}
	return opened.Token, nil
}

// alive reports whether token belongs to a live session of the user. The check counts as a
// use of the session and, unlike signing in again, cannot be counted as a failed sign-on.
func (w *webApp) alive(ctx context.Context, user, token string) (bool, error) {
	status, answer, err := w.send(ctx, question{method: http.MethodGet, path: "/api/session/data/" + dataSource + "/self", token: token})
	switch {
	case err != nil:
		return false, err
	case status == http.StatusTooManyRequests || status >= http.StatusInternalServerError:
		return false, explainStatus("GET …/self", status)
	case status != http.StatusOK:
		return false, nil
	}
	var self struct {
		User string `json:"username"`
	}
	return json.Unmarshal(answer, &self) == nil && self.User == user, nil
}

// end ends a session and its open screens. It succeeds if the session has already ended.
func (w *webApp) end(ctx context.Context, token string) error {
	status, _, err := w.send(ctx, question{method: http.MethodDelete, path: "/api/tokens/" + url.PathEscape(token)})
	switch {
	case err != nil:
		return err
	case status < http.StatusMultipleChoices || status == http.StatusNotFound || status == http.StatusForbidden:
		return nil
	default:
		return explainStatus("DELETE /api/tokens", status)
	}
}

// closeScreens closes the screens of one connection that a session's user has open. The
// user must still have the right to it, since Guacamole lists no others.
func (w *webApp) closeScreens(ctx context.Context, user, token string, connectionID int) error {
	const path = "/api/session/data/" + dataSource + "/activeConnections"
	status, answer, err := w.send(ctx, question{method: http.MethodGet, path: path, token: token})
	if err != nil {
		return err
	}
	var open map[string]struct {
		Connection string `json:"connectionIdentifier"`
		User       string `json:"username"` // null for those of other users
	}
	if status != http.StatusOK {
		return explainStatus("GET …/activeConnections", status)
	}
	if err := json.Unmarshal(answer, &open); err != nil {
		return fmt.Errorf("read the open screens: %w", err)
	}
	type operation struct {
		Op   string `json:"op"`
		Path string `json:"path"`
	}
	var remove []operation
	for id, one := range open {
		if one.Connection == strconv.Itoa(connectionID) && one.User == user {
			remove = append(remove, operation{"remove", "/" + id})
		}
	}
	if len(remove) == 0 {
		return nil
	}
	status, _, err = w.send(ctx, question{method: http.MethodPatch, path: path, token: token, body: remove})
	if err == nil && status >= http.StatusMultipleChoices {
		err = explainStatus("PATCH …/activeConnections", status)
	}
	return err
}

// check requests the web application's page.
func (w *webApp) check(ctx context.Context) error {
	status, _, err := w.send(ctx, question{method: http.MethodGet, path: "/"})
	switch {
	case err != nil:
		return err
	case status >= http.StatusBadRequest:
		return explainStatus("GET /", status)
	}
	return nil
}
