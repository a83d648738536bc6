package main

import (
	"net/http"
	"slices"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// TestTypingThroughChanges types into a node's console right after each change of the node
// by the service and by virsh. The input must reach the guest, and no viewer may be told
// that another program uses the console.
func TestTypingThroughChanges(t *testing.T) {
	t.Parallel()
	l := newRunningLab(t)
	takeGuest(t)
	n := l.create("typed")
	c := l.boot(n.ID)
	path := "/api/nodes/" + n.ID
	snapshot := func(verb, of string, body any, want int) {
		t.Helper()
		l.call(http.MethodPost, path+"/snapshots"+of+verb, body, want, nil)
	}
	snapshot("", "", request{"name": "live"}, http.StatusCreated)
	var disk api.Disk

	for _, change := range []struct {
		name  string
		do    func()
		boots bool // the guest boots again
	}{
		{"pause and resume", func() {
			l.act(n.ID, "pause", nil)
			c.told(control{Type: "status", State: "connected", Paused: true})
			c.typed("x")
			c.told(control{Type: "error", Code: "node_paused"})
			l.act(n.ID, "resume", nil)
			c.status("connected")
		}, false},
		{"virsh suspend and resume", func() {
			l.virsh("suspend", n.ID)
			c.told(control{Type: "status", State: "connected", Paused: true})
			l.virsh("resume", n.ID)
			c.status("connected")
		}, false},
		{"revert", func() {
			snapshot("/revert", "/live", forced, http.StatusOK)
			c.status("reconnecting")
		}, false},
		{"virsh snapshot-revert", func() { l.virsh("snapshot-revert", n.ID, "live") }, false},
		{"attach a disk", func() {
			l.call(http.MethodPost, path+"/disks", request{"size": 64 << 20}, http.StatusCreated, &disk)
		}, false},
		{"edit", func() { l.edit(n.ID, request{"description": "typed through"}) }, false},
		{"reset", func() { l.act(n.ID, "reset", nil) }, true},
		{"reboot", func() { l.act(n.ID, "reboot", nil) }, true},
		{"virsh managedsave and run", func() {
			l.virsh("managedsave", n.ID)
			c.status("offline")
			l.act(n.ID, "run", nil)
		}, false},
		{"stop and run", func() {
			l.act(n.ID, "stop", forced)
			c.status("offline")
			l.act(n.ID, "run", nil)
		}, true},
		{"virsh destroy and start", func() {
			l.virsh("destroy", n.ID)
			c.status("offline")
			l.virsh("start", n.ID)
		}, true},
		{"wipe and run", func() {
			l.call(http.MethodDelete, path+"/snapshots/live", nil, http.StatusNoContent, nil)
			l.act(n.ID, "wipe", forced)
			c.status("offline")
			l.act(n.ID, "run", nil)
		}, true},
	} {
		change.do()
		if change.boots {
			c.login()
		}
		c.shell("echo after-it=$((6*7))", "after-it=42")
		c.mu.Lock()
		states := slices.Clone(c.states)
		c.states = nil
		c.mu.Unlock()
		if slices.Contains(states, "taken") {
			t.Errorf("%s: the viewer was told %v", change.name, states)
		}
		t.Logf("%s: %v", change.name, states)
	}
	l.delete(n.ID)
	l.stop()
}
