package main

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// needsUEFI skips a test if libvirt has no UEFI firmware.
func (l *lab) needsUEFI() {
	l.t.Helper()
	if !strings.Contains(l.virsh("domcapabilities", "--machine", "q35", "--virttype", "qemu", "--arch", "x86_64"), "<value>efi</value>") {
		l.t.Skip("the host has no UEFI firmware; run `make setup`")
	}
}

// onFolder creates a pool on a folder of the host while f runs.
func (l *lab) onFolder(folder string, f func(pool string)) {
	l.t.Helper()
	pool := l.name("folder")
	// libvirt refuses two pools on one folder, but only compares the spelling of the
	// paths.
	l.virsh("pool-create-as", pool, "dir", "--target", folder+strings.Repeat("/.", 3+rand.IntN(500)))
	defer l.virsh("pool-destroy", pool)
	f(pool)
}

// variablesAt reads a file of the host.
func (l *lab) variablesAt(file string) []byte {
	l.t.Helper()
	to := filepath.Join(l.t.TempDir(), "file")
	l.onFolder(filepath.Dir(file), func(pool string) {
		l.virsh("vol-download", "--pool", pool, filepath.Base(file), to)
	})
	content, err := os.ReadFile(to)
	if err != nil {
		l.t.Fatal(err)
	}
	return content
}

const nvramFolder = "/var/lib/libvirt/qemu/nvram"

// TestRenameKeepsVariables renames and clones a node whose UEFI variables are in a file
// that libvirt named after the node, as virt-install leaves it.
func TestRenameKeepsVariables(t *testing.T) {
	t.Parallel()
	l := newRunningLab(t)
	l.needsUEFI()
	n := l.create("before")
	def := l.definition(n.ID, "--inactive", "--security-info")
	def.OS.Firmware = "efi"
	text, err := def.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	xmlFile := filepath.Join(t.TempDir(), "uefi.xml")
	variables := bytes.Repeat([]byte("boot entries of before\n"), 4096)
	file := filepath.Join(t.TempDir(), "variables")
	for name, content := range map[string][]byte{xmlFile: []byte(text), file: variables} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l.virsh("define", xmlFile)
	old := n.Name + "_VARS.fd"
	l.onFolder(nvramFolder, func(pool string) {
		l.virsh("vol-create-as", pool, old, "1M", "--format", "raw")
		l.virsh("vol-upload", "--pool", pool, old, file)
	})
	t.Cleanup(func() { // if the test fails, nothing else removes it
		if t.Failed() {
			l.onFolder(nvramFolder, func(pool string) { _, _ = l.tryVirsh("vol-delete", "--pool", pool, old) })
		}
	})

	l.edit(n.ID, request{"name": l.name("after")})
	now := l.definition(n.ID, "--inactive")
	if now.Name != l.name("after") || now.OS.NVRam == nil || !bytes.HasPrefix(l.variablesAt(now.OS.NVRam.NVRam), variables) {
		t.Fatalf("renamed, the node is %q, and its variables are %+v", now.Name, now.OS.NVRam)
	}
	l.onFolder(nvramFolder, func(pool string) {
		if left := l.virsh("vol-list", pool); strings.Contains(left, n.Name+"_") {
			t.Errorf("the next node of the old name would find %s", left)
		}
	})
	l.edit(n.ID, request{"name": l.name("later")})
	if again := l.definition(n.ID, "--inactive"); again.OS.NVRam.NVRam != now.OS.NVRam.NVRam {
		t.Errorf("renamed again, its variables are %+v", again.OS.NVRam)
	}

	c := l.clone(n.ID, "copy")
	if copied := l.definition(c.ID, "--inactive"); copied.OS.NVRam == nil || copied.OS.NVRam.NVRam == now.OS.NVRam.NVRam || !bytes.HasPrefix(l.variablesAt(copied.OS.NVRam.NVRam), variables) {
		t.Errorf("the clone's variables are %+v", copied.OS.NVRam)
	}
	for _, id := range []string{n.ID, c.ID} {
		l.call(http.MethodDelete, "/api/nodes/"+id, nil, http.StatusNoContent, nil)
	}
	if left := l.virsh("vol-list", "--pool", l.nodesPool()); strings.Contains(left, n.ID) || strings.Contains(left, c.ID) {
		t.Errorf("behind them are %s", left)
	}
}

