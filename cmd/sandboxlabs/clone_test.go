package main

import (
	"net/http"
	"testing"
)

// A node cannot be deleted while another disk is backed by its overlay.
func TestClonesKeepTheirOrigin(t *testing.T) {
	t.Parallel()
	l := newRunningLab(t)
	n := l.create("origin")
	l.virsh("vol-create-as", l.nodesPool(), "clone.qcow2", "512M", "--format", "qcow2", "--backing-vol", n.OverlayPath, "--backing-vol-format", "qcow2")
	want := refusal{http.StatusConflict, "node_busy", "clone.qcow2"}
	l.refused(http.MethodDelete, "/api/nodes/"+n.ID, nil, want)
	l.refused(http.MethodPost, "/api/nodes/"+n.ID+"/wipe", nil, want)
	l.wantVolumes(l.nodesPool(), "clone.qcow2", n.ID+".qcow2")
	l.virsh("vol-delete", "clone.qcow2", "--pool", l.nodesPool())
	l.delete(n.ID)
	l.wantVolumes(l.nodesPool())
}
