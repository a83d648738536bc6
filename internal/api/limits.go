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
	// bodyTimeout is how long a request's body may take. Uploads move it on.
	bodyTimeout = 10 * time.Second
	// writeTimeout is how long a client may take none of what is sent to it.
	writeTimeout = time.Minute
)

// boundBody gives a request's body a deadline, also one that no handler reads. It
// ends with the body, since from then on the server reads to notice that the
// client goes away: a deadline that passes then would cancel the request. So does that
// which huma sets before it reads a body, also where there is none.
func boundBody(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		controller := http.NewResponseController(c.Response())
		if r.ContentLength != 0 {
			if err := controller.SetReadDeadline(time.Now().Add(bodyTimeout)); err != nil {
				return err
			}
		}
		r = r.WithContext(r.Context()) // net/http looks at the body of its own one
		r.Body = timedBody{r.Body, controller}
		c.SetRequest(r)
		return next(c)
	}
}

// timedBody is a body whose end ends the read deadline.
type timedBody struct {
	io.ReadCloser
	controller *http.ResponseController
}

func (b timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF { // io.Reader has it so
		_ = b.controller.SetReadDeadline(time.Time{}) // it fails on a connection that is gone
	}
	return n, err
}

// patientListener makes connections that give up a client that takes nothing:
// otherwise it would keep a request, and what the request holds, for ever.
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

// oneRange leaves out a Range of several parts, so that the whole is sent: each part
// of an image costs a stream of libvirt's. RFC 9110, 14.2, lets a server ignore any Range;
// 416 is for ranges that are not there.
func oneRange(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Request().Header
		if ranges := h.Values("Range"); len(ranges) > 1 || len(ranges) == 1 && strings.Contains(ranges[0], ",") {
			h.Del("Range")
		}
		return next(c)
	}
}

// clientAddress returns how a client's address is found: from X-Forwarded-For
// where a trusted proxy says it, else the connection's. Other headers that claim
// an address are anybody's.
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

// throughProxy refuses those who come past the proxy: they would send passwords
// in the clear, and could claim any address. This machine's own tools may.
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
