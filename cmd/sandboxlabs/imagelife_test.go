package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// uploaded uploads a custom image.
func (l *lab) uploaded(name string, content []byte) api.Image {
	l.t.Helper()
	a := l.upload(name, bytes.NewReader(content))
	var up api.Uploaded
	if err := a.decode(&up); err != nil || a.status != http.StatusCreated {
		l.t.Fatalf("upload of %s: %d %s", name, a.status, a.body)
	}
	return up.Image
}

// fullImage returns a qcow2 image with the given number of random megabytes.
func (l *lab) fullImage(megabytes int) []byte {
	l.t.Helper()
	folder := l.t.TempDir()
	raw, file := filepath.Join(folder, "full.raw"), filepath.Join(folder, "full.qcow2")
	content := make([]byte, megabytes<<20)
	_, _ = rand.Read(content)
	if err := os.WriteFile(raw, content, 0o600); err != nil {
		l.t.Fatal(err)
	}
	l.qemuImg("convert", "-f", "raw", "-O", "qcow2", raw, file)
	out, err := os.ReadFile(file)
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}

// Users' descriptions of an image survive a restart. Until it gets a name, an image has
// the name of its file.
func TestDescribingAnImage(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	i := l.uploaded("My Übung \u202e1.qcow2", l.qemuImage("1M"))
	id := i.ID
	if i.DisplayName != "My Übung 1" || !strings.HasPrefix(id, "My_bung_1_") {
		t.Errorf("the file's name became %+v", i)
	}
	u := l.beginUpload(1<<20, "filename", `C:\My "2nd" disk.vmdk.xz`)
	if i, _ := u.image(); i.DisplayName != `My "2nd" disk` || i.State != "uploading" {
		t.Errorf("the name of a file that comes in pieces became %+v", i)
	}
	events := l.follow()
	l.call(http.MethodPatch, "/api/images/"+id, request{"displayName": "Übung 1", "description": "two\nlines", "tags": []string{"b", "a", "b"}}, http.StatusOK, &i)
	events.await("the image is changed", promptly, func(e serverEvent) bool {
		return e.kind == "image.changed" && strings.Contains(string(e.data), "Übung 1")
	})
	l.call(http.MethodPatch, "/api/images/"+id, request{"tags": []string{"c"}}, http.StatusOK, nil)
	l.stop()
	l.start()
	l.call(http.MethodGet, "/api/images/"+id, nil, http.StatusOK, &i)
	if i.ID != id || i.DisplayName != "Übung 1" || i.Description != "two\nlines" || !slices.Equal(i.Tags, []string{"c"}) {
		t.Errorf("the image is %+v", i)
	}
	for name, body := range map[string]request{
		"displayName": {"displayName": "a\u202eb"}, "description": {"description": strings.Repeat("x", 4097)}, "tags": {"tags": []string{"\x1b"}},
	} {
		a := l.send(http.MethodPatch, "/api/images/"+id, body)
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(string(a.body), `"body.`+name+`"`) {
			t.Errorf("a wrong %s is answered with %d %s", name, a.status, a.body)
		}
	}
	l.refused(http.MethodPatch, "/api/images/nosuch", request{"description": ""}, refusal{http.StatusNotFound, "image_not_found", "nosuch"})
	l.stop()
}

