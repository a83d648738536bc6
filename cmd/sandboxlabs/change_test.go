package main

import (
	"context"
	"database/sql"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
)

// execute runs a statement on the lab's database.
func (l *lab) execute(statement string, args ...any) {
	l.t.Helper()
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(l.dataDir, "sandboxlabs.db")+"?_busy_timeout=5000")
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(context.Background(), statement, args...); err != nil {
		l.t.Fatal(err)
	}
}

// TestAdoptedNodes tags adopted domains, including those adopted by an earlier version,
// and reverts them to a snapshot.
func TestAdoptedNodes(t *testing.T) {
	t.Parallel()
	l := newRunningLab(t)
	made := l.create("adopted")
	old := l.defineForeign(l.name("old"), nil)
	adopted := func(id string) string { return l.virsh("metadata", id, definition.Namespace) }
	// Remove the node's metadata, so that it is a foreign domain, and adopt it.
	l.virsh("metadata", made.ID, definition.Namespace, "--remove")
	until(t, promptly, said("the node is a stranger's"), func() bool { return !l.node(made.ID).Managed })
	if n := l.act(made.ID, "adopt", nil); !n.Managed {
		t.Errorf("the adopted node is %+v", n)
	}
	tag := func(id string, tags ...string) {
		t.Helper()
		if n := l.edit(id, request{"tags": tags, "osType": "debian"}); !slices.Equal(n.Tags, tags) || n.OSType != "debian" || n.Owner == "" {
			t.Errorf("the tagged node is %+v", n)
		}
	}
	tag(made.ID, "a")
	path := "/api/nodes/" + made.ID + "/snapshots"
	l.call(http.MethodPost, path, request{"name": "first"}, http.StatusCreated, nil)
	tag(made.ID, "b")
	var back api.Node
	l.call(http.MethodPost, path+"/first/revert", nil, http.StatusOK, &back)
	if !slices.Equal(back.Tags, []string{"b"}) {
		t.Errorf("the node that went back is %+v", back)
	}
	if n := l.rows("intents"); n != 0 {
		t.Errorf("the revert left %d intents", n)
	}

	// Metadata as an earlier version wrote it: libvirt did not accept its own output.
	l.virsh("metadata", old, definition.Namespace, "--key", "sandboxlabs", "--set", `<node xmlns="`+definition.Namespace+`"><owner>local</owner><created>2026-01-02T03:04:05Z</created></node>`)
	until(t, promptly, said("the domain is managed"), func() bool { return l.node(old).Managed })
	if _, err := l.tryVirsh("metadata", old, definition.Namespace, "--key", "sandboxlabs", "--set", adopted(old)); err == nil {
		t.Log("this libvirt accepts what it returns")
	}
	tag(old, "c")
	l.virsh("metadata", old, definition.Namespace, "--key", "sandboxlabs", "--set", `<node xmlns="`+definition.Namespace+`"><owner>local</owner><created>2026-01-02T03:04:05Z</created></node>`)
	l.stop()
	l.start()
	until(t, promptly, func() string { return "the old metadata is rewritten: " + l.virsh("dumpxml", old) }, func() bool {
		return !strings.Contains(l.virsh("dumpxml", old), `<node xmlns="`)
	})
	l.virsh("metadata", old, definition.Namespace, "--key", "sandboxlabs", "--set", adopted(old))
	tag(old, "d")
	l.stop()
}

// TestUnfinishedChange creates changes that can be neither completed nor undone. They must
// be shown everywhere and must not block imports, and an administrator must be able to
// finish or drop them.
func TestUnfinishedChange(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.wantNoNetworksLeft()
	l.addMicro()
	l.start()
	n := l.create("stuck")
	l.stop()
	begin := func(id, data string) {
		l.execute("INSERT INTO intents (id, kind, host, data, created, holder) VALUES (?, 'snapshot.revert', 'local', ?, '2026-01-02 03:04:05+00:00', '')", id, data)
	}
	const first, second, third = "01900000-0000-7000-8000-000000000001", "01900000-0000-7000-8000-000000000002", "01900000-0000-7000-8000-000000000003"
	begin(first, `{"id":"`+n.ID+`","metadata":"<broken"}`)
	begin(second, `{"id":"`+n.ID+`","metadata":"<broken"}`)
	begin(third, `not even data`)
	l.launch(nil)
	l.awaitHealth("degraded")
	var list struct{ Changes []api.Change }
	until(t, promptly, said("they are listed"), func() bool {
		l.call(http.MethodGet, "/api/changes", nil, http.StatusOK, &list)
		// The name is known once the host's domains have been read.
		return len(list.Changes) == 3 && len(list.Changes[0].Objects) == 1 && list.Changes[0].Objects[0].Name != ""
	})
	if c := list.Changes[0]; c.ID != first || c.Kind != "snapshot.revert" || c.Host != "local" || len(c.Objects) != 1 || c.Objects[0] != (api.ChangeObject{ID: n.ID, Name: n.Name}) ||
		c.Begun.Year() != 2026 || c.Attempts < 1 || c.Tried.Before(c.Begun) || c.Reason == "" {
		t.Errorf("the change is %+v", c)
	}
	var h api.Health
	l.call(http.MethodGet, "/api/health", nil, http.StatusOK, &h)
	if h.UnfinishedChanges != 3 {
		t.Errorf("the health is %+v", h)
	}
	if a := l.send(http.MethodGet, "/metrics", nil); !strings.Contains(string(a.body), `sandboxlabs_unfinished_changes{host="local"} 3`) {
		t.Error("the metrics do not have the unfinished changes")
	}
	if out, _ := l.run("doctor"); !strings.Contains(out, "FAIL  change (local)") || !strings.Contains(out, "sandboxlabs change drop "+first) || !strings.Contains(out, list.Changes[0].Reason) {
		t.Errorf("doctor: %s", out)
	}
	j := l.awaitJob(l.startJob("/api/labs/import", l.file(1, 1)).ID, "succeeded")
	var v api.Lab
	l.call(http.MethodGet, "/api/labs/"+j.Target.ID, nil, http.StatusOK, &v)
	l.deleteLab(v)

	l.refused(http.MethodPost, "/api/changes/"+first+"/finish", nil, refusal{http.StatusBadGateway, "hypervisor_error", "The change cannot be finished: "})
	if out, code := l.run("change", "finish", first); code != 1 || !strings.Contains(out, "drop the change") {
		t.Errorf("change finish: exit code %d\n%s", code, out)
	}
	l.execute("UPDATE intents SET data = replace(data, '<broken', '<node><owner>local</owner></node>') WHERE id = ?", first)
	if a := l.send(http.MethodPost, "/api/changes/"+first+"/finish", nil); a.status != http.StatusNoContent && a.status != http.StatusNotFound { // the service may have finished it already
		t.Errorf("a change whose cause is gone: %d %s", a.status, a.body)
	}
	l.call(http.MethodDelete, "/api/changes/"+second, nil, http.StatusNoContent, nil)
	l.refused(http.MethodDelete, "/api/changes/"+second, nil, refusal{http.StatusNotFound, "not_found", "Unfinished change"})
	if out, code := l.run("change", "list"); code != 0 || !strings.Contains(out, third) || strings.Contains(out, second) {
		t.Errorf("change list: exit code %d\n%s", code, out)
	}
	if out, code := l.run("change", "drop", third); code != 0 {
		t.Errorf("change drop: exit code %d\n%s", code, out)
	}
	l.awaitHealth("ok")
	l.stop()
}
