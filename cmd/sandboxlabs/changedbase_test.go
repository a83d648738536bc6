package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// A node does not start on an image whose file was replaced by another program until the
// image is verified again.
func TestStartOnChangedBase(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	takeGuest(t)
	content := l.qemuImage("1M")
	image := l.uploaded("base.qcow2", content)
	var n api.Node // finds nothing to boot, which is enough for this test
	l.call(http.MethodPost, "/api/nodes", request{"name": l.name("over"), "customImageName": image.ID, "network": "none", "resources": request{"ram": 64}}, http.StatusCreated, &n)
	file := filepath.Join(t.TempDir(), "same.qcow2")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	l.virsh("vol-upload", "--pool", l.imagesPool(), image.ID, file)
	l.refused(http.MethodPost, "/api/nodes/"+n.ID+"/run", nil, refusal{http.StatusConflict, "image_not_ready", "Cannot start node \"" + n.Name + "\". Image"})
	if out := l.virsh("domstate", n.ID); out != "shut off" {
		t.Errorf("the node is %s", out)
	}
	l.awaitJob(l.startJob("/api/images/"+image.ID+"/verify", nil).ID, "succeeded")
	l.act(n.ID, "run", nil)
	l.act(n.ID, "stop", forced)
	l.delete(n.ID)
	l.stop()
}

// The saved state of a node counts against its owner's quota.
func TestSavedStateCountsInQuota(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	takeGuest(t)
	s.bearer[owner] = s.enrol(s.owner(), "instructor")
	body, kind := form("blank.qcow2", bytes.NewReader(s.qemuImage("1M")))
	var up api.Uploaded
	s.call(http.MethodPost, "/api/images/custom", body, http.StatusCreated, &up, append(s.as(owner), "Content-Type", kind)...)
	var n api.Node
	s.call(http.MethodPost, "/api/nodes", request{"name": s.name("saved"), "customImageName": up.Image.ID, "network": "none", "resources": request{"ram": 64}}, http.StatusCreated, &n, s.as(owner)...)
	act := func(verb string) {
		t.Helper()
		s.call(http.MethodPost, "/api/nodes/"+n.ID+"/"+verb, nil, http.StatusOK, nil, s.as(owner)...)
	}
	used := func() int64 {
		t.Helper()
		var me api.SignedIn
		s.call(http.MethodGet, "/api/auth/me", nil, http.StatusOK, &me, s.as(owner)...)
		return *me.Used.Disk
	}
	limit := func(bytes int64) {
		t.Helper()
		s.call(http.MethodPatch, "/api/users/"+s.owner(), request{"quota": request{"disk": bytes}}, http.StatusOK, nil, s.as(admin)...)
	}
	const ram = 64 << 20
	limit(1 << 40)
	act("run")
	before := used()
	limit(before + ram - 1)
	s.refused(http.MethodPost, "/api/nodes/"+n.ID+"/suspend", nil, refusal{http.StatusForbidden, "quota_exceeded", "bytes of disks"}, s.as(owner)...)
	limit(before + ram)
	act("suspend")
	if now := used(); now != before+ram {
		t.Errorf("a suspended node takes %d bytes, want %d", now, before+ram)
	}
	act("run")
	if now := used(); now != before {
		t.Errorf("after its start it takes %d bytes, want %d", now, before)
	}
	act("suspend")
	act("discard-saved-state")
	if now := used(); now != before {
		t.Errorf("without its saved state it takes %d bytes, want %d", now, before)
	}
	s.call(http.MethodDelete, "/api/nodes/"+n.ID, nil, http.StatusNoContent, nil, s.as(owner)...)
	s.stop()
}
