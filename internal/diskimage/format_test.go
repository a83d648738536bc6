package diskimage

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// foreign creates an 8 MiB disk with a partition and some data, in a format of qemu-img.
func foreign(t testing.TB, format string, options ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("qemu-img"); err != nil {
		t.Skip("qemu-img is not installed; run `make setup`")
	}
	disk := rawDisk()
	dir := t.TempDir()
	source, path := filepath.Join(dir, "disk.raw"), filepath.Join(dir, "disk")
	if err := os.WriteFile(source, disk, 0o600); err != nil {
		t.Fatal(err)
	}
	args := append(append([]string{"convert", "-f", "raw", "-O", format}, options...), source, path)
	if out, err := exec.CommandContext(t.Context(), "qemu-img", args...).CombinedOutput(); err != nil {
		t.Fatalf("qemu-img %v: %v: %s", args, err, out)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// rawDisk returns an 8 MiB disk with a partition from its first MiB to its end.
func rawDisk() []byte {
	disk := make([]byte, 8<<20)
	for i := 2 << 20; i < 4<<20; i += 8 {
		binary.LittleEndian.PutUint64(disk[i:], uint64(i)*0x9e3779b97f4a7c15)
	}
	disk[partitionTable+4] = 0x83
	binary.LittleEndian.PutUint32(disk[partitionTable+8:], 2048)
	binary.LittleEndian.PutUint32(disk[partitionTable+12:], 7<<20/sectorBytes)
	disk[bootSignature], disk[bootSignature+1] = 0x55, 0xaa
	return disk
}

// judge checks a file like an upload, until other programs would open it: its first bytes,
// then all tables.
func judge(file []byte) (format string, virtualBytes int64, err error) {
	head := file[:min(len(file), HeaderBytes)]
	if format, err = RecogniseIncoming(head); err != nil || IsPacking(format) {
		return format, 0, err
	}
	read := func(offset, length int64) ([]byte, error) {
		end := int64(len(file))
		return file[min(offset, end):min(offset+length, end)], nil
	}
	size := int64(len(file))
	switch format {
	case ISO:
		iso, err := ParseISO(head)
		if err == nil {
			err = iso.Verify(size)
		}
		return format, 0, err
	case QCOW2:
		q, err := ParseQcow2(head, MaxVirtualBytes)
		if err == nil {
			err = q.VerifyAll(size, read)
		}
		return format, q.VirtualBytes, err
	case Raw:
		fixed, err := FixedVHD(size, read)
		if err != nil {
			return format, 0, err
		}
		if fixed {
			format, size = VHD, size-VHDFooterBytes
		}
	}
	d, err := ParseDisk(head)
	if err != nil {
		return format, 0, err
	}
	virtualBytes, _, err = d.Verify(size, read)
	return format, virtualBytes, err
}

// le and be write a number into a file.
func le(offset, bytes int, v uint64) func([]byte) []byte {
	return func(b []byte) []byte { return put(b, offset, bytes, v, binary.LittleEndian) }
}

func be(offset, bytes int, v uint64) func([]byte) []byte {
	return func(b []byte) []byte { return put(b, offset, bytes, v, binary.BigEndian) }
}

func put(b []byte, offset, bytes int, v uint64, order binary.ByteOrder) []byte {
	switch bytes {
	case 2:
		order.PutUint16(b[offset:], uint16(v))
	case 4:
		order.PutUint32(b[offset:], uint32(v))
	default:
		order.PutUint64(b[offset:], v)
	}
	return b
}

// text replaces a text by one that is not longer.
func text(old, with string) func([]byte) []byte {
	return func(b []byte) []byte {
		at := bytes.Index(b, []byte(old))
		if at < 0 || len(with) > len(old) {
			panic("the file has no " + old)
		}
		copy(b[at:], with+strings.Repeat(" ", len(old)-len(with)))
		return b
	}
}

func cutTo(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:n] } }

// cutBy truncates the end.
func cutBy(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:len(b)-n] } }

// footerSum corrects the checksum of a VHD footer.
func footerSum(at func([]byte) int) func([]byte) []byte {
	return func(b []byte) []byte {
		f := b[at(b):][:VHDFooterBytes]
		var sum uint32
		for i, v := range f {
			if i < 64 || i >= 68 {
				sum += uint32(v)
			}
		}
		binary.BigEndian.PutUint32(f[64:], ^sum)
		return b
	}
}

