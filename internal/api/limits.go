package api

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

const (
	// bodyTimeout is how long a request's body may take. Uploads extend it.
	bodyTimeout = 10 * time.Second
	// writeTimeout is how long a client may read nothing.
	writeTimeout = time.Minute
)

// boundBody sets a deadline for a request's body, even if no handler reads it. The deadline is
// removed at the end of the body: afterwards the server reads only to detect that the client
// disconnects, and an expired deadline would cancel the request. The same applies to the deadline
// that huma sets before it reads a body, even if there is none.
func boundBody(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		controller := http.NewResponseController(c.Response())
		if r.ContentLength != 0 {
			if err := controller.SetReadDeadline(time.Now().Add(bodyTimeout)); err != nil {
				return err
			}
		}
		r = r.WithContext(r.Context()) // net/http looks at the body of its copy
		r.Body = timedBody{r.Body, controller}
		c.SetRequest(r)
		return next(c)
	}
}

// timedBody is a body that removes the read deadline at its end.
type timedBody struct {
	io.ReadCloser
	controller *http.ResponseController
}

func (b timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF { // io.Reader has it so
		_ = b.controller.SetReadDeadline(time.Time{}) // fails if the connection is closed
	}
	return n, err
}

// patientListener returns connections that time out when a client reads nothing: otherwise such a
// client would hold a request and its resources forever.
type patientListener struct{ net.Listener }

func (l patientListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return patientConn{conn}, nil
}

type patientConn struct{ net.Conn }

func (c patientConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// oneRange removes a Range header with several ranges, so that the whole file is sent: each range
// of an image costs a libvirt stream. RFC 9110, 14.2, allows a server to ignore any Range; 416 is
// for ranges outside the file.
func oneRange(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Request().Header
		if ranges := h.Values("Range"); len(ranges) > 1 || len(ranges) == 1 && strings.Contains(ranges[0], ",") {
			h.Del("Range")
		}
		return next(c)
	}
}

// clientAddress determines a client's address: from X-Forwarded-For if a trusted proxy set it,
// otherwise from the connection. Clients can forge all other headers.
func clientAddress(proxies []netip.Prefix) echo.IPExtractor {
	if len(proxies) == 0 {
		return echo.ExtractIPDirect()
	}
	trust := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, p := range proxies {
		trust = append(trust, echo.TrustIPRange(&net.IPNet{
			IP: p.Masked().Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen()),
		}))
	}
	return echo.ExtractIPFromXFFHeader(trust...)
}

// throughProxy rejects clients that bypass the proxy: they would send passwords unencrypted, and
// could claim any address. Tools on this machine are allowed.
func (s *Server) throughProxy(next echo.HandlerFunc) echo.HandlerFunc {
	if len(s.o.Proxies) == 0 || s.o.TLS != nil {
		return next
	}
	return func(c echo.Context) error {
		peer, err := netip.ParseAddrPort(c.Request().RemoteAddr)
		if err != nil {
			return err
		}
		addr := peer.Addr().Unmap().WithZone("")
		for _, p := range s.o.Proxies {
			if p.Contains(addr) {
				return next(c)
			}
		}
		if addr.IsLoopback() {
			return next(c)
		}
		return fault.New(fault.Forbidden, "This service is only available through its proxy. Open %s.", s.o.PublicURL)
	}
}
