package console

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"libvirt.org/go/libvirt"
)

const (
	// linger is how long the history outlives the last viewer, so that somebody
	// who reloads a page finds it again.
	linger = 2 * time.Minute
	// takenRetry is how often we look whether another holder has left.
	takenRetry = 2 * time.Second
	// retryMin and retryMax bound the pause before a failed open is tried again.
	retryMin = 100 * time.Millisecond
	retryMax = 5 * time.Second
	// steady is how long a stream must have lived for its end to be followed by
	// an open without a pause.
	steady = time.Second
	// closePatience is how long the hub waits for a line to be given back.
	closePatience = time.Second
	// sendBytes is the most that one message to libvirtd holds.
	sendBytes = 1 << 10
	// readBytes is the most that is taken from libvirt at once.
	readBytes = 64 << 10
)

// hub is one console of one node. Its goroutine, run, alone opens and closes the
// stream; mu guards what it shares with viewers, and is held for moments only.
type hub struct {
	m     *Manager
	id    string        // of the node
	alias string        // of the port
	wake  chan struct{} // room for one: viewers, place or force may have changed
	typed chan struct{} // room for one: input may have been queued

	// closing is a line that could not be given back yet. It is set by run's
	// goroutine, and read by it or by the line that it waits for.
	closing *line

	mu      sync.Mutex
	viewers map[*Viewer]struct{}
	backlog backlog
	port    Port          // as the last viewer knew it
	state   State         // empty until it is known
	force   bool          // the next open takes the console from its holder
	taker   string        // who asked for that
	input   []byte        // typed, and not yet taken by the writer
	room    chan struct{} // closed, and replaced, when Write or AwaitAttached should look again
	err     error         // final, set when the hub ends
	logged  int64         // where the backlog ends in the host's log; less than 0: not known
	held    *held         // not nil while the log is read
	size    size          // of the terminal; the zero value until a viewer tells
	sized   size          // what the guest was told, as far as it can be
	sizing  bool          // the guest is being told
	shared  struct {      // the piece that was given to a viewer last
		pos  int64
		data []byte
	}
}

func newHub(m *Manager, id string, port Port) *hub {
	return &hub{
		m:       m,
		id:      id,
		alias:   port.Alias,
		port:    port,
		logged:  -1,
		wake:    make(chan struct{}, 1),
		typed:   make(chan struct{}, 1),
		viewers: make(map[*Viewer]struct{}),
		backlog: backlog{limit: m.backlog},
		room:    make(chan struct{}),
	}
}

// join adds a viewer, which starts with the history.
func (h *hub) join(o ViewerOptions) *Viewer {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.port = o.Port
	v := &Viewer{
		hub:      h,
		name:     o.Name,
		readOnly: o.ReadOnly,
		noTake:   o.NoTake,
		ready:    make(chan struct{}, 1),
		done:     make(chan struct{}),
		pos:      max(h.backlog.start, h.backlog.end-int64(h.m.history)),
	}
	if h.state != "" {
		v.note(mark{pos: h.backlog.end, state: h.state})
	}
	h.viewers[v] = struct{}{}
	h.tell()
	signal(h.wake)
	return v
}

func (h *hub) leave(v *Viewer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if v.closed {
		return
	}
	v.closed = true
	close(v.done)
	delete(h.viewers, v)
	h.roomChanged() // AwaitAttached looks at the viewers too
	h.tell()
	signal(h.wake)
}

// tell wakes all viewers; the caller holds mu.
func (h *hub) tell() {
	for v := range h.viewers {
		signal(v.ready)
	}
}

