package diskref_test

import (
	"slices"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/diskref"
)

func TestBacking(t *testing.T) {
	t.Parallel()
	const overlay = "/pool/b/top.qcow2"
	for _, c := range []struct {
		name string
		want []string
		ok   bool
	}{
		{"", nil, true},
		{"/pool/a/base", []string{"/pool/a/base"}, true},
		{"/pool/a:b/base", []string{"/pool/a:b/base"}, true},
		{"../a/base", []string{"/pool/b/../a/base"}, true},
		{"./a:b", []string{"/pool/b/./a:b"}, true},
		{"file:/pool/a/base", []string{"/pool/a/base"}, true},
		{"file:///pool/a/base", []string{"///pool/a/base"}, true},
		{"file:base", []string{"/pool/b/base"}, true},
		{"host_device:/dev/loop0", []string{"/dev/loop0"}, true},
		{`json:{"driver":"qcow2","file":{"driver":"file","filename":"/pool/a/base"}}`, []string{"/pool/a/base"}, true},
		{`json:{"driver":"qcow2","file.driver":"file","file.filename":"/pool/a/base"}`, []string{"/pool/a/base"}, true},
		{`json:{"file.filename":"file:base"}`, []string{"/pool/b/base"}, true},
		{`json:{"driver":"qcow2","file":{"driver":"blkdebug","image":{"driver":"file","filename":"/pool/a/base"}}}`, []string{"/pool/a/base"}, true},
		{`json:{"driver":"quorum","children":[{"file.filename":"/a"},{"file.filename":"/b"}]}`, []string{"/a", "/b"}, true},
		{"nbd://localhost/x", nil, true},
		{"nbd:localhost:10809", nil, true},
		{`json:{"driver":"raw","file":{"driver":"nbd","server":{"type":"unix","path":"/run/nbd"}}}`, nil, true},
		{`json:{"file.filename":"https://example.org/x"}`, nil, true},
		{"blkdebug::/pool/a/base", nil, false},
		{`json:{"driver":"foo"}`, nil, false},
		{`json:{"file":`, nil, false},
	} {
		got, ok := diskref.Backing(c.name, overlay)
		if !slices.Equal(got, c.want) || ok != c.ok {
			t.Errorf("Backing(%q) = %q, %t; want %q, %t", c.name, got, ok, c.want, c.ok)
		}
	}
}

func TestOfDomain(t *testing.T) {
	t.Parallel()
	const text = `<domain><os><kernel>/k</kernel><nvram>/n</nvram></os><devices>
		<disk type='file' device='disk'><driver type='qcow2'/><source file='/top'><dataStore type='file'><source file='/data'/></dataStore></source>
			<backingStore type='volume'><format type='qcow2'/><source pool='p' volume='v'/></backingStore><target dev='vda'/>
			<mirror type='file' job='copy'><format type='qcow2'/><source file='/mirror'/><backingStore/></mirror></disk>
		<disk type='volume' device='cdrom'><driver type='raw'/><source pool='p' volume='iso'/><target dev='sda'/></disk>
		<disk type='block' device='disk'><driver type='qcow2'/><source dev='/dev/vg/lv'/><target dev='vdb'/></disk>
		<disk type='network' device='disk'><driver type='raw'/><source protocol='nbd' name='x'><host name='h'/></source><target dev='vdc'/></disk>
		<disk type='file' device='cdrom'><target dev='sdb'/></disk>
		</devices></domain>`
	var def libvirtxml.Domain
	if err := def.Unmarshal(text); err != nil {
		t.Fatal(err)
	}
	want := []diskref.Ref{
		{Path: "/k", Aside: true}, {Path: "/n", Aside: true}, {Path: "/top"}, {Path: "/data"}, {Pool: "p", Volume: "v", Probed: true}, {Path: "/mirror"},
		{Pool: "p", Volume: "iso"}, {Path: "/dev/vg/lv", Probed: true},
	}
	if got := diskref.OfDomain(&def); !slices.Equal(got, want) {
		t.Errorf("OfDomain: %+v\nwant %+v", got, want)
	}
	snapshot := libvirtxml.DomainSnapshot{
		Domain: &def, Memory: &libvirtxml.DomainSnapshotMemory{File: "/memory"},
		Disks: &libvirtxml.DomainSnapshotDisks{Disks: []libvirtxml.DomainSnapshotDisk{{Source: &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: "/made"}}}}},
	}
	if got := diskref.OfSnapshot(&snapshot); !slices.Equal(got, append(slices.Clone(want), diskref.Ref{Path: "/made"}, diskref.Ref{Path: "/memory", Aside: true})) {
		t.Errorf("OfSnapshot: %+v", got)
	}
}
