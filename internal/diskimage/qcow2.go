package diskimage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// HeaderBytes is the size of the image's beginning that ParseQcow2 needs: it must contain
// the header and its extensions.
const HeaderBytes = 64 << 10

// The qcow2 format is described in QEMU's docs/interop/qcow2.txt.
const (
	qcow2Magic = "QFI\xfb"

	v2HeaderBytes  = 72
	qcow2Snapshots = 60 // in the header: number of internal snapshots
	v3HeaderBytes  = 104

	incompatibleDirty        = 1 << 0
	incompatibleCorrupt      = 1 << 1
	incompatibleExternalData = 1 << 2
	incompatibleCompression  = 1 << 3
	incompatibleExtendedL2   = 1 << 4
	incompatibleKnown        = incompatibleDirty | incompatibleCorrupt | incompatibleExternalData | incompatibleCompression | incompatibleExtendedL2

	extensionEnd           = 0
	extensionExternalData  = 0x44415441
	extensionEncryption    = 0x0537be77
	extensionBackingFormat = 0xe2792aca
	extensionFeatureNames  = 0x6803f857
	extensionBitmaps       = 0x23852875

	featureNameBytes = 48 // an entry of the feature names
	bitmapsBytes     = 24 // the extension of the bitmaps

	compressionTypes  = 2  // 0 is zlib, 1 is zstd
	minExtendedL2Bits = 14 // a 32nd of a cluster has at least a sector

	// MaxL1Bytes bounds an L1 table; it is QEMU's own limit.
	MaxL1Bytes       = 32 << 20
	maxRefcountBytes = 8 << 20 // QEMU's own limit
)

// Qcow2 is the header of an image, after it was checked.
type Qcow2 struct {
	Version      int
	VirtualBytes int64
	ClusterBytes int64
	// NeedsBytes is the minimum size of the file that contains the tables that the header
	// refers to.
	NeedsBytes int64

	extendedL2                    bool
	l1Offset, l1Bytes             int64
	refcountOffset, refcountBytes int64 // of the table of the refcount blocks
	refcountBits                  int64 // 1 to 64
}

// Verify returns fault.ImageUnsafe if a file of size bytes is truncated: it can't contain
// what the header refers to.
func (q Qcow2) Verify(size int64) error {
	if size < q.NeedsBytes {
		return Unsafe("the file has %d bytes, but its tables end at byte %d: the file is truncated. Copy or export it again", size, q.NeedsBytes)
	}
	return nil
}

// VerifyEnd returns fault.ImageUnsafe if a file of size bytes, which Verify accepted, ends
// before the last cluster that is in use according to its reference counts. The guest would
// find holes in its disk. read returns a part of the file; less at its end.
func (q Qcow2) VerifyEnd(size int64, read func(offset, length int64) ([]byte, error)) error {
	table, err := read(q.refcountOffset, q.refcountBytes)
	if err != nil {
		return err
	}
	perBlock := q.ClusterBytes * 8 / q.refcountBits
	empty := 0
	for i := int64(len(table))/8 - 1; i >= 0; i-- {
		offset := int64(binary.BigEndian.Uint64(table[i*8:]) & refcountOffsetMask) // the mask keeps it positive
		if offset == 0 {
			continue
		}
		if offset >= size {
			return Unsafe("its reference counts are at byte %d, but the file has %d bytes: the file is truncated. Copy or export it again", offset, size)
		}
		block, err := read(offset, q.ClusterBytes)
		if err != nil {
			return err
		}
		last, found := lastInUse(block, q.refcountBits)
		if !found {
			if empty++; empty > maxEmptyBlocks {
				return Unsafe("its reference counts have more than %d empty blocks at their end. Convert it with `qemu-img convert -O qcow2 SOURCE image.qcow2`", maxEmptyBlocks)
			}
			continue
		}
		if begin := (i*perBlock + last) * q.ClusterBytes; begin >= size {
			return Unsafe("it uses a cluster at byte %d, but the file has %d bytes: the file is truncated. Copy or export it again; if it is complete, repair it with `qemu-img check -r leaks`", begin, size)
		}
		return nil
	}
	return Unsafe("its reference counts are empty. Repair it with `qemu-img check -r all`")
}

// maxEmptyBlocks limits how much of a maliciously long table is read; after discards,
// images have only a few empty blocks.
const maxEmptyBlocks = 64

// refcountOffsetMask clears the reserved bits of a refcount table's entry.
const refcountOffsetMask = math.MaxInt64 &^ 0x1ff

// lastInUse returns the last reference count in a block that is not zero. Counts narrower
// than a byte fill it from its low bits up.
func lastInUse(block []byte, countBits int64) (index int64, found bool) {
	for i := len(block) - 1; i >= 0; i-- {
		if block[i] == 0 {
			continue
		}
		if countBits >= 8 {
			return int64(i) * 8 / countBits, true
		}
		return int64(i)*8/countBits + int64(bits.Len8(block[i])-1)/countBits, true
	}
	return 0, false
}

