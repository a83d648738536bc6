package diskimage

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// The container of xz files (.xz File Format 1.0.4). The library's reader uses as much
// memory as a file requests, and more with each block.
const (
	xzHeaderBytes = 12 // of a stream; and so is its footer
	xzLZMA2       = 0x21
	xzMaxDict     = 40 // the code of the largest dictionary
)

var (
	errXZWindow = errors.New("xz: the dictionary is too large")
	errXZ       = errors.New("xz: the frame is damaged")
	errXZHead   = errors.New("xz: the dictionary was reduced")
)

// xzReader decompresses an xz file: one stream or several, of blocks of LZMA2.
type xzReader struct {
	r     *bufio.Reader
	check byte // check type of the stream
	// dictBytes is the maximum dictionary size, also for blocks that request a larger one:
	// references further back return errXZHead.
	dictBytes int64

	began  bool // within a stream
	data   io.Reader
	cut    bool // its dictionary is smaller than requested
	in     *meter
	header int64     // bytes of the block's header
	out    int64     // decompressed bytes of the block
	sum    hash.Hash // of these; nil if the check type is unknown

	blocks  uint64
	records hash.Hash // of the block sizes, which the index must repeat
}

// meter counts the bytes that are read.
type meter struct {
	r *bufio.Reader
	n int64
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.n += int64(n)
	return n, err
}

func (m *meter) ReadByte() (byte, error) {
	b, err := m.r.ReadByte()
	if err == nil {
		m.n++
	}
	return b, err
}

