// Package hypervisortest stands between a test and the machine's libvirt.
package hypervisortest

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
)

// Relay passes connections on to the machine's libvirt until the test ends.
type Relay struct {
	socket string

	mu      sync.Mutex
	refuses bool
	wires   []func() // each cuts one, in the order in which they were made
}

// Start makes a Relay.
func Start(t *testing.T) *Relay {
	t.Helper()
	r := &Relay{socket: filepath.Join(t.TempDir(), "socket")}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", r.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = l.Close()
		r.Cut(0)
	})
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			r.pass(t, near)
		}
	}()
	return r
}

func (r *Relay) pass(t *testing.T, near net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuses {
		_ = near.Close()
		return
	}
	far, err := (&net.Dialer{}).DialContext(context.Background(), "unix", "/var/run/libvirt/libvirt-sock")
	if err != nil {
		t.Errorf("these tests need libvirt: %v", err)
		_ = near.Close()
		return
	}
	r.wires = append(r.wires, func() { _, _ = near.Close(), far.Close() })
	go func() { _, _ = io.Copy(near, far) }()
	go func() { _, _ = io.Copy(far, near) }()
}

// URI is how libvirt is reached through the relay.
func (r *Relay) URI() string { return "qemu+unix:///system?socket=" + r.socket }

// Cut breaks the connections, but for so many that were made first.
func (r *Relay) Cut(first int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, cut := range r.wires[min(first, len(r.wires)):] {
		cut()
	}
}

// Refuse has new connections closed at once, or passed on again.
func (r *Relay) Refuse(refuses bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuses = refuses
}
