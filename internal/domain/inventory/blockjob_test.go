package inventory

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
)

// pullGuest starts a paused guest whose disk is an overlay of the micro image.
func pullGuest(t *testing.T, conn *libvirt.Connect) (d *libvirt.Domain, id string) {
	t.Helper()
	micro, err := os.Open("../../../images/build/micro.qcow2")
	if err != nil {
		t.Skip("images/build/micro.qcow2 is not there: run `make setup`")
	}
	defer func() { _ = micro.Close() }()
	name := "domain-test-" + rand.Text()[:8]
	folder := filepath.Join("/var/lib/libvirt/images", name)
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	base, err := os.Create(filepath.Join(folder, "base.qcow2"))
	if err == nil {
		_, err = io.Copy(base, micro)
	}
	if err == nil {
		err = base.Close()
	}
	if err == nil {
		err = os.Chmod(base.Name(), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	disk := filepath.Join(folder, "disk.qcow2")
	if out, err := exec.CommandContext(t.Context(), "qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base.Name(), disk).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	d, err = conn.DomainCreateXML(fmt.Sprintf(`<domain type='qemu'><name>%s</name><memory unit='MiB'>32</memory>
		<os><type arch='x86_64' machine='q35'>hvm</type></os><devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
		<source file='%s'/><target dev='vda' bus='virtio'/></disk></devices></domain>`, name, disk), libvirt.DOMAIN_START_PAUSED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = d.Destroy(), d.Free() })
	if id, err = d.GetUUIDString(); err != nil {
		t.Fatal(err)
	}
	return d, id
}

// runHosts connects to the local libvirt until the test ends.
func runHosts(t *testing.T) *hypervisor.Host {
	t.Helper()
	hosts, err := hypervisor.New(hypervisor.Options{Addresses: []hypervisor.Address{{Name: "h", URI: "qemu:///system"}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { _ = hosts.Run(ctx); close(ended) }()
	t.Cleanup(func() { stop(); <-ended })
	h := hosts.Hosts()[0]
	awaited(t, "the host", func() bool { return h.Status().State == hypervisor.Connected })
	return h
}

// While another program runs a block pull on a disk, the domain's disk statistics are not
// read, but its memory usage is. A service that starts during the job detects it.
func TestNoDiskIsReadDuringABlockJob(t *testing.T) {
	conn, err := libvirt.NewConnect("qemu:///system")
	if err != nil {
		t.Skip("libvirtd does not answer; run `make setup`")
	}
	defer func() { _, _ = conn.Close() }()
	h := runHosts(t)
	d, id := pullGuest(t, conn)
	read := func(h *hypervisor.Host) (r reading) {
		t.Helper()
		u := usageReader{at: time.Now(), ask: true, jobs: h.BlockJobs(), readings: map[string]reading{}}
		if err := h.Do(t.Context(), "node.usage", func(conn *libvirt.Connect) error { return u.read(t.Context(), conn) }); err != nil {
			t.Fatal(err)
		}
		return u.readings[id]
	}
	awaited(t, "a reading of the disks", func() bool { return read(h).asked })

	if err := d.BlockPull("vda", 1, libvirt.DOMAIN_BLOCK_PULL_BANDWIDTH_BYTES); err != nil {
		t.Fatal(err)
	}
	later := runHosts(t) // connected after the job began
	awaited(t, "the job", func() bool { return !h.BlockJobs().Quiet(id) })
	later.BlockJobs().Check(t.Context(), []string{id})
	for _, host := range []*hypervisor.Host{h, later} {
		var r reading
		awaited(t, "a reading of the memory", func() bool { r = read(host); return r.memory })
		if r.asked {
			t.Error("the disks were read during a block job")
		}
	}
	if _, err := h.BlockJobs().Hold(contextOf(t, time.Second), id); err == nil {
		t.Error("a change does not wait for the job")
	}
	if err := d.BlockJobAbort("vda", 0); err != nil {
		t.Fatal(err)
	}
	for _, host := range []*hypervisor.Host{h, later} {
		awaited(t, "a reading of the disks after the job", func() bool { return read(host).asked })
	}

	release, err := h.BlockJobs().Hold(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if read(h).asked {
		t.Error("the disks were read during a change of ours")
	}
	release()
	awaited(t, "a reading of the disks after the change", func() bool { return read(h).asked })
}

func contextOf(t *testing.T, limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}
