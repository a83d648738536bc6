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

// notePeer decides, once for each connection, whether its peer may enter where nobody
// signs in.
func (s *Server) notePeer(ctx context.Context, conn net.Conn) context.Context {
	if !s.o.AuthOff {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, checkPeer(conn))
}

// peerCheck is what notePeer found; without an error the peer may enter.
type peerCheck struct{ err error }

// checkPeer lets in the programs of root and of the service's own user. They are told
// by the socket at the connection's other end, asked of the kernel: an address does not
// identify anybody. What cannot be told is refused.
func checkPeer(conn net.Conn) peerCheck {
	uid, err := peer.UID(conn)
	if err == nil && uid != 0 && uid != os.Getuid() {
		err = errors.New("the peer belongs to another user")
	}
	return peerCheck{err}
}

// ownPeers refuses every request on a connection whose peer may not enter, where nobody
// signs in: a guest with user-mode networking and other users of this machine reach the
// loopback address too.
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
