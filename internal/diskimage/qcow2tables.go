package diskimage

import (
	"encoding/binary"
	"math/bits"
)

// maxL2Tables limits how many tables of an image are read: only disks that are far too
// large for their cluster size have more.
const maxL2Tables = 1 << 15

// maxClusters limits the map of a file's clusters to 32 MiB of memory. With the default
// cluster size that is enough for 16 TiB. With small clusters, longer files are many times
// longer than maxL2Tables can address.
const maxClusters = 1 << 28

// Parts of the entries of L1 and L2 tables.
const (
	entryOffset     = 0x00fffffffffffe00
	entryCompressed = 1 << 62
)

// VerifyAll is Verify, VerifyEnd and VerifyTables.
func (q Qcow2) VerifyAll(size int64, read func(offset, length int64) ([]byte, error)) error {
	if err := q.Verify(size); err != nil {
		return err
	}
	if err := q.VerifyEnd(size, read); err != nil {
		return err
	}
	return q.VerifyTables(size, read)
}

// VerifyTables returns fault.ImageUnsafe if the tables that map the disk to a file of size
// bytes refer to offsets outside of it, to its tables, or twice to the same cluster. The
// header does not show that. read returns a part of the file.
func (q Qcow2) VerifyTables(size int64, read func(offset, length int64) ([]byte, error)) error {
	if size/q.ClusterBytes >= maxClusters {
		return Unsafe("the file has more than %d clusters of %d bytes. Convert it with larger clusters: `qemu-img convert -O qcow2 SOURCE image.qcow2`", maxClusters, q.ClusterBytes)
	}
	table, err := read(q.l1Offset, q.l1Bytes)
	if err != nil {
		return err
	}
	m := mapping{q: q, size: size, used: make([]uint64, size/q.ClusterBytes/64+1)}
	for _, own := range []struct{ offset, bytes int64 }{{0, 1}, {q.l1Offset, q.l1Bytes}, {q.refcountOffset, q.refcountBytes}} {
		for at := own.offset; at < own.offset+own.bytes; at += q.ClusterBytes {
			m.take(at)
		}
	}
	tables := 0
	for ; len(table) >= 8; table = table[8:] {
		offset := int64(binary.BigEndian.Uint64(table) & entryOffset) // the mask keeps it positive
		if offset == 0 {
			continue
		}
		if tables++; tables > maxL2Tables {
			return Unsafe("it has more than %d tables. Convert it with larger clusters: `qemu-img convert -O qcow2 SOURCE image.qcow2`", maxL2Tables)
		}
		if err := m.check("an L2 table", offset); err != nil {
			return err
		}
		l2, err := read(offset, q.ClusterBytes)
		if err != nil {
			return err
		}
		if err := m.walk(l2); err != nil {
			return err
		}
	}
	return nil
}

// mapping records the clusters of a file that are referred to.
type mapping struct {
	q    Qcow2
	size int64
	used []uint64 // a bit for each cluster
}

// walk checks the entries of an L2 table. With subclusters, every other one is a map of
// bits.
func (m mapping) walk(l2 []byte) error {
	step := 8
	if m.q.extendedL2 {
		step = 16
	}
	compressedOffset := uint64(1)<<(62-(bits.TrailingZeros64(uint64(m.q.ClusterBytes))-8)) - 1 //nolint:gosec // a cluster has at least 512 bytes
	for ; len(l2) >= step; l2 = l2[step:] {
		entry := binary.BigEndian.Uint64(l2)
		if entry&entryCompressed != 0 {
			// Several compressed clusters can share one cluster of the file.
			if offset := int64(entry & compressedOffset); offset < m.q.ClusterBytes || offset >= m.size { //nolint:gosec // fewer than 62 bits
				return Unsafe("a part of it has the invalid offset %d", offset)
			}
			continue
		}
		if offset := int64(entry & entryOffset); offset != 0 { // the mask keeps it positive
			if err := m.check("a part of it", offset); err != nil {
				return err
			}
		}
	}
	return nil
}

// check records a cluster that is referred to.
func (m mapping) check(what string, offset int64) error {
	switch {
	case offset%m.q.ClusterBytes != 0:
		return Unsafe("%s has the offset %d, which is not aligned to clusters. Repair it with `qemu-img check -r all`", what, offset)
	case offset >= m.size:
		return Unsafe("%s has the offset %d, but the file has %d bytes: the file is truncated. Copy or export it again", what, offset, m.size)
	case !m.take(offset):
		return Unsafe("%s has the offset %d and overlaps other data. Convert it with `qemu-img convert -O qcow2 SOURCE image.qcow2`", what, offset)
	}
	return nil
}

// take marks the cluster at offset as used; false if it already is, or is not in the file.
func (m mapping) take(offset int64) bool {
	n := offset / m.q.ClusterBytes
	if n/64 >= int64(len(m.used)) {
		return false
	}
	word, bit := &m.used[n/64], uint64(1)<<(n%64)
	free := *word&bit == 0
	*word |= bit
	return free
}
