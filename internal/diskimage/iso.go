package diskimage

import (
	"bytes"
	"encoding/binary"
)

// The beginning of an ISO 9660 file system (ECMA-119): sixteen sectors that are
// not its own, and the primary volume descriptor.
const (
	isoSector     = 2048
	isoDescriptor = 16 * isoSector
)

// ISOFile is what the descriptor of an ISO 9660 file says.
type ISOFile struct {
	// NeedsBytes is the length of the file system.
	NeedsBytes int64
}

// isISO tells whether a file begins as an ISO 9660 file system does, and not as a
// disk of a format that could name other files.
func isISO(head []byte) bool {
	return len(head) >= isoDescriptor+isoSector && bytes.Equal(head[isoDescriptor+1:isoDescriptor+6], []byte("CD001")) && !isDisk(head)
}

// ParseISO reads the primary volume descriptor from the first bytes of a file,
// and answers fault.ImageUnsafe with a reason when it makes no sense.
func ParseISO(head []byte) (ISOFile, error) {
	if !isISO(head) {
		return ISOFile{}, Unsafe("it is no ISO file: %s", describe(head, "it does not begin with an ISO file system"))
	}
	d := head[isoDescriptor:]
	le := binary.LittleEndian
	blocks, block := int64(le.Uint32(d[80:])), int64(le.Uint16(d[128:]))
	switch {
	case d[0] != 1 || d[6] != 1:
		return ISOFile{}, Unsafe("its first volume descriptor is of type %d, version %d, where an ISO file has its primary one", d[0], d[6])
	case block != 512 && block != 1024 && block != isoSector:
		return ISOFile{}, Unsafe("its block size is %d bytes, which no ISO file has", block)
	case blocks*block < isoDescriptor+2*isoSector:
		return ISOFile{}, Unsafe("its file system is %d bytes long, which is too little for one", blocks*block)
	}
	return ISOFile{NeedsBytes: blocks * block}, nil
}

// Verify answers fault.ImageUnsafe when a file of size bytes was cut off.
func (i ISOFile) Verify(size int64) error {
	if size < i.NeedsBytes {
		return Unsafe("the file ends after %d bytes, but its file system has %d: it was cut off. Download it again", size, i.NeedsBytes)
	}
	return nil
}
