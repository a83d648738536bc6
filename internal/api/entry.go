package api

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// Cookies of sign-in. Over HTTPS their names have hostPrefix: browsers accept such a cookie only
// from this host, not from a sibling domain or over plain HTTP.
const (
	cookieName = "sandboxlabs_session"
	oidcCookie = "sandboxlabs_oidc"
	hostPrefix = "__Host-"
)

// cookieNamed returns a cookie's full name.
func (s *Server) cookieNamed(name string) string {
	if s.overTLS() {
		return hostPrefix + name
	}
	return name
}

// readCookie returns the value of a cookie; empty if there is none. If two cookies have the same
// name, one may have been planted and nothing identifies it: both are rejected.
func (s *Server) readCookie(r *http.Request, name string) (string, error) {
	switch found := r.CookiesNamed(s.cookieNamed(name)); len(found) {
	case 0:
		return "", nil
	case 1:
		return found[0].Value, nil
	default:
		return "", fault.New(fault.Unauthenticated, "The browser sent %d cookies named %s. Delete the cookies of this site and its parent domains, then sign in again.", len(found), s.cookieNamed(name))
	}
}

// recoverPanic keeps a panic in one request from ending the service.
func (s *Server) recoverPanic(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
					panic(v)
				}
				err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
			}
		}()
		return next(c)
	}
}

// logRequest logs changes and failures, without the query, which may contain a ticket.
func (s *Server) logRequest(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		start := time.Now()
		if err := next(c); err != nil {
			c.Error(err)
		}
		r, status := c.Request(), c.Response().Status
		level := slog.LevelDebug
		if status >= http.StatusInternalServerError || (r.Method != http.MethodGet && r.Method != http.MethodHead) {
			level = slog.LevelInfo
		}
		who := rightsOf(r.Context())
		s.o.Log.Log(r.Context(), level, "request", "method", cut(r.Method), "path", cut(r.URL.Path), "status", status,
			"ms", time.Since(start).Milliseconds(), "user", who.Name, "from", c.RealIP())
		return nil
	}
}

// maxLoggedBytes limits the logged size of each part of a request that a client chooses.
const maxLoggedBytes = 256

// cut shortens a text that a client chose, for the log and for messages.
func cut(text string) string {
	if len(text) <= maxLoggedBytes {
		return text
	}
	return fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(text[:maxLoggedBytes], ""), len(text))
}

// requestName returns the name of a request in logs and messages: its method and path.
func requestName(r *http.Request) string { return cut(r.Method) + " " + cut(r.URL.Path) }

// secureHeaders sets the security headers of all responses. Inline styles are allowed because the
// terminal creates them; inline scripts are not.
func (s *Server) secureHeaders(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Content-Security-Policy", "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "+
			"font-src 'self' data:; connect-src 'self' ws: wss:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		if s.overTLS() {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		if isAPI(c.Request().URL.Path) {
			h.Set("Cache-Control", "no-store")
		}
		c.Response().Before(func() {
			if c.Response().Status == http.StatusNoContent {
				h.Del(echo.HeaderContentType)
			}
		})
		return next(c)
	}
}

// overTLS returns whether browsers reach the service by HTTPS, directly or through a proxy.
func (s *Server) overTLS() bool {
	return s.o.TLS != nil || (s.o.PublicURL != nil && s.o.PublicURL.Scheme == "https")
}

func isAPI(path string) bool {
	return strings.HasPrefix(path, "/api/") || strings.HasPrefix(path, "/ws/") || path == "/metrics"
}

// OwnHosts returns an error if the Host of a request is not one of the service's: an IP address,
// localhost, the name in Listen, or the public name.
func OwnHosts(listen string, public *url.URL) func(host string) error {
	allowed := map[string]bool{"localhost": true}
	if host, _, err := net.SplitHostPort(listen); err == nil {
		allowed[strings.ToLower(host)] = true
	}
	if public != nil {
		allowed[strings.ToLower(public.Hostname())] = true
	}
	return func(host string) error {
		if host == "" { // HTTP/1.0, for example a proxy's health check; all browsers send a Host
			return nil
		}
		name := strings.ToLower((&url.URL{Host: host}).Hostname())
		if _, err := netip.ParseAddr(name); err != nil && !allowed[name] {
			return fault.New(fault.HostNotAllowed, "The host name %q is not allowed. Set public-url to the address that browsers use.", name)
		}
		return nil
	}
}

// allowedHost rejects requests with foreign host names, to prevent DNS rebinding.
func (s *Server) allowedHost(next echo.HandlerFunc) echo.HandlerFunc {
	check := OwnHosts(s.o.Listen, s.o.PublicURL)
	return func(c echo.Context) error {
		if err := check(c.Request().Host); err != nil {
			return err
		}
		return next(c)
	}
}

// sameOrigin rejects changes that pages of other origins request. Clients that are not browsers
// send neither Origin nor Sec-Fetch-Site, and are allowed.
func (s *Server) sameOrigin() (echo.MiddlewareFunc, error) {
	guard := http.NewCrossOriginProtection()
	if u := s.o.PublicURL; u != nil {
		if err := guard.AddTrustedOrigin(u.Scheme + "://" + u.Host); err != nil {
			return nil, fmt.Errorf("public-url: %w", err)
		}
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if err := guard.Check(c.Request()); err != nil {
				return fault.New(fault.CrossOrigin, "Requests from other origins are not allowed. Open the service's own address in the browser, and set public-url if it differs from the listening address.")
			}
			return next(c)
		}
	}, nil
}

// identify reads the bearer token, the session cookie or, on a WebSocket, where scripts cannot
// always set headers, the ticket.
func (s *Server) identify(r *http.Request) (access.Principal, error) {
	if s.o.AuthOff {
		return access.Open(), nil
	}
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return s.o.Access.ByToken(r.Context(), strings.TrimSpace(token))
	}
	if kind, ok := strings.CutPrefix(r.URL.Path, "/ws/"); ok {
		if ticket := r.URL.Query().Get("ticket"); ticket != "" {
			p, err := s.o.Access.RedeemTicket(ticket, r.URL.Query().Get("nodeId"), kind)
			if err != nil {
				return access.Principal{}, err
			}
			return s.o.Access.Refresh(r.Context(), p) // the session that requested it may have ended
		}
	}
	if session, err := s.readCookie(r, cookieName); err != nil || session != "" {
		if err != nil {
			return access.Principal{}, err
		}
		return s.o.Access.BySession(r.Context(), session)
	}
	return access.Principal{}, fault.New(fault.Unauthenticated, "Sign in first, or send a token: `Authorization: Bearer sbx_…`.")
}

// jsonByDefault accepts `curl -d '{…}'`: a body without a type, or with curl's default type, is
// treated as JSON. Forms of other origins have already been rejected (see sameOrigin).
func jsonByDefault(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Request().Header
		switch ct, _, _ := strings.Cut(h.Get(echo.HeaderContentType), ";"); ct {
		case "", echo.MIMEApplicationForm:
			h.Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
		}
		return next(c)
	}
}
