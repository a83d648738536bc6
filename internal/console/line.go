package console

import (
	"fmt"
	"sync"

	"libvirt.org/go/libvirt"
)

// line is an open console: a non-blocking stream with its own connection.
type line struct {
	conn    *libvirt.Connect
	stream  *libvirt.Stream
	watches []int // libvirt's callback ids for the domain's events
	qemu    uint  // libvirt's id of the domain's QEMU process

	readable chan struct{} // capacity 1
	writable chan struct{} // capacity 1
	lost     chan struct{} // capacity 1: the connection broke
	going    chan struct{} // capacity 1: the guest is ending
	rebooted chan struct{} // capacity 1: the guest restarts
	changed  chan struct{} // capacity 1: the guest was paused or resumed
	agent    chan struct{} // capacity 1: the guest's agent may have connected
	stop     chan struct{} // closed when the line is to be closed
	done     chan struct{} // closed when the line has been closed completely

	mu       sync.Mutex // held briefly, also while the stream's events are changed, which is a local call
	events   libvirt.StreamEventType
	detached bool // the callback must not use the stream any more
	paused   bool // the guest is paused
}

func newLine() *line {
	return &line{
		readable: make(chan struct{}, 1),
		writable: make(chan struct{}, 1),
		lost:     make(chan struct{}, 1),
		going:    make(chan struct{}, 1),
		rebooted: make(chan struct{}, 1),
		changed:  make(chan struct{}, 1),
		agent:    make(chan struct{}, 1),
		stop:     make(chan struct{}),
		done:     make(chan struct{}),
	}
}

// open opens a console of the domain with this UUID and this name. conn is used for
// nothing else. An empty alias means the domain's first console. A domain that matches
// only the UUID or only the name is another one. If open fails, it cleans up completely.
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
	defer func() {
		if err != nil {
			l.unwatch()
		}
	}()
	if err := l.watch(dom); err != nil {
		return fmt.Errorf("watch domain %s: %w", id, err)
	}
	if l.qemu, err = dom.GetID(); err != nil {
		return fmt.Errorf("domain %s is off: %w", id, libvirt.ERR_OPERATION_INVALID)
	}
	// After registering for events, so that all later changes are reported.
	state, _, err := dom.GetState()
	if err != nil {
		return fmt.Errorf("read the state of domain %s: %w", id, err)
	}
	if state == libvirt.DOMAIN_PAUSED {
		l.setPaused(true)
	}
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

// watch registers for the domain's events that affect its console.
func (l *line) watch(dom *libvirt.Domain) error {
	register := []func() (int, error){
		func() (int, error) {
			return l.conn.DomainEventLifecycleRegister(dom, func(_ *libvirt.Connect, _ *libvirt.Domain, e *libvirt.DomainEventLifecycle) { l.lifecycle(e.Event) })
		},
		func() (int, error) {
			return l.conn.DomainEventRebootRegister(dom, func(*libvirt.Connect, *libvirt.Domain) { signal(l.rebooted) })
		},
		func() (int, error) {
			return l.conn.DomainEventAgentLifecycleRegister(dom, func(*libvirt.Connect, *libvirt.Domain, *libvirt.DomainEventAgentLifecycle) { signal(l.agent) })
		},
	}
	for _, r := range register {
		id, err := r()
		if err != nil {
			return err
		}
		l.watches = append(l.watches, id)
	}
	return nil
}

func (l *line) unwatch() {
	for _, id := range l.watches {
		_ = l.conn.DomainEventDeregister(id)
	}
}

// lifecycle runs on the libvirt event loop.
func (l *line) lifecycle(event libvirt.DomainEventType) {
	switch event {
	case libvirt.DOMAIN_EVENT_SHUTDOWN, libvirt.DOMAIN_EVENT_STOPPED, libvirt.DOMAIN_EVENT_CRASHED:
		signal(l.going)
	case libvirt.DOMAIN_EVENT_SUSPENDED:
		l.setPaused(true)
	case libvirt.DOMAIN_EVENT_RESUMED:
		l.setPaused(false)
	}
}

func (l *line) setPaused(paused bool) {
	l.mu.Lock()
	l.paused = paused
	l.mu.Unlock()
	signal(l.changed)
}

func (l *line) isPaused() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.paused
}

// event runs on the libvirt event loop. It disables the events that it reports, so that
// the loop does not spin until someone reads.
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

// receive reads available bytes until the stream would block or p is full. n may be
// greater than 0 with an error.
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

// want enables an event, which is then reported once.
func (l *line) want(event libvirt.StreamEventType) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events |= event
	if err := l.stream.EventUpdateCallback(l.events); err != nil {
		// The stream cannot report events any more: wake its user, who will get the error.
		signal(l.readable)
		signal(l.writable)
	}
}

// alive returns whether the connection works, as far as is known.
func (l *line) alive() bool {
	ok, err := l.conn.IsAlive()
	return err == nil && ok
}

// close closes the console, and leaves the connection ready to be closed. The stream must
// not be in use any more.
//
// It does not abort the stream, which ends with its connection: libvirtd handles an abort
// only after everything that was sent before, and input may be queued for a guest that
// does not read.
func (l *line) close() {
	l.mu.Lock()
	l.detached = true
	l.mu.Unlock()
	_ = l.stream.EventRemoveCallback()
	l.stream.Free()
	l.unwatch()
	_ = l.conn.UnregisterCloseCallback()
}
