package diskimage

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// header returns a valid version 3 header of a 1 GiB image with 64 KiB clusters, followed
// by the end of its extensions.
func header() []byte {
	b := make([]byte, 1<<10)
	copy(b, qcow2Magic)
	be := binary.BigEndian
	be.PutUint32(b[4:], 3)
	be.PutUint32(b[20:], 16)
	be.PutUint64(b[24:], 1<<30)
	be.PutUint32(b[36:], 2)
	be.PutUint64(b[40:], 3<<16)
	be.PutUint64(b[48:], 1<<16)
	be.PutUint32(b[56:], 1)
	be.PutUint32(b[96:], 4)
	be.PutUint32(b[100:], 104)
	return b
}

func u32(offset int, v uint32) func([]byte) []byte {
	return func(b []byte) []byte { binary.BigEndian.PutUint32(b[offset:], v); return b }
}

func u64(offset int, v uint64) func([]byte) []byte {
	return func(b []byte) []byte { binary.BigEndian.PutUint64(b[offset:], v); return b }
}

func extension(kind, length uint32) func([]byte) []byte {
	return func(b []byte) []byte {
		binary.BigEndian.PutUint32(b[104:], kind)
		binary.BigEndian.PutUint32(b[108:], length)
		return b
	}
}

func chain(changes ...func([]byte) []byte) func([]byte) []byte {
	return func(b []byte) []byte {
		for _, c := range changes {
			b = c(b)
		}
		return b
	}
}

