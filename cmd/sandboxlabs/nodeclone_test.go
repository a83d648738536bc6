package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// clone creates a linked clone.
func (l *lab) clone(id, name string) api.Node {
	l.t.Helper()
	var n api.Node
	l.call(http.MethodPost, "/api/nodes/"+id+"/clone", request{"name": l.name(name)}, http.StatusCreated, &n)
	return n
}

// chainOf lists the kinds and the file names in the backing chain of a node's first disk,
// the topmost first.
func (l *lab) chainOf(id string) (kinds, names []string) {
	l.t.Helper()
	var chains struct {
		Disks []api.DiskChain `json:"disks"`
	}
	l.call(http.MethodGet, "/api/nodes/"+id+"/chain", nil, http.StatusOK, &chains)
	for f := &chains.Disks[0].File; f != nil; f = f.Base {
		kinds, names = append(kinds, f.Kind), append(names, filepath.Base(f.Path))
	}
	return kinds, names
}

// wantChain expects the backing chain of a node's first disk to be want, and the domain
// XML to contain the backing chains of all of its disks, since QEMU uses those.
func (l *lab) wantChain(id string, want ...string) {
	l.t.Helper()
	if kinds, names := l.chainOf(id); !slices.Equal(kinds, want) {
		l.t.Errorf("node %s consists of %q, want %q: %q", id, kinds, want, names)
	}
	var chains struct {
		Disks []api.DiskChain `json:"disks"`
	}
	l.call(http.MethodGet, "/api/nodes/"+id+"/chain", nil, http.StatusOK, &chains)
	disks := l.definition(id, "--inactive").Devices.Disks
	for _, chain := range chains.Disks {
		var files, told []string
		for f := &chain.File; f != nil; f = f.Base {
			files = append(files, f.Path)
		}
		disk := disks[slices.IndexFunc(disks, func(d libvirtxml.DomainDisk) bool { return d.Target.Dev == chain.Target })]
		told = append(told, disk.Source.File.File)
		for b := disk.BackingStore; b != nil && b.Source != nil && b.Source.File != nil; b = b.BackingStore {
			told = append(told, b.Source.File.File)
		}
		if !slices.Equal(told, files) {
			l.t.Errorf("disk %s of node %s consists of %q; its definition says %q", chain.Target, id, files, told)
		}
	}
}

// write writes bytes of one value to the disk of a node that is off.
func (l *lab) write(n api.Node, value string) {
	l.t.Helper()
	l.tool("qemu-io", "-f", "qcow2", "-c", "write -P "+value+" 100M 1M", n.OverlayPath)
}

func (l *lab) read(n api.Node, value string) {
	l.t.Helper()
	if !l.has(n, value) {
		l.t.Errorf("node %s has other bytes than %s", n.Name, value)
	}
}

// has reports whether value was written to the node's disk. It fails the test if the disk
// cannot be read because a part of its chain is missing.
func (l *lab) has(n api.Node, value string) bool {
	l.t.Helper()
	out, err := exec.CommandContext(l.t.Context(), "qemu-io", "-r", "-f", "qcow2", "-c", "read -P "+value+" 100M 1M", n.OverlayPath).CombinedOutput()
	switch {
	case err == nil:
		return true
	case !strings.Contains(string(out), "Pattern verification failed"):
		l.t.Fatalf("the disk of node %s cannot be read: %v: %s", n.Name, err, out)
	}
	return false
}

