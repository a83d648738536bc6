package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"
	"nhooyr.io/websocket"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/console"
	"github.com/sandboxlabs/sandboxlabs/internal/display"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/policy"
)

const (
	// maxFrameBytes limits a client's frame; it allows a large paste.
	maxFrameBytes = 256 << 10
	// The close codes when the session has ended, a right has changed, the node is
	// deleted, has no screen to show, and is off.
	statusSignedOut websocket.StatusCode = 4401
	statusForbidden websocket.StatusCode = 4403
	statusNodeGone  websocket.StatusCode = 4404
	statusNoScreen  websocket.StatusCode = 4406
	statusNodeOff   websocket.StatusCode = 4409
)

// control is a text frame of a console. Which fields are set depends on Type.
type control struct {
	Type  string `json:"type"`
	State string `json:"state,omitempty"`
	// Paused means, in the state connected, that the node does not read its input.
	Paused bool   `json:"paused,omitempty"`
	Count  int    `json:"count,omitempty"`
	Bytes  int64  `json:"bytes,omitempty"`
	By     string `json:"by,omitempty"`
	Code   string `json:"code,omitempty"`
	Text   string `json:"message,omitempty"`
	Cols   int    `json:"cols,omitempty"`
	Rows   int    `json:"rows,omitempty"`
}

// traffic is the data flow of a socket that is connected to a node. send and receive run
// concurrently; the socket ends when one of them ends.
type traffic struct {
	send    func(ctx context.Context) error // to the client
	receive func(ctx context.Context) error // from the client
	close   func()                          // also ends a send that waits for the node
}

// join connects a WebSocket to a node. Until it returns, only join uses the socket.
type join func(ctx context.Context, socket *websocket.Conn, nodeID string, readOnly bool) (traffic, error)

// nodeSocket accepts a WebSocket and connects it to the node in the query. It selects the client's
// first subprotocol that is among the given ones.
func (s *Server) nodeSocket(c echo.Context, join join, subprotocols ...string) error {
	r := c.Request()
	id := r.URL.Query().Get("nodeId")
	if id == "" {
		return fault.New(fault.Invalid, "Name the node: %s?nodeId=ID.", r.URL.Path)
	}
	rights := rightsOf(r.Context())
	n, err := s.o.Nodes.Node(id)
	if err != nil {
		return err
	}
	readOnly := r.URL.Query().Get("readonly") == "true" || rights.On(policy.NodeObject(n)) < access.Use
	mayTake := s.mayTake(rights, id)
	if r.Header.Get("Upgrade") == "" {
		return fault.New(fault.Invalid, "This is a WebSocket endpoint. Connect with a WebSocket client.")
	}
	stream, closed, err := s.openStream(rights, c.RealIP(), func(now access.Rights) error {
		needs := access.Use
		if readOnly {
			needs = access.View
		}
		if _, err := s.o.Guard.Node(now, id, needs); err != nil {
			return err
		}
		if mayTake && !readOnly && !s.mayTake(now, id) {
			return fault.New(fault.Forbidden, "Your permissions on this node have changed. Connect again.")
		}
		return nil
	})
	if err != nil {
		return err
	}
	defer closed()
	options := &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled, Subprotocols: subprotocols}
	if s.o.PublicURL != nil {
		options.OriginPatterns = []string{s.o.PublicURL.Host}
	}
	// The library writes the response to a rejected handshake itself.
	socket, err := websocket.Accept(lastFrameWriter{c.Response()}, r, options)
	if err != nil {
		s.o.Log.Debug("a WebSocket was refused", "error", err)
		return nil // it was answered
	}
	defer func() { _ = socket.CloseNow() }()
	socket.SetReadLimit(maxFrameBytes)
	s.recordOpening(c)

	// Neither the request's context, which does not report the end after the
	// upgrade, nor the service's: cancelling a read cuts the connection without
	// a word. Console and display end their viewers when the service stops.
	g, ctx := errgroup.WithContext(context.Background())
	t, err := join(ctx, socket, id, readOnly)
	if err != nil {
		s.closeWith(ctx, socket, id, err)
		return nil
	}
	defer t.close()
	defer context.AfterFunc(ctx, t.close)()
	var once sync.Once
	end := func(err error) {
		once.Do(func() {
			if cause := stream.why(); cause != nil {
				err = cause
			}
			if ctx.Err() == nil {
				s.closeWith(ctx, socket, id, err) // before the group's context ends, and the socket with it
			}
		})
	}
	for _, flow := range []func(context.Context) error{t.send, t.receive} {
		g.Go(func() error {
			err := flow(ctx)
			end(err)
			return err
		})
	}
	g.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case <-stream.ended:
			t.close() // at once, whatever the client does about the close frame
			end(stream.cause)
			return stream.cause
		}
	})
	g.Go(func() error { return keepAlive(ctx, socket) })
	if err := g.Wait(); err != nil {
		s.o.Log.Debug("a WebSocket was closed", "path", cut(r.URL.Path), "node", cut(id), "why", err)
	}
	return nil
}

