package diskimage

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"strings"
)

// A VHDX disk, Microsoft's format of version 2. All numbers are little-endian.
const (
	vhdxMagic = "vhdxfile"

	vhdxHeader, vhdxHeader2 = 64 << 10, 128 << 10
	vhdxRegions             = 192 << 10
	vhdxHeaderBytes         = 4 << 10
	vhdxTableBytes          = 64 << 10 // of the region table and of the metadata table
	vhdxUnit                = 1 << 20  // alignment of regions and blocks
	vhdxMaxRegions          = 2047
	vhdxMaxItems            = 2047
	vhdxMaxBlock            = 256 << 20
	vhdxChunkSectors        = 1 << 23 // after so many entries, one entry of the block table is a bitmap

	vhdxHasParent = 1 << 1

	vhdxPresent, vhdxPartial = 6, 7
)

// The IDs of the parts of a VHDX disk.
var (
	vhdxBlockTable = guid("2dc27766-f623-4200-9d64-115e9bfd4a08")
	vhdxMetadata   = guid("8b7ca206-4790-4b9a-b8fe-575f050f886e")
	vhdxParameters = guid("caa16737-fa36-4d43-b3b6-33f0aa44e76b")
	vhdxSize       = guid("2fa54224-cd1b-4876-b211-5dbed83bf4b8")
	vhdxSector     = guid("8141bf1d-a96f-4709-ba47-f233a8faab5f")
	vhdxParent     = guid("a8d35f2d-b30b-454d-abf7-d3d84834ab0c")
)

// guid is an ID as stored in a file: its first three numbers are little-endian.
func guid(text string) [16]byte {
	var id [16]byte
	raw, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(raw) != len(id) {
		panic("not a GUID: " + text)
	}
	copy(id[:], raw)
	for _, part := range [][]byte{id[0:4], id[4:6], id[6:8]} {
		for i, j := 0, len(part)-1; i < j; i, j = i+1, j-1 {
			part[i], part[j] = part[j], part[i]
		}
	}
	return id
}

// vhdx is a VHDX disk. Its first bytes are only a signature: loadVHDX reads the rest.
type vhdx struct {
	virtual, blockSize, sector int64
	table                      []int64 // see blocks
}

// Format is VHDX.
func (vhdx) Format() string { return VHDX }

// Verify checks everything but the data.
func (vhdx) Verify(size int64, read Reading) (virtualBytes, dataBytes int64, err error) {
	v, err := loadVHDX(size, read)
	return v.virtual, v.blocks().dataBytes(), err
}

// Flat returns the whole disk in the file: libvirt does not support this format.
func (vhdx) Flat(size int64, read Reading) (*BlockReader, error) {
	v, err := loadVHDX(size, read)
	if err != nil {
		return nil, err
	}
	return v.blocks().reader(read), nil
}

func (v vhdx) blocks() blocks { return blocks{virtual: v.virtual, size: v.blockSize, table: v.table} }

// loadVHDX reads the tables of a VHDX disk. It rejects disks with a parent, and disks that
// were not closed, whose log would have to be replayed.
func loadVHDX(size int64, read Reading) (vhdx, error) {
	w := &window{read: read, size: size}
	if err := checkVHDXHeader(w); err != nil {
		return vhdx{}, err
	}
	table, err := w.part(vhdxRegions, vhdxTableBytes)
	if err != nil {
		return vhdx{}, cutOff(err, "region table", size)
	}
	table = bytes.Clone(table)
	count := binary.LittleEndian.Uint32(table[8:])
	if !bytes.HasPrefix(table, []byte("regi")) || !sumIsRight(table) || count > vhdxMaxRegions {
		return vhdx{}, Unsafe("its region table is damaged. Copy or export it again")
	}
	regions := map[[16]byte][2]int64{}
	for entry := table[16:]; count > 0; count, entry = count-1, entry[32:] {
		id := [16]byte(entry[:16])
		start, length := binary.LittleEndian.Uint64(entry[16:]), binary.LittleEndian.Uint32(entry[24:])
		known := id == vhdxBlockTable || id == vhdxMetadata
		if _, twice := regions[id]; twice || !known && entry[28]&1 != 0 {
			return vhdx{}, Unsafe("it has an unknown or duplicate region")
		}
		if known && (start < vhdxUnit || start%vhdxUnit != 0 || start > uint64(size) || int64(start)+int64(length) > size) { //nolint:gosec // in this order, none overflows
			return vhdx{}, Unsafe("it has a region at byte %d, but the file has %d bytes: the file is truncated. Copy or export it again", start, size)
		}
		regions[id] = [2]int64{int64(start), int64(length)} //nolint:gosec // of those that are used, just bounded
	}
	v, err := readVHDXMetadata(w, regions[vhdxMetadata])
	if err != nil {
		return vhdx{}, err
	}
	err = v.loadTable(w, regions[vhdxBlockTable])
	return v, err
}

