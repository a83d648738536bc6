package main

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// TestMainJob tests the main workflow, from the upload of an image to the deletion of a
// node, and checks each step with virsh.
func TestMainJob(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	if _, err := os.Stat(microImage); err != nil {
		t.Skipf("the micro image is not built, so no guest can be tried: run `make setup` (%v)", err)
	}
	takeGuest(t)
	l.start()
	seen := l.follow()

	image := l.uploadMicro("custom.qcow2")
	if !regexp.MustCompile(`^custom_\d{13}\.qcow2$`).MatchString(image.Name) || image.State != "ready" || image.Type != "custom" || image.VirtualSize != 512<<20 {
		t.Fatalf("the image is %+v", image)
	}
	l.wantVolumes(l.imagesPool(), image.Name)

	var n api.Node
	a := l.call(http.MethodPost, "/api/nodes", request{
		"name": l.name("main"), "imageType": "custom", "customImageName": image.Name, "osType": "linux",
		"resources": request{"ram": 256, "cpus": 1, "disk": 1 << 30},
	}, http.StatusCreated, &n)
	if got, want := a.header.Get("Location"), "/api/nodes/"+n.ID; got != want {
		t.Errorf("Location is %q, want %q", got, want)
	}
	if n.State != "stopped" || !n.Managed || n.Image.ID != image.ID || n.Resources != (api.Resources{RAM: 256, CPUs: 1, Disk: 1 << 30}) || n.Image.Path != image.Path {
		t.Errorf("the node is %+v with image %+v", n, n.Image)
	}
	l.wantDefined(n, image)

	if got := l.act(n.ID, "run", nil); got.State != "running" || got.VNC == nil || got.VNC.Port < 5900 {
		t.Errorf("after run the node is %+v", got)
	}
	seen.state(n.ID, "running")
	if got := l.virsh("domstate", n.ID); got != "running" {
		t.Errorf("virsh domstate after run: %q", got)
	}
	l.wantSecretScreen(n)

	console := l.console(n.ID)
	console.status("connected")
	console.login()
	console.shell("echo result=$((6*7))", "result=42")
	console.shell("echo kept > /root/proof && sync", "")

	l.act(n.ID, "stop", nil)
	seen.state(n.ID, "stopped")
	if got := l.virsh("domstate", n.ID); got != "shut off" {
		t.Errorf("virsh domstate after stop: %q", got)
	}
	console.status("offline")

	l.act(n.ID, "run", nil)
	console.status("connected")
	console.login()
	console.shell("cat /root/proof", "kept\r\n")

	if got := l.act(n.ID, "stop", forced); got.State != "stopped" || got.VNC != nil {
		t.Errorf("after a forced stop the node is %+v", got)
	}
	wiped := l.act(n.ID, "wipe", nil)
	if wiped.OverlayPath == n.OverlayPath || wiped.Resources.Disk != 1<<30 {
		t.Errorf("after wipe the overlay is %q (before %q), the disk %d", wiped.OverlayPath, n.OverlayPath, wiped.Resources.Disk)
	}
	l.wantDefined(wiped, image)
	l.act(n.ID, "run", nil)
	console.login()
	console.shell("test ! -e /root/proof && echo it is $((0))gone", "it is 0gone")

	l.delete(n.ID)
	seen.removed(n.ID)
	if code := console.closed(); code != 4404 {
		t.Errorf("the console of the deleted node was closed with %d, want 4404", code)
	}
	if list := l.virsh("list", "--all", "--uuid"); strings.Contains(list, n.ID) {
		t.Error("virsh still lists the domain")
	}
	l.wantVolumes(l.nodesPool())
	l.wantVolumes(l.logsPool())
	l.call(http.MethodDelete, "/api/images/"+image.ID, nil, http.StatusNoContent, nil)
	l.wantVolumes(l.imagesPool())
	l.stop()
}

