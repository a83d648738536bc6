package console

import (
	"context"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// Message is one thing that a viewer is told. Exactly one member is set, beside By
// and Paused.
type Message struct {
	// Data is what the guest printed, in order and with nothing left out but
	// what a Lagged message owned up to. Other viewers are given the same memory:
	// it must not be changed.
	Data []byte
	// State is the state from this point of the stream on.
	State State
	// Paused says, with the State Connected, that the node is paused and reads nothing.
	Paused bool
	// By is the name of the viewer who took the console, with the State that this
	// brought about.
	By string
	// Viewers is how many watch the node, this viewer included.
	Viewers int
	// Lagged is how many bytes the viewer lost here, because it was too slow.
	Lagged int64
}

const (
	messageBytes = 32 << 10 // the most Data of one message
	markLimit    = 64       // state changes that wait for one viewer; older ones are dropped
)

// mark is a change of state between two bytes of the stream.
type mark struct {
	pos    int64
	state  State
	by     string
	paused bool
}

// Viewer is one who watches a node. Next is called by one goroutine at a time;
// the other methods may be called from any, also while Next waits.
type Viewer struct {
	hub      *hub
	name     string
	readOnly bool
	noTake   bool
	ready    chan struct{} // capacity 1: there may be something for Next
	done     chan struct{} // closed by Close

	// Under hub.mu.
	pos    int64  // position of the next byte for this viewer
	marks  []mark // states that it has not been told
	told   int    // number of viewers that it was told last
	closed bool
}

// Next waits for the next message. The first ones are the history and, once it
// is known, the state.
//
// It returns ctx's error when ctx ends; the viewer is not changed. Any other error is
// final, and comes after all that was still to be delivered: ErrClosed after Close,
// ErrShutdown, or fault.NodeNotFound when the node is deleted. The viewer must still be
// closed.
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

// piece returns the bytes from pos on and before until, or the first of them.
// Viewers who keep up are at the same place, and share what one of them has read.
// The caller holds mu.
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

// Take asks for the console to be taken from whoever holds it, and returns at
// once: the outcome comes as a State. Where the console is ours, or is
// being opened again, it does nothing.
// It fails with fault.Forbidden for a viewer who must not, fault.NodeNotRunning
// while offline, and the final errors of Next.
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

// Close takes the viewer out. The console is given back soon after the last one
// left. Closing twice does nothing.
func (v *Viewer) Close() {
	v.hub.leave(v)
}
