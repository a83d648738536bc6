package diskimage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"runtime"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"
)

func xzOf(t *testing.T, c xz.WriterConfig, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	c.DictCap = 1 << 12 // it is recreated for each reading
	w, err := c.NewWriter(&out)
	if err == nil {
		_, err = w.Write(content)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Files of the library are read with all check types and block sizes. Changed bytes and
// truncations are detected.
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
		for _, more := range [][]byte{file, append(make([]byte, 8), file...)} { // padding between two streams
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

	// A dictionary of 4 GiB is rejected before it is allocated.
	if _, err := read(withDict(xzOf(t, xz.WriterConfig{}, content), xzMaxDict)); !errors.Is(err, errXZWindow) {
		t.Errorf("a dictionary of 4 GiB: %v", err)
	}
}

// withDict sets the dictionary code of the first block of an xz file.
func withDict(file []byte, code byte) []byte {
	header := file[xzHeaderBytes:][:(int(file[xzHeaderBytes])+1)*4]
	header[bytes.IndexByte(header[2:], xzLZMA2)+4] = code
	binary.LittleEndian.PutUint32(header[len(header)-4:], crc32.ChecksumIEEE(header[:len(header)-4]))
	return file
}

// Checking the first bytes of a file needs little memory, whatever it requests.
func TestHeadUsesLittleMemory(t *testing.T) {
	const code128MiB = 30
	var zst bytes.Buffer
	w, err := zstd.NewWriter(&zst, zstd.WithSingleSegment(false), zstd.WithWindowSize(1<<20))
	if err == nil {
		_, err = w.Write(rawDisk())
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	zst.Bytes()[5] = 17 << 3 // a window of 128 MiB
	for packing, file := range map[string][]byte{xzPacking: withDict(pack(t, xzPacking, rawDisk()), code128MiB), zstdPacking: zst.Bytes()} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		format, err := RecogniseIncoming(file[:HeaderBytes])
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; err != nil || format != packing || took > 32<<20 {
			t.Errorf("the first bytes of a %s file took %d bytes of memory: %q, %v", packing, took, format, err)
		}
		d, err := NewUnpacker(packing, bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(d); err != nil || !bytes.Equal(got, rawDisk()) {
			t.Errorf("the whole %s file gave %d bytes: %v", packing, len(got), err)
		}
		_ = d.Close()
	}
}

// References beyond the smaller dictionary are checked later, and not treated as damage.
func TestHeadWithDistantReferences(t *testing.T) {
	disk := rawDisk()
	noise := disk[2<<20:][:32<<10]
	copy(disk[sectorBytes:32<<10], noise)
	head := disk[:32<<10]
	var lzma2 bytes.Buffer
	w, err := lzma.Writer2Config{DictCap: 8 << 20}.NewWriter2(&lzma2)
	if err == nil {
		_, err = w.Write(head)
	}
	if err == nil {
		err = w.Flush() // so that its reader has no data left at the start of the next part
	}
	for _, part := range [][]byte{make([]byte, headDictBytes+8<<10-len(head)), head, disk[2<<20:][:256<<10]} {
		if err == nil {
			_, err = w.Write(part)
		}
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	const code8MiB = 22
	frame := append([]byte(xzMagic), 0, 1, 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(frame[8:], crc32.ChecksumIEEE(frame[6:8]))
	frame = append(frame, 2, 0, xzLZMA2, 1, code8MiB, 0, 0, 0)
	frame = binary.LittleEndian.AppendUint32(frame, crc32.ChecksumIEEE(frame[xzHeaderBytes:]))
	frame = append(frame, lzma2.Bytes()...)
	if _, err := headOfXZ(frame, headDictBytes); !errors.Is(err, errXZHead) {
		t.Errorf("a file that reaches back further than the smaller dictionary: %v", err)
	}
	if _, err := headOfXZ(frame, maxWindowBytes); err != nil {
		t.Errorf("the same with its own dictionary: %v", err)
	}
	if format, err := RecogniseIncoming(frame[:HeaderBytes]); err != nil || format != xzPacking {
		t.Errorf("its first bytes are %q, %v", format, err)
	}
}

func headOfXZ(head []byte, dictBytes int64) ([]byte, error) {
	d, err := newUnpacker(xzPacking, bytes.NewReader(head), dictBytes, 0)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(d, HeaderBytes))
}