// checkVHDXHeader returns an error unless the newer one of the two headers has an empty
// log.
func checkVHDXHeader(w *window) error {
	var newest []byte
	for _, at := range []int64{vhdxHeader, vhdxHeader2} {
		h, err := w.part(at, vhdxHeaderBytes)
		if err != nil {
			return cutOff(err, "header", w.size)
		}
		h = bytes.Clone(h)
		if bytes.HasPrefix(h, []byte("head")) && sumIsRight(h) && (newest == nil || binary.LittleEndian.Uint64(h[8:]) > binary.LittleEndian.Uint64(newest[8:])) {
			newest = h
		}
	}
	switch {
	case newest == nil:
		return Unsafe("both of its headers are damaged. Copy or export it again")
	case binary.LittleEndian.Uint16(newest[66:]) != 1:
		return Unsafe("its VHDX version is %d; supported is 1", binary.LittleEndian.Uint16(newest[66:]))
	case len(bytes.Trim(newest[48:64], "\x00")) > 0:
		return Unsafe("it was not closed properly: its log is not empty. Attach it to a virtual machine and detach it again")
	}
	return nil
}

// sumIsRight reports whether the CRC-32C in a structure is correct.
func sumIsRight(b []byte) bool {
	sum := binary.LittleEndian.Uint32(b[4:])
	binary.LittleEndian.PutUint32(b[4:], 0)
	right := castagnoli(b) == sum
	binary.LittleEndian.PutUint32(b[4:], sum)
	return right
}

func castagnoli(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// readVHDXMetadata reads the sizes of a disk, and returns an error if it has a parent.
func readVHDXMetadata(w *window, region [2]int64) (v vhdx, err error) {
	if region[1] < vhdxTableBytes {
		return v, Unsafe("it has no metadata")
	}
	table, err := w.part(region[0], vhdxTableBytes)
	if err != nil {
		return v, cutOff(err, "metadata", w.size)
	}
	table = bytes.Clone(table)
	le := binary.LittleEndian
	count := le.Uint16(table[10:])
	if !bytes.HasPrefix(table, []byte("metadata")) || count > vhdxMaxItems {
		return v, Unsafe("its metadata is damaged. Copy or export it again")
	}
	for entry := table[32:]; count > 0; count, entry = count-1, entry[32:] {
		id := [16]byte(entry[:16])
		if id == vhdxParent {
			return v, errVHDXParent()
		}
		need := map[[16]byte]int64{vhdxParameters: 8, vhdxSize: 8, vhdxSector: 4}[id]
		if need == 0 {
			continue
		}
		at := int64(le.Uint32(entry[16:]))
		if at < vhdxTableBytes || at+need > region[1] {
			return v, Unsafe("its metadata has the invalid offset %d", at)
		}
		item, err := w.part(region[0]+at, need)
		if err != nil {
			return v, cutOff(err, "metadata", w.size)
		}
		switch id {
		case vhdxParameters:
			if v.blockSize = int64(le.Uint32(item)); le.Uint32(item[4:])&vhdxHasParent != 0 {
				return v, errVHDXParent()
			}
		case vhdxSize:
			if err := checkVirtual(le.Uint64(item)); err != nil {
				return v, err
			}
			v.virtual = int64(le.Uint64(item)) //nolint:gosec // checked just above
		case vhdxSector:
			v.sector = int64(le.Uint32(item))
		}
	}
	if v.virtual == 0 || v.sector != 512 && v.sector != 4096 || v.virtual%v.sector != 0 ||
		!isPowerOf2(uint64(v.blockSize)) || v.blockSize < vhdxUnit || v.blockSize > vhdxMaxBlock { //nolint:gosec // not negative
		return v, Unsafe("its virtual size of %d bytes, block size of %d and sector size of %d are invalid", v.virtual, v.blockSize, v.sector)
	}
	return v, nil
}

func errVHDXParent() error {
	return Unsafe("it is a differencing disk, so it would read another file of the host. Merge it with its parent (`Merge-VHD`)")
}

// loadTable reads the offsets of the blocks. The table also has entries for bitmaps, which
// only differencing disks use.
func (v *vhdx) loadTable(w *window, region [2]int64) error {
	blocks := (v.virtual + v.blockSize - 1) / v.blockSize
	ratio := vhdxChunkSectors * v.sector / v.blockSize
	entries := blocks + (blocks-1)/ratio
	if region[1] < entries*8 {
		return Unsafe("its block table has %d entries, but its virtual size requires %d", region[1]/8, entries)
	}
	table, err := w.part(region[0], entries*8)
	if err != nil {
		return cutOff(err, "block table", w.size)
	}
	v.table = make([]int64, 0, blocks)
	for i := range entries {
		if i%(ratio+1) == ratio {
			continue
		}
		entry := binary.LittleEndian.Uint64(table[i*8:])
		at := entry &^ (vhdxUnit - 1)
		switch entry & 7 {
		case vhdxPartial:
			return errVHDXParent()
		case vhdxPresent:
			if at < vhdxUnit || at > uint64(w.size) || int64(at)+v.blockSize > w.size { //nolint:gosec // in this order, none overflows
				return Unsafe("a part of it has the offset %d, but the file has %d bytes: the file is truncated. Copy or export it again", at, w.size)
			}
			v.table = append(v.table, int64(at)) //nolint:gosec // just bounded
		default:
			v.table = append(v.table, 0)
		}
	}
	return nil
}