func TestParseQcow2(t *testing.T) {
	same := func(b []byte) []byte { return b }
	for _, c := range []struct {
		name    string
		change  func([]byte) []byte
		refused string // a part of the reason; empty if it passes
	}{
		{"sound", same, ""},
		{"version 2", u32(4, 2), ""},
		{"dirty", u64(72, incompatibleDirty), ""},
		{"known feature names", extension(0x6803f857, 48), ""},
		{"extensions beyond the checked bytes", chain(u32(20, 21), extension(0x6803f857, 64<<10-104-8)), "header extensions exceed"},
		{"zstd clusters", chain(u64(72, incompatibleCompression), u32(100, 112), u32(104, 1<<24)), ""},
		{"zlib in a longer header", u32(100, 112), ""},
		{"compression without its type", u64(72, incompatibleCompression), "compression type is 0"},
		{"compression of no bit", chain(u32(100, 112), u32(104, 1<<24)), "compression type is 1"},
		{"unknown compression", chain(u64(72, incompatibleCompression), u32(100, 112), u32(104, 2<<24)), "compression type is 2"},
		{"subclusters of clusters that are too small", chain(u64(72, incompatibleExtendedL2), u32(20, 13), u32(36, 512), u64(40, 1<<20)), "too small for subclusters"},
		{"subclusters of the smallest clusters", chain(u64(72, incompatibleExtendedL2), u32(20, 14), u32(36, 64), u64(40, 1<<20)), ""},
		{"format of a backing file", extension(extensionBackingFormat, 8), "format of a backing file"},
		{"unknown extension", extension(0x12345678, 8), ""},
		{"feature names with half a name", extension(extensionFeatureNames, 24), "feature names"},
		{"bitmaps", extension(extensionBitmaps, 24), ""},
		{"truncated bitmaps", extension(extensionBitmaps, 16), "bitmaps"},
		{"L1 on the refcount table", u64(40, 1<<16), "overlaps its refcount table"},
		{"extended L2 with a matching L1", chain(u64(72, incompatibleExtendedL2), u32(36, 4)), ""},
		{"empty", func([]byte) []byte { return nil }, "the file is empty"},
		{"text", func([]byte) []byte { return []byte("hello, this is not a disk\n") }, "does not start with the qcow2 signature"},
		{"vmdk", func([]byte) []byte { return []byte("KDMV....") }, "VMDK"},
		{"gzip", func([]byte) []byte { return []byte{0x1f, 0x8b, 8} }, "gzip"},
		{"truncated in version 2", func(b []byte) []byte { return b[:40] }, "truncated after 40 bytes"},
		{"truncated in version 3", func(b []byte) []byte { return b[:90] }, "truncated after 90 bytes"},
		{"version 1", u32(4, 1), "version is 1"},
		{"version 4", u32(4, 4), "version is 4"},
		{"backing file", chain(u64(8, 512), u32(16, 11)), "backing file"},
		{"backing file without length", u64(8, 512), "backing file"},
		{"backing file name of length without place", u32(16, 11), "backing file"},
		{"AES", u32(32, 1), "encrypted"},
		{"LUKS", u32(32, 2), "encrypted"},
		{"LUKS extension", extension(extensionEncryption, 16), "encrypted"},
		{"external data bit", u64(72, incompatibleExternalData), "external file"},
		{"external data name", extension(extensionExternalData, 8), "external data file"},
		{"external data name, not first", func(b []byte) []byte {
			b = extension(0x12345678, 5)(b)
			binary.BigEndian.PutUint32(b[120:], extensionExternalData)
			binary.BigEndian.PutUint32(b[124:], 8)
			return b
		}, "external data file"},
		{"corrupt", u64(72, incompatibleCorrupt), "corrupt"},
		{"unknown feature", u64(72, 1<<5), "features"},
		{"snapshots", u32(60, 1), "snapshots"},
		{"clusters too small", u32(20, 8), "cluster size"},
		{"clusters too large", u32(20, 22), "cluster size"},
		{"absurd cluster bits", u32(20, 1<<31), "cluster size"},
		{"no size", u64(24, 0), "virtual size is 0"},
		{"too large", chain(u64(24, 3<<40), u32(36, 6<<10)), "limit"},
		{"negative size", u64(24, 1<<63), "limit"},
		{"L1 too short", u32(36, 1), "L1 table has 1 entries"},
		{"L1 too short for extended L2", chain(u64(72, incompatibleExtendedL2), u32(36, 3)), "L1 table has 3 entries"},
		{"L1 absurd", u32(36, 1<<31), "L1 table"},
		{"L1 nowhere", u64(40, 0), "L1 table has the invalid offset 0"},
		{"L1 between clusters", u64(40, 3<<16+8), "L1 table has the invalid offset"},
		{"L1 beyond everything", u64(40, 1<<63), "L1 table has the invalid offset"},
		{"refcount table nowhere", u64(48, 0), "refcount table has the invalid offset 0"},
		{"no refcount table", u32(56, 0), "refcount table size of 0 bytes"},
		{"refcount table absurd", u32(56, 1<<30), "refcount table size"},
		{"refcount width", u32(96, 7), "refcount width"},
		{"header too short", u32(100, 96), "header length"},
		{"header odd", u32(100, 107), "header length"},
		{"header too long", u32(100, 1<<20), "header length"},
		{"extension runs out", extension(0x12345678, 1<<20), "exceed"},
		{"extension of 4 GiB", extension(0x12345678, 1<<32-1), "exceed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			q, err := ParseQcow2(c.change(header()), MaxVirtualBytes)
			if c.refused == "" {
				if err != nil {
					t.Fatal(err)
				}
				if q.VirtualBytes != 1<<30 || q.ClusterBytes&(q.ClusterBytes-1) != 0 {
					t.Errorf("read %+v", q)
				}
				return
			}
			if fault.CodeOf(err) != fault.ImageUnsafe || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("error %v, want one of code %s with %q", err, fault.ImageUnsafe, c.refused)
			}
		})
	}
}

func TestVerifyFindsTruncatedFiles(t *testing.T) {
	q, err := ParseQcow2(header(), MaxVirtualBytes)
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(3<<16 + 16); q.NeedsBytes != want {
		t.Fatalf("needs %d bytes, want %d", q.NeedsBytes, want)
	}
	if err := q.Verify(q.NeedsBytes); err != nil {
		t.Error(err)
	}
	if err := q.Verify(q.NeedsBytes - 1); fault.CodeOf(err) != fault.ImageUnsafe {
		t.Errorf("one byte less: %v", err)
	}
}