// sum32 corrects the CRC-32C of a structure of a VHDX disk.
func sum32(at, length int) func([]byte) []byte {
	return func(b []byte) []byte {
		crc := make([]byte, length)
		copy(crc, b[at:])
		clear(crc[4:8])
		binary.LittleEndian.PutUint32(b[at+4:], castagnoli(crc))
		return b
	}
}

func beginning([]byte) int { return 0 }
func ending(b []byte) int  { return len(b) - VHDFooterBytes }

// Each format has a valid file, and variants of it that are rejected.
func TestForeignDisks(t *testing.T) {
	none := func(b []byte) []byte { return b }
	files := map[string][]byte{
		"raw": rawDisk(), "vmdk": foreign(t, "vmdk"), "stream": foreign(t, "vmdk", "-o", "subformat=streamOptimized"),
		"vdi": foreign(t, "vdi"), "static vdi": foreign(t, "vdi", "-o", "static=on"),
		"vhd": foreign(t, "vpc", "-o", "force_size=on"), "fixed vhd": foreign(t, "vpc", "-o", "subformat=fixed,force_size=on"), "vhdx": foreign(t, "vhdx"),
	}
	gpt := rawDisk()
	copy(gpt[gptHeader:], gptMagic)
	gpt = le(gptHeader+32, 8, 8<<20/sectorBytes-1)(gpt)
	gpt[partitionTable+4] = protective
	files["gpt"] = gpt
	files["ext4"] = le(0x438, 2, 0xef53)(make([]byte, 1<<20))
	stream := files["stream"] // as programs write it that can't seek: the directory's offset is in a footer
	footer := make([]byte, vmdkFooterBytes)
	footer[12] = vmdkFooterMarker
	copy(footer[sectorBytes:], stream[:sectorBytes])
	files["footer"] = append(le(56, 8, vmdkAtEnd)(slices.Clone(stream)), footer...)
	x := files["vhdx"]
	metadata, table := 0, 0 // where this vhdx has them
	for i := range 2 {
		entry := x[vhdxRegions+16+32*i:]
		at := int(binary.LittleEndian.Uint64(entry[16:]))
		if [16]byte(entry[:16]) == vhdxMetadata {
			metadata = at
		} else {
			table = at
		}
	}
	gd := int(binary.LittleEndian.Uint64(files["vmdk"][56:])) * sectorBytes
	gt := int(binary.LittleEndian.Uint32(files["vmdk"][gd:])) * sectorBytes
	vhdTable := int(binary.BigEndian.Uint64(files["vhd"][512+16:]))
	vdiMap := int(binary.LittleEndian.Uint32(files["vdi"][0x154:]))
	both := func(change func([]byte) []byte) func([]byte) []byte { // a change to both copies of a VHD footer
		return func(b []byte) []byte {
			change(b)
			footerSum(beginning)(b)
			copy(b[ending(b):], b[:VHDFooterBytes])
			return b
		}
	}
	for _, c := range []struct {
		name, file string
		change     func([]byte) []byte
		refused    string // empty: it passes
	}{
		{"raw", "raw", none, ""},
		{"raw, GPT", "gpt", none, ""},
		{"raw, a file system", "ext4", none, ""},
		{"raw without a signature", "raw", be(bootSignature, 2, 0), "format is unknown"},
		{"raw, truncated within a sector", "raw", cutBy(1), "multiple of 512"},
		{"raw, truncated before its partition's end", "raw", cutBy(sectorBytes), "its partitions end at byte 8388608"},
		{"raw, GPT, truncated", "gpt", cutBy(sectorBytes), "its partitions end"},
		{"raw, too short", "raw", cutTo(sectorBytes), "format is unknown"},

		{"VMDK", "vmdk", none, ""},
		{"VMDK, only a descriptor", "vmdk", cutTo(0x200), "truncated"},
		{"VMDK, a text that refers to files", "vmdk", func([]byte) []byte {
			return []byte("# Disk DescriptorFile\nversion=1\ncreateType=\"monolithicFlat\"\nRW 16384 FLAT \"/etc/passwd\" 0\n" + strings.Repeat("#", 1024))
		}, "refers to other files"},
		{"VMDK, a descriptor instead of a disk", "vmdk", le(12, 8, 0), "other files"},
		{"VMDK, an extent elsewhere", "vmdk", text("SPARSE", "FLAT"), "outside of the file (FLAT)"},
		{"VMDK, an extent with a path", "vmdk", text(`"disk`, `"/a`), "outside of the file"},
		{"VMDK, two extents", "vmdk", text("# The Disk Data Base", "RW 1 SPARSE \"b\"\n"), "outside of the file"},
		{"VMDK, flat", "vmdk", text("monolithicSparse", "monolithicFlat\""), "monolithicFlat"},
		{"VMDK, parent by its name", "vmdk", text("# The Disk Data Base", "parentFileNameHint=\""), "parent disk"},
		{"VMDK, parent by its id", "vmdk", text("parentCID=ffffffff", "parentCID=12345678"), "parent disk (12345678)"},
		{"VMDK, encrypted", "vmdk", text("# The Disk Data Base", "encryption.keySafe=x"), "encrypted"},
		{"VMDK, no extent", "vmdk", text("RW ", "# "), "has no extent"},
		{"VMDK, descriptor elsewhere", "vmdk", le(28, 8, 1<<40), "its descriptor at sector"},
		{"VMDK, descriptor without end", "vmdk", le(36, 8, 1<<62), "its descriptor at sector"},
		{"VMDK, version", "vmdk", le(4, 4, 9), "VMDK version is 9"},
		{"VMDK, grains", "vmdk", le(20, 8, 100), "grain size of 100 sectors"},
		{"VMDK, grain tables", "vmdk", le(44, 4, 1<<31), "grain tables have"},
		{"VMDK, compression", "vmdk", le(77, 2, 7), "compression type is 7"},
		{"VMDK, too large", "vmdk", le(12, 8, 1<<40), "the limit is"},
		{"VMDK, sent as text", "vmdk", text("\n \r\n", "\n \n\n"), "line breaks"},
		{"VMDK, directory nowhere", "vmdk", le(56, 8, 0), "grain directory has the invalid sector 0"},
		{"VMDK, directory beyond the end", "vmdk", le(56, 8, 1<<50), "grain directory has the invalid sector"},
		{"VMDK, table beyond the end", "vmdk", le(gd, 4, 1<<30), "grain table is beyond the end"},
		{"VMDK, grain beyond the end", "vmdk", le(gt, 4, 1<<30), "a part of it"},
		{"VMDK, truncated", "vmdk", cutBy(64 << 10), "truncated"},
		{"VMDK, stream", "stream", none, ""},
		{"VMDK, stream, truncated", "stream", func(b []byte) []byte { return b[:len(b)/2] }, "truncated"},
		{"VMDK, stream with a footer", "footer", none, ""},
		{"VMDK, stream without its footer", "footer", cutBy(sectorBytes), "does not end with a copy"},
		{"VMDK, stream, a footer of another disk", "footer", func(b []byte) []byte { return le(len(b)-2*sectorBytes+12, 8, 0)(b) }, "does not end with a copy"},

		{"VDI", "vdi", none, ""},
		{"VDI, static", "static vdi", none, ""},
		{"VDI, differencing", "vdi", le(0x4c, 4, 4), "VDI type 4"},
		{"VDI, undo", "vdi", le(0x4c, 4, 3), "VDI type 3"},
		{"VDI, parent", "vdi", le(0x1b8, 8, 1), "has a parent"},
		{"VDI, link", "vdi", le(0x1a8, 8, 1), "has a parent"},
		{"VDI, version", "vdi", le(0x44, 4, 1<<16), "VDI version is 1.0"},
		{"VDI, block size", "vdi", le(0x178, 4, 1<<12), "its block size 4096"},
		{"VDI, too large", "vdi", le(0x170, 8, 1<<60), "the limit is"},
		{"VDI, no size", "vdi", le(0x170, 8, 0), "virtual size is 0"},
		{"VDI, too few blocks", "vdi", le(0x180, 4, 1), "contradicts"},
		{"VDI, more blocks with data than blocks", "vdi", le(0x184, 4, 1<<20), "contradicts"},
		{"VDI, map on its data", "vdi", le(0x154, 4, 1<<30), "is invalid"},
		{"VDI, map on its header", "vdi", le(0x154, 4, 0), "is invalid"},
		{"VDI, a block that is not there", "vdi", le(vdiMap, 4, 77), "refers to block 77"},
		{"VDI, a block twice", "vdi", le(vdiMap+4, 4, 0), "twice"},
		{"VDI, truncated", "vdi", cutBy(1), "truncated"},
		{"VDI, only a header", "vdi", cutTo(0x100), "truncated"},

		{"VHD", "vhd", none, ""},
		{"VHD, changed alike", "vhd", both(be(24, 4, 1)), ""},
		{"VHD, differencing", "vhd", both(be(60, 4, vhdDifferencing)), "differencing disk"},
		{"VHD, of no type", "vhd", both(be(60, 4, 9)), "VHD type is 9"},
		{"VHD, version", "vhd", both(be(12, 4, 2<<16)), "VHD version"},
		{"VHD, damaged", "vhd", be(24, 4, 1), "checksum"},
		{"VHD, too large", "vhd", both(be(48, 8, 1<<60)), "the limit is"},
		{"VHD, fixed with a header", "vhd", both(be(60, 4, vhdFixed)), "starts with a footer"},
		{"VHD, header beyond the end", "vhd", both(be(16, 8, 1<<60)), "header has the invalid offset"},
		{"VHD, no header", "vhd", be(512, 8, 0), "does not start with"},
		{"VHD, parent's id", "vhd", be(512+40, 8, 1), "has a parent"},
		{"VHD, parent's name", "vhd", be(512+64, 8, 1), "has a parent"},
		{"VHD, parent's place", "vhd", be(512+576, 8, 1), "has a parent"},
		{"VHD, block size", "vhd", be(512+32, 4, 3<<20), "block size of 3145728"},
		{"VHD, too few blocks", "vhd", be(512+28, 4, 1), "contradicts"},
		{"VHD, absurdly many blocks", "vhd", be(512+28, 4, 1<<31), "contradicts"},
		{"VHD, table beyond the end", "vhd", be(512+16, 8, 1<<30), "block table is beyond the end"},
		{"VHD, block beyond the end", "vhd", be(vhdTable, 4, 1<<30), "a part of it"},
		{"VHD, truncated", "vhd", cutBy(sectorBytes), "does not end with a copy"},
		{"VHD, fixed size", "fixed vhd", none, ""},
		{"VHD, fixed size, of another size", "fixed vhd", func(b []byte) []byte { return footerSum(ending)(be(ending(b)+48, 8, 1<<20)(b)) }, "footer has a size"},
		{"VHD, fixed size, damaged", "fixed vhd", func(b []byte) []byte { return be(ending(b)+48, 8, 1<<20)(b) }, "checksum"},

		{"VHDX", "vhdx", none, ""},
		{"VHDX, only a signature", "vhdx", cutTo(1 << 10), "header is beyond the end"},
		{"VHDX, first header damaged", "vhdx", le(vhdxHeader, 4, 0), ""},
		{"VHDX, both headers damaged", "vhdx", chain(le(vhdxHeader, 4, 0), le(vhdxHeader2, 4, 0)), "both of its headers"},
		{"VHDX, not closed", "vhdx", chain(le(vhdxHeader+48, 8, 1), sum32(vhdxHeader, vhdxHeaderBytes), le(vhdxHeader2+48, 8, 1), sum32(vhdxHeader2, vhdxHeaderBytes)), "log is not empty"},
		{"VHDX, regions damaged", "vhdx", le(vhdxRegions+40, 4, 77), "region table is damaged"},
		{"VHDX, absurdly many regions", "vhdx", chain(le(vhdxRegions+8, 4, 1<<30), sum32(vhdxRegions, vhdxTableBytes)), "region table is damaged"},
		{"VHDX, unknown region", "vhdx", chain(le(vhdxRegions+16, 8, 77), le(vhdxRegions+16+28, 4, 1), sum32(vhdxRegions, vhdxTableBytes)), "unknown or duplicate region"},
		{"VHDX, region beyond the end", "vhdx", chain(le(vhdxRegions+16+16, 8, 1<<40), sum32(vhdxRegions, vhdxTableBytes)), "truncated"},
		{"VHDX, no metadata", "vhdx", le(metadata, 8, 0), "metadata is damaged"},
		{"VHDX, parent", "vhdx", setItem(metadata, vhdxParameters, 4, 4, vhdxHasParent), "differencing disk"},
		{"VHDX, parent's place", "vhdx", renameItem(metadata, vhdxSector, vhdxParent), "differencing disk"},
		{"VHDX, too large", "vhdx", setItem(metadata, vhdxSize, 0, 8, 1<<60), "the limit is"},
		{"VHDX, no size", "vhdx", setItem(metadata, vhdxSize, 0, 8, 0), "virtual size is 0"},
		{"VHDX, block size", "vhdx", setItem(metadata, vhdxParameters, 0, 4, 3<<20), "block size of 3145728"},
		{"VHDX, sectors", "vhdx", setItem(metadata, vhdxSector, 0, 4, 100), "sector size of 100"},
		{"VHDX, table too short", "vhdx", setItem(metadata, vhdxSize, 0, 8, 2<<40), "requires"},
		{"VHDX, block beyond the end", "vhdx", le(table, 8, 1<<50|vhdxPresent), "truncated"},
		{"VHDX, block of a parent", "vhdx", le(table, 8, 2<<20|vhdxPartial), "differencing disk"},
		{"VHDX, truncated", "vhdx", cutBy(1 << 20), "truncated"},
	} {
		t.Run(c.name, func(t *testing.T) {
			format, virtual, err := judge(c.change(slices.Clone(files[c.file])))
			if c.refused == "" {
				if want := strings.Fields(c.file); err != nil || !strings.Contains(c.file+" raw vmdk", format) {
					t.Errorf("%s is a %s file: %v", want, format, err)
				}
				if virtual != 8<<20 && c.file != "ext4" {
					t.Errorf("its virtual size is %d", virtual)
				}
				return
			}
			if fault.CodeOf(err) != fault.ImageUnsafe || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("a %s file: %v, want code %s with %q", format, err, fault.ImageUnsafe, c.refused)
			}
		})
	}
}

