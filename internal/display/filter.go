package display

import (
	"bufio"
	"encoding/binary"
	"io"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// The messages of a client: RFC 6143, 7.5, and the extensions of QEMU and noVNC
// (rfbproto).
const (
	setPixelFormat    = 0
	setEncodings      = 2
	updateRequest     = 3
	keyEvent          = 4
	pointerEvent      = 5
	clientCutText     = 6
	continuousUpdates = 150
	fence             = 248
	xvp               = 250
	setDesktopSize    = 251
	qemuMessage       = 255

	qemuKeyEvent = 0
	qemuAudio    = 1
	qemuSetAudio = 2 // an audio message that sets a format

	maxEncodings = 1024
	maxCutText   = 64 << 20 // skipped without being buffered
	maxFence     = 64
)

// copyHarmless copies the messages that only request updates, and drops those that affect
// the node: keys, pointer, clipboard, power, and the size of its screen. An unknown
// message ends it with fault.Invalid, because the start of the next message is not known
// then.
func copyHarmless(screen io.Writer, viewer io.Reader) error {
	r := bufio.NewReaderSize(viewer, maxEncodings*4+4) // the size of the longest message that is copied
	for {
		head, err := r.Peek(1)
		if err != nil {
			return err
		}
		pass, size := 0, int64(0) // one of them is set
		switch head[0] {
		case setPixelFormat:
			pass = 20
		case updateRequest, continuousUpdates:
			pass = 10
		case setEncodings:
			if head, err = r.Peek(4); err != nil {
				return err
			}
			count := int(binary.BigEndian.Uint16(head[2:]))
			if count > maxEncodings {
				return notRFB("it names %d encodings", count)
			}
			pass = 4 + 4*count
		case fence:
			if head, err = r.Peek(9); err != nil {
				return err
			}
			if head[8] > maxFence {
				return notRFB("its fence has %d bytes", head[8])
			}
			pass = 9 + int(head[8])
		default:
			if size, err = sizeOfHarmful(r, head[0]); err != nil {
				return err
			}
		}
		if pass == 0 {
			if _, err := io.CopyN(io.Discard, r, size); err != nil {
				return err
			}
			continue
		}
		message, err := r.Peek(pass)
		if err != nil {
			return err
		}
		if _, err := screen.Write(message); err != nil {
			return err
		}
		if _, err := r.Discard(pass); err != nil {
			return err
		}
	}
}

// sizeOfHarmful returns the length of the message at the front of r, which is to be
// dropped.
func sizeOfHarmful(r *bufio.Reader, kind byte) (int64, error) {
	switch kind {
	case keyEvent:
		return 8, nil
	case pointerEvent:
		return 6, nil
	case xvp:
		return 4, nil
	case clientCutText:
		head, err := r.Peek(8)
		if err != nil {
			return 0, err
		}
		size := int64(int32(binary.BigEndian.Uint32(head[4:]))) //nolint:gosec // negative: the extended clipboard
		if size = max(size, -size); size > maxCutText {
			return 0, notRFB("its clipboard has %d bytes", size)
		}
		return 8 + size, nil
	case setDesktopSize:
		head, err := r.Peek(8)
		if err != nil {
			return 0, err
		}
		return 8 + 16*int64(head[6]), nil
	case qemuMessage:
		head, err := r.Peek(2)
		if err != nil {
			return 0, err
		}
		switch head[1] {
		case qemuKeyEvent:
			return 12, nil
		case qemuAudio:
			if head, err = r.Peek(4); err != nil {
				return 0, err
			}
			if binary.BigEndian.Uint16(head[2:]) == qemuSetAudio {
				return 10, nil
			}
			return 4, nil
		}
	}
	return 0, notRFB("a message of type %d is not known", kind)
}

func notRFB(format string, args ...any) error {
	return fault.New(fault.Invalid, "The client sent invalid RFB data: "+format+".", args...)
}
