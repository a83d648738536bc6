package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor/hypervisortest"
)

// TestSlowHost has libvirt take longer to describe a domain than a change waits for the
// inventory. Every operation must still return what it created or changed, and the list
// must show the node in that state from then on.
func TestSlowHost(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.addMicro()
	takeGuest(t)
	relay := hypervisortest.Start(t)
	l.launch(nil, "--hosts=local="+relay.URI())
	l.awaitHealth("ok")

	foreign := func(name string, start ...string) string {
		id := l.defineForeign(l.name(name), func(d *libvirtxml.Domain) { d.Memory.Value = 32 })
		if len(start) > 0 {
			l.virsh(append(start, id)...)
		}
		until(t, promptly, said("the domain is seen"), func() bool { return l.send(http.MethodGet, "/api/nodes/"+id, nil).status == http.StatusOK })
		return id
	}
	const node = "/api/nodes/"
	off, running, adopted := foreign("off"), foreign("running", "start"), foreign("adopted")
	paused, ends := foreign("paused", "start", "--paused"), foreign("ends", "start", "--paused")
	edited, wiped, kept, grown, defined, source := l.create("edited"), l.create("wiped"), l.create("kept"), l.create("grown"), l.create("defined"), l.create("source")
	l.call(http.MethodPost, node+kept.ID+"/snapshots", request{"name": "first"}, http.StatusCreated, nil)
	l.call(http.MethodPost, node+kept.ID+"/snapshots", request{"name": "second"}, http.StatusCreated, nil)
	text := string(l.send(http.MethodGet, node+defined.ID+"/xml?inactive=true", nil).body)

	is := func(state string) func(api.Node) bool { return func(n api.Node) bool { return n.State == state } }
	named := func(name string) func(api.Node) bool { return func(n api.Node) bool { return n.Name == l.name(name) } }
	operations := map[string]struct {
		method, path string
		body         any
		status       int
		// shows returns whether a node is as it was created or changed; nil where the
		// response is not a node.
		shows func(api.Node) bool
	}{
		"create": {http.MethodPost, "/api/nodes", request{"name": l.name("created"), "image": "micro"}, http.StatusCreated, named("created")},
		"clone":  {http.MethodPost, node + source.ID + "/clone", request{"name": l.name("cloned")}, http.StatusCreated, named("cloned")},
		"edit": {http.MethodPatch, node + edited.ID, request{"name": l.name("renamed"), "description": "late", "tags": []string{"a"}}, http.StatusOK, func(n api.Node) bool {
			return n.Name == l.name("renamed") && n.Description == "late" && slices.Equal(n.Tags, []string{"a"})
		}},
		"redefine":  {http.MethodPut, node + defined.ID + "/xml", strings.NewReader(strings.Replace(text, "<devices>", "<description>anew</description><devices>", 1)), http.StatusOK, func(n api.Node) bool { return n.Description == "anew" }},
		"adopt":     {http.MethodPost, node + adopted + "/adopt", nil, http.StatusOK, func(n api.Node) bool { return n.Managed }},
		"wipe":      {http.MethodPost, node + wiped.ID + "/wipe", nil, http.StatusOK, func(n api.Node) bool { return n.OverlayPath != wiped.OverlayPath }},
		"revert":    {http.MethodPost, node + kept.ID + "/snapshots/first/revert", nil, http.StatusOK, func(n api.Node) bool { return n.CurrentSnapshot == "first" }},
		"add disk":  {http.MethodPost, node + grown.ID + "/disks", request{"size": 1 << 20}, http.StatusCreated, nil},
		"run":       {http.MethodPost, node + off + "/run", nil, http.StatusOK, is("running")},
		"pause":     {http.MethodPost, node + running + "/pause", nil, http.StatusOK, is("paused")},
		"resume":    {http.MethodPost, node + paused + "/resume", nil, http.StatusOK, is("running")},
		"force off": {http.MethodPost, node + ends + "/stop", forced, http.StatusOK, is("stopped")},
	}
	relay.Delay(7*time.Second, hypervisortest.DomainGetState)
	begun := time.Now()
	var wg sync.WaitGroup
	for what, op := range operations {
		wg.Go(func() {
			a, err := l.try(op.method, op.path, op.body)
			if err != nil || a.status != op.status {
				t.Errorf("%s: %v, status %d, want %d: %s", what, err, a.status, op.status, a.body)
				return
			}
			if op.shows == nil {
				return
			}
			var n api.Node
			if err := json.Unmarshal(a.body, &n); err != nil || !op.shows(n) {
				t.Errorf("%s returns %v %s", what, err, a.body)
			}
			if a, err = l.try(http.MethodGet, node+n.ID, nil); err != nil || a.decode(&n) != nil || !op.shows(n) {
				t.Errorf("after %s the node is %v %s", what, err, a.body)
			}
		})
	}
	wg.Wait()
	t.Logf("the operations took %v", time.Since(begun).Round(time.Millisecond))
	relay.Delay(0)
	l.kill()
}