// A linked clone of a running node starts with the source's data and then diverges. The
// source is not affected.
func TestLinkedCloneOfARunningNode(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.addMicro()
	takeGuest(t)
	l.start()
	var n api.Node
	l.call(http.MethodPost, "/api/nodes", request{
		"name": l.name("source"), "baseImage": "micro", "resources": request{"ram": 256}, "cloudInit": request{"hostname": "origin"},
	}, http.StatusCreated, &n)
	l.act(n.ID, "run", nil)
	console := l.console(n.ID)
	console.login()
	console.shell("echo kept >/root/mark; sync; stay=here", "")

	c := l.clone(n.ID, "clone")
	if c.State != "stopped" || c.Image == nil || c.Image.ID != "micro" || c.ID == n.ID || c.Resources != n.Resources {
		t.Errorf("the clone is %+v", c)
	}
	source, clone := l.definition(n.ID, "--inactive", "--security-info"), l.definition(c.ID, "--inactive", "--security-info")
	if a, b := source.Devices.Interfaces[0].MAC.Address, clone.Devices.Interfaces[0].MAC.Address; a == b {
		t.Errorf("both have the address %s", a)
	}
	if a, b := source.Devices.Graphics[0].VNC.Passwd, clone.Devices.Graphics[0].VNC.Passwd; a == b || len(b) != 8 {
		t.Errorf("the screens' passwords are %q and %q", a, b)
	}
	if a, b := source.Devices.Serials[0].Log.File, clone.Devices.Serials[0].Log.File; a == b {
		t.Errorf("both write to the log %s", a)
	}
	if kinds, names := l.chainOf(c.ID); !slices.Equal(kinds, []string{"overlay", "snapshot", "image"}) || names[1] != n.ID+".qcow2" {
		t.Errorf("the clone consists of %q, %q", kinds, names)
	}
	l.wantSeed(c, n)

	// The source continues to run, writing to its new overlay.
	console.shell("echo $stay; cat /root/mark; echo later >/root/mark; sync", "here")
	l.act(n.ID, "stop", forced)
	l.act(c.ID, "run", nil)
	theirs := l.console(c.ID)
	theirs.login()
	theirs.shell("cat /root/mark; hostname", "kept")
	l.act(c.ID, "stop", forced)

	// The backing files of both cannot be deleted.
	l.refused(http.MethodDelete, "/api/nodes/"+n.ID, nil, refusal{http.StatusConflict, "node_busy", c.Name})
	l.act(n.ID, "wipe", nil)
	l.refused(http.MethodDelete, "/api/nodes/"+n.ID, nil, refusal{http.StatusConflict, "node_busy", c.Name})
	if kinds, _ := l.chainOf(c.ID); !slices.Equal(kinds, []string{"overlay", "snapshot", "image"}) {
		t.Errorf("when its source was wiped, the clone consists of %q", kinds)
	}
	l.delete(c.ID)
	l.delete(n.ID)
	l.wantVolumes(l.nodesPool())
	l.stop()
}

// wantSeed expects a clone to have its own cloud-init seed, not that of its source.
func (l *lab) wantSeed(c, source api.Node) {
	l.t.Helper()
	seed := filepath.Join(l.t.TempDir(), "seed.iso")
	l.virsh("vol-download", c.ID+"-seed.iso", seed, "--pool", l.nodesPool())
	content, err := os.ReadFile(seed)
	if err != nil {
		l.t.Fatal(err)
	}
	if text := string(content); !strings.Contains(text, "instance-id: "+c.ID) || !strings.Contains(text, "local-hostname: "+c.Name) || strings.Contains(text, source.ID) {
		l.t.Errorf("the clone's seed is of another instance: %q", text)
	}
	if xml := l.virsh("dumpxml", c.ID); !strings.Contains(xml, c.ID+"-seed.iso") || strings.Contains(xml, source.ID+"-seed.iso") {
		l.t.Errorf("the clone has the wrong seed: %s", xml)
	}
}

