package diskimage

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"testing"

	"github.com/ulikunitz/xz"
)

func xzOf(t *testing.T, c xz.WriterConfig, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	c.DictCap = 1 << 12 // it is made anew for each reading
	w, err := c.NewWriter(&out)
	if err == nil {
		_, err = w.Write(content)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// The frame is read as the library writes it, whatever its checks and blocks. No byte
// that is changed changes what is read, and every cut is noticed.
func TestXZ(t *testing.T) {
	content := bytes.Repeat([]byte("all of it, and again. "), 400)
	read := func(file []byte) ([]byte, error) {
		d, err := NewUnpacker(xzPacking, bytes.NewReader(file))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(d)
	}
	for name, c := range map[string]xz.WriterConfig{
		"crc64": {}, "crc32": {CheckSum: xz.CRC32}, "sha256": {CheckSum: xz.SHA256}, "none": {NoCheckSum: true}, "blocks": {BlockSize: 1000},
	} {
		file := xzOf(t, c, content)
		if got, err := read(file); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: read %d of %d bytes: %v", name, len(got), len(content), err)
		}
		for _, more := range [][]byte{file, append(make([]byte, 8), file...)} { // padding lies between two streams
			if got, err := read(append(bytes.Clone(file), more...)); err != nil || len(got) != 2*len(content) {
				t.Errorf("%s, twice: read %d bytes: %v", name, len(got), err)
			}
		}
		if _, err := read(append(bytes.Clone(file), 'x')); err == nil {
			t.Errorf("%s, with a byte behind it: no error", name)
		}
		for i := range file {
			if _, err := read(file[:i]); err == nil {
				t.Errorf("%s, cut off after %d of %d bytes: no error", name, i, len(file))
			}
			if name == "none" {
				continue // its data have no check
			}
			changed := bytes.Clone(file)
			changed[i] ^= 1
			if got, err := read(changed); err == nil && !bytes.Equal(got, content) {
				t.Errorf("%s, byte %d changed: something else is read", name, i)
			}
		}
	}

	// A dictionary of 4 GiB is refused before it is made.
	file := xzOf(t, xz.WriterConfig{}, content)
	header := file[xzHeaderBytes:][:(int(file[xzHeaderBytes])+1)*4]
	at := bytes.IndexByte(header[2:], xzLZMA2) + 2
	header[at+2] = xzMaxDict
	sum := crc32.ChecksumIEEE(header[:len(header)-4])
	header[len(header)-4], header[len(header)-3], header[len(header)-2], header[len(header)-1] = byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24)
	if _, err := read(file); !errors.Is(err, errXZWindow) {
		t.Errorf("a dictionary of 4 GiB: %v", err)
	}
}
