package main

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// witness checks how the service shows what virsh did. `make bench` measures the delay.
type witness struct {
	l      *lab
	events *events
}

// sees runs act with virsh, and waits for the event that reports the change and for the
// list to show it.
func (w *witness) sees(what string, act func(), event func(serverEvent) bool, listed func() bool) {
	w.l.t.Helper()
	w.events.drain()
	start := time.Now()
	act()
	returned := time.Now()
	ev := w.events.await(what, patience, event)
	until(w.l.t, patience, said(what+" in the list"), listed)
	w.l.t.Logf("%-28s virsh took %4d ms; event %+4d ms after its end", what, returned.Sub(start).Milliseconds(), ev.at.Sub(returned).Milliseconds())
}

// drain discards the events so far.
func (e *events) drain() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.next = len(e.list)
}

// becomes expects a node in a state, both in an event and in the list.
func (w *witness) becomes(id, state string, args ...string) {
	w.l.t.Helper()
	w.sees("virsh "+args[0]+" → "+state, func() { w.l.virsh(args...) },
		func(e serverEvent) bool { n := e.node(); return n.ID == id && n.State == state },
		func() bool { return w.l.listed(id).State == state })
}

// listed returns a node as GET /api/nodes shows it, or the zero value if it does not.
func (l *lab) listed(id string) api.Node {
	l.t.Helper()
	var list struct {
		Nodes []api.Node `json:"nodes"`
	}
	l.call(http.MethodGet, "/api/nodes", nil, http.StatusOK, &list)
	i := slices.IndexFunc(list.Nodes, func(n api.Node) bool { return n.ID == id })
	if i < 0 {
		return api.Node{}
	}
	return list.Nodes[i]
}

