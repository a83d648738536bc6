package diskimage

import (
	"bytes"
	"encoding/binary"
)

// The beginning of an ISO 9660 file system (ECMA-119): sixteen unused sectors, then the
// primary volume descriptor.
const (
	isoSector     = 2048
	isoDescriptor = 16 * isoSector
)

// ISOFile is the volume descriptor of an ISO 9660 file.
type ISOFile struct {
	// NeedsBytes is the length of the file system.
	NeedsBytes int64
}

// isISO reports whether a file starts like an ISO 9660 file system, and not like a disk in
// a format that could refer to other files.
func isISO(head []byte) bool {
	return len(head) >= isoDescriptor+isoSector && bytes.Equal(head[isoDescriptor+1:isoDescriptor+6], []byte("CD001")) && !isDisk(head)
}

// ParseISO reads the primary volume descriptor from the first bytes of a file, and returns
// fault.ImageUnsafe with a reason if it is invalid.
func ParseISO(head []byte) (ISOFile, error) {
	if !isISO(head) {
		return ISOFile{}, Unsafe("it is not an ISO file: %s", describe(head, "it does not start with an ISO file system"))
	}
	d := head[isoDescriptor:]
	le := binary.LittleEndian
	blocks, block := int64(le.Uint32(d[80:])), int64(le.Uint16(d[128:]))
	switch {
	case d[0] != 1 || d[6] != 1:
		return ISOFile{}, Unsafe("its first volume descriptor has type %d, version %d, instead of being the primary one", d[0], d[6])
	case block != 512 && block != 1024 && block != isoSector:
		return ISOFile{}, Unsafe("its block size of %d bytes is invalid", block)
	case blocks*block < isoDescriptor+2*isoSector:
		return ISOFile{}, Unsafe("its file system size of %d bytes is too small", blocks*block)
	}
	return ISOFile{NeedsBytes: blocks * block}, nil
}

// Verify returns fault.ImageUnsafe if a file of size bytes is truncated.
func (i ISOFile) Verify(size int64) error {
	if size < i.NeedsBytes {
		return Unsafe("the file has %d bytes, but its file system has %d: the file is truncated. Download it again", size, i.NeedsBytes)
	}
	return nil
}
