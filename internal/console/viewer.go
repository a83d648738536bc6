package console

import (
	"context"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// Message is a message to a viewer. Exactly one field is set, apart from By and Paused.
type Message struct {
	// Data is what the guest printed, in order and complete, except for what Lagged
	// messages report as lost. Other viewers get the same memory: it must not be changed.
	Data []byte
	// State is the state from this point of the stream on.
	State State
	// Paused says, with the State Connected, that the node is paused and does not read
	// input.
	Paused bool
	// By is the name of the viewer who took over the console, with the resulting State.
	By string
	// Viewers is the number of viewers of the node, including this one.
	Viewers int
	// Lagged is how many bytes the viewer lost here because it was too slow.
	Lagged int64
}

const (
	messageBytes = 32 << 10 // the maximum size of Data
	markLimit    = 64       // pending state changes of a viewer; older ones are dropped
)

// mark is a state change at a position of the stream.
type mark struct {
	pos    int64
	state  State
	by     string
	paused bool
}

// Viewer is a viewer of a node's console. Next may be called by one goroutine at a time;
// the other methods may be called from any goroutine, also while Next waits.
type Viewer struct {
	hub      *hub
	name     string
	readOnly bool
	noTake   bool
	ready    chan struct{} // capacity 1: there may be something for Next
	done     chan struct{} // closed by Close

	// Guarded by hub.mu.
	pos    int64  // position of the next byte for this viewer
	marks  []mark // states that it has not received yet
	told   int    // number of viewers that it received last
	closed bool
}

// Next waits for the next message. The first ones are the history and, once it is known,
// the state.
//
// It returns ctx's error when ctx is done; the viewer does not change. Any other error is
// final, and is returned after all pending messages: ErrClosed after Close, ErrShutdown,
// or fault.NodeNotFound when the node is deleted. The caller must still close the viewer.
func (v *Viewer) Next(ctx context.Context) (Message, error) {
	for {
		if err := ctx.Err(); err != nil {
			return Message{}, err
		}
		m, ok, err := v.poll()
		if ok || err != nil {
			return m, err
		}
		select {
		case <-v.ready:
		case <-v.done:
		case <-ctx.Done():
		}
	}
}

// poll returns the next message if there is one.
func (v *Viewer) poll() (m Message, ok bool, err error) {
	h := v.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if v.closed {
		return Message{}, false, ErrClosed
	}
	if n := len(h.viewers); n != v.told {
		v.told = n
		return Message{Viewers: n}, true, nil
	}
	if lost := h.backlog.start - v.pos; lost > 0 {
		v.pos = h.backlog.start
		return Message{Lagged: lost}, true, nil
	}
	until := h.backlog.end
	if len(v.marks) > 0 {
		if first := v.marks[0]; first.pos <= v.pos {
			v.marks = v.marks[1:]
			return Message{State: first.state, By: first.by, Paused: first.paused}, true, nil
		}
		until = v.marks[0].pos
	}
	if v.pos < until {
		data := h.piece(v.pos, until)
		v.pos += int64(len(data))
		return Message{Data: data}, true, nil
	}
	return Message{}, false, h.err
}

// piece returns the bytes from pos up to until, or the first of them. Viewers who keep up
// are at the same position, and share what one of them has read. The caller holds mu.
func (h *hub) piece(pos, until int64) []byte {
	n := min(until-pos, messageBytes)
	if h.shared.pos != pos || int64(len(h.shared.data)) != n {
		h.shared.pos, h.shared.data = pos, h.backlog.read(pos, until, messageBytes)
	}
	return h.shared.data
}

// note queues a state for the viewer; the caller holds hub.mu.
func (v *Viewer) note(m mark) {
	if len(v.marks) == markLimit {
		v.marks = v.marks[1:]
	}
	v.marks = append(v.marks, m)
}

// Take requests to take the console over from the program that holds it, and returns at
// once: the outcome is reported as a State. If the console is already ours or is being
// reopened, it does nothing. It fails with fault.Forbidden for a viewer who must not take
// it, fault.NodeNotRunning while offline, and the final errors of Next.
func (v *Viewer) Take() error {
	if v.readOnly {
		return readOnly()
	}
	if v.noTake {
		return fault.New(fault.Forbidden, "You can't take over this console. Ask its owner.")
	}
	h := v.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := v.usable(); err != nil {
		return err
	}
	switch h.state {
	case Connected, Reconnecting:
	case Offline:
		return notRunning()
	default: // taken, or not known yet
		h.force, h.taker = true, v.name
		signal(h.wake)
	}
	return nil
}

// usable returns the final error, if there is one; the caller holds hub.mu.
func (v *Viewer) usable() error {
	if v.closed {
		return ErrClosed
	}
	return v.hub.err
}

// Close removes the viewer. The console is closed shortly after the last viewer has left.
// Further calls do nothing.
func (v *Viewer) Close() {
	v.hub.leave(v)
}
