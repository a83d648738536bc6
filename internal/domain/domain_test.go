package domain

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/domain/inventory"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

var update = flag.Bool("update", false, "write the golden files")

func example() build {
	return build{
		id: "11111111-2222-4333-8444-555555555555", name: "web1", accelerator: "qemu", ramMiB: 512, cpus: 2,
		overlayPath: "/pool/nodes/o.qcow2", basePath: "/pool/images/b.qcow2", baseFormat: "qcow2", logPath: "/pool/logs/l.log",
		vncPassword: "secret12", card: cardOn("default"),
		metadata: definition.NewMetadata(definition.Owner{Name: `eve<x a="b">&`}, "linux", ImageRef{Type: "base", ID: "micro", Name: "Micro"}, time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)),
	}
}

func TestXML(t *testing.T) {
	kvm := example()
	kvm.accelerator, kvm.card = "kvm", cardOn("")
	seeded := example()
	seeded.seedPath = "/pool/nodes/seed.iso"
	secure := example()
	secure.firmware, secure.tpm, secure.variablesPath = definition.SecureBoot, true, "/pool/nodes/v.fd"
	for name, b := range map[string]build{"emulated": example(), "kvm-user-network": kvm, "seeded": seeded, "secure-boot": secure} {
		got, err := b.xml()
		if err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", name+".xml")
		if *update {
			if err := os.WriteFile(golden, []byte(got+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got+"\n" != string(want) {
			t.Errorf("%s differs from %s; look at it, and run with -update if it is meant:\n%s", name, golden, got)
		}
	}
}

// libvirt validates the XML against its schema.
func TestLibvirtAcceptsTheXML(t *testing.T) {
	conn, err := libvirt.NewConnect("qemu:///system")
	if err != nil {
		t.Skip("libvirtd does not answer; run `make setup`")
	}
	defer func() { _, _ = conn.Close() }()
	b := example()
	b.seedPath = "/pool/nodes/seed.iso"
	text, err := b.xml()
	if err != nil {
		t.Fatal(err)
	}
	native, err := conn.DomainXMLToNative("qemu-argv", text, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"q35", "/pool/nodes/o.qcow2", "virtio-blk", "virtio-net", "isa-serial", "virtio-rng", "virtio-balloon", "virtio-scsi", "/pool/nodes/seed.iso", "scsi-cd", "org.qemu.guest_agent.0"} {
		if !strings.Contains(native, part) {
			t.Errorf("QEMU's arguments lack %s:\n%s", part, native)
		}
	}
}

func TestNodeReadsBackWhatWasBuilt(t *testing.T) {
	text, err := example().xml()
	if err != nil {
		t.Fatal(err)
	}
	var def libvirtxml.Domain
	if err := def.Unmarshal(text); err != nil {
		t.Fatal(err)
	}
	n := Node{State: Running}
	n.Describe(&def)
	want := Node{
		State: Running, Managed: true, OSType: "linux", OwnerName: `eve<x a="b">&`, Image: ImageRef{Type: "base", ID: "micro", Name: "Micro"},
		Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), RAMMiB: 512, CPUs: 2, Firmware: definition.BIOS, Accelerator: "qemu",
		Ports: []inventory.SerialPort{{Alias: "serial0", Device: "/dev/ttyS0", Usable: true, LogPath: example().logPath}},
		Files: []string{"/pool/nodes/o.qcow2", "/pool/images/b.qcow2"}, Below: []string{"/pool/images/b.qcow2"}, Networks: []string{"default"},
	}
	if !reflect.DeepEqual(n, want) {
		t.Errorf("read\n%+v, want\n%+v", n, want)
	}
	if disk := definition.FirstDisk(&def); disk == nil || disk.Source.File.File != "/pool/nodes/o.qcow2" {
		t.Error("the disk was not found")
	} else if path, format := definition.BackingFile(disk); path != "/pool/images/b.qcow2" || format != "qcow2" {
		t.Errorf("backing file %q (%s)", path, format)
	}
}

func TestValidName(t *testing.T) {
	for _, name := range []string{"a", "web1", "StressTest1", "a.b_c-d", strings.Repeat("x", 63)} {
		if err := ValidName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", "-a", ".a", "a/b", "../a", "a b", "a\n", "ä", "<b>", strings.Repeat("x", 64)} {
		if fault.CodeOf(ValidName(name)) != fault.Invalid {
			t.Errorf("%q was allowed", name)
		}
	}
}

func TestComplete(t *testing.T) {
	l := limits{host: "local", maxRAMMiB: 4096, maxCPUs: 4, imageID: "micro", imageBytes: 1 << 30}
	got, err := Spec{}.complete(l)
	if err != nil || got.RAMMiB != DefaultRAMMiB || got.CPUs != 1 || got.DiskBytes != 1<<30 {
		t.Errorf("defaults: %+v, %v", got, err)
	}
	for name, c := range map[string]struct {
		spec  Spec
		field string // empty: valid
		says  string
	}{
		"the least":          {Spec{RAMMiB: 64, CPUs: 1, DiskBytes: 1 << 30}, "", ""},
		"the most":           {Spec{RAMMiB: 4096, CPUs: 4, DiskBytes: MaxDiskBytes}, "", ""},
		"negative RAM":       {Spec{RAMMiB: -1}, "resources.ram", "64 to 4096 MiB"},
		"little RAM":         {Spec{RAMMiB: 63}, "resources.ram", "64 to 4096 MiB"},
		"10 TiB of RAM":      {Spec{RAMMiB: 10 << 20}, "resources.ram", "64 to 4096 MiB"},
		"negative CPUs":      {Spec{CPUs: -1}, "resources.cpus", "1 to 4"},
		"many CPUs":          {Spec{CPUs: 5}, "resources.cpus", "1 to 4"},
		"small disk":         {Spec{DiskBytes: 1<<30 - 1}, "resources.disk", "1073741824"},
		"large disk":         {Spec{DiskBytes: MaxDiskBytes + 1}, "resources.disk", "1073741824"},
		"line break in OS":   {Spec{OSType: "a\nb"}, "osType", "short word"},
		"negative disk":      {Spec{DiskBytes: -1}, "resources.disk", "1073741824"},
		"small host, no ask": {Spec{}, "", ""},
	} {
		_, err := c.spec.complete(l)
		if c.field == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		f, ok := err.(*fault.Error) //nolint:errorlint // it is returned bare
		if !ok || f.Code != fault.Invalid || f.Field != c.field || !strings.Contains(f.Message, c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// cardOn is nicOn for a build.
func cardOn(network string) *libvirtxml.DomainInterface {
	card := nicOn(network)
	return &card
}
