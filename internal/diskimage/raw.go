package diskimage

import (
	"bytes"
	"encoding/binary"
)

// What a raw disk is recognised by: it has no header of its own, but what is on it
// has.
const (
	bootSignature  = 510 // of a master boot record
	partitionTable = 446
	gptHeader      = 512
	gptMagic       = "EFI PART"
	protective     = 0xee // the type of the partition that stands for a GPT
)

// fileSystems are what a disk without partitions may begin with.
var fileSystems = []struct {
	offset int
	text   string
}{
	{0x438, "\x53\xef"}, // ext2, 3 and 4
	{0, "XFSB"},

	{0x218, "LVM2 001"},         //
	{0x400, "\x10\x20\xf5\xf2"}, // f2fs
	{3, "NTFS    "},
}

// raw is a disk without a header.
type raw struct{ endBytes int64 }

func (raw) Format() string { return Raw }

// parseRaw takes a file for a raw disk when it begins as one: with a partition
// table, a boot sector or a file system.
func parseRaw(head []byte) (Disk, error) {
	if isDisk(head) || !beginsAsDisk(head) {
		return nil, Unsafe("it is no disk image that is taken, %s. qcow2, raw, VMDK, VDI, VHD, VHDX and ISO files are, also packed by gzip, bzip2, xz or zstd, or alone in a tar archive or an OVA. A raw disk begins with a partition table, a boot sector or a file system. Others convert with `qemu-img convert -O qcow2 SOURCE image.qcow2`", describe(head, "it does not begin as one of those below"))
	}
	return raw{partitionsEnd(head)}, nil
}

func beginsAsDisk(head []byte) bool {
	if len(head) < 2*sectorBytes {
		return false
	}
	if head[bootSignature] == 0x55 && head[bootSignature+1] == 0xaa || bytes.HasPrefix(head[gptHeader:], []byte(gptMagic)) {
		return true
	}
	for _, fs := range fileSystems {
		if len(head) > fs.offset && bytes.HasPrefix(head[fs.offset:], []byte(fs.text)) {
			return true
		}
	}
	return false
}

// partitionsEnd is where the last partition ends, or a GPT does; 0 where there is
// no table that makes sense.
func partitionsEnd(head []byte) (end int64) {
	le := binary.LittleEndian
	if bytes.HasPrefix(head[gptHeader:], []byte(gptMagic)) {
		if last := le.Uint64(head[gptHeader+32:]); last < MaxVirtualBytes/sectorBytes { // of the second header
			return int64(last+1) * sectorBytes // bounded just above
		}
		return 0
	}
	for i := range 4 {
		p := head[partitionTable+16*i:]
		if p[0]&0x7f != 0 {
			return 0 // a boot sector's code, and no table
		}
		if p[4] != 0 && p[4] != protective {
			end = max(end, (int64(le.Uint32(p[8:]))+int64(le.Uint32(p[12:])))*sectorBytes)
		}
	}
	return end
}

// Verify expects the file to have all of its partitions.
func (r raw) Verify(size int64, _ Reading) (virtualBytes, dataBytes int64, err error) {
	if err := checkVirtual(uint64(size)); err != nil { //nolint:gosec // not negative
		return 0, 0, err
	}
	if size%sectorBytes != 0 {
		return 0, 0, Unsafe("a raw disk has sectors of 512 bytes, and the file ends after %d bytes, within one: it was cut off. Copy or export it again", size)
	}
	if size < r.endBytes {
		return 0, 0, Unsafe("its partitions end at byte %d, and the file after %d: it was cut off. Copy or export it again", r.endBytes, size)
	}
	return size, size, nil
}
