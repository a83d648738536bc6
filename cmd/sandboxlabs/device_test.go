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
	"github.com/sandboxlabs/sandboxlabs/internal/testground"
)

// disks returns a node's disks.
func (l *lab) disks(id string) []api.Disk {
	l.t.Helper()
	var list struct{ Disks []api.Disk }
	l.call(http.MethodGet, "/api/nodes/"+id+"/disks", nil, http.StatusOK, &list)
	return list.Disks
}

// uploadISO uploads an ISO image. Its content is generated like a cloud-init seed, but any
// ISO file would do.
func (l *lab) uploadISO(name string) api.Image {
	l.t.Helper()
	n := api.Node{}
	l.call(http.MethodPost, "/api/nodes", request{"name": l.name("recipe"), "image": "micro", "cloudInit": request{"hostname": "x"}}, http.StatusCreated, &n)
	file := filepath.Join(l.t.TempDir(), name)
	l.virsh("vol-download", "--pool", l.nodesPool(), n.ID+"-seed.iso", file)
	l.delete(n.ID)
	content, err := os.ReadFile(file)
	if err != nil {
		l.t.Fatal(err)
	}
	var up api.Uploaded
	if a := l.upload(name, bytes.NewReader(content)); a.status != http.StatusCreated || a.decode(&up) != nil {
		l.t.Fatalf("upload: %d %s", a.status, a.body)
	}
	return up.Image
}

