package diskimage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// HeaderBytes is how much of an image's beginning ParseQcow2 wants to see: the
// header and its extensions must end within it.
const HeaderBytes = 64 << 10

// The qcow2 format is described in QEMU's docs/interop/qcow2.txt.
const (
	qcow2Magic = "QFI\xfb"

	v2HeaderBytes  = 72
	qcow2Snapshots = 60 // in the header: how many internal snapshots there are
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

// Qcow2 is what an image's header says, after it was found safe.
type Qcow2 struct {
	Version      int
	VirtualBytes int64
	ClusterBytes int64
	// NeedsBytes is the least size that the file must have to hold the tables
	// which the header points to.
	NeedsBytes int64

	extendedL2                    bool
	l1Offset, l1Bytes             int64
	refcountOffset, refcountBytes int64 // of the table of the refcount blocks
	refcountBits                  int64 // 1 to 64
}

// Verify answers fault.ImageUnsafe when a file of size bytes cannot hold what
// the header points to: it was cut off.
func (q Qcow2) Verify(size int64) error {
	if size < q.NeedsBytes {
		return Unsafe("the file ends after %d bytes, but its header points to tables up to byte %d: it was cut off. Copy or export it again", size, q.NeedsBytes)
	}
	return nil
}

// VerifyEnd answers fault.ImageUnsafe when a file of size bytes, which Verify
// passed, ends before the last cluster that its reference counts show as in use.
// The guest would find holes in its disk. read returns a part of the file, less
// of it where the file ends.
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
			return Unsafe("its reference counts are at byte %d, and the file ends after %d: it was cut off. Copy or export it again", offset, size)
		}
		block, err := read(offset, q.ClusterBytes)
		if err != nil {
			return err
		}
		last, found := lastInUse(block, q.refcountBits)
		if !found {
			if empty++; empty > maxEmptyBlocks {
				return Unsafe("its reference counts have more than %d empty blocks at their end. Write it anew with `qemu-img convert -O qcow2 SOURCE image.qcow2`", maxEmptyBlocks)
			}
			continue
		}
		if begin := (i*perBlock + last) * q.ClusterBytes; begin >= size {
			return Unsafe("it uses a cluster at byte %d, and the file ends after %d: it was cut off. Copy or export it again; if it is whole, correct it with `qemu-img check -r leaks`", begin, size)
		}
		return nil
	}
	return Unsafe("its reference counts are empty. Repair it with `qemu-img check -r all`")
}

// maxEmptyBlocks bounds what is read of a table that was made to be long; what
// images are left with after discards is a few.
const maxEmptyBlocks = 64

// refcountOffsetMask leaves out the reserved bits of a refcount table's entry.
const refcountOffsetMask = math.MaxInt64 &^ 0x1ff

// lastInUse finds the last reference count in a block that is not zero. Counts
// narrower than a byte fill it from its low bits up.
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
// (HeaderBytes of them, or the whole file when it is shorter) and refuses,
// with fault.ImageUnsafe and a reason, whatever could make QEMU open another
// file or fail: a backing file, an external data file, encryption, unknown
// features, tables of absurd size or place. Nothing is probed: only these bytes
// are looked at.
func ParseQcow2(head []byte, maxVirtualBytes int64) (Qcow2, error) {
	q, err := parseQcow2(head, maxVirtualBytes)
	if err == nil && hasSnapshots(head) {
		return Qcow2{}, Unsafe("it holds internal snapshots. Leave them out with `qemu-img convert -O qcow2 SOURCE image.qcow2`")
	}
	return q, err
}

// hasSnapshots reports whether a file begins as a qcow2 disk with internal snapshots.
func hasSnapshots(head []byte) bool {
	return bytes.HasPrefix(head, []byte(qcow2Magic)) && len(head) >= v2HeaderBytes && binary.BigEndian.Uint32(head[qcow2Snapshots:]) != 0
}

// snapshots is a qcow2 disk with internal snapshots, of which the disk alone is taken.
type snapshots struct{ q Qcow2 }

// Format is SnapshotsQCOW2.
func (snapshots) Format() string { return SnapshotsQCOW2 }

// Verify looks at the tables of the disk. Those of the snapshots are not read when it is
// converted.
func (s snapshots) Verify(size int64, read Reading) (virtualBytes, dataBytes int64, err error) {
	return s.q.VirtualBytes, s.q.VirtualBytes, s.q.VerifyAll(size, read)
}

