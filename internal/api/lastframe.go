package api

import (
	"bufio"
	"encoding/binary"
	"net"
	"net/http"
	"sync"
)

// Fields of a WebSocket frame's header (RFC 6455, 5.2).
const (
	frameOpcode    = 0x0f
	frameOpClose   = 0x08
	frameLength    = 0x7f
	frameLength16  = 126
	frameLength64  = 127
	maxFrameHeader = 10 // a server does not mask

	// writeBufferBytes is large enough for most frames, so that they are sent at once.
	writeBufferBytes = 16 << 10
)

// lastFrameWriter returns a connection that sends nothing after a close frame. Nothing may follow
// one (RFC 6455, 5.5.1), but the WebSocket library responds to the reply to its own: browsers then
// report a broken connection (1006) instead of the code that tells them what to do.
type lastFrameWriter struct{ http.ResponseWriter }

// Hijack takes over the connection, for the library.
func (w lastFrameWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	guarded := &lastFrameConn{Conn: conn}
	return guarded, bufio.NewReadWriter(buffered.Reader, bufio.NewWriterSize(guarded, writeBufferBytes)), nil
}

// Unwrap returns the underlying writer, for http.ResponseController.
func (w lastFrameWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// lastFrameConn tracks the written frames, and drops everything after a close frame.
type lastFrameConn struct {
	net.Conn

	mu      sync.Mutex
	header  []byte // of the next frame, as far as it has been written
	payload uint64 // remaining bytes of the current frame's payload
	closing bool   // the current frame is a close frame
	closed  bool   // the close frame has been written
}

// Write writes p up to the end of a close frame, and reports all of it as written, so that the
// library sees no error.
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

// follow parses p as frames, and returns how many bytes may be sent.
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

// headerLength returns the payload's length once the header is complete.
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
