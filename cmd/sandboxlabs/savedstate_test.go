package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// A saved state is shown, whoever saved it, and the next start resumes it. Changes that
// would invalidate it are refused, and it is discarded only on an explicit request.
func TestSavedState(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	takeGuest(t)
	image := l.uploaded("blank.qcow2", l.qemuImage("1M"))
	var n api.Node // its firmware finds nothing to boot, which is sufficient here
	l.call(http.MethodPost, "/api/nodes", request{"name": l.name("saved"), "customImageName": image.ID, "network": "none", "resources": request{"ram": 64}}, http.StatusCreated, &n)
	path := "/api/nodes/" + n.ID
	shows := func(state string, saved bool) {
		t.Helper()
		until(t, promptly, said("the node is "+state), func() bool { n := l.listed(n.ID); return n.State == state && n.SavedState == saved })
	}
	is := func(n api.Node, state string, saved bool) {
		t.Helper()
		if n.State != state || n.SavedState != saved {
			t.Errorf("the node is %s, saved state: %t; want %s, %t", n.State, n.SavedState, state, saved)
		}
	}
	l.refused(http.MethodPost, path+"/suspend", nil, refusal{http.StatusConflict, "node_not_running", "running or paused"})
	l.call(http.MethodPost, path+"/snapshots", request{"name": "before"}, http.StatusCreated, nil)
	l.act(n.ID, "run", nil)
	is(l.act(n.ID, "suspend", nil), "stopped", true)
	is(l.act(n.ID, "suspend", nil), "stopped", true)

	saved := refusal{http.StatusConflict, "node_saved", "/discard-saved-state"}
	l.refused(http.MethodPatch, path, request{"resources": request{"ram": 128}}, saved)
	l.refused(http.MethodPatch, path, request{"resources": request{"disk": 2 << 20}}, saved)
	l.refused(http.MethodPatch, path, request{"name": l.name("other")}, saved)
	l.refused(http.MethodPatch, path, request{"tags": []string{"x"}}, saved)
	l.refused(http.MethodPost, path+"/disks", request{"size": 1 << 20}, saved)
	l.refused(http.MethodPost, path+"/interfaces", request{"network": "default"}, saved)
	l.refused(http.MethodPut, path+"/media", request{"image": ""}, saved)
	l.refused(http.MethodPost, path+"/clone", request{"name": l.name("clone")}, saved)
	l.refused(http.MethodPost, path+"/clone", request{"name": l.name("clone"), "mode": "full"}, saved)
	l.refused(http.MethodPost, path+"/image", request{"name": "of-it"}, saved)
	lost := refusal{http.StatusConflict, "node_saved", "saved state is lost"}
	l.refused(http.MethodPost, path+"/snapshots/before/revert", nil, lost)
	l.call(http.MethodPatch, path, request{"autostart": true}, http.StatusOK, nil) // not a part of the saved state
	l.call(http.MethodPatch, path, request{"autostart": false}, http.StatusOK, nil)

	// The next start resumes the saved state.
	is(l.act(n.ID, "run", nil), "running", false)
	if reason := l.virsh("domstate", "--reason", n.ID); !strings.Contains(reason, "restored") {
		t.Errorf("the node runs, %s", reason)
	}
	l.virsh("managedsave", n.ID)
	shows("stopped", true)
	l.virsh("managedsave-remove", n.ID)
	shows("stopped", false)

	save := func() {
		t.Helper()
		l.act(n.ID, "run", nil)
		l.virsh("managedsave", n.ID)
		shows("stopped", true)
	}
	save()
	is(l.act(n.ID, "discard-saved-state", nil), "stopped", false)
	save()
	var back api.Node
	l.call(http.MethodPost, path+"/snapshots/before/revert", forced, http.StatusOK, &back)
	is(back, "stopped", false)
	l.call(http.MethodDelete, path+"/snapshots/before", nil, http.StatusNoContent, nil)
	save()
	l.refused(http.MethodPost, path+"/wipe", nil, lost)
	is(l.act(n.ID, "wipe", forced), "stopped", false)
	save() // boots from the new disk
	l.delete(n.ID)
	if domains := l.virsh("list", "--all", "--name", "--with-managed-save"); strings.Contains(domains, n.Name) {
		t.Errorf("the deleted node is still there: %s", domains)
	}
	l.call(http.MethodDelete, "/api/images/"+image.ID, nil, http.StatusNoContent, nil)
	l.stop()
}
