package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
	"libvirt.org/go/libvirt"
)

const (
	// historyGrace is how long the history is kept after the last viewer leaves, so that a
	// user who reloads the page sees it again.
	historyGrace = 2 * time.Minute
	// takenRetry is how often we try whether another program has closed the console.
	takenRetry = 2 * time.Second
	// retryMin and retryMax limit the pause before a failed open is retried.
	retryMin = 100 * time.Millisecond
	retryMax = 5 * time.Second
	// steady is how long a stream must have lived for it to be reopened at once when it
	// ends.
	steady = time.Second
	// ownEnd is how long libvirtd may take to notice that our line has ended. If the
	// console is in use until then, we assume that line uses it. A stream that ended while
	// its guest continued was most likely taken over by another program.
	ownEnd    = 3 * time.Second
	ownCutEnd = time.Second
	// sendBytes is the maximum size of a message to libvirtd.
	sendBytes = 1 << 10
	// readBytes is the maximum size of a read from libvirt.
	readBytes = 64 << 10
)

// hub is one console of one node. Only its goroutine, run, opens and closes the stream. mu
// guards what it shares with viewers, and is held only briefly.
type hub struct {
	m     *Manager
	id    string        // of the node
	alias string        // of the port
	wake  chan struct{} // capacity 1: viewers, place or force may have changed
	typed chan struct{} // capacity 1: input may have been queued

	// ours is until when a console in use counts as used by our previous line. Only run's
	// goroutine uses it.
	ours time.Time

	mu      sync.Mutex
	viewers map[*Viewer]struct{}
	backlog backlog
	port    Port          // as the last viewer specified it
	state   State         // empty until known
	force   bool          // the next open takes the console over from another program
	taker   string        // the viewer that requested it
	room    chan struct{} // closed and replaced when Write, AwaitAttached or LetGo should check again
	open    bool          // a line exists
	paused  bool          // the node is paused, and not because it is starting
	qemu    uint          // libvirt's id of the QEMU process that intake describes
	intake  intake
	err     error // final, set when the hub ends
	logged  int64 // where the backlog ends in the host's log; negative: not known
	held    *held // not nil while the log is read
	size    size  // of the terminal; the zero value until a viewer sets it
	sized   size  // what the guest has been told, as far as possible
	sizing  bool  // setSize is running

	input      []byte // typed, and not yet read by the writer
	inputTaken int64  // the number of bytes that the writer has read in total
	inputRound int    // how often input was dropped
	inputWhy   error  // why it was last dropped

	shared struct { // the last piece that a viewer received
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

// join adds a viewer that starts with the history.
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
		v.note(mark{pos: h.backlog.end, state: h.state, paused: h.paused && h.state == Connected})
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
	h.roomChanged() // AwaitAttached depends on the viewers too
	h.tell()
	signal(h.wake)
}

// tell wakes all viewers; the caller holds mu.
func (h *hub) tell() {
	for v := range h.viewers {
		signal(v.ready)
	}
}

// run opens and closes the stream as the viewers and the node require, until the node is
// gone, the manager stops, or there have been no viewers for a while.
func (h *hub) run(ctx context.Context) {
	retry := retryMin
	whole := false // whether the backlog has all output of the node since it was off
	for {
		if ctx.Err() != nil {
			h.end(ErrShutdown)
			return
		}
		place, ok := h.m.nodes.Place(h.id)
		if !ok {
			h.end(nodeNotFound())
			return
		}
		watched, force, taker := h.demand(place.Active)
		hidden, away := h.m.isAway(h.id)
		var pause time.Duration // 0: until something changes
		switch {
		case !watched:
			pause, whole = historyGrace, false
		case away:
			h.setState(hidden, "")
			retry = retryMin
		case place.Away:
			h.setState(Reconnecting, "")
			retry = retryMin
		case !place.Active:
			h.setState(Offline, "")
			retry = retryMin
			if !whole {
				h.catchUp(ctx, place.Host)
			}
			whole = true
		default:
			whole = false
			opened := time.Now()
			err := h.serve(ctx, place, force, taker)
			if time.Since(opened) > steady {
				retry = retryMin
			}
			if err == nil || errors.Is(err, errEnded) && time.Since(opened) > steady {
				continue // the next open returns the reason
			}
			pause, retry = h.failed(err, place.Host, retry)
		}
		if h.sleep(ctx, pause) && !watched && h.retire() {
			return
		}
	}
}

// failed tells the viewers why the console is not open. It returns when to retry, and the
// pause after that.
func (h *hub) failed(err error, host string, retry time.Duration) (pause, next time.Duration) {
	switch {
	case errors.Is(err, errEnded), errors.Is(err, errGoing):
		h.setState(Reconnecting, "")
	case errors.Is(err, libvirt.ERR_OPERATION_FAILED) && (hypervisor.ConditionOf(err) == hypervisor.ConsoleNotReady || time.Now().Before(h.ours)):
		h.setState(Reconnecting, "")
		return retryMin, retryMin
	case errors.Is(err, libvirt.ERR_OPERATION_FAILED):
		h.setState(Taken, "")
		return takenRetry, retry
	case stopped(err):
		h.setState(Offline, "")
	case h.setState(Reconnecting, ""):
		h.m.log.Warn("console cannot be opened yet", "node", h.id, "host", host, "error", err)
	}
	return retry, min(2*retry, retryMax)
}

// stopped returns whether a failed open means that the node is off or gone, which the
// inventory will report too.
func stopped(err error) bool {
	return errors.Is(err, libvirt.ERR_OPERATION_INVALID) || errors.Is(err, libvirt.ERR_NO_DOMAIN)
}

// demand returns whether the console has viewers, whether to take it over by force, and
// for whom. A request for force applies once, and is dropped when the node stops.
func (h *hub) demand(active bool) (watched, force bool, taker string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	watched = len(h.viewers) > 0
	force = h.force && watched && active
	h.force = false
	return watched, force, h.taker
}

// sleep waits for a change, or for d unless it is 0; it returns whether d has passed.
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

// retire removes the hub from the manager unless it has viewers again.
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

// end removes the hub from the manager and ends its viewers with err.
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

// setState tells the viewers a new state, and who caused it if that is known. It returns
// whether the state is new.
func (h *hub) setState(s State, by string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state == s {
		return false
	}
	h.state = s
	h.announce(by)
	return true
}

// announce tells the viewers the state, and who caused it if that is known; the caller
// holds mu.
func (h *hub) announce(by string) {
	for v := range h.viewers {
		v.note(mark{h.backlog.end, h.state, by, h.paused && h.state == Connected})
	}
	h.roomChanged()
	h.tell()
}

// setPaused records whether the node is paused, and tells the viewers when this changes.
func (h *hub) setPaused(paused bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.paused == paused {
		return
	}
	h.paused = paused
	if h.state == Connected {
		h.announce("")
	}
	signal(h.typed)
}

// setOpen records whether a line exists.
func (h *hub) setOpen(open bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open = open
	h.roomChanged()
}

// roomChanged wakes waiting writers; the caller holds mu.
func (h *hub) roomChanged() {
	close(h.room)
	h.room = make(chan struct{})
}

// output adds what the guest printed, and returns the number of viewers.
func (h *hub) output(p []byte) (viewers int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.intake.print(p) && len(h.input) > 0 {
		signal(h.typed)
	}
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

// release resets the state, which the next open determines again, and drops pending input,
// which was for the stream that has ended. Viewers are told only if next is not empty.
func (h *hub) release(next State) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.letGo()
	h.state = next
	if next != "" {
		h.announce("")
	}
	h.dropInput(reconnecting("The console was reconnected while you typed. Input that the guest did not read was dropped. Type it again."))
}

// errEnded says that an open stream ended: the node stopped, another program took the
// console by force, or the connection broke.
var errEnded = errors.New("console stream ended")

// errCut is an errEnded for a stream that ended although its guest did not.
var errCut = fmt.Errorf("%w by an error", errEnded)

// errGoing says that the line was closed because the guest is about to end.
var errGoing = errors.New("the guest is going")

// serve opens the console and moves its bytes until the stream ends (errEnded) or is not
// needed any more (nil). Any other error is an error of the open.
func (h *hub) serve(ctx context.Context, place Place, force bool, taker string) error {
	h.setOpen(true) // before checking for a LetGo one last time
	defer h.setOpen(false)
	if _, away := h.m.isAway(h.id); away {
		return nil
	}
	l := newLine()
	opened := make(chan error, 1)
	h.m.work.Go(func() {
		defer close(l.done)
		err := h.m.hosts.DialBriefly(ctx, place.Host, func(conn *libvirt.Connect) error {
			if err := l.open(conn, h.id, place.Name, h.alias, force); err != nil {
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
	h.begin(l.qemu)
	h.setPaused(l.isPaused() && !place.Starting)
	h.setState(Connected, taker)
	h.catchUp(ctx, place.Host)
	h.applySize()
	err := h.read(ctx, l, place.Host)
	next, patience := State(""), ownEnd
	switch hidden, away := h.m.isAway(h.id); {
	case away:
		next = hidden
	case !l.alive():
		next = Reconnecting
		h.overrun()
	case errors.Is(err, errCut):
		patience = ownCutEnd
	}
	close(l.stop)
	h.release(next)
	// At most until keep-alive closes the connection.
	<-l.done
	h.ours = time.Now().Add(patience)
	return err
}

// overrun records that the host accepts no more input: either it does not answer, or the
// guest has stopped reading.
func (h *hub) overrun() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.intake.unread) > 0 {
		h.intake.fill()
	}
}

// begin records the QEMU process that a line is connected to.
func (h *hub) begin(qemu uint) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.qemu != qemu {
		h.qemu = qemu
		h.intake.renew()
	}
}

// read moves the guest's output into the backlog. It returns nil when the stream is not
// needed any more, errEnded when it has ended.
//
// Continuous output is read in larger pieces, some milliseconds apart: guests print a few
// bytes at a time, and waking all viewers for each of them would use the CPU that the
// guest needs. libvirt's event loop continues reading meanwhile.
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
			if errors.Is(err, io.EOF) {
				return errEnded
			}
			h.m.log.Debug("console stream failed", "node", h.id, "error", err)
			return errCut
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
			return errCut
		case <-l.going:
			return errGoing
		case <-l.rebooted:
			h.restarted()
		case <-l.agent:
			h.applySize()
		case <-l.changed:
			if !h.wanted(l, host) {
				return nil
			}
		case <-h.wake:
			if !h.wanted(l, host) {
				return nil
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// wanted returns whether a line to this host is still needed, and records whether the node
// is paused. It drops a request for force, since the console is already ours.
func (h *hub) wanted(l *line, host string) bool {
	place, ok := h.m.nodes.Place(h.id)
	watched, _, _ := h.demand(place.Active)
	_, away := h.m.isAway(h.id)
	if !watched || !ok || away || !place.Active || place.Host != host {
		return false
	}
	h.setPaused(l.isPaused() && !place.Starting)
	return true
}

// restarted records that the guest restarts in the same QEMU process.
func (h *hub) restarted() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.intake.doubt()
}