// TestVirshIsSeen does with virsh what users do, and expects the service to show it.
func TestVirshIsSeen(t *testing.T) {
	t.Parallel()
	l := newRunningLab(t)
	takeGuest(t)
	n := l.create("seen")
	w := &witness{l: l, events: l.follow()}

	w.becomes(n.ID, "running", "start", n.ID)
	running := refusal{http.StatusConflict, "node_running", "Stop it first"}
	l.refused(http.MethodPost, "/api/nodes/"+n.ID+"/wipe", nil, running)
	l.refused(http.MethodPatch, "/api/nodes/"+n.ID, request{"name": l.name("x")}, running)
	w.becomes(n.ID, "paused", "suspend", n.ID)
	l.refused(http.MethodPost, "/api/nodes/"+n.ID+"/run", nil, refusal{http.StatusConflict, "node_running", "is paused. Resume it"})
	l.refused(http.MethodPost, "/api/nodes/"+n.ID+"/stop", nil, refusal{http.StatusConflict, "node_not_running", "is paused. Resume it first"})
	w.becomes(n.ID, "running", "resume", n.ID)
	w.becomes(n.ID, "stopped", "destroy", n.ID)

	w.sees("virsh domrename", func() { l.virsh("domrename", n.ID, l.name("renamed")) },
		func(e serverEvent) bool { return e.node().ID == n.ID && e.node().Name == l.name("renamed") },
		func() bool { return l.listed(n.ID).Name == l.name("renamed") })
	d := l.definition(n.ID, "--inactive")
	d.Memory.Value, d.CurrentMemory.Value = 320<<10, 320<<10
	d.VCPU.Value = 2
	d.VCPU.Current = 1
	w.sees("virsh define", func() { l.define(d) },
		func(e serverEvent) bool { return e.node().ID == n.ID && e.node().Resources.RAM == 320 },
		func() bool { return l.listed(n.ID).Resources.RAM == 320 })
	w.sees("virsh edit", func() { l.virshEdit(n.ID, "s/>327680</>335872</") },
		func(e serverEvent) bool { return e.node().ID == n.ID && e.node().Resources.RAM == 328 },
		func() bool { return l.listed(n.ID).Resources.RAM == 328 })
	// libvirt sends no events for these changes: the service finds them by polling.
	silently := func(what string, shown func(api.Node) bool, args ...string) {
		t.Helper()
		w.sees(what, func() { l.virsh(args...) },
			func(e serverEvent) bool { return e.node().ID == n.ID && shown(e.node()) }, func() bool { return shown(l.listed(n.ID)) })
	}
	silently("virsh autostart", func(n api.Node) bool { return n.Autostart }, "autostart", n.ID)
	silently("virsh setvcpus --config", func(n api.Node) bool { return n.Resources.CPUs == 2 }, "setvcpus", n.ID, "2", "--config")

	l.virsh("vol-create-as", l.nodesPool(), "theirs.qcow2", "1M", "--format", "qcow2")
	disk := filepath.Join(poolsFolder, l.nodesPool(), "theirs.qcow2")
	has := func(target string, is bool) func() bool {
		return func() bool {
			return slices.ContainsFunc(l.disks(n.ID), func(d api.Disk) bool { return d.Target == target }) == is
		}
	}
	changed := func(e serverEvent) bool { return e.node().ID == n.ID }
	w.sees("virsh attach-disk --config", func() {
		l.virsh("attach-disk", n.ID, disk, "vdx", "--config", "--subdriver", "qcow2")
	}, changed, has("vdx", true))
	w.sees("virsh detach-disk --config", func() { l.virsh("detach-disk", n.ID, "vdx", "--config") }, changed, has("vdx", false))
	l.virsh("autostart", "--disable", n.ID)
	l.boot(n.ID)
	w.sees("virsh setmem --live", func() {
		l.virsh("setmem", n.ID, "200M", "--live")
		// The guest is slow, and QEMU reports the change at most once a second.
		until(t, patience, said("libvirt knows"), func() bool { return l.definition(n.ID).CurrentMemory.Value == 200<<10 })
	},
		func(e serverEvent) bool { return e.node().ID == n.ID && e.node().Resources.RAM == 200 }, func() bool { return l.listed(n.ID).Resources.RAM == 200 })
	w.sees("virsh attach-disk --live", func() {
		l.virsh("attach-disk", n.ID, disk, "vdx", "--live", "--subdriver", "qcow2")
	}, changed, has("vdx", true))
	w.sees("virsh detach-disk --live", func() { l.virsh("detach-disk", n.ID, "vdx", "--live") }, changed, has("vdx", false))
	w.sees("virsh blockpull", func() { l.virsh("blockpull", n.ID, "vda", "--wait") },
		func(e serverEvent) bool { return e.node().ID == n.ID && e.node().Image.Path == "" }, func() bool { return l.listed(n.ID).Image.Path == "" })
	w.sees("virsh desc --live", func() { l.virsh("desc", n.ID, "--live", "told") },
		func(e serverEvent) bool { return e.node().ID == n.ID && e.node().Description == "told" }, func() bool { return l.listed(n.ID).Description == "told" })
	stopped := func() bool { return l.listed(n.ID).State == "stopped" }
	w.sees("virsh shutdown", func() {
		l.virsh("shutdown", n.ID, "--mode", "acpi")
		until(t, patience, said("the guest is off"), func() bool { return l.virsh("domstate", n.ID) == "shut off" })
	}, func(e serverEvent) bool { return e.node().ID == n.ID && e.node().State == "stopped" }, stopped)

	var foreign string
	w.sees("virsh define (new)", func() { foreign = l.defineForeign(l.name("foreign"), nil) },
		func(e serverEvent) bool { return e.node().Name == l.name("foreign") },
		func() bool { return l.listed(foreign).ID == foreign })
	w.sees("virsh undefine", func() { l.virsh("undefine", foreign) },
		func(e serverEvent) bool { return e.kind == "node.removed" && strings.Contains(string(e.data), foreign) },
		func() bool { return l.listed(foreign).ID == "" })
	l.virsh("undefine", n.ID)
	w.events.removed(n.ID)
	l.refused(http.MethodGet, "/api/nodes/"+n.ID, nil, refusal{http.StatusNotFound, "node_not_found", "not found"})
	l.stop()
}

// virshEdit edits a domain's XML with virsh edit, using sed as the editor.
func (l *lab) virshEdit(domain, script string) {
	l.t.Helper()
	cmd := exec.CommandContext(l.t.Context(), "virsh", "-q", "-c", l.uri(), "edit", domain)
	cmd.Env = append(os.Environ(), `EDITOR=sed -i "`+script+`"`)
	if out, err := cmd.CombinedOutput(); err != nil {
		l.t.Fatalf("virsh edit: %v: %s", err, out)
	}
}

