package domain

import "testing"

func TestReplaceChildren(t *testing.T) {
	for name, c := range map[string]struct{ text, child, markup, want string }{
		"among others":  {`<node a="1"><osType>x</osType><o xmlns="urn:o"><osType>theirs</osType></o></node>`, "osType", "<osType>y</osType>", `<node a="1"><o xmlns="urn:o"><osType>theirs</osType></o><osType>y</osType></node>`},
		"of another":    {`<node><n:osType xmlns:n="urn:n"/><!-- <osType/> --></node>`, "osType", "<osType>y</osType>", `<node><n:osType xmlns:n="urn:n"/><!-- <osType/> --><osType>y</osType></node>`},
		"twice":         {"<node>\n <tags/><tags><tag>a</tag></tags>\n</node>", "tags", "<tags></tags>", "<node>\n \n<tags></tags></node>"},
		"empty element": {`<node a='b>'/>`, "tags", "<tags/>", `<node a='b>'><tags/></node>`},
		"taken away":    {`<node><osType>x</osType>&amp;</node>`, "osType", "", `<node>&amp;</node>`},
	} {
		if got, err := replaceChildren(c.text, c.child, c.markup); err != nil || got != c.want {
			t.Errorf("%s:\n got %s (%v)\nwant %s", name, got, err, c.want)
		}
	}
	if _, err := replaceChildren(`<node><a></node>`, "a", ""); err == nil {
		t.Error("broken XML was edited")
	}
}

func TestSetAttribute(t *testing.T) {
	text := `<disk type='file'><!-- <source file='no'/> --><source index="3" file = '/old "x" file=' n:file='n' xmlns:n='urn:n'><slices/></source><source file='/two'/></disk>`
	found, err := elements(text, "disk", "source")
	if err != nil || len(found) != 2 {
		t.Fatalf("%+v %v", found, err)
	}
	got, ok := setAttribute(text, found[0], "file", `/new & "y"`)
	want := `<disk type='file'><!-- <source file='no'/> --><source index="3" file = "/new &amp; &#34;y&#34;" n:file='n' xmlns:n='urn:n'><slices/></source><source file='/two'/></disk>`
	if !ok || got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if _, ok := setAttribute(text, found[1], "name", ""); ok {
		t.Error("an attribute that is not there was set")
	}
}

func TestWithMedia(t *testing.T) {
	const drive = `<disk type='block' device='cdrom'><driver name='qemu' type='raw' x='1'/><source dev='/dev/sr0'><y/></source><backingStore/><target dev='sda' bus='sata'/><z/></disk>`
	for file, want := range map[string]string{
		"":       `<disk type='block' device='cdrom'><driver name='qemu' type='raw' x='1'/><target dev='sda' bus='sata'/><z/></disk>`,
		"/a<b&c": `<disk type="file" device='cdrom'><source file="/a&lt;b&amp;c"/><driver name='qemu' type='raw' x='1'/><target dev='sda' bus='sata'/><z/></disk>`,
	} {
		if got, err := withMedia(drive, file); err != nil || got != want {
			t.Errorf("%q:\n got %s (%v)\nwant %s", file, got, err, want)
		}
	}
}

func TestWithFile(t *testing.T) {
	const disk = `<disk type='file'><driver name='qemu' x='1'/><source file='/old'><s/></source><backingStore type='file'><format type='qcow2'/><source file='/frozen'/><backingStore/></backingStore><target dev='vda'/><z/></disk>`
	for base, chain := range map[string]string{
		"":      `<backingStore></backingStore>`,
		"/a<&b": `<backingStore type="file"><format type="qcow2"></format><source file="/a&lt;&amp;b"></source><backingStore></backingStore></backingStore>`,
	} {
		want := `<disk type='file'><driver name='qemu' x='1'/><source file="/new"><s/></source>` + chain + `<target dev='vda'/><z/></disk>`
		if got, err := withFile(disk, "/new", below(base, "qcow2")); err != nil || got != want {
			t.Errorf("on %q:\n got %s (%v)\nwant %s", base, got, err, want)
		}
	}
	if _, err := withFile(`<disk type='block'><source dev='/dev/x'/></disk>`, "/new", below("", "")); err == nil {
		t.Error("a disk that is no file got one")
	}
}
