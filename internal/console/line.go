package console

import (
	"fmt"
	"sync"
	"time"

	"libvirt.org/go/libvirt"
)

// evictPatience is how long a close waits for input that the guest does not read
// before it is forced, and how long forcing may take to connect.
const evictPatience = 3 * time.Second

// line is an open console: a non-blocking stream, and the connection that serves
// it alone.
type line struct {
	conn   *libvirt.Connect
	stream *libvirt.Stream

	readable chan struct{} // room for one
	writable chan struct{} // room for one
	lost     chan struct{} // room for one: the connection broke

	mu       sync.Mutex // held while events are changed, which is a local call
	events   libvirt.StreamEventType
	detached bool // the callback must not touch the stream any more
}

// open opens the first console of the domain with this UUID on a connection that
// it has for itself. Nothing is left behind when it fails.
func open(conn *libvirt.Connect, id string, force bool) (_ *line, err error) {
	l := &line{
		conn:     conn,
		readable: make(chan struct{}, 1),
		writable: make(chan struct{}, 1),
		lost:     make(chan struct{}, 1),
	}
	dom, err := conn.LookupDomainByUUIDString(id)
	if err != nil {
		return nil, fmt.Errorf("look up domain %s: %w", id, err)
	}
	defer dom.Free()
	if got, err := dom.GetUUIDString(); err != nil {
		return nil, fmt.Errorf("check UUID of domain %s: %w", id, err)
	} else if got != id {
		return nil, fmt.Errorf("look up domain %s: got %s", id, got)
	}
	if err := conn.RegisterCloseCallback(func(*libvirt.Connect, libvirt.ConnectCloseReason) { signal(l.lost) }); err != nil {
		return nil, fmt.Errorf("watch the connection of console %s: %w", id, err)
	}
	defer func() {
		if err != nil {
			conn.UnregisterCloseCallback()
		}
	}()
	if l.stream, err = conn.NewStream(libvirt.STREAM_NONBLOCK); err != nil {
		return nil, fmt.Errorf("make a console stream: %w", err)
	}
	defer func() {
		if err != nil {
			l.stream.Free()
		}
	}()
	var flags libvirt.DomainConsoleFlags
	if force {
		flags = libvirt.DOMAIN_CONSOLE_FORCE
	}
	if err := dom.OpenConsole("", l.stream, flags); err != nil {
		return nil, fmt.Errorf("open console of domain %s: %w", id, err)
	}
	if err := l.stream.EventAddCallback(0, l.event); err != nil {
		l.stream.Abort()
		return nil, fmt.Errorf("watch console of domain %s: %w", id, err)
	}
	return l, nil
}

// event runs on the libvirt event loop. It switches off what it reports, so that
// the loop does not spin until somebody reads.
func (l *line) event(stream *libvirt.Stream, events libvirt.StreamEventType) {
	l.mu.Lock()
	if !l.detached {
		l.events &^= events
		stream.EventUpdateCallback(l.events)
	}
	l.mu.Unlock()
	if events&libvirt.STREAM_EVENT_WRITABLE != 0 {
		signal(l.writable)
	}
	if events&^libvirt.STREAM_EVENT_WRITABLE != 0 {
		signal(l.readable)
	}
}

// want asks for one report of an event.
func (l *line) want(event libvirt.StreamEventType) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events |= event
	if err := l.stream.EventUpdateCallback(l.events); err != nil {
		// The stream cannot report any more, so let its user meet the error.
		signal(l.readable)
		signal(l.writable)
	}
}

// alive returns whether the connection works as far as is known.
func (l *line) alive() bool {
	ok, err := l.conn.IsAlive()
	return err == nil && ok
}

// close gives the console back, and leaves the connection as it was before open. written is closed by the
// writer, which has been told to stop. Where input is stuck, both the writer and
// the stream's abort wait in libvirtd behind it; then evict, which must make
// libvirtd drop the stream, is called, again and again until it works.
func (l *line) close(written <-chan struct{}, evict func()) {
	l.mu.Lock()
	l.detached = true
	l.mu.Unlock()
	l.stream.EventRemoveCallback()
	// Not while the writer is in Send: the abort frees what Send uses.
	await(written, evict)
	aborted := make(chan struct{})
	go func() {
		defer close(aborted)
		l.stream.Abort() // fails where the stream has ended by itself
	}()
	await(aborted, evict)
	l.stream.Free()
	l.conn.UnregisterCloseCallback()
}

// await waits for done, and calls evict each time that takes too long.
func await(done <-chan struct{}, evict func()) {
	if evict == nil {
		<-done
		return
	}
	ticker := time.NewTicker(evictPatience)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
			evict()
		}
	}
}
