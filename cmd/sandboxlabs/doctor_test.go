package main

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

const nowhere = "--hosts=local=qemu+unix:///system?socket=/nonexistent"

// TestDoctor checks that doctor reports no problem, or what to do about one.
func TestDoctor(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	out, code := l.run("doctor")
	if code != 0 || strings.Contains(out, "FAIL") {
		t.Errorf("doctor: exit code %d\n%s", code, out)
	}
	for _, line := range []string{
		"ok    database ", "ok    libvirt (local) ", " accelerator (local) ", " pool images (local) ", l.imagesPool(), l.nodesPool(), l.logsPool(),
		"ok    pools writable (local) ", " network (local) ", "ok    guest, console log (local) ",
	} {
		if !strings.Contains(out, line) {
			t.Errorf("doctor has no line with %q:\n%s", line, out)
		}
	}
	l.wantVolumes(l.imagesPool())
	l.wantVolumes(l.nodesPool())
	l.wantVolumes(l.logsPool())

	// A pool that is not usable.
	l.virsh("pool-destroy", l.logsPool())
	l.virsh("pool-undefine", l.logsPool())
	l.virsh("pool-define-as", l.logsPool(), "dir", "--target", "/dev/null/logs")
	if out, code := l.run("doctor"); code != 1 || !strings.Contains(out, "FAIL") || !strings.Contains(out, "virsh pool-info "+l.logsPool()) {
		t.Errorf("doctor with a broken pool: exit code %d\n%s", code, out)
	}

	out, code = l.run("doctor", nowhere)
	if code != 1 || !strings.Contains(out, "FAIL  libvirt (local)") || !strings.Contains(out, "Is libvirtd running") || !strings.Contains(out, "make setup") {
		t.Errorf("doctor without libvirt: exit code %d\n%s", code, out)
	}
}

// TestDoctorOnAClosedKVM gives a host a /dev/kvm that only root can open.
func TestDoctorOnAClosedKVM(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/kvm"); err != nil {
		t.Skip("this machine has no /dev/kvm")
	}
	l := newLabApart(t)
	l.within = []string{"nsenter", "-t", l.own.first(), "-m", "-n"}
	const problem = "note  kvm (local) "
	l.own.in("mknod -m 666 /run/kvm c 10 232 && mount --bind /run/kvm /dev/kvm")
	if out, code := l.run("doctor"); code != 0 || strings.Contains(out, problem) {
		t.Errorf("doctor with an open /dev/kvm: exit code %d\n%s", code, out)
	}
	l.own.in("chmod 600 /dev/kvm")
	if out, code := l.run("doctor"); code != 0 || !strings.Contains(out, problem) || !strings.Contains(out, "QEMU's user libvirt-qemu cannot open /dev/kvm (mode 0600") {
		t.Errorf("doctor with a closed /dev/kvm: exit code %d\n%s", code, out)
	}
}

// TestHostOutOfReach runs the service and commands with an unreachable host.
func TestHostOutOfReach(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.launch(nil, nowhere)
	l.awaitHealth("degraded")
	var h api.Health
	until(t, promptly, said("the host is unreachable"), func() bool {
		l.call(http.MethodGet, "/api/health", nil, http.StatusOK, &h)
		return h.Hosts["local"] == "unreachable"
	})
	if h.Status != "degraded" || h.Database != "ok" {
		t.Errorf("the health is %+v", h)
	}
	away := refusal{http.StatusServiceUnavailable, "host_unreachable", `Host "local"`}
	start := time.Now()
	l.refused(http.MethodPost, "/api/nodes", request{"name": l.name("no"), "image": "micro"}, away)
	away.check(t, "upload", l.upload("x.qcow2", strings.NewReader(string(l.qemuImage("1M")))))
	l.call(http.MethodGet, "/api/nodes", nil, http.StatusOK, nil)
	l.call(http.MethodGet, "/api/images", nil, http.StatusOK, nil)
	var list struct {
		Hosts []api.Host `json:"hosts"`
	}
	l.call(http.MethodGet, "/api/hosts", nil, http.StatusOK, &list)
	// Each call would wait 10 s for a host that is not known to be unreachable.
	if took := time.Since(start); took > 40*time.Second {
		t.Errorf("the answers took %v", took)
	}
	if len(list.Hosts) != 1 || list.Hosts[0].State != "unreachable" || list.Hosts[0].Error == "" {
		t.Errorf("the hosts are %+v", list.Hosts)
	}
	l.stop()
	if out, code := l.run("image", "add", microImage, nowhere); code != 1 || !strings.Contains(out, "cannot be reached") {
		t.Errorf("image add: exit code %d\n%s", code, out)
	}
}