// ParseQcow2 reads the header of a qcow2 image from the first bytes of its file
// (HeaderBytes of them, or the whole file if it is shorter) and rejects, with
// fault.ImageUnsafe and a reason, everything that could make QEMU open another file or
// fail: backing files, external data files, encryption, unknown features, and tables with
// invalid sizes or offsets. Only these bytes are read.
func ParseQcow2(head []byte, maxVirtualBytes int64) (Qcow2, error) {
	q, err := parseQcow2(head, maxVirtualBytes)
	if err == nil && hasSnapshots(head) {
		return Qcow2{}, Unsafe("it contains internal snapshots. Remove them with `qemu-img convert -O qcow2 SOURCE image.qcow2`")
	}
	return q, err
}

// hasSnapshots reports whether a file starts like a qcow2 disk with internal snapshots.
func hasSnapshots(head []byte) bool {
	return bytes.HasPrefix(head, []byte(qcow2Magic)) && len(head) >= v2HeaderBytes && binary.BigEndian.Uint32(head[qcow2Snapshots:]) != 0
}

// snapshots is a qcow2 disk with internal snapshots, of which only the disk is used.
type snapshots struct{ q Qcow2 }

// Format is SnapshotsQCOW2.
func (snapshots) Format() string { return SnapshotsQCOW2 }

// Verify checks the tables of the disk. Conversion does not read those of the snapshots.
func (s snapshots) Verify(size int64, read Reading) (virtualBytes, dataBytes int64, err error) {
	return s.q.VirtualBytes, s.q.VirtualBytes, s.q.VerifyAll(size, read)
}

// parseQcow2 is ParseQcow2 for a disk that may have internal snapshots.
func parseQcow2(head []byte, maxVirtualBytes int64) (Qcow2, error) {
	if !bytes.HasPrefix(head, []byte(qcow2Magic)) {
		return Qcow2{}, Unsafe("it is not a qcow2 image: %s. Convert it with `qemu-img convert -O qcow2 SOURCE image.qcow2`", describe(head, "it does not start with the qcow2 signature"))
	}
	if len(head) < v2HeaderBytes {
		return Qcow2{}, Unsafe("its header is truncated after %d bytes. Copy or export it again", len(head))
	}
	be := binary.BigEndian
	version := be.Uint32(head[4:])
	headerBytes := uint32(v2HeaderBytes)
	refcountOrder := uint32(4)
	var incompatible uint64
	switch version {
	case 2:
	case 3:
		if len(head) < v3HeaderBytes {
			return Qcow2{}, Unsafe("its header is truncated after %d bytes. Copy or export it again", len(head))
		}
		incompatible = be.Uint64(head[72:])
		refcountOrder = be.Uint32(head[96:])
		headerBytes = be.Uint32(head[100:])
	default:
		return Qcow2{}, Unsafe("its qcow2 version is %d; supported are 2 and 3", version)
	}
	clusterBits := be.Uint32(head[20:])
	if clusterBits < 9 || clusterBits > 21 {
		return Qcow2{}, Unsafe("its cluster size is 2^%d bytes; supported are 2^9 to 2^21", clusterBits)
	}
	cluster := int64(1) << clusterBits

	switch {
	case be.Uint64(head[8:]) != 0 || be.Uint32(head[16:]) != 0:
		return Qcow2{}, Unsafe("it has a backing file, so it would read another file of the host. Flatten it with `qemu-img convert -O qcow2 SOURCE image.qcow2` where the backing file is")
	case be.Uint32(head[32:]) != 0:
		return Qcow2{}, Unsafe("it is encrypted. Convert it to an unencrypted image")
	case incompatible&incompatibleExternalData != 0:
		return Qcow2{}, Unsafe("its data is in an external file, so it would read another file of the host. Convert it with `qemu-img convert -O qcow2 SOURCE image.qcow2`")
	case incompatible&incompatibleCorrupt != 0:
		return Qcow2{}, Unsafe("it is marked as corrupt. Repair it with `qemu-img check -r all`")
	case incompatible&^uint64(incompatibleKnown) != 0:
		return Qcow2{}, Unsafe("it uses unsupported features (bits %#x)", incompatible&^uint64(incompatibleKnown))
	case refcountOrder > 6:
		return Qcow2{}, Unsafe("its refcount width is 2^%d bits; the maximum is 2^6", refcountOrder)
	case version == 3 && (headerBytes < v3HeaderBytes || headerBytes%8 != 0 || int64(headerBytes) > cluster):
		return Qcow2{}, Unsafe("its header length of %d bytes is invalid", headerBytes)
	case incompatible&incompatibleExtendedL2 != 0 && clusterBits < minExtendedL2Bits:
		return Qcow2{}, Unsafe("its cluster size of 2^%d bytes is too small for subclusters", clusterBits)
	}
	if err := checkCompression(head, incompatible, int64(headerBytes)); err != nil {
		return Qcow2{}, err
	}
	if err := checkExtensions(head, int64(headerBytes), cluster); err != nil {
		return Qcow2{}, err
	}

	size := be.Uint64(head[24:])
	if size == 0 {
		return Qcow2{}, Unsafe("its virtual size is 0")
	}
	if size > math.MaxInt64 || int64(size) > maxVirtualBytes { // the first condition prevents an overflow in the second
		return Qcow2{}, Unsafe("its virtual size is %d bytes; the limit is %d", size, maxVirtualBytes)
	}
	q := Qcow2{Version: int(version), VirtualBytes: int64(size), ClusterBytes: cluster} // checked above
	l1Entries := int64(be.Uint32(head[36:]))
	perL1 := cluster * (cluster / 8) // bytes that one L1 entry maps
	if q.extendedL2 = incompatible&incompatibleExtendedL2 != 0; q.extendedL2 {
		perL1 /= 2
	}
	if needed := (q.VirtualBytes + perL1 - 1) / perL1; l1Entries < needed || l1Entries*8 > MaxL1Bytes {
		return Qcow2{}, Unsafe("its L1 table has %d entries, but its virtual size requires %d", l1Entries, needed)
	}
	refcountBytes := int64(be.Uint32(head[56:])) * cluster
	q.refcountBytes, q.refcountBits = refcountBytes, 1<<refcountOrder
	q.refcountOffset = int64(be.Uint64(head[48:]) & math.MaxInt64) // checked below
	if refcountBytes == 0 || refcountBytes > maxRefcountBytes {
		return Qcow2{}, Unsafe("its refcount table size of %d bytes is invalid", refcountBytes)
	}
	q.l1Offset, q.l1Bytes = int64(be.Uint64(head[40:])&math.MaxInt64), l1Entries*8 // checked below
	for _, table := range []struct {
		name   string
		offset uint64
		bytes  int64
	}{
		{"L1 table", be.Uint64(head[40:]), l1Entries * 8},
		{"refcount table", be.Uint64(head[48:]), refcountBytes},
	} {
		if table.offset == 0 || table.offset > math.MaxInt64/2 || table.offset%uint64(cluster) != 0 { // a cluster is at most 2 MiB
			return Qcow2{}, Unsafe("its %s has the invalid offset %d", table.name, table.offset)
		}
		q.NeedsBytes = max(q.NeedsBytes, int64(table.offset)+table.bytes) // bounded just above
	}
	if q.l1Offset < q.refcountOffset+refcountBytes && q.refcountOffset < q.l1Offset+q.l1Bytes {
		return Qcow2{}, Unsafe("its L1 table overlaps its refcount table")
	}
	return q, nil
}