// Read returns decompressed data.
func (x *xzReader) Read(p []byte) (int, error) {
	for len(p) > 0 {
		if x.data == nil {
			if err := x.next(); err != nil {
				return 0, err
			}
		}
		n, err := x.data.Read(p)
		x.out += int64(n)
		if x.sum != nil {
			x.sum.Write(p[:n])
		}
		if errors.Is(err, io.EOF) {
			err = x.endBlock()
		} else if err != nil && x.cut && !errors.Is(err, io.ErrUnexpectedEOF) {
			err = errXZHead
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, nil
}

// next advances to the next block, also across streams. It returns io.EOF after the last
// stream.
func (x *xzReader) next() error {
	for {
		if !x.began {
			if err := x.beginStream(); err != nil {
				return err
			}
		}
		size, err := x.r.ReadByte()
		if err != nil {
			return unexpected(err)
		}
		if size != 0 {
			return x.beginBlock(size)
		}
		if err := x.endStream(); err != nil {
			return err
		}
	}
}

// beginStream reads a stream's header. Between two streams are zeros, four at a
// time.
func (x *xzReader) beginStream() error {
	for {
		ahead, err := x.r.Peek(4)
		if len(ahead) == 0 && errors.Is(err, io.EOF) && x.records != nil {
			return io.EOF
		}
		if err != nil {
			return unexpected(err)
		}
		if x.records == nil || !bytes.Equal(ahead, make([]byte, 4)) {
			break
		}
		if _, err := x.r.Discard(4); err != nil {
			return err
		}
	}
	var h [xzHeaderBytes]byte
	if _, err := io.ReadFull(x.r, h[:]); err != nil {
		return unexpected(err)
	}
	if !bytes.HasPrefix(h[:], []byte(xzMagic)) || h[6] != 0 || h[7] > 15 || crc32.ChecksumIEEE(h[6:8]) != binary.LittleEndian.Uint32(h[8:]) {
		return errXZ
	}
	x.began, x.check, x.blocks, x.records = true, h[7], 0, sha256.New()
	return nil
}

// beginBlock reads a block's header; its first byte is the size.
func (x *xzReader) beginBlock(size byte) error {
	h := make([]byte, (int(size)+1)*4)
	h[0] = size
	if _, err := io.ReadFull(x.r, h[1:]); err != nil {
		return unexpected(err)
	}
	end := len(h) - 4
	if crc32.ChecksumIEEE(h[:end]) != binary.LittleEndian.Uint32(h[end:]) || h[1]&0x3f != 0 {
		return errXZ // damaged, or with other filters than LZMA2
	}
	fields := bytes.NewReader(h[2:end])
	for _, there := range []bool{h[1]&0x40 != 0, h[1]&0x80 != 0} { // sizes, which the index has too
		if there {
			if _, err := binary.ReadUvarint(fields); err != nil {
				return errXZ
			}
		}
	}
	filter, err1 := binary.ReadUvarint(fields)
	length, err2 := binary.ReadUvarint(fields)
	dict, err3 := fields.ReadByte()
	if errors.Join(err1, err2, err3) != nil || filter != xzLZMA2 || length != 1 || dict > xzMaxDict {
		return errXZ
	}
	capacity, err := lzma.DecodeDictCap(dict)
	if err != nil {
		return errXZ
	}
	if capacity > maxWindowBytes {
		return errXZWindow
	}
	x.in = &meter{r: x.r}
	x.cut = capacity > x.dictBytes
	data, err := lzma.Reader2Config{DictCap: int(max(min(capacity, x.dictBytes), lzma.MinDictCap))}.NewReader2(x.in)
	if err != nil {
		return unexpected(err)
	}
	x.data, x.header, x.out, x.sum = data, int64(len(h)), 0, xzSum(x.check)
	return nil
}

// xzSum returns the hash of a check type.
func xzSum(check byte) hash.Hash {
	switch check {
	case 1:
		return crc32.NewIEEE()
	case 4:
		return crc64.New(crc64.MakeTable(crc64.ECMA))
	case 10:
		return sha256.New()
	}
	return nil
}

// endBlock reads what follows a block's data: padding to a multiple of four, and the check.
func (x *xzReader) endBlock() error {
	check := make([]byte, []int{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}[x.check])
	for range -x.in.n & 3 {
		if b, err := x.r.ReadByte(); err != nil || b != 0 {
			return errors.Join(unexpected(err), errXZ)
		}
	}
	if _, err := io.ReadFull(x.r, check); err != nil {
		return unexpected(err)
	}
	if x.sum != nil {
		want := x.sum.Sum(nil)
		if x.check != 10 { // the cyclic ones are little-endian
			for i, j := 0, len(want)-1; i < j; i, j = i+1, j-1 {
				want[i], want[j] = want[j], want[i]
			}
		}
		if !bytes.Equal(want, check) {
			return errXZ
		}
	}
	x.note(x.records, uint64(x.header+x.in.n)+uint64(len(check)), uint64(x.out)) //nolint:gosec // not negative
	x.blocks++
	x.data = nil
	return nil
}

// note adds the sizes of a block to a hash, which needs no memory per block.
func (*xzReader) note(sum hash.Hash, packed, unpacked uint64) {
	var sizes [16]byte
	binary.LittleEndian.PutUint64(sizes[:], packed)
	binary.LittleEndian.PutUint64(sizes[8:], unpacked)
	sum.Write(sizes[:])
}

// endStream reads the index, whose first byte was already read, and the footer.
func (x *xzReader) endStream() error {
	in := &meter{r: x.r, n: 1}
	crc := crc32.NewIEEE()
	crc.Write([]byte{0})
	number := func() (uint64, error) {
		n, err := binary.ReadUvarint(summing{in, crc})
		return n, unexpected(err)
	}
	count, err := number()
	if err != nil {
		return err
	}
	if count != x.blocks {
		return errXZ
	}
	listed := sha256.New()
	for range count {
		packed, err := number()
		if err != nil {
			return err
		}
		unpacked, err := number()
		if err != nil {
			return err
		}
		x.note(listed, packed, unpacked)
	}
	rest := make([]byte, -in.n&3+4)
	if _, err := io.ReadFull(in, rest); err != nil {
		return unexpected(err)
	}
	padding := len(rest) - 4
	crc.Write(rest[:padding])
	if crc.Sum32() != binary.LittleEndian.Uint32(rest[padding:]) || !bytes.Equal(listed.Sum(nil), x.records.Sum(nil)) {
		return errXZ
	}
	var f [xzHeaderBytes]byte
	if _, err := io.ReadFull(x.r, f[:]); err != nil {
		return unexpected(err)
	}
	if crc32.ChecksumIEEE(f[4:10]) != binary.LittleEndian.Uint32(f[:]) || int64(binary.LittleEndian.Uint32(f[4:])+1)*4 != in.n || f[8] != 0 || f[9] != x.check || f[10] != 'Y' || f[11] != 'Z' {
		return errXZ
	}
	x.began = false
	return nil
}

// summing hashes the bytes that are read one by one.
type summing struct {
	r   io.ByteReader
	sum hash.Hash32
}

func (s summing) ReadByte() (byte, error) {
	b, err := s.r.ReadByte()
	if err == nil {
		s.sum.Write([]byte{b})
	}
	return b, err
}

// unexpected returns the error for a file that ends too early.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
