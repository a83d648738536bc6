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

// The supported compressions, named by their file extensions.
const (
	gzipPacking  = "gz"
	xzPacking    = "xz"
	zstdPacking  = "zst"
	bzip2Packing = "bz2"
	// TarPacking is a tar archive, which Archive reads; it can be compressed too.
	TarPacking = "tar"

	gzipMagic  = "\x1f\x8b"
	xzMagic    = "\xfd7zXZ\x00"
	zstdMagic  = "\x28\xb5\x2f\xfd"
	bzip2Magic = "BZh"
	bzip2Block = "1AY&SY" // starts the first block, after a digit
)

// maxWindowBytes limits the memory of a decompressor. The highest levels of xz and zstd
// need that much.
const maxWindowBytes = 128 << 20

// While a file's first bytes are checked, decompressors get less memory, because many
// uploads may start at the same time. These bytes can't refer to data before them, but
// zstd's reader allocates the whole window anyway.
const (
	headDictBytes   = 1 << 20 // for xz
	headWindowBytes = 8 << 20 // for zstd; enough for all but its highest levels
)

const readAheadBytes = 256 << 10

// PackingOf returns the compression of a file; empty if it is not compressed.
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

// NewUnpacker returns a reader of the contents of a compressed file. The caller must close
// it.
func NewUnpacker(packing string, r io.Reader) (io.ReadCloser, error) {
	return newUnpacker(packing, r, maxWindowBytes, maxWindowBytes)
}

// newUnpacker is NewUnpacker with custom limits: for the dictionary of xz, which is
// reduced, and for zstd's window, above which its reader fails.
func newUnpacker(packing string, r io.Reader, dictBytes int64, windowBytes uint64) (io.ReadCloser, error) {
	r = bufio.NewReaderSize(r, readAheadBytes) // large enough to be shared by the readers below
	switch packing {
	case gzipPacking:
		return gzip.NewReader(r)
	case xzPacking:
		return io.NopCloser(&xzReader{r: bufio.NewReader(r), dictBytes: dictBytes}), nil
	case bzip2Packing:
		return io.NopCloser(bzip2.NewReader(r)), nil
	case TarPacking: // Archive reads it directly
		return io.NopCloser(r), nil
	default:
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(windowBytes))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
}

// unpackHead decompresses up to HeaderBytes of the contents of a file that starts with
// head. A shorter head is the whole file. It returns nil if that needs more memory than is
// allowed for many files at the same time.
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
		err = nil // incomplete
	}
	if err != nil {
		return nil, UnpackError(packing, err)
	}
	return inner, nil
}

// IsPacking reports whether a format that RecogniseIncoming returned is a compression.
func IsPacking(format string) bool {
	return slices.Contains([]string{gzipPacking, xzPacking, zstdPacking, bzip2Packing, TarPacking}, format)
}

// UnpackError explains why a compressed file can't be decompressed.
func UnpackError(packing string, err error) error {
	switch {
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, errXZWindow):
		return Unsafe("decompressing it needs more than %d MiB of memory. Compress it with a lower level", maxWindowBytes>>20)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return Unsafe("the %s data ends early: the file is truncated. Copy or export it again", packing)
	}
	return Unsafe("the %s data is damaged. Copy or export it again", packing)
}
