package main

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// TestOrdinaryConditions removes what nodes need and creates conflicts with changes. Each
// case must have its own error code and advice, and a node that cannot start must show the
// reason beforehand.
func TestOrdinaryConditions(t *testing.T) {
	t.Parallel()
	l := newRunningLab(t)
	takeGuest(t)
	network := l.name("net")
	t.Cleanup(func() {
		_, _ = l.tryVirsh("net-destroy", network)
		_, _ = l.tryVirsh("net-undefine", network)
	})
	l.call(http.MethodPost, "/api/networks", request{"name": network}, http.StatusCreated, nil)
	conflict := func(code, detail string) refusal { return refusal{http.StatusConflict, code, detail} }
	run := func(id string, want refusal) {
		t.Helper()
		l.refused(http.MethodPost, "/api/nodes/"+id+"/run", nil, want)
	}
	// shown triggers a libvirt event of the domain, because missing files cause none.
	shown := func(id, problem string) {
		t.Helper()
		n, turn := api.Node{}, "a"
		until(t, promptly, func() string { return "the problem is shown: " + problem + "; last: " + n.Problem }, func() bool {
			turn += "a"
			l.virsh("desc", id, "--config", turn[:2+len(turn)%2])
			n = l.listed(id)
			return n.ID == id && strings.Contains(n.Problem, problem) && (problem != "" || n.Problem == "")
		})
	}

	var n api.Node
	l.call(http.MethodPost, "/api/nodes", request{"name": l.name("node"), "image": "micro", "network": network, "resources": request{"ram": 128}}, http.StatusCreated, &n)
	if n.Problem != "" {
		t.Errorf("a fresh node has the problem %q", n.Problem)
	}
	l.virsh("net-destroy", network)
	shown(n.ID, `Network "`+network+`" of an interface is not active`)
	run(n.ID, conflict("network_unavailable", "virsh net-start "+network))
	l.virsh("net-undefine", network)
	shown(n.ID, "is not there")
	run(n.ID, conflict("network_unavailable", "Create the network"))
	l.call(http.MethodPost, "/api/networks", request{"name": network}, http.StatusCreated, nil)
	shown(n.ID, "")

	away := func(path, problem, code string) {
		t.Helper()
		if err := os.Rename(path, path+".away"); err != nil {
			t.Fatal(err)
		}
		shown(n.ID, problem)
		run(n.ID, conflict(code, path))
		if err := os.Rename(path+".away", path); err != nil {
			t.Fatal(err)
		}
		shown(n.ID, "")
	}
	away(n.OverlayPath, "is missing or cannot be read", "disk_missing")
	away(n.Image.Path, "is an overlay of is missing", "base_missing")

	bound := l.defineForeign(l.name("bound"), func(d *libvirtxml.Domain) {
		d.NUMATune = &libvirtxml.DomainNUMATune{Memory: &libvirtxml.DomainNUMATuneMemory{Mode: "strict", Nodeset: "97"}}
	})
	shown(bound, "NUMA node 97")
	run(bound, conflict("memory_unavailable", "NUMA node 97"))

	bare := l.defineForeign(l.name("bare"), nil)
	l.virsh("start", bare, "--paused")
	until(t, promptly, said("the domain is seen"), func() bool {
		a := l.send(http.MethodGet, "/api/nodes/"+bare, nil)
		return strings.Contains(string(a.body), `"paused"`)
	})
	l.refused(http.MethodGet, "/api/nodes/"+bare+"/screenshot", nil, conflict("no_screen", "virsh edit"))
	l.act(bare, "adopt", nil)
	card := request{"network": network}
	l.call(http.MethodPost, "/api/nodes/"+bare+"/interfaces", card, http.StatusCreated, nil)
	l.refused(http.MethodPost, "/api/nodes/"+bare+"/interfaces", card, conflict("no_free_slot", "Stop it and attach the device then"))

	l.virsh("start", n.ID, "--paused")
	until(t, promptly, said("the node is seen"), func() bool { return l.node(n.ID).State == "paused" })
	l.virsh("blockpull", n.ID, "vda", "--bandwidth", "1")
	l.refused(http.MethodPatch, "/api/nodes/"+n.ID, request{"resources": request{"disk": n.Resources.Disk + 1<<30}}, conflict("block_job_active", "virsh blockjob"))
	l.act(n.ID, "stop", forced)
	l.stop()
}