// TestSnapshotOfUEFI refuses snapshots that libvirt cannot take before it changes
// anything, and takes those that it can.
func TestSnapshotOfUEFI(t *testing.T) {
	t.Parallel()
	l := newRunningLab(t)
	l.needsUEFI()
	var n api.Node
	l.call(http.MethodPost, "/api/nodes", request{"name": l.name("uefi"), "baseImage": "micro", "firmware": "uefi", "resources": request{"ram": 256}}, http.StatusCreated, &n)
	takeGuest(t)
	l.act(n.ID, "run", nil)
	path := "/api/nodes/" + n.ID + "/snapshots"
	l.refused(http.MethodPost, path, request{"name": "live"}, refusal{http.StatusConflict, "unsupported", "runs with UEFI firmware"})
	l.act(n.ID, "stop", forced)
	var s api.Snapshot
	l.call(http.MethodPost, path, request{"name": "off"}, http.StatusCreated, &s)
	if s.State != "stopped" || s.Locked != "" {
		t.Errorf("the snapshot is %+v", s)
	}
	file := l.definition(n.ID, "--inactive").OS.NVRam.NVRam
	then := l.variablesAt(file)
	other := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, []byte("what a guest has written since"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.virsh("vol-upload", "--pool", l.nodesPool(), filepath.Base(file), other)
	var back api.Node
	l.call(http.MethodPost, path+"/off/revert", nil, http.StatusOK, &back)
	if !bytes.Equal(l.variablesAt(file), then) {
		t.Error("the variables did not go back with the disk")
	}
	l.act(n.ID, "run", nil)
	l.act(n.ID, "stop", forced)
	l.call(http.MethodDelete, path+"/off", nil, http.StatusNoContent, nil)
	if left := l.virsh("vol-list", "--pool", l.nodesPool()); strings.Contains(left, "-vars.off") {
		t.Errorf("behind the snapshot is %s", left)
	}
}

// TestFirmware creates nodes with UEFI, Secure Boot and a TPM, requested for the node or
// by its image.
func TestFirmware(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.needsUEFI()
	l.addMicro()
	file := filepath.Join(t.TempDir(), "tiny.qcow2")
	l.qemuImg("create", "-q", "-f", "qcow2", file, "1M")
	if out, code := l.run("image", "add", file, "--base", "tiny", "--firmware", "efi"); code == 0 || !strings.Contains(out, "uefi-secure") {
		t.Errorf("firmware that there is not: %d %s", code, out)
	}
	if out, code := l.run("image", "add", file, "--base", "tiny", "--firmware", "uefi", "--tpm"); code != 0 {
		t.Errorf("image add: exit code %d\n%s", code, out)
	}
	l.start()
	if tiny := l.image("tiny"); tiny.Firmware != "uefi" || !tiny.TPM {
		t.Errorf("the image that was added is %+v", tiny)
	}
	make := func(name string, more request) (n api.Node) {
		t.Helper()
		body := request{"name": l.name(name), "baseImage": "micro", "resources": request{"ram": 256}}
		maps.Copy(body, more)
		l.call(http.MethodPost, "/api/nodes", body, http.StatusCreated, &n)
		return n
	}
	if n := make("bios", nil); n.Firmware != "bios" || n.TPM || l.definition(n.ID).OS.Firmware != "" {
		t.Errorf("a node that nothing is said of is %+v", n)
	}
	l.refused(http.MethodPost, "/api/nodes", request{"name": l.name("x"), "baseImage": "micro", "firmware": "coreboot"}, refusal{http.StatusUnprocessableEntity, "invalid_request", ""})

	secure := make("secure", request{"firmware": "uefi-secure", "tpm": true})
	if secure.Firmware != "uefi-secure" || !secure.TPM {
		t.Errorf("the node is %+v", secure)
	}
	takeGuest(t)
	l.act(secure.ID, "run", nil)
	live := l.definition(secure.ID)
	if live.OS.Loader == nil || live.OS.Loader.Secure != "yes" || live.OS.NVRam == nil || len(live.Devices.TPMs) != 1 || live.Devices.TPMs[0].Backend.Emulator.Version != "2.0" {
		t.Errorf("it runs as %+v %+v", live.OS, live.Devices.TPMs)
	}
	if n := l.node(secure.ID); n.Firmware != "uefi-secure" || !n.TPM {
		t.Errorf("while it runs it is %+v", n)
	}
	l.act(secure.ID, "stop", forced)
	c := l.clone(secure.ID, "copy")
	if c.Firmware != "uefi-secure" || !c.TPM || !bytes.Equal(l.variablesAt(l.definition(c.ID, "--inactive").OS.NVRam.NVRam), l.variablesAt(live.OS.NVRam.NVRam)) {
		t.Errorf("the clone is %+v", c)
	}
	l.call(http.MethodDelete, "/api/nodes/"+c.ID, nil, http.StatusNoContent, nil)
	l.act(secure.ID, "wipe", nil)
	if left := l.virsh("vol-list", "--pool", l.nodesPool()); strings.Contains(left, secure.ID+"-vars") {
		t.Errorf("wiped, it keeps its variables: %s", left)
	}
	l.act(secure.ID, "run", nil)
	l.act(secure.ID, "stop", forced)

	var image api.Image
	l.call(http.MethodPatch, "/api/images/micro", request{"firmware": "uefi", "tpm": true}, http.StatusOK, &image)
	if image.Firmware != "uefi" || !image.TPM {
		t.Errorf("the image is %+v", image)
	}
	if n := make("like-its-image", nil); n.Firmware != "uefi" || !n.TPM {
		t.Errorf("a node of it is %+v", n)
	}
	if n := make("otherwise", request{"firmware": "bios", "tpm": false}); n.Firmware != "bios" || n.TPM {
		t.Errorf("a node that says otherwise is %+v", n)
	}

	drawn := l.file(1, 0)
	maps.Copy(drawn["nodes"].([]request)[0], request{"firmware": "uefi-secure", "tpm": false})
	var v api.Lab
	l.call(http.MethodGet, "/api/labs/"+l.awaitJob(l.startJob("/api/labs/import", drawn).ID, "succeeded").Target.ID, nil, http.StatusOK, &v)
	if n := l.node(v.Nodes[0].ID); n.Firmware != "uefi-secure" || n.TPM {
		t.Errorf("a node of an imported lab is %+v", n)
	}
}