// TestDevices attaches disks, network interfaces and media to stopped and running nodes,
// and creates a lab of two nodes on their own network.
func TestDevices(t *testing.T) {
	t.Parallel()
	l := newRunningLab(t)
	takeGuest(t)
	network := l.name("net")
	t.Cleanup(func() {
		for _, name := range []string{l.name("net"), l.name("net-dhcp")} {
			_, _ = l.tryVirsh("net-destroy", name)
			_, _ = l.tryVirsh("net-undefine", name)
		}
	})
	var made api.Network
	isolated := testground.Subnet(t)
	l.call(http.MethodPost, "/api/networks", request{"name": network, "subnet": isolated + "0/24"}, http.StatusCreated, &made)
	if !made.Active || !made.Managed || made.Kind != "isolated" || made.DHCP || made.Subnet != isolated+"0/24" || made.Owner != "local" {
		t.Errorf("the network is %+v", made)
	}
	l.refused(http.MethodPost, "/api/networks", request{"name": network}, refusal{http.StatusUnprocessableEntity, "invalid_request", "already exists"})
	l.refused(http.MethodPost, "/api/networks", request{"name": network + "2", "subnet": "8.8.8.0/24"}, refusal{http.StatusUnprocessableEntity, "invalid_request", "private"})
	l.refused(http.MethodPost, "/api/nodes", request{"name": l.name("no"), "image": "micro", "network": "nowhere"}, refusal{http.StatusUnprocessableEntity, "invalid_request", "Network \"nowhere\" not found"})
	l.wantVolumes(l.nodesPool())

	iso := l.uploadISO("install.iso")
	var a, b api.Node
	l.call(http.MethodPost, "/api/nodes", request{"name": l.name("a"), "image": "micro", "network": network, "resources": request{"ram": 128}}, http.StatusCreated, &a)
	l.call(http.MethodPost, "/api/nodes", request{"name": l.name("b"), "image": "micro", "resources": request{"ram": 128}}, http.StatusCreated, &b)
	if !slices.Equal(a.Networks, []string{network}) {
		t.Errorf("node a is on %q", a.Networks)
	}
	l.refused(http.MethodDelete, "/api/networks/"+network, nil, refusal{http.StatusConflict, "node_busy", a.Name})
	l.refused(http.MethodDelete, "/api/networks/default", nil, refusal{http.StatusConflict, "unsupported", "was not created by SandboxLabs"})

	// Attach a disk, a network interface and media to b while it runs.
	cb := l.boot(b.ID)
	var disk api.Disk
	l.call(http.MethodPost, "/api/nodes/"+b.ID+"/disks", request{"size": 64 << 20}, http.StatusCreated, &disk)
	if disk.Target != "vdb" || !disk.Extra || disk.Size != 64<<20 {
		t.Errorf("the disk is %+v", disk)
	}
	cb.shell("until [ -b /dev/vdb ]; do usleep 100000; done; cat /sys/block/vdb/size", "131072")
	var card api.Interface
	l.call(http.MethodPost, "/api/nodes/"+b.ID+"/interfaces", request{"network": network}, http.StatusCreated, &card)
	l.call(http.MethodPut, "/api/nodes/"+b.ID+"/media", request{"image": iso.ID}, http.StatusOK, &b)
	if drive := l.drive(b.ID); drive.File != iso.Path || !slices.Equal(b.Networks, []string{"default", network}) {
		t.Errorf("b has %+v in its drive, and is on %q", drive, b.Networks)
	}
	l.refused(http.MethodDelete, "/api/images/"+iso.ID, nil, refusal{http.StatusConflict, "image_in_use", b.Name})
	l.refused(http.MethodPut, "/api/nodes/"+b.ID+"/media", request{"image": "micro"}, refusal{http.StatusUnprocessableEntity, "invalid_request", "an ISO image is needed"})

	ca := l.boot(a.ID)
	ca.shell("killall udhcpc; ip link set eth0 up; ip addr flush dev eth0; ip addr add "+isolated+"10/24 dev eth0; echo up", "up")
	cb.shell("until [ -e /sys/class/net/eth1 ]; do usleep 100000; done; ip link set eth1 up; ip addr add "+isolated+"11/24 dev eth1; ping -c 1 -W 20 "+isolated+"10", "1 packets received")

	// a has a static address: the guest agent reports it, and without the agent the host's ARP
	// table shows it.
	l.wantAddress(a.ID, isolated+"10")
	ca.shell("killall qemu-ga; ip addr flush dev eth0; ip addr add "+isolated+"12/24 dev eth0; ping -c 1 -W 20 "+isolated+"1", "1 packets received")
	if _, err := l.tryVirsh("domifaddr", a.ID, "--source", "arp"); err != nil {
		t.Logf("libvirt cannot read this host's ARP table, so nothing was tried with it: %v", err)
	} else {
		l.wantAddress(a.ID, isolated+"12")
	}

	l.standsAnAgent(a.ID, ca, b)

	// Detach them again.
	l.call(http.MethodPut, "/api/nodes/"+b.ID+"/media", request{"image": ""}, http.StatusOK, &b)
	l.call(http.MethodDelete, "/api/nodes/"+b.ID+"/interfaces/"+card.MAC, nil, http.StatusNoContent, nil)
	l.refused(http.MethodDelete, "/api/nodes/"+b.ID+"/disks/vda", nil, refusal{http.StatusConflict, "unsupported", "was not attached by SandboxLabs"})
	l.call(http.MethodDelete, "/api/nodes/"+b.ID+"/disks/vdb", nil, http.StatusNoContent, nil)
	cb.shell("while [ -b /dev/vdb ]; do usleep 100000; done; ls /dev/vd*", "/dev/vda")
	l.wantVolumes(l.nodesPool(), a.ID+".qcow2", b.ID+".qcow2")
	if d := l.disks(b.ID); len(d) != 2 || l.drive(b.ID).File != "" || slices.Contains(l.node(b.ID).Networks, network) {
		t.Errorf("after all was taken out b has %+v", d)
	}
	l.delete(a.ID)

	// An attached disk is deleted with the node.
	l.act(b.ID, "stop", forced)
	l.call(http.MethodPost, "/api/nodes/"+b.ID+"/disks", request{"size": 1 << 20}, http.StatusCreated, &disk)
	l.call(http.MethodDelete, "/api/nodes/"+b.ID, nil, http.StatusNoContent, nil)
	l.wantVolumes(l.nodesPool())
	l.call(http.MethodDelete, "/api/networks/"+network, nil, http.StatusNoContent, nil)
	if list := l.virsh("net-list", "--all", "--name"); strings.Contains(list, network) {
		t.Error("the deleted network is still there")
	}

	// A network with DHCP, on a subnet that no other run uses.
	network, subnet := network+"-dhcp", testground.Subnet(t)
	l.call(http.MethodPost, "/api/networks", request{"name": network, "subnet": subnet + "0/24", "dhcp": true}, http.StatusCreated, &made)
	if !made.Active || !made.DHCP || made.Subnet != subnet+"0/24" || made.Kind != "isolated" {
		t.Errorf("the network with DHCP is %+v", made)
	}
	if text := l.virsh("net-dumpxml", network); !strings.Contains(text, "<range start='"+subnet+"2'") || strings.Contains(text, "<forward") {
		t.Errorf("libvirt has the network as\n%s", text)
	}
	l.call(http.MethodDelete, "/api/networks/"+network, nil, http.StatusNoContent, nil)

	// A node to install a system on: an empty disk, and the image in its drive.
	var n api.Node
	l.call(http.MethodPost, "/api/nodes", request{"name": l.name("install"), "image": iso.ID, "resources": request{"disk": 32 << 20, "ram": 128}}, http.StatusCreated, &n)
	if n.Resources.Disk != 32<<20 || l.drive(n.ID).File != iso.Path || n.Image == nil || n.Image.ID != iso.ID {
		t.Errorf("the node to install on is %+v", n)
	}
	if n = l.act(n.ID, "run", nil); n.State != "running" {
		t.Errorf("it is %s", n.State)
	}
	l.act(n.ID, "stop", forced)
	if n = l.act(n.ID, "wipe", nil); n.Resources.Disk != 32<<20 {
		t.Errorf("after a wipe it is %+v", n)
	}
	l.delete(n.ID)
	l.stop()
}

