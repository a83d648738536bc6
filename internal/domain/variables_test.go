package domain

import (
	"strings"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// Whether a running node's memory can be saved depends on its devices and on libvirt's
// version.
func TestCheckMemoryKept(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, version, text string
		refused             string
	}{
		{"BIOS", "9.0.0", `<os><type>hvm</type></os>`, ""},
		{"BIOS by name", "9.0.0", `<os firmware='bios'><type>hvm</type></os>`, ""},
		{"UEFI", "9.0.0", `<os><loader type='pflash'>/usr/share/OVMF/OVMF_CODE.fd</loader><nvram>/v.fd</nvram></os>`, "UEFI firmware, and libvirt 9.0.0"},
		{"UEFI, new libvirt", "11.0.0", `<os firmware='efi'><nvram>/v.fd</nvram></os>`, "variables in qcow2"},
		{"UEFI with qcow2, old libvirt", "10.9.0", `<os firmware='efi'><nvram format='qcow2'>/v.qcow2</nvram></os>`, "libvirt 10.10"},
		{"UEFI with qcow2", "10.10.0", `<os firmware='efi'><nvram format='qcow2'>/v.qcow2</nvram></os>`, ""},
		{"UEFI without variables", "9.0.0", `<os><loader type='pflash' stateless='yes'>/usr/share/OVMF/OVMF.fd</loader></os>`, ""},
		{"virtiofs", "11.0.0", `<devices><filesystem><driver type='virtiofs'/><source dir='/srv'/><target dir='x'/></filesystem></devices>`, "virtiofs"},
		{"9p", "9.0.0", `<devices><filesystem><driver type='path'/><source dir='/srv'/><target dir='x'/></filesystem></devices>`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var def libvirtxml.Domain
			if err := def.Unmarshal("<domain type='qemu'>" + c.text + "</domain>"); err != nil {
				t.Fatal(err)
			}
			err := checkMemoryKept(Node{Name: "n"}, &def, c.version)
			if (err == nil) != (c.refused == "") || err != nil && (fault.CodeOf(err) != fault.Unsupported || !strings.Contains(err.Error(), c.refused)) {
				t.Errorf("error %v, want %q", err, c.refused)
			}
		})
	}
}

// The edit changes only the path of the variables.
func TestWithVariables(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{`<domain><os firmware='efi'><type>hvm</type></os><x/></domain>`, `<domain><os firmware='efi'><type>hvm</type><nvram>/a&amp;b</nvram></os><x/></domain>`},
		{`<domain><os><nvram template='/t'>/old</nvram><boot dev='hd'/></os></domain>`, `<domain><os><nvram template="/t">/a&amp;b</nvram><boot dev='hd'/></os></domain>`},
		{`<domain><os><nvram template='/t'/></os></domain>`, `<domain><os><nvram template="/t">/a&amp;b</nvram></os></domain>`},
	} {
		var def libvirtxml.Domain
		if err := def.Unmarshal(c[0]); err != nil {
			t.Fatal(err)
		}
		if got, err := withVariables(c[0], &def, "/a&b"); err != nil || got != c[1] {
			t.Errorf("%s became %s (%v), want %s", c[0], got, err, c[1])
		}
	}
}
