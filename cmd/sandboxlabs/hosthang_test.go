package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// TestHostHangs stops a libvirtd with SIGSTOP while it handles many requests. All get a
// response, the machine's own host is not delayed, and everything works after it
// continues.
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

	createAndDelete := func() time.Duration {
		begun := time.Now()
		l.delete(l.create("here").ID)
		return time.Since(begun)
	}
	alone := createAndDelete()
	seen := l.follow()
	h.freeze()
	frozen := time.Now()
	var wg sync.WaitGroup
	const many = 100
	for i := range many {
		wg.Go(func() {
			body := request{"name": l.name(fmt.Sprint(i)), "baseImage": "micro", "host": "other"}
			refusal{http.StatusServiceUnavailable, "host_unreachable", "other"}.check(t, "POST /api/nodes", l.send(http.MethodPost, "/api/nodes", body))
		})
	}
	// Requests and events report the hang: within five seconds on an idle machine, and on any
	// machine before the calls that wait for the host time out.
	seen.await("the host hangs", patience, func(e serverEvent) bool {
		return e.kind == "host.changed" && l.health().Hosts["other"] == "unreachable"
	})
	told := time.Since(frozen)
	t.Logf("the host was shown as unreachable after %v", told.Round(time.Millisecond))
	if told > 15*time.Second {
		t.Errorf("a host that hangs was shown as unreachable after %v", told)
	}
	// Calls to a hanging host time out after 10 to 20 s. A request that waits for it takes
	// that long for each of several calls.
	if took := createAndDelete(); took > 10*time.Second+5*alone {
		t.Errorf("a node of the other host took %v, and %v before", took, alone)
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

// TestQEMUHangs stops the QEMU process of one node. The other nodes and the service itself
// keep working.
func TestQEMUHangs(t *testing.T) {
	t.Parallel()
	l := newLabApart(t)
	l.addMicro()
	l.launch(nil, "--figures-interval=1s")
	l.awaitHealth("ok")
	stuck, other := l.create("stuck"), l.create("other")
	for _, n := range []api.Node{stuck, other} { // paused, because they need no CPU time
		l.act(n.ID, "run", nil)
		l.act(n.ID, "pause", nil)
	}
	metrics := func() (points int, last time.Time) {
		var series struct {
			Points []api.Figures `json:"points"`
		}
		l.call(http.MethodGet, "/api/nodes/"+other.ID+"/figures", nil, http.StatusOK, &series)
		if points = len(series.Points); points > 0 {
			last = series.Points[points-1].Time
		}
		return points, last
	}
	until(t, promptly, said("there are metrics"), func() bool { n, _ := metrics(); return n > 0 })
	signal := func(name string) { l.own.in("kill -" + name + " $(cat /run/libvirt/qemu/" + stuck.Name + ".pid)") }
	signal("STOP") // stays stopped until its host ends, at the latest
	until(t, promptly, said("libvirt waits for the QEMU"), func() bool { return strings.Contains(l.virsh("domcontrol", stuck.ID), "occupied") })
	l.stop()                               // the shutdown does not wait for calls that wait for the QEMU
	l.launch(nil, "--figures-interval=1s") // reads all nodes
	l.awaitHealth("ok")
	until(t, promptly, said("both are shown"), func() bool { return len(l.nodes()) == 2 })
	if n := l.node(stuck.ID); n.State != "paused" || n.Owner != stuck.Owner || !n.Managed || n.Resources.RAM != stuck.Resources.RAM || n.Resources.CPUs != stuck.Resources.CPUs {
		t.Errorf("the node that hangs is %+v", n)
	}

	w := &witness{l: l, events: l.follow()}
	w.sees("virsh desc", func() { l.virsh("desc", other.ID, "--config", "--live", "beside") },
		func(e serverEvent) bool { return e.node().Description == "beside" }, func() bool { return l.listed(other.ID).Description == "beside" })
	for i := range 3 {
		var n api.Node
		l.call(http.MethodPatch, "/api/nodes/"+other.ID, request{"description": fmt.Sprint(i)}, http.StatusOK, &n)
		// A node that could not be read shows its previous state.
		if n.Description != fmt.Sprint(i) {
			t.Errorf("a change of another node to %d shows %q", i, n.Description)
		}
	}
	// libvirt 11.3 waits 30 s for each of the text fields.
	var n api.Node
	until(t, patience, func() string { return fmt.Sprintf("all of the node that hangs is shown: %+v", n) }, func() bool {
		n = l.node(stuck.ID)
		return n.State == "paused" && n.Resources.Disk == stuck.Resources.Disk && n.Problem == ""
	})
	if d := l.disks(stuck.ID); len(d) == 0 || d[0].Size != stuck.Resources.Disk {
		t.Errorf("its disks are %+v", d)
	}
	_, before := metrics()
	until(t, promptly, said("metrics of the other continue"), func() bool { _, last := metrics(); return last.After(before.Add(time.Second)) })
	signal("CONT")
	until(t, promptly, said("libvirt waits for no QEMU"), func() bool { return l.virsh("domcontrol", stuck.ID) == "ok" })
	l.act(stuck.ID, "stop", forced)
	l.stop()
}

// TestBounded checks that bounded returns although its function does not.
func TestBounded(t *testing.T) {
	a := &app{log: slog.New(slog.DiscardHandler)}
	ctx, stop := context.WithCancel(t.Context())
	release := make(chan struct{})
	defer close(release)
	ended := make(chan error, 1)
	go func() {
		ended <- a.bounded(ctx, time.Millisecond, func(context.Context) error {
			stop()
			<-release
			return nil
		})
	}()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(promptly):
		t.Error("it waits for what does not end")
	}
	failed := errors.New("failed")
	if err := a.bounded(t.Context(), time.Hour, func(context.Context) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("what ended on its own: %v", err)
	}
}

// TestHostThatComesLater starts the service before its libvirtd. The service reports that
// the host is unreachable, and works once it is available.
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
