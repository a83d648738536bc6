package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// inUseBy expects every operation that would remove an image or a node's disk to be
// refused, with an error that names user.
func (l *lab) inUseBy(what, user string, image api.Image, node api.Node) {
	l.t.Helper()
	refused := func(method, path string, body any, code string) {
		l.t.Helper()
		l.refused(method, path, body, refusal{http.StatusConflict, code, user})
	}
	if image.ID != "" {
		for path, body := range map[string]any{"/compact": nil, "/resize": request{"virtualSize": 2 << 20}} {
			refused(http.MethodPost, "/api/images/"+image.ID+path, body, "image_in_use")
		}
		refused(http.MethodDelete, "/api/images/"+image.ID, nil, "image_in_use")
	}
	if node.ID != "" {
		refused(http.MethodPost, "/api/nodes/"+node.ID+"/wipe", nil, "node_busy")
		refused(http.MethodDelete, "/api/nodes/"+node.ID, nil, "node_busy")
		refused(http.MethodPatch, "/api/nodes/"+node.ID, request{"resources": request{"disk": 4 << 20}}, "node_busy")
	}
	l.t.Logf("%s is seen", what)
}

// A domain uses a file even if it refers to it by another name than the pool does.
func TestUsersByAnyName(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	image := l.uploaded("named.qcow2", l.qemuImage("1M"))
	other := l.uploaded("other.qcow2", l.qemuImage("1M"))
	var n api.Node
	l.call(http.MethodPost, "/api/nodes", request{"name": l.name("victim"), "customImageName": other.ID, "resources": request{"ram": 64}}, http.StatusCreated, &n)

	folder := filepath.Join(poolsFolder, l.prefix+"-theirs")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	link := filepath.Join(folder, "link")
	if err := os.Symlink(filepath.Dir(image.Path), link); err != nil {
		t.Fatal(err)
	}
	hard := filepath.Join(folder, "hard.qcow2")
	if err := os.Link(image.Path, hard); err != nil {
		t.Fatal(err)
	}
	source := func(source libvirtxml.DomainDiskSource) func(*libvirtxml.Domain) {
		return func(d *libvirtxml.Domain) {
			withDisk("")(d)
			d.Devices.Disks[0].Source = &source
		}
	}
	file := func(path string) func(*libvirtxml.Domain) {
		return source(libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: path}})
	}
	volume := func(pool, path string) func(*libvirtxml.Domain) {
		return source(libvirtxml.DomainDiskSource{Volume: &libvirtxml.DomainDiskSourceVolume{Pool: pool, Volume: filepath.Base(path)}})
	}
	// Foreign domains that use the image and the node's disk directly.
	for what, change := range map[string]func(*libvirtxml.Domain){
		"a volume": volume(l.imagesPool(), image.Path), "a symbolic link": file(filepath.Join(link, filepath.Base(image.Path))),
		"a path with ..": file(filepath.Join(folder, "x") + "/../../" + l.imagesPool() + "/" + filepath.Base(image.Path)), "a hard link": file(hard),
	} {
		name := l.name(strings.ReplaceAll(strings.Trim(what, "."), " ", "-"))
		if what == "a path with .." {
			if err := os.Mkdir(filepath.Join(folder, "x"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		id := l.defineForeign(name, change)
		until(t, promptly, said("the domain is listed"), func() bool { return l.listed(id).ID == id })
		l.inUseBy(what, name, image, api.Node{})
		l.virsh("undefine", id)
	}
	id := l.defineForeign(l.name("on-node"), volume(l.nodesPool(), n.OverlayPath))
	until(t, promptly, said("the domain is listed"), func() bool { return l.listed(id).ID == id })
	l.inUseBy("a node's volume", l.name("on-node"), api.Image{}, n)
	l.virsh("undefine", id)

	// Overlays outside of pools, each the disk of a domain whose XML has no backing chain.
	base := filepath.Base(image.Path)
	for what, backing := range map[string]string{
		"json": `json:{"driver":"qcow2","file":{"driver":"file","filename":"` + image.Path + `"}}`, "dotted": `json:{"driver":"qcow2","file.filename":"` + image.Path + `"}`,
		"file": "file:" + image.Path, "relative": "../" + l.imagesPool() + "/" + base, "linked": "link/" + base,
	} {
		top := filepath.Join(folder, what+".qcow2")
		l.qemuImg("create", "-q", "-f", "qcow2", "-b", backing, "-F", "qcow2", top)
		name := l.name(what)
		id := l.defineForeign(name, file(top))
		until(t, promptly, said("the domain is listed"), func() bool { return l.listed(id).ID == id })
		l.inUseBy("an overlay by "+what, name, image, api.Node{})
		l.virsh("undefine", id)
		if what != "json" {
			continue
		}
		// A volume in another pool counts even without a domain.
		l.virsh("pool-create-as", l.name("theirs"), "dir", "--target", folder)
		l.inUseBy("a volume of another pool", filepath.Base(top), image, api.Node{})
		l.virsh("pool-destroy", l.name("theirs"))
	}

	// A snapshot refers to a disk that the domain no longer has.
	id = l.defineForeign(l.name("kept"), withDisk(hard))
	snapshot := libvirtxml.DomainSnapshot{Name: "then", CreationTime: "1", State: "shutoff"}
	def := l.definition(id)
	snapshot.Domain = &def
	text, err := snapshot.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	xml := l.fileOf([]byte(text))
	l.virsh("snapshot-create", id, "--redefine", xml)
	l.virsh("detach-disk", id, "vda", "--config")
	until(t, promptly, said("the domain has no disk"), func() bool { return len(l.disks(id)) == 0 && l.listed(id).Snapshots == 1 })
	l.inUseBy("a snapshot", l.name("kept"), image, api.Node{})
	l.virsh("undefine", id, "--snapshots-metadata")

	until(t, promptly, said("the domain is gone"), func() bool { return l.listed(id).ID == "" })
	l.delete(n.ID)
	for _, id := range []string{image.ID, other.ID} {
		l.call(http.MethodDelete, "/api/images/"+id, nil, http.StatusNoContent, nil)
	}
	l.stop()
}