// TestForeignDomains leaves foreign domains unchanged until they are adopted.
func TestForeignDomains(t *testing.T) {
	t.Parallel()
	l := newRunningLab(t)
	takeGuest(t)
	seen := l.follow()
	id := l.defineForeign(l.name("foreign"), nil)
	seen.await("the domain", promptly, func(e serverEvent) bool { return e.node().ID == id })
	if n := l.node(id); n.Managed || n.Image != nil || n.State != "stopped" || n.Owner != "" || n.Resources.RAM != 64 {
		t.Errorf("the foreign domain is shown as %+v", n)
	}
	if n := l.act(id, "run", nil); n.State != "running" {
		t.Errorf("it was run and is %q", n.State)
	}
	if n := l.act(id, "stop", forced); n.State != "stopped" {
		t.Errorf("it was stopped and is %q", n.State)
	}
	mine := refusal{http.StatusConflict, "node_not_managed", "is unmanaged"}
	l.refused(http.MethodDelete, "/api/nodes/"+id, nil, mine)
	l.refused(http.MethodPost, "/api/nodes/"+id+"/wipe", nil, mine)
	l.virsh("dominfo", id)
	before := l.virsh("dumpxml", "--inactive", id)
	if n := l.act(id, "adopt", nil); !n.Managed || n.Owner != "local" {
		t.Errorf("the adopted domain is %+v", n)
	}
	if after := l.virsh("dumpxml", "--inactive", id); !strings.Contains(after, "https://sandboxlabs.dev/ns/node/1") || len(after) < len(before) {
		t.Errorf("the adopted domain's XML is\n%s", after)
	}
	l.refused(http.MethodPost, "/api/nodes/"+id+"/adopt", nil, refusal{http.StatusConflict, "node_managed", "is already managed"})
	l.refused(http.MethodPost, "/api/nodes/"+id+"/wipe", nil, refusal{http.StatusConflict, "unsupported", "can't be wiped"})
	l.delete(id)
	if list := l.virsh("list", "--all", "--uuid"); strings.Contains(list, id) {
		t.Error("the deleted domain is still there")
	}

	// A disk that the service did not create stays where it is.
	disk := filepath.Join(poolsFolder, l.nodesPool(), "theirs.qcow2")
	l.virsh("vol-create-as", l.nodesPool(), "theirs.qcow2", "1M", "--format", "qcow2")
	id = l.defineForeign(l.name("disk"), func(d *libvirtxml.Domain) {
		d.Devices = &libvirtxml.DomainDeviceList{Disks: []libvirtxml.DomainDisk{{
			Device: "disk", Driver: &libvirtxml.DomainDiskDriver{Name: "qemu", Type: "qcow2"},
			Source: &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: disk}},
			Target: &libvirtxml.DomainDiskTarget{Dev: "vda", Bus: "virtio"},
		}}}
	})
	seen.await("the domain", promptly, func(e serverEvent) bool { return e.node().ID == id })
	if n := l.node(id); n.OverlayPath != disk || n.Resources.Disk != 1<<20 {
		t.Errorf("the domain is shown as %+v", n)
	}
	l.act(id, "adopt", nil)
	l.delete(id)
	l.wantVolumes(l.nodesPool(), "theirs.qcow2")

	// Unusual domains: without a disk, without a console, with a missing disk, with markup
	// in the name, with broken SandboxLabs metadata.
	odd := []string{
		l.defineForeign(l.name("<b>&odd"), nil),
		l.defineForeign(l.name("gone"), func(d *libvirtxml.Domain) {
			d.Devices = &libvirtxml.DomainDeviceList{Disks: []libvirtxml.DomainDisk{{
				Device: "disk", Source: &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: "/nonexistent/disk.img"}},
				Target: &libvirtxml.DomainDiskTarget{Dev: "vda", Bus: "virtio"},
			}}}
		}),
		l.defineForeign(l.name("garbled"), func(d *libvirtxml.Domain) {
			d.Metadata = &libvirtxml.DomainMetadata{XML: `<x:node xmlns:x="https://sandboxlabs.dev/ns/node/1"><x:created>yesterday</x:created><x:image/><x:what/></x:node>`}
		}),
		l.defineForeign(l.name("network-disk"), func(d *libvirtxml.Domain) {
			d.Devices = &libvirtxml.DomainDeviceList{Disks: []libvirtxml.DomainDisk{{
				Device: "disk", Source: &libvirtxml.DomainDiskSource{Network: &libvirtxml.DomainDiskSourceNetwork{
					Protocol: "nbd", Hosts: []libvirtxml.DomainDiskSourceHost{{Name: "127.0.0.1", Port: "1"}},
				}},
				Target: &libvirtxml.DomainDiskTarget{Dev: "vda", Bus: "virtio"},
			}}}
		}),
	}
	for _, id := range odd {
		until(t, promptly, said("the odd domain is listed"), func() bool { return l.listed(id).ID == id })
	}
	if n := l.listed(odd[0]); n.Name != l.name("<b>&odd") {
		t.Errorf("the name is %q", n.Name)
	}
	if n := l.listed(odd[1]); !strings.Contains(n.Problem, "/nonexistent/disk.img of disk vda is missing") {
		t.Errorf("the problem with the missing disk is %q", n.Problem)
	}
	if n := l.listed(odd[2]); !n.Managed || n.Image != nil {
		t.Errorf("the node with garbled metadata is %+v", n)
	}
	l.refused(http.MethodPost, "/api/nodes/"+odd[1]+"/run", nil, refusal{http.StatusConflict, "disk_missing", "/nonexistent/disk.img"})

	// Names and ids that one tool after the other uses again: two domains swap their
	// names, and a third is redefined with its id.
	first, second, third := l.defineForeign(l.name("one"), nil), l.defineForeign(l.name("two"), nil), l.defineForeign(l.name("three"), nil)
	l.virsh("domrename", first, l.name("between"))
	l.virsh("domrename", second, l.name("one"))
	l.virsh("domrename", first, l.name("two"))
	l.virsh("undefine", third)
	l.defineForeign(l.name("four"), func(d *libvirtxml.Domain) { d.UUID, d.Memory.Value = third, 96 })
	want := map[string]string{first: l.name("two"), second: l.name("one"), third: l.name("four")}
	var got map[string]string
	until(t, promptly, func() string { return fmt.Sprintf("the nodes are called %v; they are %v", want, got) }, func() bool {
		got = map[string]string{}
		for _, n := range l.nodes() {
			if _, is := want[n.ID]; is || slices.Contains(slices.Collect(maps.Values(want)), n.Name) {
				got[n.ID] = n.Name
			}
		}
		return maps.Equal(got, want)
	})
	until(t, promptly, said("the third has the RAM of its new definition"), func() bool { return l.node(third).Resources.RAM == 96 })
	l.stop()
}

