package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// asNobody runs a program as another user of the machine.
func (l *lab) asNobody(name string, args ...string) (out string, err error) {
	cmd := exec.CommandContext(l.t.Context(), name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobodyUID, Gid: nobodyUID}}
	cmd.Env, cmd.Dir = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}, "/"
	text, err := cmd.CombinedOutput()
	return string(text), err
}

// wantClosed checks that another user can neither list the folders of the pools nor read a
// file in them, and that doctor reports no open folders.
func (l *lab) wantClosed(when string) {
	l.t.Helper()
	for _, pool := range []string{l.imagesPool(), l.nodesPool(), l.logsPool()} {
		folder := filepath.Join("/var/lib/libvirt/images", pool)
		if out, err := l.asNobody("ls", folder); err == nil || !strings.Contains(out, "Permission denied") {
			l.t.Errorf("%s: another user lists %s: %v, %q", when, folder, err, out)
		}
		files, err := os.ReadDir(folder)
		if err != nil || len(files) == 0 {
			l.t.Errorf("%s: %s holds %v, %v", when, folder, files, err)
		}
		for _, file := range files {
			path := filepath.Join(folder, file.Name())
			if out, err := l.asNobody("head", "-c", "4", path); err == nil || !strings.Contains(out, "Permission denied") {
				l.t.Errorf("%s: another user reads %s: %v, %q", when, path, err, out)
			}
		}
	}
}

// TestOtherUsersReadNothing boots a node while another user of the machine tries to read
// its image, overlay, seed and log. Then it opens the folders' permissions, as in earlier
// versions, and checks that the service closes them while the node runs.
func TestOtherUsersReadNothing(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("it takes root to be other users")
	}
	l := newLab(t)
	l.addMicro()
	takeGuest(t)
	l.start()
	var n api.Node
	l.call("POST", "/api/nodes", map[string]any{
		"name": l.name("closed"), "image": "micro", "resources": map[string]any{"ram": 192},
		"cloudInit": map[string]any{"hostname": "closed.example.org"},
	}, 201, &n)
	c := l.console(n.ID)
	c.status("offline")
	l.act(n.ID, "run", nil)
	c.status("connected")
	l.wantClosed("while it boots")
	c.login()
	c.shell("hostname", "closed")
	l.wantClosed("while it runs")
	if out, _ := l.run("doctor"); !strings.Contains(out, "ok    pools closed (local)") {
		t.Errorf("doctor:\n%s", out)
	}

	var folders []string
	for _, pool := range []string{l.imagesPool(), l.nodesPool(), l.logsPool()} {
		folders = append(folders, filepath.Join("/var/lib/libvirt/images", pool))
	}
	for _, folder := range folders {
		if err := os.Chown(folder, 0, 0); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(folder, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := l.asNobody("head", "-c", "3", filepath.Join(folders[0], "micro.qcow2")); err != nil || out != "QFI" {
		t.Errorf("the image in an open folder: %v, %q", err, out)
	}
	out, code := l.run("doctor")
	for _, folder := range folders {
		if code != 0 || !strings.Contains(out, "every user of the host can enter "+folder+" (mode 0711)") {
			t.Errorf("doctor with an open %s: exit code %d\n%s", folder, code, out)
		}
	}
	script := exec.CommandContext(t.Context(), "../../deploy/close-pools.sh", l.imagesPool(), l.nodesPool(), l.logsPool(), l.name("absent"))
	if out, err := script.CombinedOutput(); err != nil || strings.Count(string(out), "closing ") != len(folders) {
		t.Errorf("close-pools.sh: %v\n%s", err, out)
	}
	l.wantClosed("after the mending")
	if out, _ := l.run("doctor"); !strings.Contains(out, "ok    pools closed (local)") {
		t.Errorf("doctor after the mending:\n%s", out)
	}
	// QEMU opens the files again.
	l.act(n.ID, "stop", forced)
	c.status("offline")
	l.act(n.ID, "run", nil)
	c.status("connected")
	c.login()
	c.shell("hostname", "closed")
}
