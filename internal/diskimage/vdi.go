package diskimage

import (
	"encoding/binary"
)

// A VDI disk, VirtualBox's format of version 1.1.
const (
	vdiSignature = 0x40
	vdiMagic     = "\x7f\x10\xda\xbe"
	vdiVersion   = 1<<16 | 1
	vdiHeader    = 0x1c8 // end of the checked header

	vdiDynamic, vdiStatic = 1, 2

	vdiBlock     = 1 << 20 // the only existing size
	vdiZero      = 0xfffffffe
	vdiUnmapped  = 0xffffffff
	vdiMaxBlocks = MaxVirtualBytes / vdiBlock
)

// vdi is the header of a VDI disk.
type vdi struct {
	mapStart, dataStart int64
	blocks, allocated   int64
	virtual             int64
}

func (vdi) Format() string { return VDI }

// parseVDI parses the header, and rejects disks with a parent.
func parseVDI(head []byte) (Disk, error) {
	if len(head) < vdiHeader {
		return nil, Unsafe("its header is truncated after %d bytes. Copy or export it again", len(head))
	}
	le := binary.LittleEndian
	if version := le.Uint32(head[0x44:]); version != vdiVersion {
		return nil, Unsafe("its VDI version is %d.%d; supported is 1.1", version>>16, version&0xffff)
	}
	if kind := le.Uint32(head[0x4c:]); kind != vdiDynamic && kind != vdiStatic {
		return nil, Unsafe("it is a snapshot or a differencing disk (VDI type %d), so it would read another file of the host. Clone it to an independent disk with `VBoxManage clonemedium`", kind)
	}
	for _, b := range head[0x1a8:vdiHeader] { // the parent's ids
		if b != 0 {
			return nil, Unsafe("it has a parent disk, so it would read another file of the host. Clone it to an independent disk with `VBoxManage clonemedium`")
		}
	}
	if err := checkVirtual(le.Uint64(head[0x170:])); err != nil {
		return nil, err
	}
	v := vdi{
		mapStart: int64(le.Uint32(head[0x154:])), dataStart: int64(le.Uint32(head[0x158:])),
		blocks: int64(le.Uint32(head[0x180:])), allocated: int64(le.Uint32(head[0x184:])),
		// VBoxManage converts raw disks of any size; the last sector is padded.
		virtual: (int64(le.Uint64(head[0x170:])) + sectorBytes - 1) / sectorBytes * sectorBytes, //nolint:gosec // checked just above
	}
	switch {
	case le.Uint32(head[0x168:]) != sectorBytes || le.Uint32(head[0x178:]) != vdiBlock:
		return nil, Unsafe("its sector size is %d bytes and its block size %d; supported are 512 and 1 MiB", le.Uint32(head[0x168:]), le.Uint32(head[0x178:]))
	case v.blocks > vdiMaxBlocks || v.blocks*vdiBlock < v.virtual || v.allocated > v.blocks:
		return nil, Unsafe("it has %d blocks, %d of them with data, which contradicts its virtual size", v.blocks, v.allocated)
	case v.mapStart < vdiHeader || v.mapStart%sectorBytes != 0 || v.dataStart%sectorBytes != 0 || v.mapStart+v.blocks*4 > v.dataStart:
		return nil, Unsafe("its block map has the offset %d and its data the offset %d, which is invalid", v.mapStart, v.dataStart)
	}
	return v, nil
}

// Verify checks the block map.
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
			return 0, 0, Unsafe("its block map refers to block %d of %d", n, v.allocated)
		case taken[n/64]&(1<<(n%64)) != 0:
			return 0, 0, Unsafe("its block map refers to block %d twice", n)
		case v.dataStart+(n+1)*vdiBlock > size:
			return 0, 0, Unsafe("a part of it has the offset %d, but the file has %d bytes: the file is truncated. Copy or export it again", v.dataStart+n*vdiBlock, size)
		}
		taken[n/64] |= 1 << (n % 64)
		dataBytes += vdiBlock
	}
	return v.virtual, dataBytes, nil
}