// TestForeignVolumes creates volumes in the images pool without the service.
func TestForeignVolumes(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	file := filepath.Join(t.TempDir(), "mine.qcow2")
	l.qemuImg("create", "-q", "-f", "qcow2", file, "1M")
	l.virsh("vol-create-as", l.imagesPool(), "mine.qcow2", "1M", "--format", "qcow2")
	l.virsh("vol-upload", "mine.qcow2", file, "--pool", l.imagesPool())
	start := time.Now()
	until(t, promptly, said("the volume is shown"), func() bool { return len(l.images().CustomImages) == 1 })
	t.Logf("the volume was shown after %v", time.Since(start).Round(time.Millisecond))
	if i := l.images().CustomImages[0]; i.ID != "mine.qcow2" || i.State != "unverified" || !strings.Contains(i.Reason, "was not verified") {
		t.Errorf("the volume is shown as %+v", i)
	}
	l.refused(http.MethodPost, "/api/nodes", request{"name": l.name("no"), "customImageName": "mine.qcow2"}, refusal{http.StatusConflict, "image_not_ready", "it is unverified"})
	// The disk of a foreign domain cannot be deleted as an image.
	id := l.defineForeign(l.name("theirs"), func(d *libvirtxml.Domain) {
		source := func(file string) *libvirtxml.DomainDiskSource {
			return &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: file}}
		}
		d.Devices = &libvirtxml.DomainDeviceList{Disks: []libvirtxml.DomainDisk{
			{Device: "disk", Source: source("/nonexistent/disk.img"), Target: &libvirtxml.DomainDiskTarget{Dev: "vda", Bus: "virtio"}},
			{Device: "disk", Source: source(filepath.Join(poolsFolder, l.imagesPool(), "mine.qcow2")), Target: &libvirtxml.DomainDiskTarget{Dev: "vdb", Bus: "virtio"}},
		}}
	})
	until(t, promptly, said("the domain is listed"), func() bool { return l.listed(id).ID == id })
	l.refused(http.MethodDelete, "/api/images/mine.qcow2", nil, refusal{http.StatusConflict, "image_in_use", l.name("theirs")})
	l.virsh("undefine", id)
	until(t, promptly, said("the domain is gone"), func() bool { return l.listed(id).ID == "" })
	l.call(http.MethodDelete, "/api/images/mine.qcow2", nil, http.StatusNoContent, nil)
	l.wantVolumes(l.imagesPool())

	// An image with an overlay that virsh created cannot be deleted.
	image := l.upload("base.qcow2", strings.NewReader(string(l.qemuImage("1M"))))
	var got api.Uploaded
	if err := image.decode(&got); err != nil || image.status != http.StatusCreated {
		t.Fatalf("%d %s", image.status, image.body)
	}
	l.virsh("vol-create-as", l.nodesPool(), "over.qcow2", "1M", "--format", "qcow2", "--backing-vol", got.Image.Path, "--backing-vol-format", "qcow2")
	l.refused(http.MethodDelete, "/api/images/"+got.Image.ID, nil, refusal{http.StatusConflict, "image_in_use", "over.qcow2"})
	l.virsh("vol-delete", "over.qcow2", "--pool", l.nodesPool())
	// An image that virsh deletes disappears here, too.
	l.virsh("vol-delete", got.Image.ID, "--pool", l.imagesPool())
	until(t, promptly, said("the image is gone"), func() bool { return len(l.images().CustomImages) == 0 })
	l.stop()
}