// An image can be downloaded unchanged: as a whole, in ranges, and resumed after an
// interruption.
func TestDownloadingAnImage(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	want := l.fullImage(24)
	id := l.uploaded("back.qcow2", want).ID
	path := "/api/images/" + id + "/download"

	a := l.call(http.MethodGet, path, nil, http.StatusOK, nil)
	if !bytes.Equal(a.body, want) {
		t.Errorf("of %d bytes came %d, or others", len(want), len(a.body))
	}
	if got := a.header.Get("Content-Disposition"); got != `attachment; filename="`+id+`"` {
		t.Errorf("the file is offered as %q", got)
	}
	version := a.header.Get("ETag")
	if head := l.call(http.MethodHead, path, nil, http.StatusOK, nil); head.header.Get("ETag") != version || head.header.Get("Accept-Ranges") != "bytes" {
		t.Errorf("HEAD tells %v", head.header)
	}
	l.call(http.MethodGet, path, nil, http.StatusNotModified, nil, "If-None-Match", version)
	for _, part := range []struct {
		ask        string
		begin, end int
	}{{"bytes=0-0", 0, 1}, {"bytes=1000000-", 1000000, len(want)}, {"bytes=-70000", len(want) - 70000, len(want)}, {"bytes=65535-9000000", 65535, 9000001}} {
		a := l.call(http.MethodGet, path, nil, http.StatusPartialContent, nil, "Range", part.ask, "If-Range", version)
		if !bytes.Equal(a.body, want[part.begin:part.end]) {
			t.Errorf("%s: %d bytes came, or others; %s", part.ask, len(a.body), a.header.Get("Content-Range"))
		}
	}
	if a := l.call(http.MethodGet, path, nil, http.StatusOK, nil, "Range", "bytes=5-9", "If-Range", `"another"`); len(a.body) != len(want) {
		t.Errorf("of another version a part of %d bytes was sent", len(a.body))
	}
	l.refused(http.MethodGet, path, nil, refusal{http.StatusRequestedRangeNotSatisfiable, "invalid_request", "none in that range"}, "Range", "bytes=99999999999-")
	l.refused(http.MethodGet, "/api/images/nosuch/download", nil, refusal{http.StatusNotFound, "image_not_found", "nosuch"})

	// When a client disconnects, its stream and its connection to libvirt are closed.
	idle := l.libvirtSockets()
	ctx, goAway := context.WithCancel(t.Context())
	defer goAway()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url(path), nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := l.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, res.Body, 1<<20); err != nil {
		t.Fatal(err)
	}
	if l.libvirtSockets() <= idle {
		t.Error("the download has no separate connection; the test looks at the wrong thing")
	}
	goAway()
	_ = res.Body.Close()
	until(t, promptly, said("the download has let go of its connections"), func() bool { return l.libvirtSockets() <= idle })
	l.stop()
}

// libvirtSockets returns the number of the service's connections to libvirt on this
// machine, which are Unix sockets.
func (l *lab) libvirtSockets() (n int) {
	l.t.Helper()
	proc := "/proc/" + strconv.Itoa(l.service.cmd.Process.Pid)
	table, err := os.ReadFile(proc + "/net/unix")
	if err != nil {
		l.t.Fatal(err)
	}
	unix := map[string]bool{}
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) > 6 { // columns: Num RefCount Protocol Flags Type St Inode Path
			unix["socket:["+fields[6]+"]"] = true
		}
	}
	files, err := filepath.Glob(proc + "/fd/*")
	if err != nil {
		l.t.Fatal(err)
	}
	for _, file := range files {
		if to, err := os.Readlink(file); err == nil && unix[to] {
			n++
		}
	}
	return n
}

// withDisk adds a disk to a domain, without backing files in the XML.
func withDisk(file string) func(*libvirtxml.Domain) {
	return func(d *libvirtxml.Domain) {
		d.Devices = &libvirtxml.DomainDeviceList{Disks: []libvirtxml.DomainDisk{{
			Device: "disk", Driver: &libvirtxml.DomainDiskDriver{Name: "qemu", Type: "qcow2"},
			Source: &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: file}},
			Target: &libvirtxml.DomainDiskTarget{Dev: "vda", Bus: "virtio"},
		}}}
	}
}