// standsAnAgent replaces the guest agent with one that reports that it is connected but
// answers nothing. A restarted service must still show the addresses of the other node,
// which it queries later.
func (l *lab) standsAnAgent(id string, c *terminal, other api.Node) {
	l.t.Helper()
	c.shell(`(port=$(grep -l guest_agent /sys/class/virtio-ports/*/name); port=${port%/name}; exec 3<>/dev/${port##*/}; while :; do `+
		`if read -r ask <&3; then case $ask in *guest-sync*) id=${ask##*:}; echo "{\"return\":${id%%\}*}}" >&3;; *guest-*) echo "$ask" >>/tmp/asked;; esac; `+
		`else usleep 100000; fi; done) & echo hostile=$((40+2))`, "hostile=42")
	until(l.t, promptly, said("the agent is there"), func() bool { return l.hasAgent(id) })
	leased := ""
	until(l.t, patience, said("the other node is shown with what it leased"), func() bool { // until then, the node may show addresses from its guest agent
		if shown := l.node(other.ID).Addresses; len(shown) > 0 {
			leased = shown[0]
		}
		return leased != "" && strings.Contains(l.virsh("domifaddr", other.ID, "--source", "lease"), " "+leased+"/")
	})
	beside := l.beside(l.t.TempDir())
	beside.wantAddress(other.ID, leased)
	c.shell("until [ -s /tmp/asked ]; do usleep 100000; done", "")
	beside.stop()
}

// wantAddress waits until a node shows the address.
func (l *lab) wantAddress(id, address string) {
	l.t.Helper()
	var last []string
	until(l.t, patience, func() string { return fmt.Sprintf("the node has the address %s; it has %q", address, last) }, func() bool {
		last = l.node(id).Addresses
		return slices.Contains(last, address)
	})
}

// drive returns a node's optical drive.
func (l *lab) drive(id string) api.Disk {
	l.t.Helper()
	list := l.disks(id)
	i := slices.IndexFunc(list, func(d api.Disk) bool { return d.Device == "cdrom" })
	if i < 0 {
		l.t.Fatalf("node %s has no optical drive: %+v", id, list)
	}
	return list[i]
}

// TestDiskThatTheGuestKeeps detaches a disk from a guest that does not release it. The
// disk is removed when the guest stops.
func TestDiskThatTheGuestKeeps(t *testing.T) {
	t.Parallel()
	l := newRunningLab(t)
	n := l.create("keeps")
	l.act(n.ID, "run", nil)
	l.act(n.ID, "pause", nil) // a paused guest does not respond to the unplug request
	var disk api.Disk
	path := "/api/nodes/" + n.ID + "/disks"
	l.call(http.MethodPost, path, request{"size": 1 << 20}, http.StatusCreated, &disk)
	l.refused(http.MethodDelete, path+"/"+disk.Target, nil, refusal{http.StatusConflict, "node_busy", "is still using the device"})
	if a := l.send(http.MethodDelete, path+"/"+disk.Target, nil); a.status < 400 { // detach again
		t.Errorf("%d %s", a.status, a.body)
	}
	l.wantVolumes(l.nodesPool(), n.ID+".qcow2", filepath.Base(disk.File))
	if open := l.rows("intents"); open != 1 {
		t.Errorf("%d intents are open while the guest keeps the disk, want 1", open)
	}
	l.act(n.ID, "stop", forced)
	until(t, promptly, said("the disk is settled"), func() bool { return l.rows("intents") == 0 })
	l.wantVolumes(l.nodesPool(), n.ID+".qcow2")
	if log := l.service.log.String(); strings.Contains(log, "could not be completed") {
		t.Errorf("the guest's disk was reported as an error:\n%s", log)
	}
	l.delete(n.ID)
	l.stop()
}

// TestCrashWithAnExtraDisk crashes between creating a disk and attaching it, and between
// detaching a disk and deleting it. A disk that no node uses is deleted.
func TestCrashWithAnExtraDisk(t *testing.T) {
	t.Parallel()
	l := newRunningLab(t)
	n := l.create("plugged")
	path := "/api/nodes/" + n.ID + "/disks"
	l.stop()
	l.dieDuring(afterDisk, http.MethodPost, path, request{"size": 1 << 20})
	if left := l.volumes(l.nodesPool()); len(left) != 2 {
		t.Fatalf("the crash left volumes %q; the test missed its moment", left)
	}
	l.start()
	until(t, promptly, said("the disk that no node has is gone"), func() bool { return l.rows("intents") == 0 })
	l.wantVolumes(l.nodesPool(), n.ID+".qcow2")

	var disk api.Disk
	l.call(http.MethodPost, path, request{"size": 1 << 20}, http.StatusCreated, &disk)
	l.stop()
	l.dieDuring(beforeVolume, http.MethodDelete, path+"/"+disk.Target, nil)
	if left := l.volumes(l.nodesPool()); len(left) != 2 {
		t.Fatalf("the crash left volumes %q; the test missed its moment", left)
	}
	l.start()
	until(t, promptly, said("the detached disk is gone"), func() bool { return l.rows("intents") == 0 })
	l.wantVolumes(l.nodesPool(), n.ID+".qcow2")
	l.delete(n.ID)
	l.stop()
}