// Images that qemu-img creates must pass, with any options.
func TestParseQcow2AcceptsQEMUImages(t *testing.T) {
	if _, err := exec.LookPath("qemu-img"); err != nil {
		t.Skip("qemu-img is not installed; run `make setup`")
	}
	for _, options := range []string{"compat=0.10", "compat=1.1", "cluster_size=512", "cluster_size=2M", "extended_l2=on", "compression_type=zstd", "lazy_refcounts=on", "refcount_bits=1", "preallocation=metadata"} {
		path := filepath.Join(t.TempDir(), "image.qcow2")
		if out, err := exec.CommandContext(t.Context(), "qemu-img", "create", "-q", "-f", "qcow2", "-o", options, path, "1G").CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", options, err, out)
		}
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		q, err := ParseQcow2(file[:min(len(file), HeaderBytes)], MaxVirtualBytes)
		if err != nil {
			t.Errorf("%s: %v", options, err)
			continue
		}
		if err := q.Verify(int64(len(file))); err != nil {
			t.Errorf("%s: %v", options, err)
		}
		if q.VirtualBytes != 1<<30 {
			t.Errorf("%s: virtual size %d", options, q.VirtualBytes)
		}
	}
}

// A file that ends before its last used cluster is rejected, wherever its tables are; one
// byte of that cluster is enough, because QEMU does not pad files.
func TestVerifyEndFindsTruncatedData(t *testing.T) {
	if _, err := exec.LookPath("qemu-img"); err != nil {
		t.Skip("qemu-img is not installed; run `make setup`")
	}
	for _, options := range []string{"compat=0.10", "compat=1.1", "cluster_size=512", "cluster_size=2M", "extended_l2=on", "lazy_refcounts=on",
		"refcount_bits=1", "refcount_bits=4", "refcount_bits=8", "refcount_bits=64", "preallocation=metadata", "preallocation=full"} {
		path := filepath.Join(t.TempDir(), "image.qcow2")
		if out, err := exec.CommandContext(t.Context(), "qemu-img", "create", "-q", "-f", "qcow2", "-o", options, path, "64M").CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", options, err, out)
		}
		if out, err := exec.CommandContext(t.Context(), "qemu-io", "-c", "write -P 0x5a 5M 3M", "-c", "write -P 0x5b 40M 100k", path).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", options, err, out)
		}
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		q, err := ParseQcow2(file[:min(len(file), HeaderBytes)], MaxVirtualBytes)
		if err != nil {
			t.Fatalf("%s: %v", options, err)
		}
		verify := func(size int64) error {
			return q.VerifyEnd(size, func(offset, length int64) ([]byte, error) {
				return file[min(offset, size):min(offset+length, size)], nil
			})
		}
		size := int64(len(file))
		if err := verify(size); err != nil {
			t.Errorf("%s: %v", options, err)
		}
		for _, end := range []int64{(size - 1) / q.ClusterBytes * q.ClusterBytes, size/2 + 1, q.NeedsBytes} {
			if err := verify(end); fault.CodeOf(err) != fault.ImageUnsafe {
				t.Errorf("%s, cut off after %d of %d bytes: %v", options, end, size, err)
			}
		}
	}
}

// Checking a sparse file does not need more memory than checking others.
func TestVerifyTablesOfALongFile(t *testing.T) {
	read := func(_, length int64) ([]byte, error) { return make([]byte, length), nil }
	for _, c := range []struct {
		clusterBytes int64
		passes       bool
	}{{512, false}, {4 << 10, false}, {16 << 10, true}, {64 << 10, true}} {
		q := Qcow2{VirtualBytes: 1 << 20, ClusterBytes: c.clusterBytes, l1Offset: c.clusterBytes, l1Bytes: 8, refcountOffset: 2 * c.clusterBytes, refcountBytes: c.clusterBytes, refcountBits: 16}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := q.VerifyTables(MaxVirtualBytes, read)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 33<<20 || (err == nil) != c.passes {
			t.Errorf("2 TiB of clusters of %d bytes: %d bytes of memory, %v", c.clusterBytes, took, err)
		}
	}
}
