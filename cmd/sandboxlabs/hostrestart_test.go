package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/testground"
)

// otherHost is a libvirtd in its own namespaces and folders, separate from the machine's,
// so that it can be restarted without affecting anything else.
type otherHost struct {
	t      *testing.T
	dir    string // visible inside and outside of the namespaces
	holder *exec.Cmd
}

const otherHostScript = `set -e
dir=$1
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/libvirt /run/lock
for d in /var/lib/libvirt /var/cache/libvirt /var/log/libvirt; do
  mkdir -p "$d"
  mount -t tmpfs -o mode=755 tmpfs "$d"
  mkdir -p "$d/qemu"
  chown libvirt-qemu "$d/qemu"
done
mkdir -p /var/lib/libvirt/images
mount --bind "$dir/etc" /etc/libvirt
hostname sandboxlabs-other # libvirt does not migrate to its own host name
ip link set lo up # its own network
virtlogd -d -p /run/virtlogd.pid
libvirtd -d -p /run/libvirtd.pid
# The first process of a namespace has to take its dead, such as a QEMU that is
# killed; a shell does so between its commands.
while :; do sleep 0.2; done
`

// startOtherHost starts a separate libvirtd. It needs root, and skips the test otherwise.
// It shares the machine's network unless further namespaces are requested ("--net").
func startOtherHost(t *testing.T, namespaces ...string) *otherHost {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a second libvirtd in its own namespaces needs root")
	}
	dir, err := os.MkdirTemp("", "sbt-host-")
	if err != nil {
		t.Fatal(err)
	}
	h := &otherHost{t: t, dir: dir}
	for name, text := range map[string]string{
		"libvirtd.conf": fmt.Sprintf("unix_sock_dir = %q\nauth_unix_rw = \"none\"\nhost_uuid = \"22222222-2222-4222-8222-222222222222\"\n", dir),
		// Two libvirtds may consider the same port free at the same time, so use a separate port
		// range. Cgroups would remain after this one is killed.
		"qemu.conf": fmt.Sprintf("security_driver = \"none\"\ncgroup_controllers = []\nremote_display_port_min = %d\n", testground.Port(t)),
	} {
		if err := os.MkdirAll(filepath.Join(dir, "etc"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "etc", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	args := append(namespaces, "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private", "sh", "-c", otherHostScript, "sh", dir)
	h.holder = exec.Command("unshare", args...)
	out := &output{}
	h.holder.Stdout, h.holder.Stderr = out, out
	h.holder.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := h.holder.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() {
		_ = h.holder.Wait()
		close(gone)
	}()
	t.Cleanup(func() {
		// When the first process of the PID namespace ends, the kernel kills all others in it.
		_ = h.holder.Process.Kill()
		<-gone
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	until(t, patience, func() string { return "the second libvirtd answers; its script printed: " + out.String() }, func() bool {
		return exec.CommandContext(t.Context(), "virsh", "-c", h.uri(), "version").Run() == nil
	})
	return h
}

func (h *otherHost) uri() string {
	return "qemu+unix:///system?socket=" + filepath.Join(h.dir, "libvirt-sock")
}

// first returns the PID of the first process in the namespaces.
func (h *otherHost) first() string {
	h.t.Helper()
	child, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", h.holder.Process.Pid, h.holder.Process.Pid))
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := strconv.Atoi(strings.TrimSpace(string(child))); err != nil {
		h.t.Fatalf("the first process inside: %v", err)
	}
	return strings.TrimSpace(string(child))
}

// path returns the outside path of a file inside.
func (h *otherHost) path(inside string) string {
	return filepath.Join("/proc", h.first(), "root", inside)
}

// The following methods control the state of its libvirtd.
func (h *otherHost) freeze() { h.in("kill -STOP $(cat /run/libvirtd.pid)") }
func (h *otherHost) thaw()   { h.in("kill -CONT $(cat /run/libvirtd.pid)") }
func (h *otherHost) kill() {
	h.in("pid=$(cat /run/libvirtd.pid); kill -KILL $pid; while [ -e /proc/$pid ]; do sleep 0.05; done")
}
func (h *otherHost) restart() { h.in("libvirtd -d -p /run/libvirtd.pid") }

// in runs a command inside.
func (h *otherHost) in(command string) string {
	h.t.Helper()
	out, err := exec.CommandContext(h.t.Context(), "nsenter", "-t", h.first(), "-m", "-u", "-n", "-p", "sh", "-c", command).CombinedOutput()
	if err != nil {
		h.t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

// TestHostRestart restarts libvirtd while a console is watched and during an upload. The
// guest keeps running, its viewers miss no output, and the upload resumes at its offset.
func TestHostRestart(t *testing.T) {
	t.Parallel()
	h := startOtherHost(t)
	l := newLab(t)
	hosts := "--hosts=other=" + h.uri()
	if out, code := l.run("image", "add", microImage, "--base", "micro", hosts); code != 0 {
		t.Fatalf("image add: %d %s", code, out)
	}
	takeGuest(t)
	l.launch(nil, hosts, "--user-network=on")
	l.awaitHealth("ok")
	n := l.create("survivor")
	c := l.console(n.ID)
	l.act(n.ID, "run", nil)
	c.status("connected")
	c.login()
	c.typed("i=0; while sleep 0.2 2>/dev/null || sleep 1; do i=$((i+1)); echo tick-$i-; done\r")
	c.expect("tick-1-")

	image := l.dataImage(4 << 20)
	u := l.beginUpload(int64(len(image)), "filename", "half.qcow2")
	u.sent(0, image[:len(image)/2])
	h.in("kill $(cat /run/libvirtd.pid); while [ -e /proc/$(cat /run/libvirtd.pid 2>/dev/null || echo none) ]; do sleep 0.1; done")
	c.status("reconnecting")
	l.awaitHealth("degraded")
	if a := u.send(int64(len(image)/2), image[len(image)/2:]); a.status != http.StatusServiceUnavailable || !strings.Contains(string(a.body), "host_unreachable") {
		t.Errorf("to continue with an upload while libvirtd is unreachable: %d %s", a.status, a.body)
	}
	h.restart()
	c.status("connected")
	next := 0
	c.wait("ten more", patience, func() bool {
		next = strings.Count(string(c.all), "\r\ntick-")
		return next > 10 && strings.Contains(string(c.unread), fmt.Sprintf("tick-%d-\r", next))
	})
	text := string(c.seen())
	from := 0
	for i := 1; i <= next; i++ {
		at := strings.Index(text[from:], fmt.Sprintf("\r\ntick-%d-\r", i))
		if at < 0 {
			t.Errorf("tick %d of %d is missing, or not in its place", i, next)
			break
		}
		from += at + 5
	}
	c.typed("\x03")
	c.expect("# ")
	c.shell("echo on=$((5+5))", "on=10")
	if got := l.node(n.ID).State; got != "running" {
		t.Errorf("the node is %s", got)
	}
	at := u.offset()
	if at < int64(len(image)/4) {
		t.Errorf("of half of the image, %d bytes are left", at)
	}
	u.sent(at, image[at:])
	sum := sha256.Sum256(image)
	if img := u.settled(); img.State != "ready" || img.SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("what was uploaded over the restart is %+v", img)
	}
	l.delete(n.ID)
	if a := l.send(http.MethodGet, "/api/nodes/"+n.ID, nil); a.status != http.StatusNotFound {
		t.Errorf("the deleted node: %d", a.status)
	}
	l.stop()
}
