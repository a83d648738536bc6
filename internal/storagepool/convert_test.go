package storagepool_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/upload"
)

// progress records what a job would report.
type progress struct {
	mu          sync.Mutex
	steps       []string
	done, total int64
	hook        func(step string, done int64)
}

func (p *progress) Begin(step string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.steps = append(p.steps, step)
}

func (p *progress) Progress(done, total int64) {
	p.mu.Lock()
	p.done, p.total = done, total
	step := p.steps[len(p.steps)-1]
	p.mu.Unlock()
	if p.hook != nil {
		p.hook(step, done)
	}
}

// rawFile creates a raw disk of 16 MiB with a partition that contains data bytes of noise,
// and returns its path.
func rawFile(t *testing.T, data int) string {
	t.Helper()
	disk := make([]byte, 16<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(disk[2<<20:][:data])
	disk[450], disk[455], disk[459] = 0x83, 8, 0x78 // from 1 MiB to the end
	disk[510], disk[511] = 0x55, 0xaa
	path := filepath.Join(t.TempDir(), "disk.raw")
	if err := os.WriteFile(path, disk, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func convertTo(t *testing.T, raw string, args ...string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	if text, err := exec.CommandContext(t.Context(), "qemu-img", append(append([]string{"convert", "-f", "raw"}, args...), raw, out)...).CombinedOutput(); err != nil {
		t.Fatalf("qemu-img: %v: %s", err, text)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func packed(t *testing.T, packing string, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	var err error
	switch packing {
	case "gz":
		w = gzip.NewWriter(&out)
	case "bz2":
		cmd := exec.CommandContext(t.Context(), "bzip2", "-c")
		cmd.Stdin = bytes.NewReader(data)
		text, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return text
	case "xz":
		w, err = xz.NewWriter(&out)
	default:
		w, err = zstd.NewWriter(&out)
	}
	if err == nil {
		_, err = w.Write(data)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// ova creates an OVA as VirtualBox exports it, with the given disks.
func ova(t *testing.T, disks ...[]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	add := func(name string, content []byte) {
		err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o640, Size: int64(len(content)), Format: tar.FormatUSTAR})
		if err == nil {
			_, err = w.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	add("box.ovf", []byte(`<?xml version="1.0"?><Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1"><VirtualSystem><VirtualHardwareSection>
		<Item><ResourceType>3</ResourceType><VirtualQuantity>2</VirtualQuantity></Item></VirtualHardwareSection></VirtualSystem></Envelope>`))
	for i, disk := range disks {
		add(fmt.Sprintf("box-disk%03d.vmdk", i+1), disk)
	}
	add("box.mf", []byte("SHA1 (box.ovf) = 00\n"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// withSnapshot creates a qcow2 disk with an internal snapshot of an earlier state.
func withSnapshot(t *testing.T, raw string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "snapshots.qcow2")
	for _, args := range [][]string{
		{"qemu-img", "create", "-q", "-f", "qcow2", file, "16M"},
		{"qemu-io", "-c", "write -P 7 2M 1M", file},
		{"qemu-img", "snapshot", "-c", "before", file},
		{"qemu-img", "convert", "-n", "-f", "raw", "-O", "qcow2", raw, file},
	} {
		if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s", args, err, out)
		}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// sameDisk compares the disk in an image's volume with a raw one.
func sameDisk(t *testing.T, img image.Image, raw string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "qemu-img", "compare", "-f", "qcow2", "-F", "raw", img.Path, raw).CombinedOutput(); err != nil {
		t.Errorf("the disk of %s is another one: %v: %s", img.ID, err, out)
	}
}

// Every accepted format becomes a qcow2 image with the same disk, and nothing of the
// uploaded file remains.
func TestConvertWhatIsTaken(t *testing.T) {
	t.Parallel()
	p := open(t)
	raw := rawFile(t, 64<<10) // little noise, because the xz library is slow
	disk, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	ready := convertTo(t, raw, "-O", "qcow2")
	for _, c := range []struct {
		name, source string
		content      []byte
		steps        string
	}{
		{"a.qcow2", "raw", disk, "converting"}, // its name does not matter
		{"b.raw", "vmdk", convertTo(t, raw, "-O", "vmdk"), "converting"},
		{"c.vmdk", "vmdk", convertTo(t, raw, "-O", "vmdk", "-o", "subformat=streamOptimized"), "converting"},
		{"d.vdi", "vdi", convertTo(t, raw, "-O", "vdi"), "converting"},
		{"e.vhd", "vhd", convertTo(t, raw, "-O", "vpc", "-o", "force_size=on"), "converting"},
		{"f.vhd", "vhd", convertTo(t, raw, "-O", "vpc", "-o", "subformat=fixed,force_size=on"), "unpacking converting"},
		{"g.vhdx", "vhdx", convertTo(t, raw, "-O", "vhdx"), "unpacking converting"},
		{"h.img.gz", "raw.gz", packed(t, "gz", disk), "unpacking converting"},
		{"i.vmdk.xz", "vmdk.xz", packed(t, "xz", convertTo(t, raw, "-O", "vmdk")), "unpacking converting"},
		{"j.vhdx.zst", "vhdx.zst", packed(t, "zst", convertTo(t, raw, "-O", "vhdx")), "unpacking unpacking converting"},
		{"k.qcow2.xz", "qcow2.xz", packed(t, "xz", ready), "unpacking"},
		{"l.img.bz2", "raw.bz2", packed(t, "bz2", disk), "unpacking converting"},
		{"m.ova", "vmdk.tar", ova(t, convertTo(t, raw, "-O", "vmdk", "-o", "subformat=streamOptimized")), "unpacking converting"},
		{"n.tar.gz", "raw.tar.gz", packed(t, "gz", ova(t, disk)), "unpacking converting"},
		{"o.tar.xz", "qcow2.tar.xz", packed(t, "xz", ova(t, ready)), "unpacking"},
		{"p.qcow2", "qcow2-snapshots", withSnapshot(t, raw), "leaving out snapshots converting"},
	} {
		t.Run(c.source, func(t *testing.T) {
			sum := sha256.Sum256(c.content)
			img, err := p.Receive(t.Context(), upload.Upload{FileName: c.name, Owner: "ann", SHA256: hex.EncodeToString(sum[:])}, bytes.NewReader(c.content))
			if err != nil || img.State != image.Verifying {
				t.Fatalf("behind its last byte the image is %+v: %v", img, err)
			}
			if _, err := p.Usable("", img.ID); fault.CodeOf(err) != fault.ImageNotReady {
				t.Errorf("it can be used before it is converted: %v", err)
			}
			told := &progress{}
			if err := p.Convert(t.Context(), upload.Conversion{ID: img.ID, Host: "local"}, told); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(told.steps, " "); got != c.steps || told.done != told.total {
				t.Errorf("it was told of %q, and of %d of %d bytes at last", got, told.done, told.total)
			}
			img, err = p.Usable("", img.ID)
			if err != nil || img.Format != "qcow2" || img.SourceFormat != c.source || img.VirtualBytes < 16<<20 || img.SHA256 != hex.EncodeToString(sum[:]) || img.Owner != "ann" {
				t.Fatalf("the image is %+v: %v", img, err)
			}
			if archived := strings.Contains(c.source, ".tar"); archived != (img.Description == "Imported from an OVA with 2 CPUs.") {
				t.Errorf("its description is %q", img.Description)
			}
			sameDisk(t, img, raw)
			if err := p.Convert(t.Context(), upload.Conversion{ID: img.ID, Host: "local"}, told); err != nil {
				t.Errorf("once more: %v", err)
			}
			if left := strings.Fields(p.volumes("images")); len(left) != 2 || left[0] != img.ID {
				t.Errorf("the pool has %q", left)
			}
			if err := p.DeleteImage(t.Context(), img.ID); err != nil {
				t.Error(err)
			}
		})
	}
}

// oddDisk creates a raw disk of the given size, with a partition and noise up to its last
// byte, and returns its path.
func oddDisk(t *testing.T, size int) string {
	t.Helper()
	disk := make([]byte, size)
	noise := rand.NewChaCha8([32]byte{})
	for _, part := range [][]byte{disk[1<<20:][:64<<10], disk[size-3*512:]} {
		_, _ = noise.Read(part)
	}
	disk[450], disk[455] = 0x83, 8
	binary.LittleEndian.PutUint32(disk[458:], uint32(size-1<<20)/512)
	disk[510], disk[511] = 0x55, 0xaa
	path := filepath.Join(t.TempDir(), "disk.raw")
	if err := os.WriteFile(path, disk, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// madeBy changes a VHD disk to one that another program created: with its creator name,
// and the geometry that such programs write, which is smaller than the disk.
func madeBy(creator string, vhd []byte) []byte {
	change := func(f []byte) {
		copy(f[28:32], creator)
		sectors := binary.BigEndian.Uint64(f[48:]) / 512
		binary.BigEndian.PutUint16(f[56:], uint16(sectors/(4*17)))
		f[58], f[59] = 4, 17
		clear(f[64:68])
		var sum uint32
		for _, b := range f {
			sum += uint32(b)
		}
		binary.BigEndian.PutUint32(f[64:], ^sum)
	}
	if bytes.HasPrefix(vhd, []byte("conectix")) {
		change(vhd[:512])
	}
	change(vhd[len(vhd)-512:])
	return vhd
}

// A disk whose size is only a multiple of a sector keeps its last sector, whatever its
// format and the program that wrote it.
func TestConvertKeepsOddSizes(t *testing.T) {
	t.Parallel()
	p := open(t)
	const size = 3<<20 + 512
	raw := oddDisk(t, size)
	disk, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	vpc := func(creator string, options string) []byte {
		return madeBy(creator, convertTo(t, raw, "-O", "vpc", "-o", "force_size=on"+options))
	}
	vdi := convertTo(t, raw, "-O", "vdi")
	binary.LittleEndian.PutUint64(vdi[0x170:], uint64(size-100)) // as VBoxManage creates it from a raw file of that size
	for name, content := range map[string][]byte{
		"raw":           disk,
		"qcow2":         convertTo(t, raw, "-O", "qcow2"),
		"raw.gz":        packed(t, "gz", disk),
		"vmdk":          convertTo(t, raw, "-O", "vmdk"),
		"vmdk.stream":   convertTo(t, raw, "-O", "vmdk", "-o", "subformat=streamOptimized"),
		"vdi":           convertTo(t, raw, "-O", "vdi"),
		"vdi.static":    convertTo(t, raw, "-O", "vdi", "-o", "static=on"),
		"vdi.odd":       vdi,
		"vhd":           convertTo(t, raw, "-O", "vpc", "-o", "force_size=on"),
		"vhd.vbox":      vpc("vbox", ""),
		"vhd.win":       vpc("win ", ""),
		"vhd.unknown":   vpc("abcd", ""),
		"vhd.fixed":     convertTo(t, raw, "-O", "vpc", "-o", "force_size=on,subformat=fixed"),
		"vhd.fixedvbox": vpc("vbox", ",subformat=fixed"),
		"vhdx":          convertTo(t, raw, "-O", "vhdx"),
		"vhdx.fixed":    convertTo(t, raw, "-O", "vhdx", "-o", "subformat=fixed"),
	} {
		t.Run(name, func(t *testing.T) {
			img, err := p.Receive(t.Context(), upload.Upload{FileName: "x"}, bytes.NewReader(content))
			if err != nil {
				t.Fatal(err)
			}
			if img.State != image.Ready {
				if err := convertInTurn(t, p, upload.Conversion{ID: img.ID, Host: "local"}); err != nil {
					t.Fatal(err)
				}
			}
			if img, err = p.Usable("", img.ID); err != nil || img.VirtualBytes != int64(size) {
				t.Errorf("the disk has %d bytes, and had %d: %v", img.VirtualBytes, size, err)
			}
			back := filepath.Join(t.TempDir(), "back")
			if out, err := exec.CommandContext(t.Context(), "qemu-img", "convert", "-f", "qcow2", "-O", "raw", img.Path, back).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if got, err := os.ReadFile(back); err != nil || !bytes.Equal(got, disk) {
				t.Errorf("the disk is another one: it has %d bytes, and had %d: %v", len(got), len(disk), err)
			}
			if err := p.DeleteImage(t.Context(), img.ID); err != nil {
				t.Error(err)
			}
		})
	}
}

// patchedSnapshots makes a qcow2 disk claim that it has snapshots.
func patchedSnapshots(disk []byte) []byte {
	disk = bytes.Clone(disk)
	binary.BigEndian.PutUint32(disk[60:], 1)
	return disk
}

// The content of a packed file is checked when it is unpacked, if not before.
func TestConvertRefusesWhatIsPacked(t *testing.T) {
	t.Parallel()
	p := open(t)
	disk, err := os.ReadFile(rawFile(t, 256<<10))
	if err != nil {
		t.Fatal(err)
	}
	noise, err := os.ReadFile(rawFile(t, 8<<20))
	if err != nil {
		t.Fatal(err)
	}
	hostile := qcow2(t, "-b", "/etc/hostname", "-F", "raw", "-u")
	good := packed(t, "gz", disk)
	damaged := packed(t, "xz", convertTo(t, rawFile(t, 256<<10), "-O", "vmdk"))
	damaged[len(damaged)/2] ^= 0xff
	for _, c := range []struct {
		name    string
		content []byte
		early   bool // rejected because of its first bytes
		refused string
	}{
		{"backing file", packed(t, "gz", hostile), true, "backing file"},
		{"backing file before what cannot be packed", packed(t, "zst", append(hostile[:1024:1024], noise[2<<20:][:4<<20]...)), false, "backing file"},
		{"no disk", packed(t, "xz", []byte("hello")), true, "format is unknown"},
		{"packed twice", packed(t, "zst", good), false, "compressed twice"},
		{"cut off", packed(t, "gz", noise)[:2<<20], false, "truncated"},
		{"damaged", damaged, false, "damaged"},
		{"a VMDK of nothing", packed(t, "gz", append([]byte("KDMV"), make([]byte, 1<<20)...)), true, "VMDK version is 0"},
		{"an archive without a disk", ova(t), false, "no supported disk"},
		{"an archive of two disks", ova(t, disk, hostile[:0:0], disk), false, "several disks"},
		{"an archive with a disk that names another", packed(t, "gz", ova(t, hostile)), false, "backing file"},
		{"a packed disk in an archive", ova(t, good), false, "compressed twice"},
		{"an archive that is cut off", ova(t, noise)[:4<<20], false, "truncated"},
		{"a packed archive that is cut off", packed(t, "gz", ova(t, noise))[:4<<20], false, "truncated"},
		{"bzip2 that is damaged", append([]byte("BZh91AY&SY"), noise[2<<20:][:4<<20]...), true, "damaged"},
		{"snapshots beside a backing file", patchedSnapshots(hostile), true, "backing file"},
		{"a disk that is cut off", packed(t, "gz", disk[:8<<20]), false, "partitions end"},
	} {
		t.Run(c.name, func(t *testing.T) {
			img, err := p.Receive(t.Context(), upload.Upload{FileName: "bad.img"}, bytes.NewReader(c.content))
			if early := err != nil; early != c.early {
				t.Errorf("its first bytes: %v", err)
			}
			if err == nil {
				err = p.Convert(t.Context(), upload.Conversion{ID: img.ID, Host: "local"}, &progress{})
				now, gone := p.Image("", img.ID)
				if gone != nil || now.State != image.Rejected || !strings.Contains(now.Reason, c.refused) {
					t.Errorf("the image is %+v: %v", now, gone)
				}
				if err := p.DeleteImage(t.Context(), img.ID); err != nil {
					t.Error(err)
				}
			}
			if fault.CodeOf(err) != fault.ImageUnsafe || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("error %v, want %q", err, c.refused)
			}
			if left := strings.TrimSpace(p.volumes("images")); left != "" {
				t.Errorf("the pool has %s", left)
			}
		})
	}
}

// convertInTurn converts like a job does: it retries until libvirt has finished what an
// earlier attempt started.
func convertInTurn(t *testing.T, p *pools, c upload.Conversion) error {
	t.Helper()
	for {
		err := p.Convert(t.Context(), c, &progress{})
		var waits interface{ Wait() time.Duration }
		if !errors.As(err, &waits) {
			return err
		}
		select {
		case <-time.After(waits.Wait()):
		case <-t.Context().Done():
			return err
		}
	}
}

// A conversion that is interrupted in any of its steps can be continued or undone.
func TestConvertGoesOnOrIsUndone(t *testing.T) {
	t.Parallel()
	p := open(t)
	raw := rawFile(t, 12<<20)
	content := packed(t, "gz", convertTo(t, raw, "-O", "vdi"))
	for _, step := range []string{"unpacking", "converting"} {
		t.Run(step, func(t *testing.T) {
			begin := func() upload.Conversion {
				img, err := p.Receive(t.Context(), upload.Upload{FileName: "x.vdi.gz"}, bytes.NewReader(content))
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				c := upload.Conversion{ID: img.ID, Host: "local"}
				err = p.Convert(ctx, c, &progress{hook: func(now string, done int64) {
					if now == step && (done > 1<<20 || step == "converting") {
						cancel()
					}
				}})
				if !errors.Is(err, context.Canceled) {
					t.Fatalf("it ended with %v", err)
				}
				if img, err := p.Image("", c.ID); err != nil || img.State != image.Verifying {
					t.Errorf("the image is %+v: %v", img, err)
				}
				return c
			}
			c := begin()
			if err := convertInTurn(t, p, c); err != nil {
				t.Fatal(err)
			}
			img, err := p.Usable("", c.ID)
			if err != nil {
				t.Fatal(err)
			}
			sameDisk(t, img, raw)
			if err := p.DeleteImage(t.Context(), c.ID); err != nil {
				t.Error(err)
			}

			c = begin()
			if err := p.UndoConversion(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if _, err := p.Image("", c.ID); fault.CodeOf(err) != fault.ImageNotFound {
				t.Errorf("an image that was given up: %v", err)
			}
			for deadline := time.Now().Add(60 * time.Second); strings.TrimSpace(p.volumes("images")) != "" || strings.Contains(virsh(t, "pool-list", "--name"), p.prefix+"-images-work"); time.Sleep(50 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("the pool has %s", p.volumes("images"))
				}
			}
		})
	}
}

// Undoing a conversion whose image is ready, when only its source files are still to be
// removed, keeps the image: disks may be backed by it.
func TestUndoKeepsWhatIsReady(t *testing.T) {
	t.Parallel()
	p := open(t)
	disk, err := os.ReadFile(rawFile(t, 64<<10))
	if err != nil {
		t.Fatal(err)
	}
	for name, undo := range map[string]func(upload.Conversion) error{
		"conversion": func(c upload.Conversion) error { return p.UndoConversion(t.Context(), c) },
		"upload":     func(c upload.Conversion) error { return p.CancelUpload(t.Context(), c.Host, c.ID) },
	} {
		t.Run(name, func(t *testing.T) {
			img, err := p.Receive(t.Context(), upload.Upload{FileName: "x.raw"}, bytes.NewReader(disk))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := func(tx *gorm.DB) {
				if change, ok := tx.Statement.Dest.(map[string]any); ok && change["state"] == image.Ready {
					cancel()
				}
			}
			p.after.Store(&ended)
			defer p.after.Store(nil)
			c := upload.Conversion{ID: img.ID, Host: "local"}
			if err := p.Convert(ctx, c, &progress{}); !errors.Is(err, context.Canceled) {
				t.Fatalf("it ended with %v", err)
			}
			if err := p.Service.Refresh(t.Context(), "local"); err != nil {
				t.Fatal(err)
			}
			if img, err = p.Usable("", c.ID); err != nil {
				t.Fatal(err)
			}
			if _, err := p.CreateOverlay(t.Context(), "local", name+".qcow2", img.ID, 64<<20); err != nil {
				t.Fatal(err)
			}
			if err := undo(c); err != nil {
				t.Error(err)
			}
			if _, err := p.Upload(t.Context(), "", c.ID); fault.CodeOf(err) != fault.NotFound {
				t.Errorf("the upload: %v", err)
			}
			if volumes := p.volumes("images"); !strings.Contains(volumes, " "+img.ID) || strings.Contains(volumes, ".source-") {
				t.Errorf("the pool has %s", volumes)
			}
			if now, err := p.Usable("", c.ID); err != nil || now != img {
				t.Errorf("the image is %+v, and was %+v: %v", now, img, err)
			}
		})
	}
}

// Undoing a pull keeps an upload that became the image before it.
func TestUndoPullKeepsWhatIsAnothers(t *testing.T) {
	t.Parallel()
	p := open(t)
	in, err := p.BeginUpload(t.Context(), upload.Upload{FileName: "x.qcow2", BaseID: "tiny", SizeBytes: 1 << 20}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.UndoPull(t.Context(), upload.Pull{ID: "tiny", Host: "local"}); err != nil {
		t.Error(err)
	}
	if _, err := p.Upload(t.Context(), "", in.ID); err != nil {
		t.Errorf("the upload: %v", err)
	}
}
