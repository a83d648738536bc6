package hypervisortest

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Kernel is what a guest without a disk starts with: the kernel of the micro image, and an
// initramfs whose only program is kernelinit.sh. The parameters of the kernel say what
// the guest does:
//
//	agent=silent      its agent accepts everything and never answers
//	agent=deaf        its agent says that it listens, and answers no command
//	agent=10.1.2.3    its agent reports that address
type Kernel struct {
	Image, Initramfs string // files that QEMU's user can read
}

//go:embed kernelinit.sh
var kernelInit []byte

// partitionOffset is where the file system begins in the micro image.
const partitionOffset = 1 << 20

// NewKernel takes the kernel out of the micro image, into a folder that goes when the test
// ends.
func NewKernel(t *testing.T, microImage string) Kernel {
	t.Helper()
	folder, err := os.MkdirTemp("/var/lib/libvirt/images", "sandboxlabs-test-kernel-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	raw := filepath.Join(folder, "raw")
	run(t, "qemu-img", "convert", "-O", "raw", microImage, raw)
	k := Kernel{Image: filepath.Join(folder, "vmlinuz"), Initramfs: filepath.Join(folder, "initramfs")}
	file := func(path, to string) {
		run(t, "debugfs", "-R", "dump "+path+" "+to, fmt.Sprintf("%s?offset=%d", raw, partitionOffset))
	}
	file("/boot/vmlinuz", k.Image)
	file("/boot/initrd.gz", k.Initramfs)
	release := strings.Fields(run(t, "debugfs", "-R", "ls -p /lib/modules", fmt.Sprintf("%s?offset=%d", raw, partitionOffset)))
	module := filepath.Join(folder, "module")
	file("/lib/modules/"+moduleFolder(release)+"/virtio_console.ko", module)
	content, err := os.ReadFile(module)
	if err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(k.Initramfs)
	if err != nil {
		t.Fatal(err)
	}
	// The kernel unpacks one archive after the other, each at a multiple of four bytes, and
	// what comes later wins.
	first = append(first, make([]byte, -len(first)&3)...)
	second := archive(t, entry{"init", 0o100755, kernelInit}, entry{"modules/virtio_console.ko", 0o100644, content})
	if err := os.WriteFile(k.Initramfs, append(first, second...), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(raw)
	for _, name := range []string{k.Image, k.Initramfs} {
		if err := os.Chmod(name, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

// moduleFolder picks the kernel's release out of lines such as
// /122/040755/0/0/6.1.0-57-cloud-amd64//.
func moduleFolder(lines []string) string {
	for _, line := range lines {
		if parts := strings.Split(line, "/"); len(parts) > 5 && parts[5] != "." && parts[5] != ".." {
			return parts[5]
		}
	}
	return ""
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	var failed bytes.Buffer
	cmd.Stderr = &failed
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, &failed)
	}
	return string(out)
}

// entry is a file of an archive.
type entry struct {
	name    string
	mode    int
	content []byte
}

// archive writes files as cpio does (newc), the form of an initramfs.
func archive(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	pad := func() {
		for b.Len()%4 != 0 {
			b.WriteByte(0)
		}
	}
	for i, e := range append(entries, entry{name: "TRAILER!!!"}) {
		fmt.Fprintf(&b, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
			i+1, e.mode, 0, 0, 1, 0, len(e.content), 0, 0, 0, 0, len(e.name)+1, 0)
		b.WriteString(e.name + "\x00")
		pad()
		b.Write(e.content)
		pad()
	}
	return b.Bytes()
}