// run keeps the stream as the viewers and the node want it, until the node is
// gone, the manager stops, or nobody has watched for a while.
func (h *hub) run(ctx context.Context) {
	retry := retryMin
	whole := false // whether the backlog has all that the node printed before it was off
	for {
		if ctx.Err() != nil {
			h.end(ErrShutdown)
			return
		}
		host, name, active, ok := h.m.nodes.Place(h.id)
		if !ok {
			h.end(nodeNotFound())
			return
		}
		watched, force, taker := h.demand(active)
		var pause time.Duration // 0: until something changes
		switch {
		case !watched:
			pause, whole = linger, false
		case !active:
			h.setState(Offline, "")
			retry = retryMin
			if !whole {
				h.catchUp(ctx, host)
			}
			whole = true
		default:
			whole = false
			opened := time.Now()
			err := h.serve(ctx, host, name, force, taker)
			if time.Since(opened) > steady {
				retry = retryMin
			}
			switch {
			case err == nil:
				continue
			case errors.Is(err, errEnded) && time.Since(opened) > steady:
				continue // the next open tells why
			case errors.Is(err, libvirt.ERR_OPERATION_FAILED):
				h.setState(Taken, "")
				pause = takenRetry
			default:
				if !errors.Is(err, errEnded) && h.setState(Offline, "") && !stopped(err) {
					h.m.log.Warn("console cannot be opened yet", "node", h.id, "host", host, "error", err)
				}
				pause, retry = retry, min(2*retry, retryMax)
			}
		}
		if h.sleep(ctx, pause) && !watched && !h.stuck() && h.retire() {
			return
		}
	}
}

// stopped returns whether a failed open only says what the inventory will say too.
func stopped(err error) bool {
	return errors.Is(err, libvirt.ERR_OPERATION_INVALID) || errors.Is(err, libvirt.ERR_NO_DOMAIN)
}

// demand returns whether anybody watches, and whether the console is to be taken
// by force and for whom, which is asked for once and lapses with the node.
func (h *hub) demand(active bool) (watched, force bool, taker string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	watched = len(h.viewers) > 0
	force = h.force && watched && active
	h.force = false
	return watched, force, h.taker
}

// sleep waits for a change, or for d where that is not 0; it returns whether d
// has passed.
func (h *hub) sleep(ctx context.Context, d time.Duration) bool {
	var elapsed <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		elapsed = timer.C
	}
	select {
	case <-elapsed:
		return true
	case <-h.wake:
	case <-ctx.Done():
	}
	return false
}

// retire takes the hub out of the manager unless somebody watches again.
func (h *hub) retire() bool {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.viewers) > 0 {
		return false
	}
	h.m.forget(h)
	return true
}

// end takes the hub out of the manager, and its viewers' hope.
func (h *hub) end(err error) {
	h.m.mu.Lock()
	h.m.forget(h)
	h.m.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
	h.roomChanged()
	h.tell()
}

// setState tells the viewers of a new state, and who brought it about where that
// is known. It returns whether the state is new.
func (h *hub) setState(s State, by string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state == s {
		return false
	}
	h.state = s
	for v := range h.viewers {
		v.note(mark{h.backlog.end, s, by})
	}
	h.roomChanged()
	h.tell()
	return true
}

// roomChanged lets waiting writers look again; the caller holds mu.
func (h *hub) roomChanged() {
	close(h.room)
	h.room = make(chan struct{})
}

// output adds what the guest printed, and returns for how many viewers.
func (h *hub) output(p []byte) (viewers int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.hold(p) {
		h.append(p)
		h.tell()
	}
	return len(h.viewers)
}

// append adds live output to the backlog; the caller holds mu.
func (h *hub) append(p []byte) {
	h.backlog.append(p)
	if h.logged >= 0 {
		h.logged += int64(len(p))
	}
}

// takeInput moves at most len(p) queued bytes into p.
func (h *hub) takeInput(p []byte) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := copy(p, h.input)
	if n == 0 {
		return 0
	}
	h.input = append(h.input[:0], h.input[n:]...)
	h.roomChanged()
	return n
}

// release forgets the state, which the next open finds out anew, and what was
// typed, which was meant for the stream that is gone. Viewers are not told.
func (h *hub) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state = ""
	h.input = nil
	h.roomChanged()
}

// errEnded says that an open stream came to its end: the node stopped, somebody
// took the console by force, or the connection broke.
var errEnded = errors.New("console stream ended")

