package diskimage

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

func FuzzParseQcow2(f *testing.F) {
	f.Add(header())
	f.Add(header()[:80])
	f.Add(chain(u32(4, 2))(header()))
	f.Add(extension(0x6803f857, 48)(header()))
	f.Fuzz(func(t *testing.T, head []byte) {
		q, err := ParseQcow2(head, MaxVirtualBytes)
		if err != nil {
			if fault.CodeOf(err) != fault.ImageUnsafe {
				t.Errorf("rejected with %v", err)
			}
			return
		}
		// Whatever passes is a qcow2 file that can't open other files.
		be := binary.BigEndian
		if !bytes.HasPrefix(head, []byte(qcow2Magic)) || be.Uint64(head[8:]) != 0 || be.Uint32(head[16:]) != 0 || be.Uint32(head[32:]) != 0 {
			t.Error("an unsafe header passed")
		}
		if be.Uint32(head[4:]) == 3 && be.Uint64(head[72:])&incompatibleExternalData != 0 {
			t.Error("an external data file passed")
		}
		if q.VirtualBytes <= 0 || q.VirtualBytes > MaxVirtualBytes || q.NeedsBytes <= 0 {
			t.Errorf("it passed with %+v", q)
		}
	})
}

// FuzzIncoming passes whole files to all checks that run before other programs open a file.
func FuzzIncoming(f *testing.F) {
	for _, format := range [][]string{{"vmdk"}, {"vmdk", "-o", "subformat=streamOptimized"}, {"vdi"}, {"vpc"}, {"qcow2"}} {
		file := foreign(f, format[0], format[1:]...)
		f.Add(file[:min(len(file), 16<<10)])
	}
	disk := rawDisk()[:4<<10]
	f.Add(disk)
	for _, packing := range []string{gzipPacking, zstdPacking} { // FuzzXZ has the third
		f.Add(pack(f, packing, disk))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		format, virtual, err := judge(file)
		if err != nil {
			if fault.CodeOf(err) != fault.ImageUnsafe {
				t.Errorf("rejected with %v", err)
			}
			return
		}
		if virtual < 0 || virtual > MaxVirtualBytes {
			t.Errorf("a %s file of %d bytes passed", format, virtual)
		}
		// What passes as raw is also raw for libvirt and QEMU.
		if format == Raw && isDisk(file) {
			t.Error("a disk with a header passed as raw")
		}
	})
}

// FuzzVHDX replaces the tables of a valid VHDX disk, because they are far from its
// beginning.
func FuzzVHDX(f *testing.F) {
	sound := foreign(f, "vhdx")
	f.Add(sound[vhdxRegions:][:128], sound[1<<20:][:64], sound[2<<20:][:256], sound[3<<20:][:64])
	f.Fuzz(func(t *testing.T, regions, first, second, third []byte) {
		file := bytes.Clone(sound[:6<<20])
		copy(file[vhdxRegions:vhdxRegions+vhdxTableBytes], regions)
		sum32(vhdxRegions, vhdxTableBytes)(file)
		for i, part := range [][]byte{first, second, third} {
			copy(file[(i+1)<<20:][:1<<20], part)
		}
		if _, virtual, err := judge(file); err != nil && fault.CodeOf(err) != fault.ImageUnsafe || virtual < 0 || virtual > MaxVirtualBytes {
			t.Errorf("%d bytes: %v", virtual, err)
		}
	})
}

// FuzzXZ decompresses whatever claims to be xz: it must end, and stay within its memory
// limit.
func FuzzXZ(f *testing.F) {
	f.Add(pack(f, xzPacking, []byte("hello")))
	f.Add(append(pack(f, xzPacking, []byte("hello")), pack(f, xzPacking, make([]byte, 1<<16))...))
	f.Fuzz(func(_ *testing.T, file []byte) {
		d, err := NewUnpacker(xzPacking, bytes.NewReader(file))
		if err == nil {
			_, _ = io.Copy(io.Discard, io.LimitReader(d, 1<<22))
		}
	})
}
