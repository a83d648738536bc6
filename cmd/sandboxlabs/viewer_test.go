package main

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// TestViewersStay keeps two viewers on one console through a stop and a start of the node,
// until the node and the service end.
func TestViewersStay(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.addMicro()
	takeGuest(t)
	l.start()
	n := l.create("watched")

	first := l.console(n.ID)
	first.told(control{Type: "viewers", Count: 1})
	first.status("offline")
	l.act(n.ID, "run", nil)
	first.status("connected")
	first.login()
	first.shell("echo only=$((20+1))", "only=21")

	second := l.console(n.ID)
	second.told(control{Type: "viewers", Count: 2})
	second.status("connected")
	second.expect("only=21") // the history
	first.told(control{Type: "viewers", Count: 2})

	// Both see what one of them types.
	second.typed("echo both=$((30+3))\r")
	second.expect("both=33")
	first.expect("both=33")

	l.act(n.ID, "stop", nil)
	first.status("offline")
	second.status("offline")
	first.typed("lost\r")
	first.told(control{Type: "error", Code: "node_not_running"})

	// The console ends before QEMU does.
	until(t, patience, said("the guest is off"), func() bool { return l.virsh("domstate", n.ID) == "shut off" })
	l.virsh("start", n.ID) // whoever starts it
	first.status("connected")
	second.status("connected")
	first.login() // the output of the second boot
	second.expect("login: ")

	_ = second.socket.CloseNow()
	first.told(control{Type: "viewers", Count: 1})

	l.stop()
	if code := first.closed(); code != 1001 {
		t.Errorf("at the service's end the socket was closed with %d, want 1001", code)
	}
	l.start()
	again := l.console(n.ID)
	again.status("connected")
	again.shell("echo again=$((40+4))", "again=44")
	if bytes.Contains(again.seen(), []byte("lost")) {
		t.Error("what was typed while the node was off has reached it")
	}

	// The service reports the correct state, too.
	var list struct {
		Nodes []api.Node `json:"nodes"`
	}
	l.call(http.MethodGet, "/api/nodes?state=running", nil, http.StatusOK, &list)
	running := false
	for _, other := range list.Nodes {
		running = running || other.ID == n.ID
	}
	if !running {
		t.Errorf("the node is not among those that run: %+v", list.Nodes)
	}
	l.delete(n.ID)
	if code := again.closed(); code != 4404 {
		t.Errorf("at the node's end the socket was closed with %d, want 4404", code)
	}
	l.stop()
}
