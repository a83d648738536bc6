package display

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

func TestReadOnlyViewersReachNothing(t *testing.T) {
	join := func(parts ...[]byte) []byte { return slices.Concat(parts...) }
	fill := func(n int) []byte { return bytes.Repeat([]byte{0xee}, n) }
	var (
		pixelFormat = join([]byte{0, 0, 0, 0}, fill(16))
		encodings   = join([]byte{2, 0, 0, 3}, fill(12))
		request     = join([]byte{3, 1}, fill(8))
		continuous  = join([]byte{150, 1}, fill(8))
		fenced      = join([]byte{248, 0, 0, 0}, fill(4), []byte{5}, fill(5))
		harmless    = join(pixelFormat, encodings, request, continuous, fenced)
	)
	for _, tt := range []struct {
		name string
		in   []byte
		out  []byte
		code fault.Code // of the error; empty if the viewer's end is the cause
	}{
		{name: "harmless", in: harmless, out: harmless},
		{name: "key", in: join([]byte{4, 1, 0, 0}, fill(4), request), out: request},
		{name: "pointer", in: join([]byte{5, 1}, fill(4), request), out: request},
		{name: "clipboard", in: join([]byte{6, 0, 0, 0, 0, 1, 0, 0}, fill(65536), request), out: request},
		{name: "extended clipboard", in: join([]byte{6, 0, 0, 0, 0xff, 0xff, 0xff, 0xf0}, fill(16), request), out: request},
		{name: "power", in: join([]byte{250, 0, 1, 2}, request), out: request},
		{name: "desktop size", in: join([]byte{251, 0, 4, 0, 3, 0, 1, 0}, fill(16), request), out: request},
		{name: "scan code", in: join([]byte{255, 0, 0, 1}, fill(8), request), out: request},
		{name: "audio", in: join([]byte{255, 1, 0, 0}, request), out: request},
		{name: "audio format", in: join([]byte{255, 1, 0, 2}, fill(6), request), out: request},
		{name: "most encodings", in: join([]byte{2, 0, 4, 0}, fill(4096)), out: join([]byte{2, 0, 4, 0}, fill(4096))},
		{name: "too many encodings", in: []byte{2, 0, 4, 1}, code: fault.Invalid},
		{name: "large fence", in: []byte{248, 0, 0, 0, 0, 0, 0, 0, 65}, code: fault.Invalid},
		{name: "large clipboard", in: []byte{6, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff}, code: fault.Invalid},
		{name: "largest extended clipboard", in: []byte{6, 0, 0, 0, 0x80, 0, 0, 0}, code: fault.Invalid},
		{name: "unknown", in: join(request, []byte{253, 1, 2, 3}), out: request, code: fault.Invalid},
		{name: "unknown of QEMU", in: []byte{255, 2, 0, 0}, code: fault.Invalid},
		{name: "broken off", in: request[:4]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{
				"whole": bytes.NewReader(tt.in), "in bytes": iotest.OneByteReader(bytes.NewReader(tt.in)),
			} {
				var out bytes.Buffer
				err := copyHarmless(&out, r)
				if !bytes.Equal(out.Bytes(), tt.out) {
					t.Errorf("%s: the screen got %x, want %x", name, out.Bytes(), tt.out)
				}
				if tt.code == "" && !errors.Is(err, io.EOF) || tt.code != "" && fault.CodeOf(err) != tt.code {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

// peer sends a text, and accepts everything that it receives.
type peer struct {
	io.Reader
	bytes.Buffer
}

func (p *peer) Read(b []byte) (int, error) { return p.Reader.Read(b) }

func TestScreensThatCannotBeEntered(t *testing.T) {
	for _, tt := range []struct {
		name, says string
		want       string // part of the error
	}{
		{"another version", "RFB 003.003\n", "003.003"},
		{"no RFB", "SSH-2.0-OpenSSH_9.2", "SSH"},
		{"refusal", rfbVersion + "\x00\x00\x00\x00\x04busy", "busy"},
		{"refusal without an end", rfbVersion + "\x00\xff\xff\xff\xff" + strings.Repeat("x", 1<<20), "xxx"},
		{"only TLS", rfbVersion + "\x01\x13", "unsupported"},
		{"wrong password", rfbVersion + "\x01\x02" + strings.Repeat("c", challengeBytes) + "\x00\x00\x00\x01\x00\x00\x00\x02no", "rejected the VNC password"},
		{"cut off", rfbVersion + "\x01", "EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := greetScreen(&peer{Reader: strings.NewReader(tt.says)}, "password")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want …%s…", err, tt.want)
			}
			if err != nil && len(err.Error()) > 2*maxReason {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

func TestViewersThatSpeakSomethingElse(t *testing.T) {
	for _, says := range []string{"GET / HTTP/1.1\r\n", "RFB 003.003\n", rfbVersion + "\x02"} {
		if err := greetViewer(&peer{Reader: strings.NewReader(says)}); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%q: %v", says, err)
		}
	}
}

func TestPPM(t *testing.T) {
	img, err := decodePPM([]byte("P6\n# of an old QEMU\n2 1\n255\n\x01\x02\x03\xfd\xfe\xff"))
	if err != nil {
		t.Fatal(err)
	}
	if img.Rect != image.Rect(0, 0, 2, 1) || img.At(0, 0) != (color.RGBA{1, 2, 3, 255}) || img.At(1, 0) != (color.RGBA{253, 254, 255, 255}) {
		t.Errorf("got %v", img)
	}
	file, width, err := asPNG([]byte("P6 2 1 255 \x01\x02\x03\xfd\xfe\xff"))
	if err != nil || width != 2 || !bytes.HasPrefix(file, []byte("\x89PNG")) {
		t.Errorf("as PNG: %d wide, %v", width, err)
	}
	for _, bad := range []string{"P6", "P6\n#", "P6 2 1 65535 ", "P6 2 2 255 \x01\x02\x03", "P6 0 1 255 ", "P6 9999999999999999999 1 255 ", "P6 x"} {
		if _, err := decodePPM([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestHugeScreensTakeNoMemory(t *testing.T) {
	// Headers only: allocating the picture first would fail here.
	chunk := []byte("IHDR\x7f\xff\xff\xff\x00\x01\x00\x00\x08\x02\x00\x00\x00")
	header := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\r"), chunk...)
	header = binary.BigEndian.AppendUint32(header, crc32.ChecksumIEEE(chunk))
	for name, data := range map[string][]byte{
		"PPM": []byte("P6 900000000 900000000 255 "), "large PPM": []byte("P6 8192 8192 255 "), "PNG": header,
	} {
		if _, _, err := asPNG(data); fault.CodeOf(err) != fault.Unsupported {
			t.Errorf("%s: %v", name, err)
		}
	}
}
