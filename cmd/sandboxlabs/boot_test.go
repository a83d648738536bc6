package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// Viewers of a node see all output of its boot, and the guest applies the cloud-init seed.
func TestBootIsSeenWholeAndSeeded(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.addMicro()
	takeGuest(t)
	l.start()

	request := map[string]any{
		"name": l.name("seeded"), "image": "micro", "resources": map[string]any{"ram": 192},
		"cloudInit": map[string]any{"hostname": "greenhouse.example.org", "userData": "#!/bin/sh\necho grown > /root/seeded\n"},
	}
	var n api.Node
	l.call("POST", "/api/nodes", request, 201, &n)
	l.wantVolumes(l.nodesPool(), n.ID+".qcow2", n.ID+"-seed.iso")

	c := l.console(n.ID)
	c.status("offline")
	l.act(n.ID, "run", nil)
	c.status("connected")
	c.login()
	c.shell("hostname", "greenhouse")
	c.shell("while [ ! -e /run/seed.done ]; do usleep 100000; done; cat /root/seeded", "grown")

	// The seed is a separate CD: inserting and ejecting other media does not affect it.
	seed := l.disks(n.ID)[2]
	if seed.Device != "cdrom" || seed.Bus != "scsi" || !seed.ReadOnly || filepath.Base(seed.File) != n.ID+"-seed.iso" || l.drive(n.ID).File != "" {
		t.Errorf("the node's disks are %+v", l.disks(n.ID))
	}
	iso := l.uploadISO("media.iso")
	for _, media := range []string{iso.ID, ""} {
		l.call("PUT", "/api/nodes/"+n.ID+"/media", map[string]any{"image": media}, 200, nil)
		if got := l.disks(n.ID)[2]; got != seed || (l.drive(n.ID).File == "") != (media == "") {
			t.Errorf("with the media %q the node's disks are %+v", media, l.disks(n.ID))
		}
	}

	l.wantLeaseShown(c, n)

	// The viewer saw exactly what virtlogd recorded, from the first byte on.
	l.virsh("pool-refresh", l.logsPool())
	path := filepath.Join(t.TempDir(), "console.log")
	l.virsh("vol-download", "--pool", l.logsPool(), n.ID+".log", path)
	log, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	seen := c.seen()
	boot := log[:bytes.Index(log, []byte("login: "))]
	if len(boot) < 50 || !bytes.HasPrefix(seen, boot) {
		t.Errorf("the viewer saw\n%q\nof a boot that was\n%q", seen[:min(len(seen), 300)], boot[:min(len(boot), 300)])
	}

	l.delete(n.ID)
	l.wantVolumes(l.nodesPool())
	if left := strings.Join(l.volumes(l.logsPool()), " "); strings.Contains(left, n.ID) {
		t.Errorf("the console log is still there: %s", left)
	}
}

// wantLeaseShown waits until the guest has an address from libvirt's network, and checks
// that the node shows this address.
func (l *lab) wantLeaseShown(c *terminal, n api.Node) {
	l.t.Helper()
	var hosts struct{ Hosts []api.Host }
	l.call("GET", "/api/hosts", nil, 200, &hosts)
	if hosts.Hosts[0].Network != "default" {
		l.t.Log("the network `default` does not run: no leases to look at")
		return
	}
	events := l.follow() // before the first read, so that no change is missed
	for n = l.node(n.ID); len(n.Addresses) == 0; n = l.node(n.ID) {
		events.await("a change of the node", patience, func(e serverEvent) bool { return e.node().ID == n.ID })
	}
	c.shell("until ip -4 addr show eth0 | grep -w "+n.Addresses[0]+"; do usleep 100000; done", n.Addresses[0])
}