// The service finds everything that depends on an image, through any number of overlays,
// in any pool that libvirt knows, whoever created it.
func TestUsersOfAnImage(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	image := l.uploaded("shared.qcow2", l.qemuImage("1M"))
	path := "/api/images/" + image.ID
	var users api.ImageUsers
	want := func(what string, nodes, volumes []string) {
		t.Helper()
		l.call(http.MethodGet, path+"/users", nil, http.StatusOK, &users)
		var gotNodes, gotVolumes []string
		for _, n := range users.Nodes {
			gotNodes = append(gotNodes, n.Name)
		}
		for _, v := range users.Volumes {
			gotVolumes = append(gotVolumes, v.Name)
		}
		if !slices.Equal(gotNodes, nodes) || !slices.Equal(gotVolumes, volumes) || users.Others != 0 {
			t.Errorf("%s: %+v; want nodes %q, volumes %q", what, users, nodes, volumes)
		}
		a := l.send(http.MethodDelete, path, nil)
		var p api.Problem
		if err := a.decode(&p); err != nil || a.status != http.StatusConflict || p.Code != "image_in_use" || p.Users == nil || len(p.Users.Nodes) != len(nodes) || len(p.Users.Volumes) != len(volumes) {
			t.Errorf("%s: the deletion is answered with %d %s", what, a.status, a.body)
		}
	}
	var n api.Node
	l.call(http.MethodPost, "/api/nodes", request{"name": l.name("one"), "customImageName": image.ID, "resources": request{"ram": 64}}, http.StatusCreated, &n)
	want("a node", []string{n.Name}, nil)
	l.delete(n.ID)

	// Two overlays on top of each other in another user's pool, created with virsh.
	theirs := l.prefix + "-theirs"
	folder := filepath.Join(poolsFolder, theirs)
	l.virsh("pool-define-as", theirs, "dir", "--target", folder)
	l.virsh("pool-build", theirs)
	l.virsh("pool-start", theirs)
	t.Cleanup(func() {
		for _, v := range []string{"low.qcow2", "high.qcow2"} {
			_, _ = l.tryVirsh("vol-delete", v, "--pool", theirs)
		}
		_, _ = l.tryVirsh("pool-destroy", theirs)
		_, _ = l.tryVirsh("pool-undefine", theirs)
		_ = os.Remove(folder)
	})
	low, high := filepath.Join(folder, "low.qcow2"), filepath.Join(folder, "high.qcow2")
	l.virsh("vol-create-as", theirs, "low.qcow2", "1M", "--format", "qcow2", "--backing-vol", image.Path, "--backing-vol-format", "qcow2")
	l.virsh("vol-create-as", theirs, "high.qcow2", "1M", "--format", "qcow2", "--backing-vol", low, "--backing-vol-format", "qcow2")
	want("two volumes", nil, []string{"low.qcow2", "high.qcow2"})
	// One of them is the disk of a domain whose XML does not contain the backing files.
	id := l.defineForeign(l.name("theirs"), withDisk(high))
	until(t, promptly, said("the domain is listed"), func() bool { return l.listed(id).ID == id })
	want("a domain over two", []string{l.name("theirs")}, nil)
	l.virsh("undefine", id)
	l.virsh("vol-delete", "high.qcow2", "--pool", theirs)
	want("one volume", nil, []string{"low.qcow2"})

	// An external snapshot is an overlay of the node's overlay.
	l.virsh("vol-delete", "low.qcow2", "--pool", theirs)
	l.call(http.MethodPost, "/api/nodes", request{"name": l.name("two"), "customImageName": image.ID, "resources": request{"ram": 64}}, http.StatusCreated, &n)
	top := filepath.Join(poolsFolder, l.nodesPool(), n.ID+".top")
	l.virsh("snapshot-create-as", n.ID, "ext", "--disk-only", "--diskspec", "vda,snapshot=external,file="+top)
	until(t, promptly, said("the node continues in the new file"), func() bool { return l.node(n.ID).OverlayPath == top })
	want("a node with an external snapshot", []string{n.Name}, nil)
	l.call(http.MethodDelete, "/api/nodes/"+n.ID+"?snapshots=true", nil, http.StatusNoContent, nil)
	l.call(http.MethodDelete, path, nil, http.StatusNoContent, nil)
	l.wantVolumes(l.imagesPool())
	l.stop()
}

// A file that is copied into the pool's folder appears as soon as the host is refreshed.
func TestRefreshingTheHost(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	content := l.qemuImage("1M")
	for i, name := range []string{"copied.qcow2", "copied-too.qcow2"} {
		// libvirt does not notice a file that is copied into the folder.
		if err := os.WriteFile(filepath.Join(poolsFolder, l.imagesPool(), name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		var host api.Host
		l.call(http.MethodPost, "/api/hosts/local/refresh", nil, http.StatusOK, &host)
		list := l.images().CustomImages
		if len(list) != i+1 || list[i].State != "unverified" || host.Name != "local" {
			t.Fatalf("after a refresh the images are %+v, the host %+v", list, host)
		}
		t.Logf("shown after %v", time.Since(begin).Round(time.Millisecond))
	}
	l.refused(http.MethodPost, "/api/hosts/nosuch/refresh", nil, refusal{http.StatusNotFound, "host_not_found", "nosuch"})
	l.stop()
}
