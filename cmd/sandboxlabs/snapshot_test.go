package main

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

type snapshotList struct {
	Snapshots []api.Snapshot
	Chains    []api.Chain
}

// snapshots lists a node's snapshots.
func (l *lab) snapshots(id string) (list snapshotList) {
	l.t.Helper()
	l.call(http.MethodGet, "/api/nodes/"+id+"/snapshots", nil, http.StatusOK, &list)
	return list
}

// TestSnapshots reverts a node to its snapshots in both directions, off and running,
// including snapshots that virsh created. It must lose nothing that it was not told to
// discard.
func TestSnapshots(t *testing.T) {
	t.Parallel()
	l := newRunningLab(t)
	takeGuest(t)
	n := l.create("kept")
	path := "/api/nodes/" + n.ID + "/snapshots"
	take := func(name string) (s api.Snapshot) {
		t.Helper()
		l.call(http.MethodPost, path, request{"name": name, "description": "of <" + name + ">"}, http.StatusCreated, &s)
		return s
	}
	if s := take("fresh"); s.Kind != "internal" || s.State != "stopped" || s.Memory || !s.Current || s.Locked != "" || s.Description != "of <fresh>" {
		t.Errorf("the snapshot of the node that is off is %+v", s)
	}
	l.refused(http.MethodPost, path, request{"name": "fresh"}, refusal{http.StatusUnprocessableEntity, "invalid_request", "already has a snapshot \"fresh\""})
	l.refused(http.MethodPost, path, request{"name": "../x"}, refusal{http.StatusUnprocessableEntity, "invalid_request", "hyphens and underscores"})

	c := l.boot(n.ID)
	c.shell("state=before; echo one > /root/file; sync; echo $state", "before")
	if s := take("live"); s.State != "running" || !s.Memory || s.Parent != "fresh" {
		t.Errorf("the snapshot of the running node is %+v", s)
	}
	c.shell("state=after; echo two > /root/file; sync; echo $state", "after")
	l.edit(n.ID, request{"tags": []string{"later"}})
	l.refused(http.MethodPost, path+"/live/revert", nil, refusal{http.StatusConflict, "node_running", "Stop it first"})
	var back api.Node
	l.call(http.MethodPost, path+"/live/revert", forced, http.StatusOK, &back)
	if back.State != "running" || back.CurrentSnapshot != "live" || back.Snapshots != 2 || !slices.Equal(back.Tags, []string{"later"}) {
		t.Errorf("the node that went back is %+v", back)
	}
	c.status("reconnecting")
	c.shell("echo $state $(cat /root/file)", "before one")
	l.call(http.MethodPost, path+"/fresh/revert", forced, http.StatusOK, &back)
	if back.State != "stopped" || back.CurrentSnapshot != "fresh" {
		t.Errorf("the node that went back is %+v", back)
	}

	// A snapshot that virsh created is shown and can be reverted to.
	w := &witness{l: l, events: l.follow()}
	w.sees("virsh snapshot-create", func() { l.virsh("snapshot-create-as", n.ID, "theirs") },
		func(e serverEvent) bool { return e.node().ID == n.ID && e.node().CurrentSnapshot == "theirs" },
		func() bool { return l.listed(n.ID).Snapshots == 3 })
	l.call(http.MethodPost, path+"/theirs/revert", nil, http.StatusOK, &back)
	l.call(http.MethodDelete, path+"/live", nil, http.StatusNoContent, nil)
	l.call(http.MethodDelete, path+"/theirs", nil, http.StatusNoContent, nil)
	l.refused(http.MethodDelete, path+"/theirs", nil, refusal{http.StatusNotFound, "not_found", "no snapshot \"theirs\""})

	// The overlay of an external snapshot is backed by the file that a revert to "fresh"
	// would change.
	l.virsh("snapshot-create-as", n.ID, "outside", "--disk-only")
	got := l.snapshots(n.ID)
	if len(got.Snapshots) != 2 || got.Snapshots[1].Name != "outside" || got.Snapshots[1].Kind != "external" || got.Snapshots[1].Parent != "fresh" ||
		got.Snapshots[1].Files["vda"] == "" || !strings.Contains(got.Snapshots[0].Locked, `"outside" is there`) || got.Chains[0].Files[0] != got.Snapshots[1].Files["vda"] {
		t.Errorf("with an external snapshot the list is %+v", got)
	}
	for name, why := range map[string]string{"outside": "It is external", "fresh": "would be lost"} {
		l.refused(http.MethodPost, path+"/"+name+"/revert", nil, refusal{http.StatusConflict, "unsupported", why})
	}
	l.refused(http.MethodPost, path, request{}, refusal{http.StatusConflict, "unsupported", `has the external snapshot "outside"`})
	l.refused(http.MethodDelete, path+"/outside", nil, refusal{http.StatusConflict, "unsupported", "virsh blockcommit"})
	l.refused(http.MethodDelete, "/api/nodes/"+n.ID, nil, refusal{http.StatusConflict, "node_has_snapshots", "2 snapshots, which would be lost when it is deleted: "})
	l.call(http.MethodDelete, "/api/nodes/"+n.ID+"?snapshots=true", nil, http.StatusNoContent, nil)
	l.wantVolumes(l.nodesPool())

	// If all snapshots are external, libvirt merges the files.
	n = l.create("merged")
	l.virsh("snapshot-create-as", n.ID, "outside", "--disk-only")
	until(t, promptly, said("the snapshot is seen"), func() bool { return l.listed(n.ID).Snapshots == 1 })
	l.call(http.MethodDelete, "/api/nodes/"+n.ID+"/snapshots/outside", nil, http.StatusNoContent, nil)
	if n = l.node(n.ID); n.Snapshots != 0 {
		t.Errorf("after its snapshot was deleted the node is %+v", n)
	}
	l.wantVolumes(l.nodesPool(), filepath.Base(n.OverlayPath))
	l.delete(n.ID)
	l.wantVolumes(l.nodesPool())
	l.stop()
}
