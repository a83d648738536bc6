package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// TestFaultsOfAHost removes, one after the other, what a host's nodes depend on. Each
// time, the service must report the reason, whatever does not depend on it must keep
// working, and the state must be consistent after it is restored.
func TestFaultsOfAHost(t *testing.T) {
	t.Parallel()
	l := newLabApart(t)
	l.addMicro()
	l.own.in("mount -t tmpfs -o size=120m,mode=755 tmpfs " + filepath.Join(poolsFolder, l.nodesPool()))
	network := filepath.Join(l.own.dir, "network.xml")
	if err := os.WriteFile(network, []byte("<network><name>default</name><bridge name='lab0'/><ip address='192.0.2.1' netmask='255.255.255.0'/></network>"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.virsh("net-define", network)
	l.virsh("net-start", "default")
	takeGuest(t)
	l.start()
	other := l.create("other") // keeps running throughout
	nodes := filepath.Join(poolsFolder, l.nodesPool())
	body := request{"name": l.name("new"), "baseImage": "micro", "resources": request{"ram": 64}}
	when := func(what string, f func()) {
		t.Helper()
		t.Logf("when %s", what)
		f()
	}
	goesOn := func() {
		t.Helper()
		l.act(other.ID, "run", nil)
		l.act(other.ID, "stop", forced)
	}

	when("the pool is full", func() {
		l.own.in("head -c 80M /dev/zero >" + nodes + "/filler")
		l.virsh("pool-refresh", l.nodesPool())
		events := l.follow()
		l.call(http.MethodPost, "/api/hosts/local/refresh", nil, http.StatusOK, nil)
		events.await("the pool is critical", promptly, func(e serverEvent) bool {
			return e.kind == "pool.level" && strings.Contains(string(e.data), `"critical"`) && strings.Contains(string(e.data), l.nodesPool()+`"`)
		})
		refusal{http.StatusInsufficientStorage, "storage_full", l.nodesPool()}.check(t, "create", l.send(http.MethodPost, "/api/nodes", body))
		refusal{http.StatusInsufficientStorage, "storage_full", l.nodesPool()}.check(t, "wipe", l.send(http.MethodPost, "/api/nodes/"+other.ID+"/wipe", nil))
		goesOn()
		l.own.in("rm " + nodes + "/filler")
		l.virsh("pool-refresh", l.nodesPool())
		l.delete(l.create("room").ID)
		l.wantSound("a full pool")
	})
	when("the pool is read-only", func() {
		l.own.in("mount -o remount,ro " + nodes)
		refusal{http.StatusBadGateway, "hypervisor_error", "Read-only"}.check(t, "create", l.send(http.MethodPost, "/api/nodes", body))
		if a := l.send(http.MethodDelete, "/api/nodes/"+other.ID, nil); a.status < 500 {
			t.Errorf("delete: %d %s", a.status, a.body)
		}
		l.own.in("mount -o remount,rw " + nodes)
		l.wantSound("a read-only pool") // this completes the deletion
		other = l.create("other")
	})
	when("the pool is stopped", func() {
		l.virsh("pool-destroy", l.nodesPool())
		refusal{http.StatusServiceUnavailable, "pool_unavailable", l.nodesPool()}.check(t, "create", l.send(http.MethodPost, "/api/nodes", body))
		goesOn()
		_, _ = l.tryVirsh("pool-start", l.nodesPool()) // fails if the service has already started the pool
		l.delete(l.create("again").ID)
		l.wantSound("a stopped pool")
	})
	when("the network is stopped", func() {
		l.virsh("net-destroy", "default")
		refusal{http.StatusConflict, "network_unavailable", "virsh net-start default"}.check(t, "run", l.send(http.MethodPost, "/api/nodes/"+other.ID+"/run", nil))
		l.delete(l.create("offline").ID)
		l.virsh("net-start", "default")
		goesOn()
		l.wantSound("a stopped network")
	})
	when("QEMU is killed", func() {
		l.act(other.ID, "run", nil)
		l.own.in("pkill -KILL qemu-system")
		until(t, promptly, said("the node is shown as crashed"), func() bool { return l.node(other.ID).State == "crashed" })
		goesOn()
	})
	when("QEMU is missing", func() {
		l.own.in("mount --bind /dev/null /usr/bin/qemu-system-x86_64")
		refusal{http.StatusBadGateway, "hypervisor_error", "qemu-system-x86_64"}.check(t, "run", l.send(http.MethodPost, "/api/nodes/"+other.ID+"/run", nil))
		if got := l.node(other.ID).State; got != "stopped" && got != "crashed" {
			t.Errorf("the node is %s", got)
		}
		l.own.in("umount /usr/bin/qemu-system-x86_64")
		goesOn()
		l.wantSound("QEMU being away")
	})
	when("a disk is deleted under its node", func() {
		wiped, deleted := l.create("wiped"), l.create("deleted")
		l.own.in("rm " + wiped.OverlayPath + " " + deleted.OverlayPath)
		refusal{http.StatusConflict, "disk_missing", wiped.OverlayPath}.check(t, "run", l.send(http.MethodPost, "/api/nodes/"+wiped.ID+"/run", nil))
		if got := l.node(wiped.ID); !strings.Contains(got.Problem, wiped.OverlayPath) {
			t.Errorf("the node without a disk has the problem %q", got.Problem)
		}
		goesOn()
		l.act(wiped.ID, "wipe", nil)
		l.act(wiped.ID, "run", nil)
		l.delete(wiped.ID)
		l.delete(deleted.ID)
		l.wantSound("disks being deleted")
	})
	l.stop()
}

// launchOnSmallDisk starts the service with a data-dir on a file system of the given size,
// which is removed when the service stops.
func (l *lab) launchOnSmallDisk(size string) {
	l.t.Helper()
	l.within = []string{"unshare", "--mount", "sh", "-c", `mount -t tmpfs -o size="$1" tmpfs "$0" && shift && exec "$@"`, l.dataDir, size}
	l.launch(nil)
	l.within = nil
	l.awaitHealth("ok")
	l.dataDir = fmt.Sprintf("/proc/%d/root%s", l.service.cmd.Process.Pid, l.dataDir)
}

// TestFaultOfTheDatabase fills the file system of the embedded database.
func TestFaultOfTheDatabase(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("a small file system needs root")
	}
	l := newLab(t)
	l.launchOnSmallDisk("6m")
	var up struct{ Image api.Image }
	if a := l.upload("small.qcow2", bytes.NewReader(l.qemuImage("1M"))); a.status != http.StatusCreated || a.decode(&up) != nil {
		t.Fatalf("upload: %d %s", a.status, a.body)
	}
	body := func(name string) request {
		return request{"name": l.name(name), "image": up.Image.ID, "resources": request{"ram": 64}}
	}
	var n api.Node
	l.call(http.MethodPost, "/api/nodes", body("before"), http.StatusCreated, &n)

	filler := filepath.Join(l.dataDir, "filler")
	fill := func() {
		f, err := os.OpenFile(filler, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{4096, 1} {
			for block := make([]byte, size); err == nil; {
				_, err = f.Write(block)
			}
			err = nil
		}
		_ = f.Close()
	}
	fill()
	full := refusal{http.StatusInsufficientStorage, "storage_full", "database"}
	refused := false
	for i := range 200 { // these grow the database
		a := l.send(http.MethodPost, "/api/nodes", body(fmt.Sprintf("n%d", i)))
		if refused = a.status != http.StatusCreated; refused {
			full.check(t, "create", a)
			break
		}
		fill()
	}
	if !refused {
		t.Fatal("a full disk refused nothing")
	}
	full.check(t, "delete", l.send(http.MethodDelete, "/api/nodes/"+n.ID, nil))
	full.check(t, "upload", l.upload("more.qcow2", bytes.NewReader(l.qemuImage("1M"))))
	if got := l.act(n.ID, "run", nil).State; got != "running" {
		t.Errorf("run: the node is %s", got)
	}
	l.act(n.ID, "stop", forced)

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	l.delete(n.ID)
	until(t, promptly, said("what was made is whole"), func() bool {
		disks := []string{}
		for _, n := range l.nodes() {
			disks = append(disks, filepath.Base(n.OverlayPath))
		}
		slices.Sort(disks)
		return slices.Equal(disks, l.volumes(l.nodesPool()))
	})
	l.call(http.MethodPost, "/api/nodes", body("after"), http.StatusCreated, nil)
	l.stop()
}
