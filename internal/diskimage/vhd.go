package diskimage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

// A VHD disk, Microsoft's format of version 1. All numbers are big-endian. A fixed-size
// disk is a raw disk followed by a footer; a dynamic one also starts with a copy of the
// footer.
const (
	vhdMagic       = "conectix"
	vhdSparseMagic = "cxsparse"
	VHDFooterBytes = 512
	vhdHeaderBytes = 1024
	vhdVersion     = 1 << 16
	vhdUnmapped    = 1<<32 - 1
	vhdMaxBlock    = 256 << 20
	vhdMaxBlocks   = 4 << 20

	vhdFixed, vhdDynamic, vhdDifferencing = 2, 3, 4

	// vhdMaxGeometry is the geometry of all disks that are larger than a geometry can
	// express.
	vhdMaxGeometry = 65535 * 16 * 255 * sectorBytes
)

// vhd is the header of a dynamic VHD disk.
type vhd struct {
	footer            []byte
	virtual           int64
	tableStart        int64
	blocks, blockSize int64
	misread           bool // QEMU assumes a different size
}

func (vhd) Format() string { return VHD }

// checkFooter checks a footer at either position, and returns the type of the disk.
func checkFooter(f []byte) (kind uint32, err error) {
	be := binary.BigEndian
	var sum uint32
	for i, b := range f[:VHDFooterBytes] {
		if i < 64 || i >= 68 {
			sum += uint32(b)
		}
	}
	kind = be.Uint32(f[60:])
	switch {
	case ^sum != be.Uint32(f[64:]):
		return 0, Unsafe("the checksum of its VHD footer is wrong: it is damaged. Copy or export it again")
	case be.Uint32(f[12:]) != vhdVersion:
		return 0, Unsafe("its VHD version is %#x; supported is 1.0", be.Uint32(f[12:]))
	case kind == vhdDifferencing:
		return 0, Unsafe("it is a differencing disk, so it would read another file of the host. Merge it with its parent, or convert it with `qemu-img convert -O qcow2 SOURCE image.qcow2` where the parent is")
	case kind != vhdFixed && kind != vhdDynamic:
		return 0, Unsafe("its VHD type is %d; supported are fixed and dynamic disks", kind)
	}
	return kind, checkVirtual(be.Uint64(f[48:]))
}

// vhdSize returns the size of the disk that a footer describes, and whether some versions
// of QEMU use a different one. A footer has two sizes: one in bytes, and the disk's
// geometry, which can't express all sizes and is smaller then. Which one is valid depends
// on the program that created the file: the geometry for Virtual PC, Virtual Server and old
// versions of QEMU, the bytes for all others, such as VirtualBox. QEMU before 10.0 uses the
// geometry for all programs that it does not know, and so loses the end of the disk.
func vhdSize(f []byte) (virtual int64, misread bool) {
	be := binary.BigEndian
	current := int64(be.Uint64(f[48:])) //nolint:gosec // checkFooter bounds it
	virtual = (current + sectorBytes - 1) / sectorBytes * sectorBytes
	geometry := int64(be.Uint16(f[56:])) * int64(f[58]) * int64(f[59]) * sectorBytes
	switch string(f[28:32]) {
	case "vpc ", "vs  ", "qemu":
		if geometry != vhdMaxGeometry && geometry > 0 {
			return geometry, false
		}
		return virtual, virtual != current
	case "qem2", "win ", "d2v ", "tap\x00", "CTXS", "wa\x00\x00":
		return virtual, virtual != current
	}
	return virtual, virtual != current || geometry != virtual && geometry != vhdMaxGeometry
}

