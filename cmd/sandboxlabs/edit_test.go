package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// edit changes a node.
func (l *lab) edit(id string, body request) api.EditedNode {
	l.t.Helper()
	var n api.EditedNode
	l.call(http.MethodPatch, "/api/nodes/"+id, body, http.StatusOK, &n)
	return n
}

// boot starts a node and signs in at its console.
func (l *lab) boot(id string) *terminal {
	l.t.Helper()
	c := l.console(id)
	l.act(id, "run", nil)
	c.status("connected")
	c.login()
	return c
}

// wantResize checks what an edit reports about when its new sizes take effect.
func (l *lab) wantResize(n api.EditedNode, want ...api.Resized) {
	l.t.Helper()
	if !slices.Equal(n.Resize, want) {
		l.t.Errorf("the edit reports %+v, want %+v", n.Resize, want)
	}
}

// TestEdit resizes and describes a node while it is stopped and while it runs.
func TestEdit(t *testing.T) {
	t.Parallel()
	l := newRunningLab(t)
	takeGuest(t)
	n := l.create("edit")
	size := n.Resources.Disk
	e := l.edit(n.ID, request{
		"name": l.name("edit2"), "resources": request{"ram": 256, "cpus": 2, "disk": size + 1<<30}, "autostart": true,
		"tags": []string{"b", "a", "b"}, "osType": "linux", "description": "A node\nof two lines",
	})
	l.wantResize(e, api.Resized{What: "cpus", When: "nextBoot"}, api.Resized{What: "ram", When: "nextBoot"}, api.Resized{What: "disk", When: "nextBoot"})
	if e.Name != l.name("edit2") || e.Resources != (api.Resources{RAM: 256, CPUs: 2, Disk: size + 1<<30}) || !e.Autostart ||
		!slices.Equal(e.Tags, []string{"a", "b"}) || e.OSType != "linux" || e.Description != "A node\nof two lines" || e.Next != nil {
		t.Errorf("the edited node is %+v", e)
	}
	if info := l.virsh("desc", n.ID); info != "A node\nof two lines" {
		t.Errorf("virsh desc: %q", info)
	}
	bad := func(body request, detail string) {
		t.Helper()
		l.refused(http.MethodPatch, "/api/nodes/"+n.ID, body, refusal{http.StatusUnprocessableEntity, "invalid_request", detail})
	}
	bad(request{"resources": request{"disk": size}}, "can't be reduced")
	bad(request{"resources": request{"ram": 1}}, "RAM must be")
	bad(request{"resources": request{"cpus": 0}}, "CPUs must be")
	bad(request{"tags": []string{""}}, "A tag has")
	bad(request{"description": "a\x01b"}, "plain text")
	bad(request{"osType": strings.Repeat("x", 65)}, "osType must be")

	l.boot(n.ID)
	// One CPU less and half of the memory. The CPU was present at the start, so it can only be
	// removed at the next start.
	e = l.edit(n.ID, request{"resources": request{"ram": 128, "cpus": 1, "disk": size + 2<<30}, "tags": []string{}, "autostart": false})
	l.wantResize(e, api.Resized{What: "cpus", When: "nextBoot"}, api.Resized{What: "ram", When: "live"}, api.Resized{What: "disk", When: "live"})
	if e.Resources != (api.Resources{RAM: 128, CPUs: 2, Disk: size + 2<<30}) || e.Next == nil || *e.Next != (api.NextSize{RAM: 128, CPUs: 1}) || len(e.Tags) != 0 || e.Autostart {
		t.Errorf("the edited node is %+v, next %+v", e, e.Next)
	}
	// More memory than the guest was started with.
	e = l.edit(n.ID, request{"resources": request{"ram": 300}})
	l.wantResize(e, api.Resized{What: "ram", When: "nextBoot"})
	l.act(n.ID, "stop", forced)
	if r := l.act(n.ID, "run", nil); r.Resources != (api.Resources{RAM: 300, CPUs: 1, Disk: size + 2<<30}) || r.Next != nil {
		t.Errorf("after its next start the node is %+v", r)
	}
	l.act(n.ID, "stop", forced)

	// Foreign domains cannot be changed before they are adopted, except for their name.
	id := l.defineForeign(l.name("theirs"), nil)
	until(t, promptly, said("the domain is listed"), func() bool { return l.listed(id).ID == id })
	l.refused(http.MethodPatch, "/api/nodes/"+id, request{"autostart": true}, refusal{http.StatusConflict, "node_not_managed", "Adopt it first"})
	l.edit(id, request{"name": l.name("theirs2")})
	l.stop()
}

