package diskimage

import (
	"encoding/binary"
)

// A VDI disk, VirtualBox's format of version 1.1.
const (
	vdiSignature = 0x40
	vdiMagic     = "\x7f\x10\xda\xbe"
	vdiVersion   = 1<<16 | 1
	vdiHeader    = 0x1c8 // where what is looked at ends

	vdiDynamic, vdiStatic = 1, 2

	vdiBlock     = 1 << 20 // the only size that there is
	vdiZero      = 0xfffffffe
	vdiUnmapped  = 0xffffffff
	vdiMaxBlocks = MaxVirtualBytes / vdiBlock
)

// vdi is what the header of a VDI disk says.
type vdi struct {
	mapStart, dataStart int64
	blocks, allocated   int64
	virtual             int64
}

func (vdi) Format() string { return VDI }

// parseVDI reads the header, and refuses disks that lie on another one.
func parseVDI(head []byte) (Disk, error) {
	if len(head) < vdiHeader {
		return nil, Unsafe("its header is cut off after %d bytes. Copy or export it again", len(head))
	}
	le := binary.LittleEndian
	if version := le.Uint32(head[0x44:]); version != vdiVersion {
		return nil, Unsafe("its VDI version is %d.%d; 1.1 is taken", version>>16, version&0xffff)
	}
	if kind := le.Uint32(head[0x4c:]); kind != vdiDynamic && kind != vdiStatic {
		return nil, Unsafe("it is a snapshot or a differencing disk (VDI type %d), so it would read another file of the host. Clone it into a disk of its own with `VBoxManage clonemedium`", kind)
	}
	for _, b := range head[0x1a8:vdiHeader] { // the parent's ids
		if b != 0 {
			return nil, Unsafe("it names a parent disk, so it would read another file of the host. Clone it into a disk of its own with `VBoxManage clonemedium`")
		}
	}
	if err := checkVirtual(le.Uint64(head[0x170:])); err != nil {
		return nil, err
	}
	v := vdi{
		mapStart: int64(le.Uint32(head[0x154:])), dataStart: int64(le.Uint32(head[0x158:])),
		blocks: int64(le.Uint32(head[0x180:])), allocated: int64(le.Uint32(head[0x184:])),
		// VBoxManage makes disks of any size of raw ones; the last sector is filled up.
		virtual: (int64(le.Uint64(head[0x170:])) + sectorBytes - 1) / sectorBytes * sectorBytes, //nolint:gosec // checked just above
	}
	switch {
	case le.Uint32(head[0x168:]) != sectorBytes || le.Uint32(head[0x178:]) != vdiBlock:
		return nil, Unsafe("its sectors have %d bytes and its blocks %d; 512 and 1 MiB are taken", le.Uint32(head[0x168:]), le.Uint32(head[0x178:]))
	case v.blocks > vdiMaxBlocks || v.blocks*vdiBlock < v.virtual || v.allocated > v.blocks:
		return nil, Unsafe("it has %d blocks, %d of them with data, which does not fit its virtual size", v.blocks, v.allocated)
	case v.mapStart < vdiHeader || v.mapStart%sectorBytes != 0 || v.dataStart%sectorBytes != 0 || v.mapStart+v.blocks*4 > v.dataStart:
		return nil, Unsafe("its block map is at byte %d and its data at %d, which are no places for them", v.mapStart, v.dataStart)
	}
	return v, nil
}

// Verify looks at the map of the blocks.
func (v vdi) Verify(size int64, read Reading) (virtualBytes, dataBytes int64, err error) {
	w := &window{read: read, size: size}
	blocks, err := w.part(v.mapStart, v.blocks*4)
	if err != nil {
		return 0, 0, cutOff(err, "block map", size)
	}
	taken := make([]uint64, v.allocated/64+1)
	for ; len(blocks) >= 4; blocks = blocks[4:] {
		n := int64(binary.LittleEndian.Uint32(blocks))
		switch {
		case n == vdiZero || n == vdiUnmapped:
			continue
		case n >= v.allocated:
			return 0, 0, Unsafe("its block map points to block %d, and it has %d", n, v.allocated)
		case taken[n/64]&(1<<(n%64)) != 0:
			return 0, 0, Unsafe("its block map points to block %d twice", n)
		case v.dataStart+(n+1)*vdiBlock > size:
			return 0, 0, Unsafe("a part of it is said to be at byte %d, and the file ends after %d: it was cut off. Copy or export it again", v.dataStart+n*vdiBlock, size)
		}
		taken[n/64] |= 1 << (n % 64)
		dataBytes += vdiBlock
	}
	return v.virtual, dataBytes, nil
}
