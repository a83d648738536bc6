package diskimage

import (
	"bytes"
	"encoding/binary"
)

// How raw disks are recognised: they have no header, but their contents have.
const (
	bootSignature  = 510 // of a master boot record
	partitionTable = 446
	gptHeader      = 512
	gptMagic       = "EFI PART"
	protective     = 0xee // type of the protective partition of a GPT
)

// fileSystems are the signatures of disks without partitions.
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

// parseRaw accepts a file as a raw disk if it starts with a partition table, a boot sector
// or a file system.
func parseRaw(head []byte) (Disk, error) {
	if isDisk(head) || !beginsAsDisk(head) {
		return nil, Unsafe("%s. Supported: qcow2, raw (with a partition table, boot sector or file system), VMDK, VDI, VHD, VHDX, OVA and ISO, optionally compressed (gzip, bzip2, xz, zstd) or in a tar archive. Convert others with `qemu-img convert -O qcow2 SOURCE image.qcow2`", describe(head, "its format is unknown"))
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

// partitionsEnd returns where the last partition or the GPT ends; 0 without a valid
// partition table.
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
			return 0 // code of a boot sector, not a table
		}
		if p[4] != 0 && p[4] != protective {
			end = max(end, (int64(le.Uint32(p[8:]))+int64(le.Uint32(p[12:])))*sectorBytes)
		}
	}
	return end
}

// Verify returns an error if the file does not contain all of its partitions.
func (r raw) Verify(size int64, _ Reading) (virtualBytes, dataBytes int64, err error) {
	if err := checkVirtual(uint64(size)); err != nil { //nolint:gosec // not negative
		return 0, 0, err
	}
	if size%sectorBytes != 0 {
		return 0, 0, Unsafe("the file size of %d bytes is not a multiple of 512: the file is truncated. Copy or export it again", size)
	}
	if size < r.endBytes {
		return 0, 0, Unsafe("its partitions end at byte %d, but the file has %d bytes: the file is truncated. Copy or export it again", r.endBytes, size)
	}
	return size, size, nil
}