// parseQcow2 is ParseQcow2 for a disk that may have internal snapshots.
func parseQcow2(head []byte, maxVirtualBytes int64) (Qcow2, error) {
	if !bytes.HasPrefix(head, []byte(qcow2Magic)) {
		return Qcow2{}, Unsafe("it is not a qcow2 image: %s. Convert it with `qemu-img convert -O qcow2 SOURCE image.qcow2`", describe(head, "it does not begin with the qcow2 signature"))
	}
	if len(head) < v2HeaderBytes {
		return Qcow2{}, Unsafe("its header is cut off after %d bytes. Copy or export it again", len(head))
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
			return Qcow2{}, Unsafe("its header is cut off after %d bytes. Copy or export it again", len(head))
		}
		incompatible = be.Uint64(head[72:])
		refcountOrder = be.Uint32(head[96:])
		headerBytes = be.Uint32(head[100:])
	default:
		return Qcow2{}, Unsafe("its qcow2 version is %d; 2 and 3 exist", version)
	}
	clusterBits := be.Uint32(head[20:])
	if clusterBits < 9 || clusterBits > 21 {
		return Qcow2{}, Unsafe("its cluster size is 2^%d bytes; 2^9 to 2^21 are allowed", clusterBits)
	}
	cluster := int64(1) << clusterBits

	switch {
	case be.Uint64(head[8:]) != 0 || be.Uint32(head[16:]) != 0:
		return Qcow2{}, Unsafe("it has a backing file, so it would read another file of the host. Flatten it with `qemu-img convert -O qcow2 SOURCE image.qcow2` where its backing file is")
	case be.Uint32(head[32:]) != 0:
		return Qcow2{}, Unsafe("it is encrypted. Convert it to an unencrypted image")
	case incompatible&incompatibleExternalData != 0:
		return Qcow2{}, Unsafe("it keeps its data in an external file, so it would read another file of the host. Convert it with `qemu-img convert -O qcow2 SOURCE image.qcow2`")
	case incompatible&incompatibleCorrupt != 0:
		return Qcow2{}, Unsafe("it is marked as corrupt. Repair it with `qemu-img check -r all`")
	case incompatible&^uint64(incompatibleKnown) != 0:
		return Qcow2{}, Unsafe("it needs features (bits %#x) that are not known here", incompatible&^uint64(incompatibleKnown))
	case refcountOrder > 6:
		return Qcow2{}, Unsafe("its refcount width is 2^%d bits; at most 2^6 exist", refcountOrder)
	case version == 3 && (headerBytes < v3HeaderBytes || headerBytes%8 != 0 || int64(headerBytes) > cluster):
		return Qcow2{}, Unsafe("its header says that it is %d bytes long", headerBytes)
	case incompatible&incompatibleExtendedL2 != 0 && clusterBits < minExtendedL2Bits:
		return Qcow2{}, Unsafe("its clusters are 2^%d bytes, too small for the subclusters that it has", clusterBits)
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
	if size > math.MaxInt64 || int64(size) > maxVirtualBytes { // the first half guards the second
		return Qcow2{}, Unsafe("its virtual size is %d bytes; the limit is %d", size, maxVirtualBytes)
	}
	q := Qcow2{Version: int(version), VirtualBytes: int64(size), ClusterBytes: cluster} // checked above
	l1Entries := int64(be.Uint32(head[36:]))
	perL1 := cluster * (cluster / 8) // bytes that one L1 entry maps
	if q.extendedL2 = incompatible&incompatibleExtendedL2 != 0; q.extendedL2 {
		perL1 /= 2
	}
	if needed := (q.VirtualBytes + perL1 - 1) / perL1; l1Entries < needed || l1Entries*8 > MaxL1Bytes {
		return Qcow2{}, Unsafe("its L1 table has %d entries, where its virtual size asks for %d", l1Entries, needed)
	}
	refcountBytes := int64(be.Uint32(head[56:])) * cluster
	q.refcountBytes, q.refcountBits = refcountBytes, 1<<refcountOrder
	q.refcountOffset = int64(be.Uint64(head[48:]) & math.MaxInt64) // checked below
	if refcountBytes == 0 || refcountBytes > maxRefcountBytes {
		return Qcow2{}, Unsafe("its refcount table is %d bytes long", refcountBytes)
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
			return Qcow2{}, Unsafe("its %s is at byte %d, which is no place for one", table.name, table.offset)
		}
		q.NeedsBytes = max(q.NeedsBytes, int64(table.offset)+table.bytes) // bounded just above
	}
	if q.l1Offset < q.refcountOffset+refcountBytes && q.refcountOffset < q.l1Offset+q.l1Bytes {
		return Qcow2{}, Unsafe("its L1 table lies on its refcount table")
	}
	return q, nil
}

// checkCompression expects the type of compression, a byte behind the header of
// version 3, to be one that there is, and the feature bit to say the same.
func checkCompression(head []byte, incompatible uint64, headerBytes int64) error {
	kind := byte(0)
	if headerBytes > v3HeaderBytes {
		if int64(len(head)) <= v3HeaderBytes {
			return Unsafe("its header is cut off after %d bytes. Copy or export it again", len(head))
		}
		kind = head[v3HeaderBytes]
	}
	if kind >= compressionTypes || (kind != 0) != (incompatible&incompatibleCompression != 0) {
		return Unsafe("its type of compression is %d, and its features do not say the same", kind)
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
			return Unsafe("it names an external data file, so it would read another file of the host. Convert it with `qemu-img convert -O qcow2 SOURCE image.qcow2`")
		case extensionEncryption:
			return Unsafe("it is encrypted. Convert it to an unencrypted image")
		case extensionBackingFormat:
			return Unsafe("it names the format of a backing file. Flatten it with `qemu-img convert -O qcow2 SOURCE image.qcow2` where its backing file is")
		case extensionFeatureNames:
			if length%featureNameBytes != 0 {
				return Unsafe("its list of feature names is %d bytes long, which is no number of names", length)
			}
		case extensionBitmaps:
			if length != bitmapsBytes {
				return Unsafe("its header extension for bitmaps is %d bytes long; it has %d", length, bitmapsBytes)
			}
		}
		offset += 8 + (length+7)/8*8
	}
	if offset == cluster {
		return nil // they fill the cluster to its last byte
	}
	return Unsafe("its header extensions run past the first %d bytes", end)
}

// Unsafe says that an image is refused, and why: the rest of a sentence without its
// full stop, and what to do.
func Unsafe(format string, args ...any) error {
	return fault.New(fault.ImageUnsafe, "The image is refused: %s.", fmt.Sprintf(format, args...))
}