// TestEditsSurvive changes a node's XML as `virsh edit` does. Wipe, rename and another
// start keep the changes.
func TestEditsSurvive(t *testing.T) {
	t.Parallel()
	l := newRunningLab(t)
	n := l.create("edited")
	d := l.definition(n.ID, "--inactive", "--security-info")
	d.Description = "kept by hand"
	d.Title = "A title"
	d.Metadata.XML += `<mine:tag xmlns:mine="https://example.org/mine">kept too</mine:tag>`
	d.Metadata.XML = strings.Replace(d.Metadata.XML, "</", `<extra xmlns="https://example.org/x" a="1"/></`, 1)
	d.CPUTune = &libvirtxml.DomainCPUTune{Shares: &libvirtxml.DomainCPUTuneShares{Value: 512}}
	d.Devices.Disks[0].Serial = "SERIAL42"
	d.Devices.Disks[0].IOTune = &libvirtxml.DomainDiskIOTune{TotalIopsSec: 500}
	// What libvirt itself does not interpret: arguments and properties for QEMU.
	d.QEMUCommandline = &libvirtxml.DomainQEMUCommandline{Args: []libvirtxml.DomainQEMUCommandlineArg{{Value: "-name"}, {Value: "kept"}}}
	d.QEMUOverride = &libvirtxml.DomainQEMUOverride{Devices: []libvirtxml.DomainQEMUOverrideDevice{{
		Alias: "video0", Frontend: libvirtxml.DomainQEMUOverrideFrontend{Properties: []libvirtxml.DomainQEMUOverrideProperty{{Name: "edid", Type: "bool", Value: "false"}}},
	}}}
	l.define(d)
	// Elements that our own types do not have.
	l.virshEdit(n.ID, "s|</on_crash>|&<on_lockfailure>ignore</on_lockfailure>|")
	before := l.virsh("dumpxml", n.ID, "--inactive", "--security-info")
	for _, part := range []string{"<on_lockfailure>ignore<", "kept by hand", "A title", "kept too", "https://example.org/x", "<shares>512</shares>", "SERIAL42", "<total_iops_sec>500<", "qemu:arg value='kept'", "qemu:property name='edid'"} {
		if !strings.Contains(before, part) {
			t.Fatalf("virsh did not take %q:\n%s", part, before)
		}
	}
	wiped := l.act(n.ID, "wipe", nil)
	var renamed api.Node
	l.call(http.MethodPatch, "/api/nodes/"+n.ID, request{"name": l.name("edited2")}, http.StatusOK, &renamed)
	after := l.virsh("dumpxml", n.ID, "--inactive", "--security-info")
	want := strings.ReplaceAll(before, n.OverlayPath, wiped.OverlayPath)
	want = strings.ReplaceAll(want, "<name>"+n.Name+"</name>", "<name>"+renamed.Name+"</name>")
	if after != want {
		t.Errorf("more than the disk's file and the name has changed:\n%s", difference(want, after))
	}
	// All other edits keep them, too: each changes only its own lines.
	l.edit(n.ID, request{
		"resources": request{"ram": 256, "cpus": 2, "disk": renamed.Resources.Disk + 1<<20}, "autostart": true,
		"osType": `a<b>&"`, "tags": []string{"x", "<y>"}, "description": "told & shown",
	})
	want = strings.NewReplacer(
		"kept by hand", "told &amp; shown", "<memory unit='KiB'>196608<", "<memory unit='KiB'>262144<", "<currentMemory unit='KiB'>196608<", "<currentMemory unit='KiB'>262144<",
		"<vcpu placement='static'>1<", "<vcpu placement='static'>2<",
	).Replace(after)
	after = l.virsh("dumpxml", n.ID, "--inactive", "--security-info")
	// Our element may be formatted differently, with the same content.
	got, ours := cutElement(t, after)
	if want, _ := cutElement(t, want); got != want {
		t.Errorf("the edit changed more than it should:\n%s", difference(want, got))
	}
	for _, part := range []string{`<extra xmlns="https://example.org/x" a="1"/></`, `osType>a&lt;b&gt;&amp;"</`, "tag>x</", "tag>&lt;y&gt;</", `image type="base" id="micro"`, "owner>local<"} {
		if !strings.Contains(ours, part) {
			t.Errorf("our element lacks %q: %s", part, ours)
		}
	}
	l.edit(n.ID, request{"autostart": false})
	// A wipe must not remove a snapshot with the overlay that contains it.
	l.act(n.ID, "stop", forced)
	l.virsh("snapshot-create-as", n.ID, "kept")
	l.refused(http.MethodPost, "/api/nodes/"+n.ID+"/wipe", nil, refusal{http.StatusConflict, "node_has_snapshots", "has 1 snapshots, which would be lost when it is wiped: kept"})
	l.virsh("snapshot-revert", n.ID, "kept")
	l.stop()
}

