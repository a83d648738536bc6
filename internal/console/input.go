package console

import (
	"time"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

const (
	inputBytes   = 64 << 10        // input that the guest has not taken yet, for one node
	inputTimeout = 5 * time.Second // how long Write waits without progress for the guest or the console
)

// Write types p into the guest. It returns when p has been sent to the host, which accepts
// no more than the guest reads. It delays no other viewer's output. While the console is
// reconnecting, it waits.
//
// n is the number of bytes sent. It is less than len(p) only with an error:
// fault.Forbidden for a read-only viewer, fault.NodeNotRunning while offline,
// fault.NodeBusy while taken, fault.NodePaused, fault.ConsoleReconnecting when
// reconnecting takes long, fault.GuestNotReading when the guest has not read its input for
// some seconds, and the final errors of Next. The remaining bytes are dropped.
func (v *Viewer) Write(p []byte) (n int, err error) {
	if v.readOnly {
		return 0, readOnly()
	}
	h := v.hub
	patience := time.NewTimer(inputTimeout)
	defer patience.Stop()
	w := typing{viewer: v, rest: p}
	for {
		progress, changed, err := w.step()
		if err != nil || w.over() {
			return len(p) - w.left(), err
		}
		if progress {
			patience.Reset(inputTimeout)
		}
		select {
		case <-changed:
		case <-v.done:
		case <-patience.C:
			return len(p) - w.left(), w.giveUp(h)
		}
	}
}

// typing is a Write in progress.
type typing struct {
	viewer *Viewer
	rest   []byte // not queued yet
	queued bool   // some bytes are queued
	round  int    // of the hub's input when the bytes were queued
	start  int64  // where the queued part begins in the hub's input
	end    int64  // where it ends
	taken  int64  // bytes of the hub's input sent at the last check
}

func (w *typing) over() bool { return len(w.rest) == 0 && w.taken >= w.end }

// left returns how many bytes were not sent.
func (w *typing) left() int { return len(w.rest) + int(w.end-min(w.end, max(w.start, w.taken))) }

// step queues what fits. changed is closed when more may fit.
func (w *typing) step() (progress bool, changed <-chan struct{}, err error) {
	h := w.viewer.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	dropped := w.queued && w.round != h.inputRound
	if w.queued && !dropped {
		progress = h.inputTaken > w.taken
		w.taken = h.inputTaken
		if w.over() {
			return progress, nil, nil
		}
	}
	if err := h.refusal(w.viewer); err != nil {
		return progress, nil, err
	}
	switch {
	case h.state != Connected: // not known yet, or about to change
	case dropped:
		return progress, nil, h.inputWhy
	default:
		progress = w.queue(h) || progress
	}
	return progress, h.room, nil
}

// queue queues what fits, and returns whether it queued anything; the caller holds the
// hub's mu.
func (w *typing) queue(h *hub) bool {
	n := min(len(w.rest), inputBytes-len(h.input))
	if n <= 0 {
		return false
	}
	h.input = append(h.input, w.rest[:n]...)
	w.rest = w.rest[n:]
	w.end = h.inputTaken + int64(len(h.input))
	if !w.queued {
		w.queued, w.round, w.start, w.taken = true, h.inputRound, w.end-int64(n), h.inputTaken
	}
	signal(h.typed)
	return true
}

// refusal returns why nothing can be typed now; the caller holds mu.
func (h *hub) refusal(v *Viewer) error {
	if err := v.usable(); err != nil {
		return err
	}
	switch {
	case h.state == Taken:
		return fault.New(fault.NodeBusy, "The console is in use by another program. Take it over to type.")
	case h.state == Offline:
		return notRunning()
	case h.state == Connected && h.paused:
		return fault.New(fault.NodePaused, "The node is paused. Resume it to type.")
	}
	return nil
}

// giveUp drops all input that waits for the guest, and returns why the guest does not take
// it.
func (w *typing) giveUp(h *hub) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.refusal(w.viewer); err != nil {
		return err
	}
	if h.state != Connected {
		return reconnecting("The console is being reconnected. Type again when it is connected.")
	}
	h.m.log.Debug("console input is not read", "node", h.id)
	h.dropInput(fault.New(fault.GuestNotReading, "The guest is not reading its console. Your input was dropped. Try again later."))
	return h.inputWhy
}

// dropInput drops the input that was not sent, and tells the viewers who typed it why; the
// caller holds mu.
func (h *hub) dropInput(why error) {
	h.input, h.inputWhy = nil, why
	h.inputRound++
	h.roomChanged()
}

// takeInput moves queued bytes into p, no more than may be sent to the guest now. If it
// returns 0, the caller should call it again after h.typed is signalled, or after again
// unless that is 0.
func (h *hub) takeInput(p []byte) (n int, again time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.input) == 0 || h.paused {
		return 0, 0
	}
	if n, again = h.intake.window(len(h.input), time.Now()); n == 0 {
		return 0, again
	}
	n = copy(p[:n], h.input)
	h.intake.send(p[:n])
	h.input = append(h.input[:0], h.input[n:]...)
	h.inputTaken += int64(n)
	h.roomChanged()
	return n, 0
}

// write moves input to the guest until the line closes or fails. Send may block while
// libvirtd accepts no more.
func (h *hub) write(l *line) {
	buf := make([]byte, sendBytes)
	for {
		n, again := h.takeInput(buf)
		if n == 0 {
			var later <-chan time.Time
			if again > 0 {
				later = time.After(again)
			}
			select {
			case <-h.typed:
			case <-later:
			case <-l.stop:
				return
			}
			continue
		}
		if !h.send(l, buf[:n]) {
			return
		}
	}
}

// send sends bytes to the host. It returns false when the line is to be closed.
func (h *hub) send(l *line, p []byte) bool {
	for len(p) > 0 {
		select {
		case <-l.stop:
			return false
		default:
		}
		n, err := l.stream.Send(p)
		switch {
		case err != nil:
			<-l.stop // the reader gets the same error
			return false
		case n >= 0:
			p = p[n:]
			continue
		}
		// The stream would block.
		l.want(libvirt.STREAM_EVENT_WRITABLE)
		select {
		case <-l.writable:
		case <-l.stop:
			return false
		}
	}
	return true
}

func readOnly() error {
	return fault.New(fault.Forbidden, "View-only access: you can't type in this console.")
}

func notRunning() error {
	return fault.New(fault.NodeNotRunning, "The console is offline. Start the node, or wait until its host is reachable.")
}

func reconnecting(message string) error {
	return fault.New(fault.ConsoleReconnecting, "%s", message)
}
