package storagepool

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/diskref"
)

// On another machine, only libvirt's pools can resolve paths; paths that they cannot
// resolve are unclear.
func TestLocateElsewhere(t *testing.T) {
	t.Parallel()
	v := Survey{
		files:   map[string]Volume{"/pool/base": {Path: "/pool/base"}, "/pool/odd": {Path: "/pool/odd", unclear: "blkdebug::/x"}},
		folders: map[string]string{"p": "/pool", "off": "/off"},
	}
	for spelled, want := range map[string]whereabouts{
		"/pool/base": inPool, "/pool//./base": inPool, "/x/../pool/base": inPool, "/pool/gone": nowhere, "/off/y": nowhere, "/dev/vg/lv": outside, "/srv/x": unclear, "x": unclear,
	} {
		if _, got := v.locate(spelled); got != want {
			t.Errorf("locate(%q): %d, want %d", spelled, got, want)
		}
	}
	for _, c := range []struct {
		refs              []diskref.Ref
		files, unresolved []string
	}{
		{[]diskref.Ref{{Pool: "p", Volume: "base"}}, []string{"/pool/base"}, nil},
		{[]diskref.Ref{{Pool: "iscsi", Volume: "base"}}, nil, nil},
		{[]diskref.Ref{{Path: "/pool/odd"}}, []string{"/pool/odd"}, []string{"blkdebug::/x"}},
		{[]diskref.Ref{{Path: "/srv/x"}}, []string{"/srv/x"}, []string{"/srv/x"}},
		{[]diskref.Ref{{Path: "/usr/share/OVMF.fd", Aside: true}}, []string{"/usr/share/OVMF.fd"}, nil},
		{[]diskref.Ref{{Path: "/dev/vg/lv"}}, []string{"/dev/vg/lv"}, nil},
		{[]diskref.Ref{{Path: "/dev/vg/lv", Probed: true}}, []string{"/dev/vg/lv"}, []string{"/dev/vg/lv"}},
		{[]diskref.Ref{{Unknown: "a snapshot"}}, nil, []string{"a snapshot"}},
	} {
		files, unresolved := v.Uses(c.refs)
		if !slices.Equal(files, c.files) || !slices.Equal(unresolved, c.unresolved) {
			t.Errorf("Uses(%+v): %q, %q; want %q, %q", c.refs, files, unresolved, c.files, c.unresolved)
		}
	}
}

func TestFollowLinks(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"abs": dir + "/a", "rel": "abs/../a/file", "loop": "loop"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(dir+"/a/b", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/a/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cases := map[string]string{"/abs/file": "/a/file", "/abs/b/../file": "/a/file", "/rel": "/a/file", "/./a//file": "/a/file", "/abs/none/x": "/a/none/x"}
	for _, spelled := range slices.Sorted(maps.Keys(cases)) {
		got, err := followLinks(dir + spelled)
		if got != dir+cases[spelled] || (err != nil) != (spelled == "/abs/none/x") {
			t.Errorf("followLinks(%q) = %q, %v; want %q", spelled, got, err, cases[spelled])
		}
	}
	if _, err := followLinks(dir + "/loop"); err == nil {
		t.Error("a link to itself was followed")
	}
}
