package main

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// host returns the lab's host as the API shows it.
func (l *lab) host() api.Host {
	l.t.Helper()
	var list struct{ Hosts []api.Host }
	l.call(http.MethodGet, "/api/hosts", nil, http.StatusOK, &list)
	if list.Hosts[0].Warnings == nil {
		l.t.Error("the warnings of a host are null, and not an empty list")
	}
	return list.Hosts[0]
}

// userCard is a network interface with user-mode networking.
func userCard() libvirtxml.DomainInterface {
	return libvirtxml.DomainInterface{
		Model:  &libvirtxml.DomainInterfaceModel{Type: "virtio"},
		Source: &libvirtxml.DomainInterfaceSource{User: &libvirtxml.DomainInterfaceSourceUser{}},
	}
}

// virshUserCard adds a network interface with user-mode networking to a node with virsh.
func (l *lab) virshUserCard(id string) {
	l.t.Helper()
	d := l.definition(id, "--inactive")
	d.Devices.Interfaces = append(d.Devices.Interfaces, userCard())
	l.define(d)
}

// TestUserNetworkOff expects that no operation creates a node with user-mode networking if
// the default network is not available and user-mode networking is off.
func TestUserNetworkOff(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.addMicro()
	nowhere := l.name("nowhere")
	l.launch(nil, "--default-network="+nowhere)
	l.awaitHealth("ok")

	unavailable := refusal{http.StatusConflict, "network_unavailable", `does not exist. Set default-network to one that does, choose another network, or create the node without one`}
	off := refusal{http.StatusForbidden, "user_network_off", "Choose a network"}
	node := func(name string, network any) request {
		r := request{"name": l.name(name), "image": "micro", "resources": request{"ram": 128}}
		if network != nil {
			r["network"] = network
		}
		return r
	}
	l.refused(http.MethodPost, "/api/nodes", node("no", nil), unavailable)
	l.refused(http.MethodPost, "/api/nodes", node("no", "user"), off)
	l.refused(http.MethodPost, "/api/labs/import", l.file(1, 1), refusal{http.StatusConflict, "network_unavailable", "nodes[0].network"})
	l.wantVolumes(l.nodesPool())
	if h := l.host(); h.Network != "none" || h.UserNetwork {
		t.Errorf("the host is shown with the network %q, user-mode networking %v", h.Network, h.UserNetwork)
	}

	var n, other api.Node
	l.call(http.MethodPost, "/api/nodes", node("none", "none"), http.StatusCreated, &n)
	if cards := l.definition(n.ID).Devices.Interfaces; len(cards) != 0 || len(n.Warnings) != 0 {
		t.Errorf("a node without a network has %d cards, and the warnings %q", len(cards), n.Warnings)
	}
	l.refused(http.MethodPost, "/api/nodes/"+n.ID+"/interfaces", request{"network": "user"}, refusal{http.StatusUnprocessableEntity, "invalid_request", "not found on host"})
	l.call(http.MethodPost, "/api/nodes", node("default", "default"), http.StatusCreated, &other)
	l.refuseUserCards(n, off)

	// An existing interface is kept with a warning, and the node starts.
	l.virshUserCard(n.ID)
	until(t, promptly, said("the node has a warning"), func() bool { return len(l.node(n.ID).Warnings) == 1 })
	if w := l.node(n.ID).Warnings[0]; !strings.Contains(w, "loopback address") || !strings.Contains(w, "Detach") {
		t.Errorf("the warning is %q", w)
	}
	if out, code := l.run("doctor", "--default-network="+nowhere); code != 0 || !strings.Contains(out, l.name("none")) || !strings.Contains(out, "does not exist") || strings.Contains(out, other.Name) {
		t.Errorf("doctor: exit code %d\n%s", code, out)
	}
	// The node's XML may be edited, but not to add another such interface.
	text := l.virsh("dumpxml", "--inactive", n.ID)
	l.call(http.MethodPut, "/api/nodes/"+n.ID+"/xml", strings.NewReader(text), http.StatusOK, nil, "Content-Type", "application/xml")
	l.refused(http.MethodPut, "/api/nodes/"+n.ID+"/xml", strings.NewReader(strings.Replace(text, "</devices>", "<interface type='user'/></devices>", 1)), off, "Content-Type", "application/xml")
	if n = l.act(n.ID, "run", nil); n.State != "running" {
		t.Errorf("it is %s", n.State)
	}
	l.stop()
}