// Clones of a node that is off share its written data, and make its chain longer only when
// it has written more.
func TestLinkedClonesOfOneNode(t *testing.T) {
	t.Parallel()
	l := newRunningLab(t)
	n := l.create("source")
	first := l.clone(n.ID, "first") // nothing was written: both are backed by the image
	if kinds, _ := l.chainOf(first.ID); !slices.Equal(kinds, []string{"overlay", "image"}) {
		t.Errorf("the clone of a fresh node consists of %q", kinds)
	}
	l.write(n, "7")
	second := l.clone(n.ID, "second")
	third := l.clone(n.ID, "third")
	for _, c := range []api.Node{second, third} {
		if kinds, names := l.chainOf(c.ID); !slices.Equal(kinds, []string{"overlay", "snapshot", "image"}) || names[1] != n.ID+".qcow2" {
			t.Errorf("%s consists of %q, %q", c.Name, kinds, names)
		}
		l.read(c, "7")
	}
	now := l.node(n.ID)
	if kinds, _ := l.chainOf(n.ID); !slices.Equal(kinds, []string{"overlay", "snapshot", "image"}) || now.OverlayPath == n.OverlayPath {
		t.Errorf("the source consists of %q, its first file is %s", kinds, now.OverlayPath)
	}
	l.write(now, "8")
	l.write(second, "9")
	l.read(third, "7")
	l.read(now, "8")

	// A clone of a clone, with an additional disk.
	l.call(http.MethodPost, "/api/nodes/"+second.ID+"/disks", request{"size": 1 << 20}, http.StatusCreated, nil)
	fourth := l.clone(second.ID, "fourth")
	for _, id := range []string{second.ID, fourth.ID} {
		l.wantChain(id, "overlay", "snapshot", "snapshot", "image")
	}
	l.read(fourth, "9")
	var disks struct {
		Disks []api.Disk `json:"disks"`
	}
	l.call(http.MethodGet, "/api/nodes/"+fourth.ID+"/disks", nil, http.StatusOK, &disks)
	if i := slices.IndexFunc(disks.Disks, func(d api.Disk) bool { return strings.Contains(d.File, fourth.ID+"-disk-") }); i < 0 {
		t.Errorf("the clone has the disks %+v", disks.Disks)
	}

	l.refused(http.MethodPost, "/api/nodes/"+n.ID+"/clone", request{"name": third.Name}, refusal{http.StatusConflict, "node_name_taken", third.Name})
	l.call(http.MethodPost, "/api/nodes/"+third.ID+"/snapshots", request{"name": "s"}, http.StatusCreated, nil)
	l.refused(http.MethodPost, "/api/nodes/"+third.ID+"/clone", request{"name": l.name("no")}, refusal{http.StatusConflict, "node_has_snapshots", "full clone"})
	// A snapshot above the shared files can be reverted to.
	l.call(http.MethodPost, "/api/nodes/"+third.ID+"/snapshots/s/revert", nil, http.StatusOK, nil)

	l.refused(http.MethodDelete, "/api/nodes/"+second.ID+"?snapshots=true", nil, refusal{http.StatusConflict, "node_busy", fourth.Name})
	l.act(fourth.ID, "wipe", nil) // no longer backed by the files of second
	l.wantChain(fourth.ID, "overlay", "image")
	for _, c := range []api.Node{fourth, second, first} {
		l.delete(c.ID)
	}
	l.call(http.MethodDelete, "/api/nodes/"+third.ID+"?snapshots=true", nil, http.StatusNoContent, nil)
	l.act(n.ID, "wipe", nil) // nothing is backed by its files, so all of them are deleted
	l.wantChain(n.ID, "overlay", "image")
	l.delete(n.ID)
	l.wantVolumes(l.nodesPool())
	l.stop()
}

// A crash during a linked clone leaves the source with all of its data, and no clone.
func TestCrashInALinkedClone(t *testing.T) {
	t.Parallel()
	l := newRunningLab(t)
	n := l.create("source")
	l.write(n, "7")
	l.stop()
	for _, moment := range []string{beforeClone, afterClone} {
		l.dieDuring(moment, http.MethodPost, "/api/nodes/"+n.ID+"/clone", request{"name": l.name("clone")})
		if l.rows("intents") != 1 {
			t.Fatal("no intent is open; the test missed its moment")
		}
		l.start()
		until(t, promptly, said("no intent is left"), func() bool { return l.rows("intents") == 0 })
		if list := l.nodes(); len(list) != 1 {
			t.Errorf("after a crash %s the nodes are %+v", moment, list)
		}
		_, names := l.chainOf(n.ID)
		l.wantVolumes(l.nodesPool(), names[:len(names)-1]...) // the last is the image
		l.read(l.node(n.ID), "7")
		l.stop()
	}
	l.start()
	c := l.clone(n.ID, "clone")
	l.read(c, "7")
	l.delete(c.ID)
	l.delete(n.ID)
	l.wantVolumes(l.nodesPool())
	l.stop()
}

