package api

import (
	"context"
	"errors"
	"net"
	"os"

	"github.com/labstack/echo/v4"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/peer"
)

// peerKey is where a connection's context holds the reason why its peer is refused.
type peerKey struct{}

// notePeer decides once per connection whether its peer has access while authentication is off.
func (s *Server) notePeer(ctx context.Context, conn net.Conn) context.Context {
	if !s.o.AuthOff {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, checkPeer(conn))
}

// peerCheck is the result of notePeer; without an error the peer has access.
type peerCheck struct{ err error }

// checkPeer admits programs of root and of the service's own user. It identifies them by the socket
// at the other end of the connection, which the kernel reports, because an address identifies
// nobody. It rejects peers that it cannot identify.
func checkPeer(conn net.Conn) peerCheck {
	uid, err := peer.UID(conn)
	if err == nil && uid != 0 && uid != os.Getuid() {
		err = errors.New("the peer belongs to another user")
	}
	return peerCheck{err}
}

// ownPeers rejects all requests on a connection whose peer has no access while authentication is
// off: guests with user-mode networking and other users of this machine can reach the loopback
// address, too.
func (s *Server) ownPeers(next echo.HandlerFunc) echo.HandlerFunc {
	if !s.o.AuthOff {
		return next
	}
	return func(c echo.Context) error {
		found, ok := c.Request().Context().Value(peerKey{}).(peerCheck)
		if ok && found.err == nil {
			return next(c)
		}
		s.o.Log.Debug("a connection is refused", "from", c.Request().RemoteAddr, "error", found.err)
		return fault.New(fault.PeerRefused, "Sign-in is turned off (auth: off), so only programs of root and of the service's own user on this machine are let in. Run this as one of them, or set auth to on and sign in.")
	}
}
