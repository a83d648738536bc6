package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"nhooyr.io/websocket"
)

const (
	dialTimeout  = 15 * time.Second
	closeTimeout = time.Second
	frameBytes   = 32 << 10 // maximum size of a sent frame
	maxFrame     = 1 << 20  // maximum size of a received frame
)

var (
	// errBroken reports that an established connection was lost.
	errBroken = errors.New("the connection to the service was lost")
	// errOutput reports that the node's output could not be written to the terminal.
	errOutput = errors.New("write the output")
)

// refusedError is the response of a service that refuses to open a console.
type refusedError struct {
	status int
	why    error
}

func (e *refusedError) Error() string { return e.why.Error() }

// consoleControl is a text frame of the console protocol, in either direction.
type consoleControl struct {
	Type    string `json:"type"`
	State   string `json:"state,omitempty"`
	Paused  bool   `json:"paused,omitempty"`
	By      string `json:"by,omitempty"`
	Bytes   int64  `json:"bytes,omitempty"`
	Message string `json:"message,omitempty"`
	Cols    int    `json:"cols,omitempty"`
	Rows    int    `json:"rows,omitempty"`
}

// frame is one message to the service.
type frame struct {
	text bool
	data []byte
}

func controlFrame(c consoleControl) frame {
	text, _ := json.Marshal(c) // a consoleControl can always be encoded
	return frame{text: true, data: text}
}

// consoleLink is one WebSocket to a console. Two goroutines transfer its frames between
// start and close.
type consoleLink struct {
	socket   *websocket.Conn
	outbox   chan frame
	controls chan consoleControl
	heard    chan struct{} // capacity 1: the node printed something
	broken   chan error    // capacity 2: one for each goroutine

	ctx  context.Context // context of the goroutines
	stop context.CancelFunc
	work sync.WaitGroup
}

// dialConsole connects to a node's console. It returns a *refusedError if the service
// refused, and any other error if the service could not be reached.
func dialConsole(ctx context.Context, r remote, nodeID, port string, readOnly bool) (*consoleLink, error) {
	dialing, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	target := r.base.JoinPath("/ws/console")
	query := url.Values{"nodeId": {nodeID}}
	if port != "" {
		query.Set("port", port)
	}
	if readOnly {
		query.Set("readonly", "true")
	}
	target.RawQuery = query.Encode()
	socket, res, err := websocket.Dial(dialing, target.String(), &websocket.DialOptions{HTTPHeader: r.header(), HTTPClient: consoleClient}) //nolint:bodyclose // the library says: never
	if err != nil && res != nil {
		return nil, &refusedError{res.StatusCode, refusalOf(res)}
	}
	if err != nil {
		return nil, err
	}
	socket.SetReadLimit(maxFrame)
	l := &consoleLink{
		socket: socket, outbox: make(chan frame), controls: make(chan consoleControl),
		heard: make(chan struct{}, 1), broken: make(chan error, 2),
	}
	l.ctx, l.stop = context.WithCancel(context.WithoutCancel(ctx)) // the goroutines run until close
	return l, nil
}

// start starts the transfer of frames. The node's output goes to the terminal.
func (l *consoleLink) start(t *localTerminal) {
	for _, pump := range []func(*localTerminal) error{l.receive, l.send} {
		l.work.Go(func() {
			defer t.guard()
			l.broken <- pump(t)
		})
	}
}

func (l *consoleLink) receive(t *localTerminal) error {
	for {
		kind, data, err := l.socket.Read(l.ctx)
		if err != nil {
			return explainEnd(err)
		}
		if kind == websocket.MessageBinary {
			if _, err := t.out.Write(data); err != nil {
				return fmt.Errorf("%w: %w", errOutput, err)
			}
			select {
			case l.heard <- struct{}{}:
			default:
			}
			continue
		}
		var c consoleControl
		if json.Unmarshal(data, &c) != nil {
			continue // message type of a newer service
		}
		select {
		case l.controls <- c:
		case <-l.ctx.Done():
			return l.ctx.Err()
		}
	}
}

// explainEnd returns errBroken if reconnecting may help, and otherwise the service's
// reason for closing the console.
func explainEnd(err error) error {
	var end websocket.CloseError
	if !errors.As(err, &end) {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	switch end.Code {
	case websocket.StatusGoingAway, websocket.StatusTryAgainLater, websocket.StatusInternalError:
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	return errors.New(strings.TrimSuffix(end.Reason, "."))
}

func (l *consoleLink) send(*localTerminal) error {
	for {
		select {
		case f := <-l.outbox:
			kind := websocket.MessageBinary
			if f.text {
				kind = websocket.MessageText
			}
			if err := l.socket.Write(l.ctx, kind, f.data); err != nil {
				// The reader may know the reason, so wait for it.
				<-l.ctx.Done()
				return l.ctx.Err()
			}
		case <-l.ctx.Done():
			return l.ctx.Err()
		}
	}
}

// close sends the remaining input and closes the connection, within a few seconds.
func (l *consoleLink) close(typed []byte) {
	patience := time.AfterFunc(closeTimeout, func() { _ = l.socket.CloseNow() })
	defer patience.Stop()
	if len(typed) > 0 && len(l.broken) == 0 {
		select {
		case l.outbox <- frame{data: typed}:
		case <-time.After(closeTimeout):
		}
	}
	// Control frames that arrive from now on are not shown.
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = l.socket.Close(websocket.StatusNormalClosure, "")
	}()
	for waiting := true; waiting; {
		select {
		case <-l.controls:
		case <-closed:
			waiting = false
		}
	}
	l.stop()
	_ = l.socket.CloseNow()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.work.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(closeTimeout): // output may be blocked; do not make the user wait for it
	}
}