// serve opens the console and moves its bytes until it ends or is not wanted any
// more (nil). Any other error than errEnded is that of the open.
func (h *hub) serve(ctx context.Context, host, name string, force bool, taker string) error {
	l := newLine()
	opened := make(chan error, 1)
	h.m.work.Go(func() {
		defer close(l.done)
		err := h.m.hosts.Dial(ctx, host, func(conn *libvirt.Connect) error {
			if err := l.open(conn, h.id, name, h.alias, force || h.stuck()); err != nil {
				return err
			}
			opened <- nil
			h.write(l)
			l.close()
			return nil
		})
		if err != nil {
			opened <- err
		}
	})
	if err := <-opened; err != nil {
		<-l.done
		return err
	}
	if !force {
		taker = ""
	}
	h.setState(Connected, taker)
	h.catchUp(ctx, host)
	h.applySize()
	err := h.read(ctx, l, host)
	h.mu.Lock()
	h.letGo()
	h.mu.Unlock()
	alive := l.alive()
	close(l.stop)
	h.release()
	if !alive {
		h.setState(Offline, "")
	}
	patience := time.NewTimer(closePatience)
	defer patience.Stop()
	select {
	case <-l.done:
	case <-patience.C:
		// One that libvirtd has ended holds the console no more: who took it by force has it.
		if err == nil || !alive {
			h.m.log.Info("console stays open, because the guest does not read its input", "node", h.id, "host", host)
			h.closing = l
		}
	}
	return err
}

// stuck returns whether a line of ours still holds the console; the next one has
// to take it by force.
func (h *hub) stuck() bool {
	if h.closing == nil {
		return false
	}
	select {
	case <-h.closing.done:
		return false
	default:
		return true
	}
}

// read moves the guest's output into the backlog. It returns nil when the stream
// is not wanted any more, errEnded when it is over.
//
// Output that comes without a pause is taken in larger pieces, some milliseconds
// apart: guests print in pieces of a few bytes, and to wake all viewers for each
// of them would take the CPU that the guest needs. libvirt's event loop goes on
// reading meanwhile.
func (h *hub) read(ctx context.Context, l *line, host string) error {
	buf := make([]byte, readBytes)
	var pace pace
	gather := time.NewTimer(0)
	<-gather.C
	defer gather.Stop()
	for {
		n, err := l.receive(buf)
		var viewers int
		if n > 0 {
			viewers = h.output(buf[:n])
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				h.m.log.Debug("console stream failed", "node", h.id, "error", err)
			}
			return errEnded
		}
		var pause time.Duration
		if n > 0 {
			pause = pace.taken(time.Now(), viewers)
		}
		readable, gathered := l.readable, gather.C
		switch {
		case n == len(buf): // there may be more
			gather.Reset(0)
			readable = nil
		case pause > 0:
			gather.Reset(pause)
			readable = nil
		default:
			gathered = nil
			l.want(libvirt.STREAM_EVENT_READABLE)
		}
		select {
		case <-readable:
		case <-gathered:
		case <-l.lost:
			return errEnded
		case <-l.agent:
			h.applySize()
		case <-h.wake:
			if !h.wanted(host) {
				return nil
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// wanted returns whether a stream from this host still serves somebody. A wish
// to force lapses: the console is ours.
func (h *hub) wanted(host string) bool {
	at, _, active, ok := h.m.nodes.Place(h.id)
	watched, _, _ := h.demand(active)
	return watched && ok && active && at == host
}

// write moves input to the guest until the line is to be closed or fails. Send
// may block while libvirtd takes no more.
func (h *hub) write(l *line) {
	buf := make([]byte, sendBytes)
	for {
		pending := buf[:h.takeInput(buf)]
		if len(pending) == 0 {
			select {
			case <-h.typed:
				continue
			case <-l.stop:
				return
			}
		}
		for len(pending) > 0 {
			select {
			case <-l.stop:
				return
			default:
			}
			n, err := l.stream.Send(pending)
			switch {
			case err != nil:
				<-l.stop // the reader sees the same end
				return
			case n >= 0:
				pending = pending[n:]
				continue
			}
			// The stream would block.
			l.want(libvirt.STREAM_EVENT_WRITABLE)
			select {
			case <-l.writable:
			case <-l.stop:
				return
			}
		}
	}
}