// TestRedefine replaces a node's definition, like the administrator's XML editor.
func TestRedefine(t *testing.T) {
	t.Parallel()
	l := newRunningLab(t)
	takeGuest(t)
	n := l.create("redefined")
	path := "/api/nodes/" + n.ID + "/xml"
	put := func(text string, header ...string) answer {
		t.Helper()
		return l.send(http.MethodPut, path, strings.NewReader(text), append(header, "Content-Type", "application/xml")...)
	}
	text := string(l.call(http.MethodGet, path, nil, http.StatusOK, nil).body)
	secret := l.definition(n.ID, "--security-info").Devices.Graphics[0].VNC.Passwd
	if secret == "" || strings.Contains(text, secret) {
		t.Fatalf("the screen's password is %q, and the XML that all users can read is\n%s", secret, text)
	}
	edited := strings.Replace(text, "</name>", "</name>\n<title>edited</title>", 1)
	start, end := strings.Index(edited, "<metadata>"), strings.Index(edited, "</metadata>")
	edited = edited[:start] + edited[end+len("</metadata>"):]
	var got api.Node
	if a := put(edited); a.status != http.StatusOK || a.decode(&got) != nil || !got.Managed || got.Owner != "local" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if now := l.definition(n.ID, "--security-info"); now.Title != "edited" || now.Devices.Graphics[0].VNC.Passwd != secret {
		t.Errorf("the domain's title is %q, and its screen %+v", now.Title, now.Devices.Graphics[0].VNC)
	}
	for name, c := range map[string]struct {
		text string
		want refusal
	}{
		"no XML":       {"hello", refusal{http.StatusUnprocessableEntity, "invalid_request", "Invalid domain XML"}},
		"another id":   {strings.Replace(text, n.ID, "11111111-2222-4333-8444-555555555555", 1), refusal{http.StatusUnprocessableEntity, "invalid_request", "uuid in the XML must be"}},
		"another name": {strings.Replace(text, n.Name, n.Name+"x", 1), refusal{http.StatusUnprocessableEntity, "invalid_request", "name in the XML must be"}},
		"not valid":    {strings.Replace(text, "<devices>", "<devices><nonsense/>", 1), refusal{http.StatusBadGateway, "hypervisor_error", "could not redefine"}},
	} {
		c.want.check(t, name, put(c.text))
	}

	// While the node runs, neither changes that apply from its next start nor changes made
	// meanwhile by others are lost.
	l.act(n.ID, "run", nil)
	live := l.call(http.MethodGet, path, nil, http.StatusOK, nil)
	l.virsh("setmem", n.ID, "128M", "--config")
	next := l.call(http.MethodGet, path+"?inactive=true", nil, http.StatusOK, nil)
	const less = "<currentMemory unit='KiB'>131072<"
	if strings.Contains(string(live.body), less) || !strings.Contains(string(next.body), less) {
		t.Errorf("with less memory from its next start the node is\n%s\nand will be\n%s", live.body, next.body)
	}
	edited = strings.Replace(string(next.body), "<title>edited</title>", "<title>again</title>", 1)
	changed := refusal{http.StatusConflict, "node_busy", "was changed meanwhile"}
	changed.check(t, "begun with the running guest's", put(edited, "If-Match", live.header.Get("ETag")))
	changed.check(t, "of no version", put(edited, "If-Match", `""`))
	if a := put(edited, "If-Match", next.header.Get("ETag")); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
	if now := l.definition(n.ID, "--inactive"); now.Title != "again" || now.CurrentMemory.Value != 131072 {
		t.Errorf("from its next start the domain has the title %q and %d KiB", now.Title, now.CurrentMemory.Value)
	}
	changed.check(t, "changed meanwhile", put(edited, "If-Match", next.header.Get("ETag")))
	next = l.call(http.MethodGet, path+"?inactive=true", nil, http.StatusOK, nil)
	for _, header := range []string{"*", `"x", W/` + next.header.Get("ETag")} {
		if a := put(string(next.body), "If-Match", header); a.status != http.StatusOK {
			t.Errorf("If-Match %s: %d %s", header, a.status, a.body)
		}
	}
	l.delete(n.ID)
	l.stop()
}