// refuseUserCards tries to add user-mode networking to a node by its XML, and to adopt a
// domain that has it.
func (l *lab) refuseUserCards(n api.Node, off refusal) {
	l.t.Helper()
	text := l.virsh("dumpxml", "--inactive", n.ID)
	for name, with := range map[string]string{
		"slirp":     "<interface type='user'><model type='virtio'/></interface></devices>",
		"passt":     "<interface type='user'><backend type='passt'/></interface></devices>",
		"arguments": "</devices><qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><qemu:arg value='-netdev'/><qemu:arg value='user,id=x'/></qemu:commandline>",
	} {
		l.t.Run(name, func(t *testing.T) {
			off.check(t, name, l.send(http.MethodPut, "/api/nodes/"+n.ID+"/xml", strings.NewReader(strings.Replace(text, "</devices>", with, 1)), "Content-Type", "application/xml"))
		})
	}
	foreign := l.defineForeign(l.name("foreign"), func(d *libvirtxml.Domain) {
		d.Devices = &libvirtxml.DomainDeviceList{Interfaces: []libvirtxml.DomainInterface{userCard()}}
	})
	until(l.t, promptly, said("the domain is seen"), func() bool { return l.listed(foreign).ID != "" })
	l.refused(http.MethodPost, "/api/nodes/"+foreign+"/adopt", nil, off)
}

// TestGuestOnUserNetwork has a guest with user-mode networking send requests to the
// service at its host's loopback address. Without sign-in, all of them are refused.
func TestGuestOnUserNetwork(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	takeGuest(t)
	l.addMicro()
	flags := []string{"--user-network=on", "--default-network=" + l.name("nowhere")}
	l.launch(nil, flags...)
	l.awaitHealth("ok")
	if h := l.host(); h.Network != "user" || !h.UserNetwork {
		t.Errorf("the host is shown with the network %q, user-mode networking %v", h.Network, h.UserNetwork)
	}
	n := l.create("guest")
	if cards := l.definition(n.ID).Devices.Interfaces; len(cards) != 1 || cards[0].Source.User == nil || len(n.Warnings) != 0 {
		t.Errorf("the node has the cards %+v and the warnings %q", cards, n.Warnings)
	}
	c := l.boot(n.ID)
	_, port, err := net.SplitHostPort(l.address)
	if err != nil {
		t.Fatal(err)
	}
	c.shell("until ip route | grep -q default; do usleep 100000; done; echo up=$((40+2))", "up=42")
	// The requests are raw, so that they can contain anything.
	request := func(line, body string) string {
		return `printf '` + line + ` HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n` + body + `' | nc 10.0.2.2 ` + port + ` | head -c 600 | tr -d '\r'`
	}
	for _, ask := range []string{
		request("GET /api/health", `\r\n`),
		request("GET /api/nodes/"+n.ID+"/xml", `X-Forwarded-For: 127.0.0.1\r\n\r\n`),
		request("POST /api/labs", `Content-Length: 14\r\n\r\n{"name":"sly"}`),
	} {
		c.typed(ask + "; echo; echo asked=$((40+2))\r")
		c.expect("HTTP/1.1 403")
		c.expect("peer_refused")
		c.expect("asked=42")
	}
	var list struct{ Labs []api.LabSummary }
	if l.call(http.MethodGet, "/api/labs", nil, http.StatusOK, &list); len(list.Labs) != 0 {
		t.Errorf("the guest made the labs %+v", list.Labs)
	}

	// The node does not start if its QEMU would run as a user that may use the service
	// without sign-in.
	l.act(n.ID, "stop", forced)
	d := l.definition(n.ID, "--inactive")
	d.SecLabel = []libvirtxml.DomainSecLabel{{Type: "static", Model: "dac", Relabel: "no", Label: "+0:+0"}}
	l.define(d)
	l.refused(http.MethodPost, "/api/nodes/"+n.ID+"/run", nil, refusal{http.StatusForbidden, "user_network_off", "QEMU runs there as a user that is let in"})
	l.stop()
}
