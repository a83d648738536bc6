package api

import (
	"cmp"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
)

// Default limits for connections.
const (
	DefaultMaxConnections           = 4096
	DefaultMaxConnectionsPerAddress = 512
)

// ConnectionLimits limits the connections of a listener, so that no client can use up all of them.
// When a limit is reached, the listener closes an idle connection in favor of the new one: one of
// the same network if that is at its limit, otherwise one of the network with the most connections.
// If none is idle, it closes the new one.
type ConnectionLimits struct {
	// Total limits all connections; PerAddress those of one network (an IPv4 address, or an IPv6
	// /64).
	Total, PerAddress int
	// Proxies may have any number up to Total, because they connect for many clients.
	Proxies []netip.Prefix

	mu    sync.Mutex
	count int
	of    map[string]map[*boundConn]struct{}
}

// boundConn is a connection that counts against the limits.
type boundConn struct {
	net.Conn
	limits  *ConnectionLimits
	network string
	idle    time.Time // since when it has been idle; zero while a request is handled
	closed  sync.Once
}

// Listen returns l with the limits applied.
func (b *ConnectionLimits) Listen(l net.Listener) net.Listener { return boundListener{l, b} }

// Track follows the state of the connections of srv. Call it before srv serves what Listen
// returned.
func (b *ConnectionLimits) Track(srv *http.Server) {
	srv.ConnState = func(conn net.Conn, state http.ConnState) {
		if secure, ok := conn.(*tls.Conn); ok {
			conn = secure.NetConn()
		}
		if patient, ok := conn.(patientConn); ok {
			conn = patient.Conn
		}
		c, ok := conn.(*boundConn)
		if !ok {
			return
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		switch state {
		case http.StateNew, http.StateIdle:
			c.idle = time.Now()
		default:
			c.idle = time.Time{}
		}
	}
}

type boundListener struct {
	net.Listener
	limits *ConnectionLimits
}

// Accept returns the next connection within the limits.
func (l boundListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := l.limits.admit(conn); c != nil {
			return c, nil
		}
		_ = conn.Close()
	}
}

// Close closes the connection and stops counting it.
func (c *boundConn) Close() error {
	c.closed.Do(func() {
		c.limits.mu.Lock()
		defer c.limits.mu.Unlock()
		c.limits.forget(c)
	})
	return c.Conn.Close()
}

// forget stops counting a connection. The caller holds mu.
func (b *ConnectionLimits) forget(c *boundConn) {
	if _, there := b.of[c.network][c]; !there {
		return
	}
	b.count--
	if delete(b.of[c.network], c); len(b.of[c.network]) == 0 {
		delete(b.of, c.network)
	}
}

// admit counts a connection; it returns nil if the limits do not allow it.
func (b *ConnectionLimits) admit(conn net.Conn) *boundConn {
	c := &boundConn{Conn: conn, limits: b, idle: time.Now()}
	proxy := false
	if peer, err := netip.ParseAddrPort(conn.RemoteAddr().String()); err == nil {
		addr := peer.Addr().Unmap().WithZone("")
		c.network = access.NetworkOf(addr.String())
		for _, p := range b.Proxies {
			proxy = proxy || p.Contains(addr)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	crowded := !proxy && len(b.of[c.network]) >= b.PerAddress
	if (crowded || b.count >= b.Total) && !b.dropIdle(c.network, crowded) {
		return nil
	}
	if b.of == nil {
		b.of = map[string]map[*boundConn]struct{}{}
	}
	if b.of[c.network] == nil {
		b.of[c.network] = map[*boundConn]struct{}{}
	}
	b.of[c.network][c] = struct{}{}
	b.count++
	return c
}

// dropIdle closes the connection that has been idle the longest, of the given network or of the
// networks with the most connections. It returns false if none is idle. The caller holds mu.
func (b *ConnectionLimits) dropIdle(network string, own bool) bool {
	var oldest *boundConn
	for name, list := range b.of {
		if own && name != network {
			continue
		}
		for c := range list {
			if c.idle.IsZero() {
				continue
			}
			if oldest == nil || cmp.Or(cmp.Compare(len(b.of[oldest.network]), len(list)), c.idle.Compare(oldest.idle)) < 0 {
				oldest = c
			}
		}
	}
	if oldest == nil {
		return false
	}
	b.forget(oldest)
	_ = oldest.Conn.Close() // the server's read fails and reports it
	return true
}
