package api

import (
	"bufio"
	"encoding/binary"
	"net"
	"net/http"
	"sync"
)

// The parts of a WebSocket frame's header that matter here (RFC 6455, 5.2).
const (
	frameOpcode    = 0x0f
	frameOpClose   = 0x08
	frameLength    = 0x7f
	frameLength16  = 126
	frameLength64  = 127
	maxFrameHeader = 10 // a server does not mask

	// writeBufferBytes hold most frames whole, so that they go out at once.
	writeBufferBytes = 16 << 10
)

// lastFrameWriter hands over a connection on which a close frame is the last
// one. Nothing may follow a close frame (RFC 6455, 5.5.1), and the WebSocket
// library answers the answer to its own: browsers then report a connection that
// broke (1006) in place of the code that tells them what to do.
type lastFrameWriter struct{ http.ResponseWriter }

// Hijack takes the connection over, for the library.
func (w lastFrameWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	guarded := &lastFrameConn{Conn: conn}
	return guarded, bufio.NewReadWriter(buffered.Reader, bufio.NewWriterSize(guarded, writeBufferBytes)), nil
}

// Unwrap returns the writer below, for http.ResponseController.
func (w lastFrameWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// lastFrameConn follows the frames that are written, and drops what comes after
// a close frame.
type lastFrameConn struct {
	net.Conn

	mu      sync.Mutex
	header  []byte // of the next frame, as far as it was written
	payload uint64 // bytes of the present frame's payload that are to come
	closing bool   // the present frame is a close frame
	closed  bool   // it was written whole
}

// Write passes p on up to the end of a close frame, and says that all of it was
// written: to the library the rest is on its way like any other.
func (c *lastFrameConn) Write(p []byte) (int, error) {
	n := c.follow(p)
	if n == 0 {
		return len(p), nil
	}
	if written, err := c.Conn.Write(p[:n]); err != nil {
		return written, err
	}
	return len(p), nil
}

// follow reads p as frames, and returns how much of it may be sent.
func (c *lastFrameConn) follow(p []byte) (allowed int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for allowed < len(p) && !c.closed {
		if c.payload > 0 {
			n := min(c.payload, uint64(len(p)-allowed)) //nolint:gosec // positive: the loop's condition
			allowed += int(n)                           //nolint:gosec // at most len(p)
			c.payload -= n
		} else {
			c.header = append(c.header, p[allowed])
			allowed++
			length, whole := headerLength(c.header)
			if !whole {
				continue
			}
			c.payload, c.closing, c.header = length, c.header[0]&frameOpcode == frameOpClose, c.header[:0]
		}
		c.closed = c.closing && c.payload == 0
	}
	return allowed
}

// headerLength returns the payload's length once the header is whole.
func headerLength(header []byte) (length uint64, whole bool) {
	if len(header) < 2 {
		return 0, false
	}
	switch short := header[1] & frameLength; short {
	case frameLength16:
		if len(header) < 4 {
			return 0, false
		}
		return uint64(binary.BigEndian.Uint16(header[2:])), true
	case frameLength64:
		if len(header) < maxFrameHeader {
			return 0, false
		}
		return binary.BigEndian.Uint64(header[2:]), true
	default:
		return uint64(short), true
	}
}