// closeWith closes a socket with the code that tells the client what to do: reconnect, wait for the
// node, or stop. It sends the message for the user before that, because the reason of a close frame
// is too short for it.
func (s *Server) closeWith(ctx context.Context, socket *websocket.Conn, id string, err error) {
	if errors.Is(err, console.ErrShutdown) || errors.Is(err, display.ErrShutdown) {
		_ = socket.Close(websocket.StatusGoingAway, "The service restarts. Connect again.")
		return
	}
	status, reason := websocket.StatusInternalError, ""
	switch fault.CodeOf(err) {
	case fault.NodeNotFound:
		_ = socket.Close(statusNodeGone, "The node was deleted.")
		return
	case fault.Unauthenticated:
		status, reason = statusSignedOut, "You were signed out. Sign in and connect again."
	case fault.Forbidden:
		status, reason = statusForbidden, "Your permissions on this node have changed. Connect again."
	case fault.NodeNotRunning:
		status, reason = statusNodeOff, "The node is stopped. Connect again when it is running."
	case fault.NoScreen, fault.Unsupported:
		status, reason = statusNoScreen, "The node has no supported display."
	case fault.Invalid:
		status, reason = websocket.StatusPolicyViolation, "The client sent an invalid message."
	case fault.HostUnreachable, fault.TooManyRequests:
		status, reason = websocket.StatusTryAgainLater, "Temporarily unavailable. Connect again later."
	}
	var f *fault.Error
	if errors.As(err, &f) {
		if f.Cause != nil {
			s.o.Log.Warn("a WebSocket is closed", "node", id, "code", f.Code, "cause", f.Cause)
		}
		_ = sendControl(ctx, socket, control{Type: "error", Code: string(f.Code), Text: f.Message})
	}
	_ = socket.Close(status, reason)
}

// consoleSocket connects a WebSocket to a node's serial console.
func (s *Server) consoleSocket(c echo.Context) error {
	var port console.Port
	// Without a node's id nodeSocket says what is missing.
	if id := c.QueryParam("nodeId"); id != "" {
		n, err := s.o.Nodes.Node(id)
		if err != nil {
			return err
		}
		p, err := n.UsablePort(c.QueryParam("port"))
		if err != nil {
			return err
		}
		port = console.Port{Alias: p.Alias, Device: p.Device, LogPath: p.LogPath}
	}
	rights := rightsOf(c.Request().Context())
	return s.nodeSocket(c, func(ctx context.Context, socket *websocket.Conn, id string, readOnly bool) (traffic, error) {
		viewer, err := s.o.Console.Attach(ctx, id, console.ViewerOptions{
			Port: port, Name: rights.Name, ReadOnly: readOnly, NoTake: !s.mayTake(rights, id),
		})
		if err != nil {
			return traffic{}, err
		}
		return traffic{
			send:    func(ctx context.Context) error { return toSocket(ctx, socket, viewer) },
			receive: func(ctx context.Context) error { return fromSocket(ctx, socket, viewer) },
			close:   viewer.Close,
		}, nil
	})
}

// mayTake returns whether a user may disconnect another program from a node's console: students
// share a console, but cannot disconnect their instructor.
func (s *Server) mayTake(rights access.Rights, id string) bool {
	n, err := s.o.Guard.Node(rights, id, access.Use)
	return err == nil && (rights.Role.AtLeast(access.RoleInstructor) || rights.On(policy.NodeObject(n)) == access.Manage)
}

// toSocket sends the console's output.
func toSocket(ctx context.Context, socket *websocket.Conn, viewer *console.Viewer) error {
	for {
		m, err := viewer.Next(ctx)
		if err != nil {
			return err
		}
		switch {
		case m.State != "":
			err = sendControl(ctx, socket, control{Type: "status", State: string(m.State), By: m.By, Paused: m.Paused})
		case m.Viewers > 0:
			err = sendControl(ctx, socket, control{Type: "viewers", Count: m.Viewers})
		case m.Lagged > 0:
			err = sendControl(ctx, socket, control{Type: "lagged", Bytes: m.Lagged})
		default:
			err = send(ctx, socket, websocket.MessageBinary, m.Data)
		}
		if err != nil {
			return err
		}
	}
}

// fromSocket handles the client's input and control frames.
func fromSocket(ctx context.Context, socket *websocket.Conn, viewer *console.Viewer) error {
	for {
		kind, data, err := socket.Read(ctx)
		if err != nil {
			return err
		}
		if kind == websocket.MessageBinary {
			_, err = viewer.Write(data)
		} else {
			var c control
			if json.Unmarshal(data, &c) != nil {
				err = fault.New(fault.Invalid, "Text frames must be JSON control messages. Send input in binary frames.")
			} else {
				switch c.Type {
				case "take":
					err = viewer.Take()
				case "resize":
					err = viewer.Resize(c.Cols, c.Rows)
				}
			}
		}
		switch f := (*fault.Error)(nil); {
		case err == nil:
		case errors.As(err, &f):
			if err := sendControl(ctx, socket, control{Type: "error", Code: string(f.Code), Text: f.Message}); err != nil {
				return err
			}
		default:
			return err
		}
	}
}

// pongTimeout is how long a client may take to answer a ping. It answers after it has read what was
// sent before, which takes a slow client long after much output; one that reads nothing at all is
// detected earlier, by writePatience.
const pongTimeout = 2 * time.Minute

// keepAlive sends pings, so that proxies keep the connection open and a dead peer is detected.
func keepAlive(ctx context.Context, socket *websocket.Conn) error {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		pong, cancel := context.WithTimeout(ctx, pongTimeout)
		err := socket.Ping(pong)
		cancel()
		if err != nil {
			return err
		}
	}
}

func sendControl(ctx context.Context, socket *websocket.Conn, c control) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return send(ctx, socket, websocket.MessageText, text)
}

func send(ctx context.Context, socket *websocket.Conn, kind websocket.MessageType, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, writePatience)
	defer cancel()
	return socket.Write(ctx, kind, data)
}

var _ http.Handler = (*Server)(nil)
