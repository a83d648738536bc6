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
	// openTimeout is how long a screen may take to answer, and a viewer for its handshake.
	openTimeout = 10 * time.Second
	// endTimeout is how long libvirt may take to report that a node is off after its
	// screen has closed.
	endTimeout = 6 * time.Second
	// copyBytes limits what a view buffers in each direction.
	copyBytes = 64 << 10
)

// View is a viewer's stream from a screen. Call Greet first. CopyTo and CopyFrom then run
// concurrently, once each, and Close ends both.
type View struct {
	s        *Service
	id       string
	readOnly bool
	conn     net.Conn
	changed  chan struct{} // capacity 1
	cut      func() bool   // stops waiting for the service to shut down
	once     sync.Once
}

// ViewOptions configure a view.
type ViewOptions struct {
	// ReadOnly viewers see the screen, but cannot affect the node in any way.
	ReadOnly bool
}

// Open connects to the screen of the node with this domain UUID. It fails with the errors
// of Nodes.Screen, fault.HostUnreachable, Unsupported, Hypervisor or TooManyRequests, or
// ErrShutdown. The caller must close the view.
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

// Greet performs the server's part of the RFB handshake with a viewer, which needs no
// password. It returns fault.Invalid if the viewer does not speak RFB 3.8, and the
// viewer's own errors.
func (v *View) Greet(viewer io.ReadWriter) error {
	if err := greetViewer(viewer); err != nil {
		return err
	}
	// The screen is always shared, whatever the viewer requested: an exclusive session
	// would disconnect all others.
	_, err := v.conn.Write([]byte{1})
	return err
}

// CopyTo copies the screen's output to w until either ends. It returns w's error,
// net.ErrClosed after Close, or why the screen ended: an error of Nodes.Screen,
// ErrShutdown, or any other error if the node still runs and can be viewed again.
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

// CopyFrom copies the viewer's messages to the screen until the viewer ends, and returns
// the viewer's error. Messages that a read-only viewer must not send are dropped; invalid
// RFB ends the view with fault.Invalid. After the screen has ended, for which CopyTo
// returns the reason, the viewer's messages are discarded.
//
// Only the messages of read-only viewers are parsed: others may send anything, including
// extensions that are unknown here.
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

// screenWriter distinguishes the screen's errors from the viewer's.
type screenWriter struct{ conn net.Conn }

func (w screenWriter) Write(p []byte) (int, error) {
	n, err := w.conn.Write(p)
	if err != nil {
		err = errScreenGone
	}
	return n, err
}

// Close ends the view. Further calls do nothing.
func (v *View) Close() {
	v.once.Do(func() {
		v.cut()
		_ = v.conn.Close()
		v.s.leave(v)
	})
}

// why determines why the screen ended. When QEMU exits, its screen closes before libvirt
// reports that the node is off.
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
