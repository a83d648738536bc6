package display

import (
	"bytes"
	"crypto/des" //nolint:gosec // what VNC authentication is made of
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// From RFC 6143, 7.1.
const (
	rfbVersion = "RFB 003.008\n"

	securityNone = 1
	securityVNC  = 2

	challengeBytes = 16
	maxReason      = 4 << 10
)

// greetScreen signs in to a VNC server as an RFB 3.8 client. The server expects ClientInit
// next. The caller must set a deadline.
func greetScreen(screen io.ReadWriter, password string) error {
	version := make([]byte, len(rfbVersion))
	if _, err := io.ReadFull(screen, version); err != nil {
		return fmt.Errorf("read the version of RFB: %w", err)
	}
	if string(version) != rfbVersion {
		return fmt.Errorf("the screen speaks %q", version)
	}
	if _, err := io.WriteString(screen, rfbVersion); err != nil {
		return err
	}
	var count [1]byte
	if _, err := io.ReadFull(screen, count[:]); err != nil {
		return fmt.Errorf("read the kinds of sign-in: %w", err)
	}
	if count[0] == 0 {
		return fmt.Errorf("the screen refuses: %q", readReason(screen))
	}
	kinds := make([]byte, count[0])
	if _, err := io.ReadFull(screen, kinds); err != nil {
		return fmt.Errorf("read the kinds of sign-in: %w", err)
	}
	switch {
	case bytes.IndexByte(kinds, securityNone) >= 0:
		if _, err := screen.Write([]byte{securityNone}); err != nil {
			return err
		}
	case bytes.IndexByte(kinds, securityVNC) >= 0 && password != "":
		if err := answerChallenge(screen, password); err != nil {
			return err
		}
	default:
		return fault.New(fault.Unsupported, "The screen requires an unsupported type of authentication (%v). Use a VNC password, without TLS and SASL.", kinds)
	}
	var result [4]byte
	if _, err := io.ReadFull(screen, result[:]); err != nil {
		return fmt.Errorf("read the result of the sign-in: %w", err)
	}
	if binary.BigEndian.Uint32(result[:]) != 0 {
		return fault.Wrap(errors.New(readReason(screen)), fault.Hypervisor, "The screen rejected the VNC password that libvirt reports. Restart the node.")
	}
	return nil
}

// answerChallenge performs VNC authentication (RFC 6143, 7.2.2).
func answerChallenge(screen io.ReadWriter, password string) error {
	if _, err := screen.Write([]byte{securityVNC}); err != nil {
		return err
	}
	var challenge [challengeBytes]byte
	if _, err := io.ReadFull(screen, challenge[:]); err != nil {
		return fmt.Errorf("read the challenge: %w", err)
	}
	answer, err := vncAnswer(challenge, password)
	if err != nil {
		return err
	}
	_, err = screen.Write(answer[:])
	return err
}

// vncAnswer encrypts a challenge with DES. The key is the first eight bytes of the
// password, each with its bits reversed.
func vncAnswer(challenge [challengeBytes]byte, password string) (answer [challengeBytes]byte, err error) {
	var key [des.BlockSize]byte
	copy(key[:], password)
	for i, b := range key {
		key[i] = bits.Reverse8(b)
	}
	cipher, err := des.NewCipher(key[:]) //nolint:gosec // as above
	if err != nil {
		return answer, err
	}
	for i := 0; i < challengeBytes; i += des.BlockSize {
		cipher.Encrypt(answer[i:], challenge[i:])
	}
	return answer, nil
}

// readReason reads the text that follows a refusal, as much of it as arrives.
func readReason(r io.Reader) string {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return ""
	}
	text, _ := io.ReadAll(io.LimitReader(r, int64(min(binary.BigEndian.Uint32(size[:]), maxReason))))
	return string(text)
}

// greetViewer performs the server's part of the handshake: RFB 3.8, with None as the only
// security type. It ends with the viewer's ClientInit.
func greetViewer(viewer io.ReadWriter) error {
	if _, err := io.WriteString(viewer, rfbVersion); err != nil {
		return err
	}
	version := make([]byte, len(rfbVersion))
	if _, err := io.ReadFull(viewer, version); err != nil {
		return err
	}
	if string(version) != rfbVersion {
		return fault.New(fault.Invalid, "This is a VNC screen (RFB 3.8). Connect with a VNC client.")
	}
	if _, err := viewer.Write([]byte{1, securityNone}); err != nil {
		return err
	}
	var one [1]byte
	if _, err := io.ReadFull(viewer, one[:]); err != nil {
		return err
	}
	if one[0] != securityNone {
		return fault.New(fault.Invalid, "The client chose a type of authentication that was not offered.")
	}
	if _, err := viewer.Write([]byte{0, 0, 0, 0}); err != nil {
		return err
	}
	_, err := io.ReadFull(viewer, one[:]) // ClientInit
	return err
}
