package display

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

const (
	// openTimeout is how long a screen may take to answer, and a viewer to greet.
	openTimeout = 10 * time.Second
	// endTimeout is how long libvirt may take to report that a node is off, after its
	// screen went away.
	endTimeout = 3 * time.Second
	// copyBytes is the most that a view holds of either direction.
	copyBytes = 64 << 10
)

// View is one viewer's stream from a screen. Greet comes first; CopyTo and
// CopyFrom then run at the same time, once each, and Close ends both.
type View struct {
	s        *Service
	id       string
	readOnly bool
	conn     net.Conn
	changed  chan struct{} // capacity 1
	cut      func() bool   // stops watching for the end of the service
	once     sync.Once
}

// ViewOptions say how someone watches.
type ViewOptions struct {
	// ReadOnly viewers see the screen, and reach the node in no way.
	ReadOnly bool
}

// Open connects to the screen of the node with this domain UUID. It answers the
// errors of Nodes.Screen, fault.HostUnreachable, Unsupported, Hypervisor or
// TooManyRequests, and ErrShutdown. The view must be closed.
func (s *Service) Open(ctx context.Context, id string, o ViewOptions) (*View, error) {
	v := &View{s: s, id: id, readOnly: o.ReadOnly, changed: make(chan struct{}, 1)}
	if err := s.enter(v); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	conn, err := s.dial(ctx, id)
	if err != nil {
		s.leave(v)
		return nil, err
	}
	v.conn = conn
	v.cut = context.AfterFunc(s.ctx, func() { _ = conn.Close() })
	return v, nil
}

// Greet plays the server's part of the RFB handshake for a viewer, who needs no
// password. It returns fault.Invalid when the viewer does not speak RFB 3.8, and
// the viewer's own errors.
func (v *View) Greet(viewer io.ReadWriter) error {
	if err := greetViewer(viewer); err != nil {
		return err
	}
	// Whatever the viewer asked for, the screen is shared: an exclusive session would
	// disconnect all others.
	_, err := v.conn.Write([]byte{1})
	return err
}

// CopyTo hands what the screen says to w until either ends. It returns w's
// error, net.ErrClosed after Close, or why the screen ended: an error of
// Nodes.Screen, ErrShutdown, or any other where the node runs on and can be
// viewed again.
func (v *View) CopyTo(w io.Writer) error {
	buf := make([]byte, copyBytes)
	for {
		n, err := v.conn.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return v.why(err)
		}
	}
}

// CopyFrom hands what the viewer says to the screen until the viewer ends, and returns the
// viewer's error. Messages that a read-only viewer must not send are dropped; invalid RFB
// ends the view with fault.Invalid. After the screen's end, which CopyTo explains, what the
// viewer says goes nowhere.
//
// Only read-only viewers' messages are taken apart: all others may send what they like,
// extensions that no one here knows included.
func (v *View) CopyFrom(viewer io.Reader) error {
	var err error
	if v.readOnly {
		err = copyHarmless(screenWriter{v.conn}, viewer)
	} else {
		err = copyAll(screenWriter{v.conn}, viewer)
	}
	if errors.Is(err, errScreenGone) {
		_, err = io.Copy(io.Discard, viewer)
	}
	return err
}

func copyAll(screen io.Writer, viewer io.Reader) error {
	buf := make([]byte, copyBytes)
	for {
		n, err := viewer.Read(buf)
		if n > 0 {
			if _, err := screen.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

var errScreenGone = errors.New("display: the screen takes nothing any more")

// screenWriter tells the screen's errors from the viewer's.
type screenWriter struct{ conn net.Conn }

func (w screenWriter) Write(p []byte) (int, error) {
	n, err := w.conn.Write(p)
	if err != nil {
		err = errScreenGone
	}
	return n, err
}

// Close ends the view. Closing twice does nothing.
func (v *View) Close() {
	v.once.Do(func() {
		v.cut()
		_ = v.conn.Close()
		v.s.leave(v)
	})
}

// why finds out what ended the screen. QEMU's end shows on the screen before
// libvirt knows of it.
func (v *View) why(cause error) error {
	if errors.Is(cause, net.ErrClosed) && v.s.ctx.Err() == nil {
		return cause
	}
	ctx, cancel := context.WithTimeout(v.s.ctx, endTimeout)
	defer cancel()
	for {
		if v.s.ctx.Err() != nil {
			return ErrShutdown
		}
		if _, err := v.s.o.Nodes.Screen(ctx, v.id); err != nil && fault.CodeOf(err) != fault.Internal {
			return err
		}
		select {
		case <-v.changed:
		case <-ctx.Done():
			if v.s.ctx.Err() == nil {
				return cause
			}
		}
	}
}