// checkCompression returns an error if the compression type, a byte after the version 3
// header, is unknown or contradicts the feature bit.
func checkCompression(head []byte, incompatible uint64, headerBytes int64) error {
	kind := byte(0)
	if headerBytes > v3HeaderBytes {
		if int64(len(head)) <= v3HeaderBytes {
			return Unsafe("its header is truncated after %d bytes. Copy or export it again", len(head))
		}
		kind = head[v3HeaderBytes]
	}
	if kind >= compressionTypes || (kind != 0) != (incompatible&incompatibleCompression != 0) {
		return Unsafe("its compression type is %d, which contradicts its feature bits", kind)
	}
	return nil
}

// checkExtensions walks the header extensions, which follow the header within
// the first cluster.
func checkExtensions(head []byte, offset, cluster int64) error {
	end := min(int64(len(head)), cluster)
	for offset+8 <= end {
		kind := binary.BigEndian.Uint32(head[offset:])
		length := int64(binary.BigEndian.Uint32(head[offset+4:]))
		switch kind {
		case extensionEnd:
			return nil
		case extensionExternalData:
			return Unsafe("it has an external data file, so it would read another file of the host. Convert it with `qemu-img convert -O qcow2 SOURCE image.qcow2`")
		case extensionEncryption:
			return Unsafe("it is encrypted. Convert it to an unencrypted image")
		case extensionBackingFormat:
			return Unsafe("it has the format of a backing file. Flatten it with `qemu-img convert -O qcow2 SOURCE image.qcow2` where the backing file is")
		case extensionFeatureNames:
			if length%featureNameBytes != 0 {
				return Unsafe("its list of feature names has an invalid length of %d bytes", length)
			}
		case extensionBitmaps:
			if length != bitmapsBytes {
				return Unsafe("its header extension for bitmaps has %d bytes; expected are %d", length, bitmapsBytes)
			}
		}
		offset += 8 + (length+7)/8*8
	}
	if offset == cluster {
		return nil // they fill the cluster to its last byte
	}
	return Unsafe("its header extensions exceed the first %d bytes", end)
}

// Unsafe returns fault.ImageUnsafe. The format and its arguments are the reason, without a
// final full stop, and what to do.
func Unsafe(format string, args ...any) error {
	return fault.New(fault.ImageUnsafe, "Not a supported disk image: %s.", fmt.Sprintf(format, args...))
}
