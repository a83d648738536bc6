package api

import (
	"bytes"
	"net"
	"testing"
)

// recorder is a connection that records what is written to it.
type recorder struct {
	net.Conn
	sent bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) { return r.sent.Write(p) }

func TestNothingFollowsACloseFrame(t *testing.T) {
	frame := func(opcode byte, length []byte, payload []byte) []byte {
		return append(append([]byte{0x80 | opcode}, length...), payload...)
	}
	// Payloads that look like close frames must not be treated as such.
	text := frame(1, []byte{3}, []byte{0x88, 0x00, 0x88})
	medium := frame(2, []byte{126, 1, 0}, bytes.Repeat([]byte{0x88}, 256))
	large := frame(2, []byte{127, 0, 0, 0, 0, 0, 1, 0, 0}, bytes.Repeat([]byte{0x88}, 1<<16))
	empty := frame(9, []byte{0}, nil)
	closing := frame(8, []byte{2}, []byte{0x03, 0xe8})
	bare := frame(8, []byte{0}, nil)
	for name, c := range map[string]struct{ before, end []byte }{
		"after data":           {bytes.Join([][]byte{text, medium, large, empty}, nil), closing},
		"at once":              {nil, closing},
		"without a code":       {text, bare},
		"after an empty frame": {empty, closing},
	} {
		want := append(bytes.Clone(c.before), c.end...)
		stream := append(bytes.Clone(want), bytes.Join([][]byte{closing, text}, nil)...)
		for _, piece := range []int{1, 2, 3, 7, 4096, len(stream)} {
			r := &recorder{}
			guarded := &lastFrameConn{Conn: r}
			for rest := stream; len(rest) > 0; {
				n := min(piece, len(rest))
				if written, err := guarded.Write(rest[:n]); err != nil || written != n {
					t.Fatalf("%s: wrote %d of %d: %v", name, written, n, err)
				}
				rest = rest[n:]
			}
			if !bytes.Equal(r.sent.Bytes(), want) {
				t.Errorf("%s, in pieces of %d: %d bytes passed, want %d", name, piece, r.sent.Len(), len(want))
			}
		}
	}
}