// parseVHD reads the header of a dynamic disk.
func parseVHD(head []byte) (Disk, error) {
	if len(head) < VHDFooterBytes+vhdHeaderBytes {
		return nil, Unsafe("its header is truncated after %d bytes. Copy or export it again", len(head))
	}
	kind, err := checkFooter(head)
	if err != nil {
		return nil, err
	}
	if kind != vhdDynamic {
		return nil, Unsafe("it is a fixed-size VHD disk that starts with a footer, which is invalid")
	}
	be := binary.BigEndian
	at := be.Uint64(head[16:])
	if at < VHDFooterBytes || at > uint64(len(head))-vhdHeaderBytes {
		return nil, Unsafe("its header has the invalid offset %d", at)
	}
	h := head[at:][:vhdHeaderBytes]
	v := vhd{
		footer: bytes.Clone(head[:VHDFooterBytes]),
		blocks: int64(be.Uint32(h[28:])), blockSize: int64(be.Uint32(h[32:])),
	}
	v.virtual, v.misread = vhdSize(head)
	table := be.Uint64(h[16:])
	switch {
	case !bytes.HasPrefix(h, []byte(vhdSparseMagic)):
		return nil, Unsafe("its header at offset %d does not start with %q", at, vhdSparseMagic)
	case len(bytes.Trim(h[40:56], "\x00")) > 0 || len(bytes.Trim(h[64:768], "\x00")) > 0:
		return nil, Unsafe("it has a parent disk, so it would read another file of the host. Merge it with its parent")
	case !isPowerOf2(uint64(v.blockSize)) || v.blockSize < sectorBytes*8 || v.blockSize > vhdMaxBlock: //nolint:gosec // not negative
		return nil, Unsafe("its block size of %d bytes is invalid", v.blockSize)
	case v.blocks > vhdMaxBlocks || v.blocks*v.blockSize < v.virtual:
		return nil, Unsafe("it has %d blocks of %d bytes, which contradicts its virtual size", v.blocks, v.blockSize)
	case table < VHDFooterBytes || table > MaxVirtualBytes:
		return nil, Unsafe("its block table has the invalid offset %d", table)
	}
	v.tableStart = int64(table) // bounded just above
	return v, nil
}

// Verify checks the block table, and the footer after the data.
func (v vhd) Verify(size int64, read Reading) (virtualBytes, dataBytes int64, err error) {
	b, err := v.load(size, read)
	return b.virtual, b.dataBytes(), err
}

// load reads the offsets of the blocks. Each block is preceded by a bitmap of its sectors,
// which only differencing disks use.
func (v vhd) load(size int64, read Reading) (blocks, error) {
	w := &window{read: read, size: size}
	end, err := w.part(size-VHDFooterBytes, VHDFooterBytes)
	if err != nil {
		return blocks{}, cutOff(err, "footer", size)
	}
	if !bytes.Equal(end, v.footer) {
		return blocks{}, Unsafe("it does not end with a copy of its footer: the file is truncated. Copy or export it again")
	}
	table, err := w.part(v.tableStart, v.blocks*4)
	if err != nil {
		return blocks{}, cutOff(err, "block table", size)
	}
	bitmap := (v.blockSize/sectorBytes/8 + sectorBytes - 1) / sectorBytes * sectorBytes
	b := blocks{virtual: v.virtual, size: v.blockSize, table: make([]int64, 0, v.blocks)}
	for ; len(table) >= 4; table = table[4:] {
		n := int64(binary.BigEndian.Uint32(table))
		if n == vhdUnmapped {
			b.table = append(b.table, 0)
			continue
		}
		at := n * sectorBytes
		if at < VHDFooterBytes+vhdHeaderBytes || at+bitmap+v.blockSize > size {
			return blocks{}, Unsafe("a part of it has the offset %d, but the file has %d bytes: the file is truncated. Copy or export it again", at, size)
		}
		b.table = append(b.table, at+bitmap)
	}
	return b, nil
}

// Flat returns the whole disk in the file if QEMU would assume a different size; nil if
// QEMU would find the same disk.
func (v vhd) Flat(size int64, read Reading) (*BlockReader, error) {
	if !v.misread {
		return nil, nil // Flattener says so
	}
	b, err := v.load(size, read)
	if err != nil {
		return nil, err
	}
	return b.reader(read), nil
}

// FixedVHD reports whether a file that starts like a raw disk ends with the footer of a
// fixed-size VHD disk.
func FixedVHD(size int64, read Reading) (bool, error) {
	w := &window{read: read, size: size}
	end, err := w.part(size-VHDFooterBytes, VHDFooterBytes)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return false, nil
	}
	if err != nil || !bytes.HasPrefix(end, []byte(vhdMagic)) {
		return false, err
	}
	kind, err := checkFooter(end)
	if err != nil {
		return false, err
	}
	if bytes := binary.BigEndian.Uint64(end[48:]); kind != vhdFixed || int64(bytes) != size-VHDFooterBytes { //nolint:gosec // checkFooter bounds it
		return false, Unsafe("its VHD footer has a size of %d bytes, but the file has %d", bytes, size-VHDFooterBytes)
	}
	return true, nil
}
