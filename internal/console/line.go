package console

import (
	"fmt"
	"sync"

	"libvirt.org/go/libvirt"
)

// line is an open console: a non-blocking stream, and the connection that serves
// it alone.
type line struct {
	conn   *libvirt.Connect
	stream *libvirt.Stream
	watch  int // of the agent, as libvirt counts callbacks

	readable chan struct{} // room for one
	writable chan struct{} // room for one
	lost     chan struct{} // room for one: the connection broke
	agent    chan struct{} // room for one: the guest's agent may have come
	stop     chan struct{} // closed when the line is to be closed
	done     chan struct{} // closed when nothing is left of it

	mu       sync.Mutex // held while events are changed, which is a local call
	events   libvirt.StreamEventType
	detached bool // the callback must not touch the stream any more
}

func newLine() *line {
	return &line{
		readable: make(chan struct{}, 1),
		writable: make(chan struct{}, 1),
		lost:     make(chan struct{}, 1),
		agent:    make(chan struct{}, 1),
		stop:     make(chan struct{}),
		done:     make(chan struct{}),
	}
}

// open opens a console of the domain with this UUID and this name on a connection
// that it has for itself; the empty alias is the domain's first one. A domain that
// has only one of both is another than was meant. Nothing is left behind when it
// fails.
func (l *line) open(conn *libvirt.Connect, id, name, alias string, force bool) (err error) {
	l.conn = conn
	dom, err := conn.LookupDomainByUUIDString(id)
	if err != nil {
		return fmt.Errorf("look up domain %s: %w", id, err)
	}
	defer dom.Free()
	if got, err := dom.GetUUIDString(); err != nil {
		return fmt.Errorf("check UUID of domain %s: %w", id, err)
	} else if got != id {
		return fmt.Errorf("look up domain %s: got %s", id, got)
	}
	if got, err := dom.GetName(); err != nil {
		return fmt.Errorf("check name of domain %s: %w", id, err)
	} else if got != name {
		return fmt.Errorf("domain %s is called %q, and %q was meant", id, got, name)
	}
	if err := conn.RegisterCloseCallback(func(*libvirt.Connect, libvirt.ConnectCloseReason) { signal(l.lost) }); err != nil {
		return fmt.Errorf("watch the connection of console %s: %w", id, err)
	}
	defer func() {
		if err != nil {
			_ = conn.UnregisterCloseCallback()
		}
	}()
	watch, err := conn.DomainEventAgentLifecycleRegister(dom, func(*libvirt.Connect, *libvirt.Domain, *libvirt.DomainEventAgentLifecycle) { signal(l.agent) })
	if err != nil {
		return fmt.Errorf("watch the guest agent of domain %s: %w", id, err)
	}
	l.watch = watch
	defer func() {
		if err != nil {
			_ = conn.DomainEventDeregister(watch)
		}
	}()
	if l.stream, err = conn.NewStream(libvirt.STREAM_NONBLOCK); err != nil {
		return fmt.Errorf("make a console stream: %w", err)
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
	if err := dom.OpenConsole(alias, l.stream, flags); err != nil {
		return fmt.Errorf("open console %q of domain %s: %w", alias, id, err)
	}
	if err := l.stream.EventAddCallback(0, l.event); err != nil {
		_ = l.stream.Abort()
		return fmt.Errorf("watch console of domain %s: %w", id, err)
	}
	return nil
}

// event runs on the libvirt event loop. It switches off what it reports, so that
// the loop does not spin until somebody reads.
func (l *line) event(stream *libvirt.Stream, events libvirt.StreamEventType) {
	l.mu.Lock()
	if !l.detached {
		l.events &^= events
		_ = stream.EventUpdateCallback(l.events)
	}
	l.mu.Unlock()
	if events&libvirt.STREAM_EVENT_WRITABLE != 0 {
		signal(l.writable)
	}
	if events&^libvirt.STREAM_EVENT_WRITABLE != 0 {
		signal(l.readable)
	}
}

// receive reads what has come until the stream would block or p is full. n may
// be more than 0 with an error.
func (l *line) receive(p []byte) (n int, err error) {
	for n < len(p) {
		got, err := l.stream.Recv(p[n:])
		if err != nil || got < 0 {
			return n, err
		}
		n += got
	}
	return n, nil
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

// close gives the console back, and leaves the connection as it was before open.
// Nobody uses the stream any more.
//
// libvirtd acts on the abort when it can write to the guest's serial port, or
// when the guest prints. Where the guest neither reads nor prints, close waits:
// until the node stops, until another line takes the console by force, or until
// keep-alive gives the connection up, because libvirtd reads nothing from it
// while some messages wait for the guest.
func (l *line) close() {
	l.mu.Lock()
	l.detached = true
	l.mu.Unlock()
	_ = l.stream.EventRemoveCallback()
	_ = l.stream.Abort() // fails where the stream has ended by itself
	l.stream.Free()
	_ = l.conn.DomainEventDeregister(l.watch)
	_ = l.conn.UnregisterCloseCallback()
}