// A full clone has no backing file. Its source is locked while it is copied, and neither a
// cancellation nor a crash leaves a partial clone.
func TestFullClone(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	image := l.uploaded("large.qcow2", l.fullImage(160))
	var n api.Node
	l.call(http.MethodPost, "/api/nodes", request{"name": l.name("source"), "customImageName": image.ID, "resources": request{"ram": 64}, "cloudInit": request{"hostname": "origin"}}, http.StatusCreated, &n)
	l.write(n, "7")
	start := func(name string) (j api.Job) {
		t.Helper()
		l.call(http.MethodPost, "/api/nodes/"+n.ID+"/clone", request{"name": l.name(name), "mode": "full"}, http.StatusAccepted, &j)
		return j
	}
	copying := func(id string) {
		t.Helper()
		until(t, promptly, said("the copy is under way"), func() bool {
			files, err := filepath.Glob(filepath.Join(poolsFolder, l.nodesPool(), "*.qcow2"))
			return err != nil || len(files) == 2 || l.job(id).State == "succeeded"
		})
	}
	j := start("copy")
	copying(j.ID)
	if a := l.send(http.MethodPatch, "/api/nodes/"+n.ID, request{"description": "changed"}); a.status != http.StatusConflict && l.job(j.ID).State != "succeeded" {
		t.Errorf("a change of the source was answered with %d %s", a.status, a.body)
	}
	// Others may use the pool meanwhile. libvirt refuses them only for moments.
	looked, refused := 0, error(nil)
	until(t, patience, said("the copy is made"), func() bool {
		_, err := l.tryVirsh("pool-refresh", l.nodesPool())
		if exec.CommandContext(t.Context(), "pgrep", "-f", "qemu-img convert.*"+l.nodesPool()).Run() == nil { // still being copied
			if err == nil {
				looked++
			} else {
				refused = err
			}
		}
		return l.job(j.ID).State != "running"
	})
	if looked == 0 && refused != nil {
		t.Errorf("during the copy: %v", refused)
	}
	l.awaitJob(j.ID, "succeeded")
	c := l.node(j.Target.ID)
	if out := l.tool("qemu-img", "info", c.OverlayPath); strings.Contains(out, "backing file") {
		t.Errorf("the copy is backed by something: %s", out)
	}
	l.tool("qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", n.OverlayPath, c.OverlayPath)
	if kinds, _ := l.chainOf(c.ID); !slices.Equal(kinds, []string{"disk"}) {
		t.Errorf("the copy consists of %q", kinds)
	}
	l.wantSeed(c, n)
	l.delete(c.ID)

	j = start("cancelled")
	copying(j.ID)
	l.call(http.MethodPost, "/api/jobs/"+j.ID+"/cancel", nil, http.StatusOK, nil)
	until(t, patience, said("the job has ended"), func() bool { s := l.job(j.ID).State; return s == "cancelled" || s == "succeeded" })
	if l.job(j.ID).State == "cancelled" {
		// The source can be started once libvirt has read it to its end, and not before.
		if a := l.send(http.MethodPost, "/api/nodes/"+n.ID+"/run", nil); a.status != http.StatusOK && (a.status != http.StatusConflict || !strings.Contains(string(a.body), "to its end")) {
			t.Errorf("to start the source was answered with %d %s", a.status, a.body)
		}
		until(t, patience, said("libvirt is done"), func() bool { return !strings.Contains(l.virsh("pool-list", "--name"), l.nodesPool()+"-work") })
		l.act(n.ID, "run", nil)
		l.act(n.ID, "stop", forced)
		l.wantVolumes(l.nodesPool(), n.ID+".qcow2", n.ID+"-seed.iso")
	} else {
		t.Log("the copy was faster than its cancellation")
		l.delete(j.Target.ID)
	}

	j = start("again")
	copying(j.ID)
	l.kill()
	l.start()
	l.awaitJob(j.ID, "succeeded")
	c = l.node(j.Target.ID)
	l.tool("qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", n.OverlayPath, c.OverlayPath)
	l.wantVolumes(l.nodesPool(), n.ID+".qcow2", n.ID+"-seed.iso", c.ID+".qcow2", c.ID+"-seed.iso")
	l.delete(c.ID)
	l.delete(n.ID)
	l.stop()
}

// tool runs a program that inspects files, and returns its output.
func (l *lab) tool(name string, args ...string) string {
	l.t.Helper()
	out, err := exec.CommandContext(l.t.Context(), name, args...).CombinedOutput()
	if err != nil {
		l.t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
	return string(out)
}
