package main

import (
	"bytes"
	"net/http"
	"slices"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// hostileAgent is a script for the guest. It runs an agent that answers the address query
// with the content of /tmp/answer.
const hostileAgent = `killall qemu-ga; port=$(grep -l guest_agent /sys/class/virtio-ports/*/name); port=${port%/name}; ` +
	`(exec 3<>/dev/${port##*/}; while :; do if read -r ask <&3; then case $ask in ` +
	`*guest-sync*) id=${ask##*:}; echo "{\"return\":${id%%\}*}}" >&3;; *guest-network*) cat /tmp/answer >&3;; esac; ` +
	`else usleep 100000; fi; done) & echo hostile=$((40+2))`

// TestHostileAgent makes a guest agent report addresses with markup in their zones,
// invalid addresses, and 1,500 more (libvirt accepts 2,048). The API and the events must
// contain only valid addresses, and a limited number of them.
func TestHostileAgent(t *testing.T) {
	t.Parallel()
	l := newRunningLab(t)
	takeGuest(t)
	network := l.name("net")
	t.Cleanup(func() {
		_, _ = l.tryVirsh("net-destroy", network)
		_, _ = l.tryVirsh("net-undefine", network)
	})
	l.call(http.MethodPost, "/api/networks", request{"name": network}, http.StatusCreated, nil)
	var n api.Node
	l.call(http.MethodPost, "/api/nodes", request{"name": l.name("hostile"), "image": "micro", "network": network, "resources": request{"ram": 128}}, http.StatusCreated, &n)
	events := l.follow()
	c := l.boot(n.ID)
	c.shell(`a() { echo "{\"ip-address-type\":\"ipv6\",\"prefix\":64,\"ip-address\":\"$1\"}"; }`, "")
	c.shell(`(echo "{\"return\":[{\"name\":\"<b>eth0\",\"hardware-address\":\"<i>\",\"ip-addresses\":["; a '2001:db8::1%<img src=x onerror=alert(1)>'; echo ,; a '<script>'; echo ,; a '10.9.8.7') >/tmp/list`, "")
	c.shell(`(i=1000; while [ $i -lt 2500 ]; do echo ,; a 2001:db8::$i; i=$((i+1)); done; echo ']}]}') >>/tmp/list; (tr -d '\n' </tmp/list; echo) >/tmp/answer; wc -l </tmp/answer`, "1")
	c.shell(hostileAgent, "hostile=42")

	ev := events.await("the node's addresses", patience, func(e serverEvent) bool { return e.node().ID == n.ID && len(e.node().Addresses) > 0 })
	n = l.node(n.ID)
	if len(n.Addresses) != 32 || n.Addresses[0] != "10.9.8.7" || n.Addresses[1] != "2001:db8::1" {
		t.Errorf("the node is shown with %d addresses: %q", len(n.Addresses), n.Addresses)
	}
	if !slices.Equal(ev.node().Addresses, n.Addresses) {
		t.Errorf("the event has %q", ev.node().Addresses)
	}
	for _, text := range [][]byte{ev.data, l.send(http.MethodGet, "/api/nodes/"+n.ID, nil).body, l.send(http.MethodGet, "/api/nodes", nil).body} {
		if bytes.Contains(text, []byte("onerror")) || bytes.Contains(text, []byte("<script")) || bytes.Contains(text, []byte("eth0")) {
			t.Errorf("what the guest wrote is shown: %s", text)
		}
	}
	l.delete(n.ID)
	l.stop()
}