// TestUndefinedWhileItRuns undefines a node while its guest runs. The node is then
// transient, so a wipe must not stop it: it would be lost.
func TestUndefinedWhileItRuns(t *testing.T) {
	t.Parallel()
	l := newRunningLab(t)
	takeGuest(t)
	n := l.create("undefined")
	l.act(n.ID, "run", nil)
	l.virsh("undefine", n.ID)
	l.refused(http.MethodPost, "/api/nodes/"+n.ID+"/wipe", forced, refusal{http.StatusConflict, "unsupported", "transient"})
	if state := l.virsh("domstate", n.ID); state != "running" {
		t.Errorf("the domain is %s", state)
	}
	l.stop()
}

// TestCrashThatIsKept has a guest crash whose domain has on_crash set to preserve. It
// keeps its QEMU and its memory until it is forced off.
func TestCrashThatIsKept(t *testing.T) {
	t.Parallel()
	l := newRunningLab(t)
	takeGuest(t)
	n := l.create("crashed")
	l.virshEdit(n.ID, "s|<on_crash>destroy|<on_crash>preserve|; s|</devices>|<panic model='isa'/>&|")
	l.act(n.ID, "run", nil)
	l.virsh("qemu-monitor-command", n.ID, "--hmp", "o /b 0x505 1") // what a guest's kernel does when it panics
	until(t, promptly, said("the node is shown as crashed"), func() bool { return l.node(n.ID).State == "crashed" })
	if l.node(n.ID).VNC == nil {
		t.Error("the node's screen cannot be looked at")
	}
	path := "/api/nodes/" + n.ID
	l.refused(http.MethodPost, path+"/run", nil, refusal{http.StatusConflict, "node_running", "has crashed"})
	l.refused(http.MethodPost, path+"/stop", nil, refusal{http.StatusConflict, "node_not_running", "has crashed"})
	l.act(n.ID, "stop", forced)
	if state := l.virsh("domstate", n.ID); state != "shut off" {
		t.Errorf("when its plug was pulled the domain is %s", state)
	}
	if v := l.node(n.ID); v.State != "stopped" || v.VNC != nil {
		t.Errorf("when its plug was pulled the node is %+v", v)
	}
	l.stop()
}

// cutElement removes our metadata from a domain's XML and returns both.
func cutElement(t *testing.T, text string) (rest, ours string) {
	t.Helper()
	m := regexp.MustCompile(`(?s)\s*<(sandboxlabs:)?node xmlns.*</(sandboxlabs:)?node>`).FindStringIndex(text)
	if m == nil {
		t.Fatalf("our metadata is gone:\n%s", text)
	}
	return text[:m[0]] + text[m[1]:], text[m[0]:m[1]]
}

// difference lists the lines that are in only one of the texts.
func difference(want, got string) string {
	var b strings.Builder
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for _, line := range w {
		if !slices.Contains(g, line) {
			fmt.Fprintf(&b, "-%s\n", line)
		}
	}
	for _, line := range g {
		if !slices.Contains(w, line) {
			fmt.Fprintf(&b, "+%s\n", line)
		}
	}
	return b.String()
}
