package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// TestHostHangs stops a libvirtd under many requests: all are answered, the
// machine's own host does not wait for it, and all is well when it goes on.
func TestHostHangs(t *testing.T) {
	t.Parallel()
	h := startOtherHost(t)
	l := newLab(t)
	l.addMicro()
	hosts := "--hosts=local=" + libvirtURI + ",other=" + h.uri()
	if out, code := l.run("image", "add", microImage, "--base", "micro", "--host", "other", hosts); code != 0 {
		t.Fatalf("image add: %d %s", code, out)
	}
	l.launch(nil, hosts)
	l.awaitHealth("ok")

	h.freeze()
	var wg sync.WaitGroup
	const many = 100
	for i := range many {
		wg.Go(func() {
			body := request{"name": l.name(fmt.Sprint(i)), "baseImage": "micro", "host": "other"}
			refusal{http.StatusServiceUnavailable, "host_unreachable", "other"}.check(t, "POST /api/nodes", l.send(http.MethodPost, "/api/nodes", body))
		})
	}
	begun := time.Now()
	l.delete(l.create("here").ID)
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("a node of the other host took %v", took)
	}
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", l.service.cmd.Process.Pid))
	if err != nil || len(threads) > many*3/4 {
		t.Errorf("%d requests to a host that hangs take %d threads (%v)", many, len(threads), err)
	}
	wg.Wait()
	l.awaitHealth("degraded")
	var health struct{ Hosts map[string]string }
	l.call(http.MethodGet, "/api/health", nil, http.StatusOK, &health)
	if health.Hosts["other"] != "unreachable" || health.Hosts["local"] != "connected" {
		t.Errorf("the hosts are shown as %v", health.Hosts)
	}
	h.thaw()
	l.awaitHealth("ok")
	left := func() string {
		out, err := exec.CommandContext(t.Context(), "virsh", "-q", "-c", h.uri(), "vol-list", l.nodesPool()).CombinedOutput()
		if err != nil {
			t.Fatalf("virsh: %v %s", err, out)
		}
		return string(out)
	}
	until(t, patience, func() string { return "what was cut off is undone; the pool has " + left() }, func() bool { return left() == "" || left() == "\n" })
	l.stop()
}

// TestHostThatComesLater starts the service before its libvirtd: it says so, and
// works when that is there.
func TestHostThatComesLater(t *testing.T) {
	t.Parallel()
	l := newLabApart(t)
	l.addMicro()
	l.own.kill()
	l.launch(nil)
	l.awaitHealth("degraded")
	until(t, promptly, said("the host is unreachable"), func() bool { return l.health().Hosts["local"] == "unreachable" })
	seen := l.follow()
	l.refused(http.MethodPost, "/api/nodes", request{"name": l.name("early"), "image": "micro"}, refusal{http.StatusServiceUnavailable, "host_unreachable", `Host "local"`})
	l.own.restart()
	begun := time.Now()
	seen.await("the host is there", promptly, func(e serverEvent) bool { return e.kind == "host.changed" && l.health().Hosts["local"] == "connected" })
	l.awaitHealth("ok")
	t.Logf("usable %v after libvirtd's start", time.Since(begun).Round(time.Millisecond))
	w := &witness{l: l, events: l.follow()}
	n := l.create("later")
	w.sees("virsh domrename", func() { l.virsh("domrename", n.ID, l.name("renamed")) },
		func(e serverEvent) bool { return e.node().Name == l.name("renamed") }, func() bool { return l.listed(n.ID).Name == l.name("renamed") })
	l.delete(n.ID)
	l.wantSound("a start without libvirtd")
	l.stop()
}
