package download

import (
	"context"
	"io"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// notPublic are the networks that lead elsewhere than to the public Internet, and
// that netip has no question for.
var notPublic = func() (list []netip.Prefix) {
	for _, text := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
	} {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}()

// isPublic returns whether an address is one of the public Internet. Addresses of
// version 6 that stand for one of version 4 are not: what they lead to depends on
// the network.
func isPublic(a netip.Addr) bool {
	a = a.WithZone("").Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// refusePrivate looks at the address that a connection is about to go to, after
// its name was resolved: a name can mean another address each time it is asked for.
func refusePrivate(_ context.Context, _, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || !isPublic(to.Addr()) {
		return fault.New(fault.Unsupported, "The address leads to %s, which is not on the public Internet. An administrator can allow this with the option pull-allow-private.", address)
	}
	return nil
}

// timedBody is a body that may pause, but not for long.
type timedBody struct {
	body        io.ReadCloser
	idleTimeout time.Duration
	cancel      context.CancelCauseFunc

	mu    sync.Mutex
	timer *time.Timer
	late  bool
}

func newTimedBody(body io.ReadCloser, idleTimeout time.Duration, cancel context.CancelCauseFunc) *timedBody {
	p := &timedBody{body: body, idleTimeout: idleTimeout, cancel: cancel}
	p.timer = time.AfterFunc(idleTimeout, func() {
		p.mu.Lock()
		p.late = true
		p.mu.Unlock()
		cancel(nil)
	})
	return p
}

// Read reads, and gives the server new time with every byte.
func (p *timedBody) Read(b []byte) (int, error) {
	n, err := p.body.Read(b)
	p.mu.Lock()
	late := p.late
	p.mu.Unlock()
	if late && err != nil {
		return n, fault.New(fault.SourceUnavailable, "The server has sent nothing for %v.", p.idleTimeout)
	}
	if n > 0 {
		p.timer.Reset(p.idleTimeout)
	}
	return n, err
}

// Close ends the request.
func (p *timedBody) Close() error {
	p.timer.Stop()
	err := p.body.Close()
	p.cancel(nil)
	return err
}
