// Package hypervisortest stands between a test and the machine's libvirt.
package hypervisortest

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// Relay passes connections on to the machine's libvirt until the test ends.
type Relay struct {
	socket string

	mu      sync.Mutex
	refuses bool
	wires   []func() // each cuts one, in the order in which they were made
	late    time.Duration
	slow    []Procedure // whose calls are late
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
	go func() { _ = r.forward(near, far) }()
}

// Procedure is the number of a call in libvirt's remote protocol.
type Procedure uint32

// DomainGetState is the call that each reading of a domain begins with.
const DomainGetState Procedure = 212

// Delay has calls of some procedures reach libvirt late from now on. Others overtake
// them, and so do the pings by which a connection is kept alive.
func (r *Relay) Delay(late time.Duration, slow ...Procedure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.late, r.slow = late, slow
}

// lateness is how late a message is to reach libvirt.
func (r *Relay) lateness(h header) time.Duration {
	const remoteProgram, call = 0x20008086, 0
	r.mu.Lock()
	defer r.mu.Unlock()
	if h.Program == remoteProgram && h.Type == call && slices.Contains(r.slow, Procedure(h.Procedure)) {
		return r.late
	}
	return 0
}

// header is what a message of libvirt's remote protocol begins with.
type header struct{ Length, Program, Version, Procedure, Type, Serial, Status uint32 }

// forward passes the client's messages on until the connection ends.
func (r *Relay) forward(near io.Reader, far io.Writer) error {
	var sending sync.Mutex
	send := func(message []byte) {
		sending.Lock()
		defer sending.Unlock()
		_, _ = far.Write(message) // a connection that is cut is noticed by its reader
	}
	for {
		var h header
		if err := binary.Read(near, binary.BigEndian, &h); err != nil {
			return err
		}
		var message bytes.Buffer
		_ = binary.Write(&message, binary.BigEndian, h) // a Buffer takes everything
		if _, err := io.CopyN(&message, near, int64(h.Length)-int64(binary.Size(h))); err != nil {
			return err
		}
		if late := r.lateness(h); late > 0 {
			time.AfterFunc(late, func() { send(message.Bytes()) })
		} else {
			send(message.Bytes())
		}
	}
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