// uploadMicro uploads the micro image with the given name.
func (l *lab) uploadMicro(name string) api.Image {
	l.t.Helper()
	file, err := os.Open(microImage)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	a := l.upload(name, file)
	var got api.Uploaded
	if err := a.decode(&got); err != nil || a.status != http.StatusCreated || !got.Success {
		l.t.Fatalf("upload of %s: %d %s", name, a.status, a.body)
	}
	return got.Image
}

// wantDefined checks a node's domain and disk with virsh.
func (l *lab) wantDefined(n api.Node, image api.Image) {
	l.t.Helper()
	if list := l.virsh("list", "--all", "--name"); !slices.Contains(strings.Fields(list), n.Name) {
		l.t.Errorf("virsh list does not show %q:\n%s", n.Name, list)
	}
	l.wantVolumes(l.nodesPool(), filepath.Base(n.OverlayPath))
	d := l.definition(n.ID)
	if d.Metadata == nil || !strings.Contains(d.Metadata.XML, "https://sandboxlabs.dev/ns/node/1") || !strings.Contains(d.Metadata.XML, image.ID) {
		l.t.Errorf("the metadata are %+v", d.Metadata)
	}
	disk := d.Devices.Disks[0]
	switch {
	case len(d.Devices.Disks) != 2 || d.Devices.Disks[1].Device != "cdrom" || d.Devices.Disks[1].Source.File.File != "" || disk.Source.File == nil || disk.Source.File.File != n.OverlayPath || disk.Driver.Type != "qcow2":
		l.t.Errorf("the disks are %+v", d.Devices.Disks)
	case disk.BackingStore == nil || disk.BackingStore.Format == nil || disk.BackingStore.Format.Type != "qcow2" || disk.BackingStore.Source.File.File != image.Path:
		l.t.Errorf("the disk's backing store is %+v", disk.BackingStore)
	}
	vol := l.virsh("vol-dumpxml", "--pool", l.nodesPool(), filepath.Base(n.OverlayPath))
	if !regexp.MustCompile(`(?s)<backingStore>.*<path>` + regexp.QuoteMeta(image.Path) + `</path>.*<format type='qcow2'/>.*</backingStore>`).MatchString(vol) {
		l.t.Errorf("the overlay does not name its base and its format:\n%s", vol)
	}
	vnc := d.Devices.Graphics[0].VNC
	if len(d.Devices.Graphics) != 1 || vnc == nil || vnc.Keymap != "" || vnc.Listen != "127.0.0.1" && vnc.Listeners[0].Address.Address != "127.0.0.1" {
		l.t.Errorf("the screens are %+v", d.Devices.Graphics)
	}
	if log := d.Devices.Serials[0].Log; log == nil || !strings.HasSuffix(log.File, l.logsPool()+"/"+n.ID+".log") || log.Append != "on" {
		l.t.Errorf("the serial console's log is %+v", log)
	}
}

// wantSecretScreen checks that the screen's password is visible to operators and to no one
// else.
func (l *lab) wantSecretScreen(n api.Node) {
	l.t.Helper()
	vnc := l.definition(n.ID, "--security-info").Devices.Graphics[0].VNC
	if len(vnc.Passwd) != 8 || vnc.Port < 5900 {
		l.t.Fatalf("the screen is %+v", vnc)
	}
	for _, path := range []string{"/xml", ""} {
		a := l.call(http.MethodGet, "/api/nodes/"+n.ID+path, nil, http.StatusOK, nil)
		if text := string(a.body); strings.Contains(text, vnc.Passwd) || strings.Contains(text, "passwd") {
			l.t.Errorf("GET …%s gives the screen's password away:\n%s", path, text)
		}
	}
	if text := l.call(http.MethodGet, "/api/nodes/"+n.ID+"/xml", nil, http.StatusOK, nil); !strings.Contains(string(text.body), "<uuid>"+n.ID+"</uuid>") || text.header.Get("Content-Type") != "application/xml" {
		l.t.Errorf("GET …/xml: %s\n%s", text.header.Get("Content-Type"), text.body)
	}
	if strings.Contains(l.service.log.String(), vnc.Passwd) {
		l.t.Error("the log holds the screen's password")
	}
}
