package diskimage

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"io"
	"slices"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// The packings that are undone, by the names of their files' extensions.
const (
	gzipPacking  = "gz"
	xzPacking    = "xz"
	zstdPacking  = "zst"
	bzip2Packing = "bz2"
	// TarPacking is that of an archive, which Archive reads; it may be packed itself.
	TarPacking = "tar"

	gzipMagic  = "\x1f\x8b"
	xzMagic    = "\xfd7zXZ\x00"
	zstdMagic  = "\x28\xb5\x2f\xfd"
	bzip2Magic = "BZh"
	bzip2Block = "1AY&SY" // begins the first block, behind a digit
)

// maxWindowBytes bounds what a packing makes its reader keep in memory. It is what
// the highest levels of xz and zstd ask for.
const maxWindowBytes = 128 << 20

// While a file's first bytes are looked at, its packing gets less: many uploads may
// begin at once. What these bytes give cannot reach back further than to their own
// beginning, but zstd's reader takes the whole window all the same.
const (
	headDictBytes   = 1 << 20 // for xz
	headWindowBytes = 8 << 20 // for zstd; what all but its highest levels ask for
)

const readAheadBytes = 256 << 10

// PackingOf tells how a file is packed, if at all.
func PackingOf(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte(gzipMagic)):
		return gzipPacking
	case bytes.HasPrefix(head, []byte(xzMagic)):
		return xzPacking
	case bytes.HasPrefix(head, []byte(zstdMagic)):
		return zstdPacking
	case isBzip2(head):
		return bzip2Packing
	case IsArchive(head):
		return TarPacking
	}
	return ""
}

func isBzip2(head []byte) bool {
	level := len(bzip2Magic)
	return bytes.HasPrefix(head, []byte(bzip2Magic)) && len(head) > level && bytes.HasPrefix(head[level+1:], []byte(bzip2Block))
}

// NewUnpacker reads what is within a packed file. Close it.
func NewUnpacker(packing string, r io.Reader) (io.ReadCloser, error) {
	return newUnpacker(packing, r, maxWindowBytes, maxWindowBytes)
}

// newUnpacker is NewUnpacker with bounds of its own: of the dictionary of xz, which
// is made smaller then, and of zstd's window, above which its reader fails.
func newUnpacker(packing string, r io.Reader, dictBytes int64, windowBytes uint64) (io.ReadCloser, error) {
	r = bufio.NewReaderSize(r, readAheadBytes) // the other readers below find it large enough
	switch packing {
	case gzipPacking:
		return gzip.NewReader(r)
	case xzPacking:
		return io.NopCloser(&xzReader{r: bufio.NewReader(r), dictBytes: dictBytes}), nil
	case bzip2Packing:
		return io.NopCloser(bzip2.NewReader(r)), nil
	case TarPacking: // Archive reads it as it is
		return io.NopCloser(r), nil
	default:
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(windowBytes))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
}

// unpackHead unpacks the first HeaderBytes of what is within a file of which head
// is the beginning, or as many of them as head gives. A shorter head is all of the
// file. It returns nil where that takes more memory than many files at once may have.
func unpackHead(packing string, head []byte) ([]byte, error) {
	var first zstd.Header
	if packing == zstdPacking && first.Decode(head) == nil && first.WindowSize > maxWindowBytes {
		return nil, UnpackError(packing, zstd.ErrWindowSizeExceeded)
	}
	d, err := newUnpacker(packing, bytes.NewReader(head), headDictBytes, headWindowBytes)
	var inner []byte
	if err == nil {
		defer func() { _ = d.Close() }()
		inner, err = io.ReadAll(io.LimitReader(d, HeaderBytes))
	}
	if errors.Is(err, errXZHead) || errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		return nil, nil
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && len(head) == HeaderBytes {
		err = nil // more of it is to come
	}
	if err != nil {
		return nil, UnpackError(packing, err)
	}
	return inner, nil
}

// IsPacking tells whether a format that RecogniseIncoming has found is a packing.
func IsPacking(format string) bool {
	return slices.Contains([]string{gzipPacking, xzPacking, zstdPacking, bzip2Packing, TarPacking}, format)
}

// UnpackError tells why a packed file cannot be unpacked.
func UnpackError(packing string, err error) error {
	switch {
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, errXZWindow):
		return Unsafe("to unpack it takes more than %d MiB of memory. Pack it with a lower level", maxWindowBytes>>20)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return Unsafe("it ends within what %s has packed: it was cut off. Copy or export it again", packing)
	}
	return Unsafe("what %s has packed is damaged. Copy or export it again", packing)
}