// No more of a VMDK disk's tables is read than the file has, in any order, and duplicate
// tables are rejected.
func TestVMDKTables(t *testing.T) {
	const tables = 4096
	sound := foreign(t, "vmdk")
	directory := len(sound)
	disk := append(le(56, 8, uint64(directory/sectorBytes))(slices.Clone(sound)), make([]byte, 4*tables)...)
	disk = le(12, 8, tables*vmdkTableEntries*128)(disk)
	first := (len(disk) + sectorBytes - 1) / sectorBytes * sectorBytes
	disk = append(disk, make([]byte, first-len(disk)+tables*vmdkTableBytes)...)
	verify := func(place func(i int) int) (read int64, err error) {
		file := slices.Clone(disk)
		for i := range tables {
			le(directory+4*i, 4, uint64((first+place(i)*vmdkTableBytes)/sectorBytes))(file)
		}
		d, err := ParseDisk(file[:HeaderBytes])
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = d.Verify(int64(len(file)), func(offset, length int64) ([]byte, error) {
			read += length
			return file[offset:][:length], nil
		})
		return read, err
	}
	for name, place := range map[string]func(int) int{
		"in order": func(i int) int { return i }, "backwards": func(i int) int { return tables - 1 - i }, "to and fro": func(i int) int { return i * 1025 % tables },
	} {
		if read, err := verify(place); err != nil || read > int64(len(disk)) {
			t.Errorf("%s: %d bytes were read of a file that has %d: %v", name, read, len(disk), err)
		}
	}
	if _, err := verify(func(int) int { return 0 }); fault.CodeOf(err) != fault.ImageUnsafe {
		t.Errorf("one table, listed many times: %v", err)
	}
}

// setItem changes a number in the metadata of a VHDX disk.
func setItem(metadata int, id [16]byte, offset, bytes int, v uint64) func([]byte) []byte {
	return func(b []byte) []byte {
		entry := item(b, metadata, id)
		return le(metadata+int(binary.LittleEndian.Uint32(b[entry+16:]))+offset, bytes, v)(b)
	}
}

func renameItem(metadata int, id, to [16]byte) func([]byte) []byte {
	return func(b []byte) []byte {
		copy(b[item(b, metadata, id):], to[:])
		return b
	}
}

func item(b []byte, metadata int, id [16]byte) int {
	return metadata + 32 + bytes.Index(b[metadata+32:], id[:])
}

func pack(t testing.TB, packing string, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var w interface {
		Write([]byte) (int, error)
		Close() error
	}
	var err error
	switch packing {
	case gzipPacking:
		w = gzip.NewWriter(&out)
	case xzPacking:
		w, err = xz.WriterConfig{DictCap: 1 << 16}.NewWriter(&out)
	default:
		w, err = zstd.NewWriter(&out)
	}
	if err == nil {
		_, err = w.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
