package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// possessions are the things that someone owns, one of each kind.
type possessions struct{ node, image, lab, network, job, upload, token string }

// possess creates one of each kind for someone.
func (s *school) possess(who int, name string) (p possessions) {
	t := s.t
	t.Helper()
	n := s.nodeOf(who, name)
	p.node, p.image, p.lab = n.ID, s.imageOf(who, s.qemuImage("1M")).ID, s.labOf(who, name)
	s.call(http.MethodPut, "/api/labs/"+p.lab+"/nodes/"+p.node, request{"x": 0, "y": 0}, http.StatusOK, nil, s.as(who)...)
	p.network = s.name(name)
	s.call(http.MethodPost, "/api/networks", request{"name": p.network}, http.StatusCreated, nil, s.as(who)...)
	t.Cleanup(func() {
		_, _ = s.tryVirsh("net-destroy", p.network)
		_, _ = s.tryVirsh("net-undefine", p.network)
	})
	s.call(http.MethodPost, "/api/nodes/"+p.node+"/interfaces", request{"network": p.network}, http.StatusCreated, nil, s.as(who)...)
	var j api.Job
	s.call(http.MethodPost, "/api/nodes/"+p.node+"/image", request{"name": name}, http.StatusAccepted, &j, s.as(who)...)
	s.ended(j.ID, "succeeded", s.as(who)...)
	p.job = j.ID
	s.call(http.MethodPost, "/api/nodes/"+p.node+"/snapshots", request{"name": "kept"}, http.StatusCreated, nil, s.as(who)...)
	a := s.send(http.MethodPost, "/api/uploads", nil, append(s.as(who), "Tus-Resumable", "1.0.0", "Upload-Length", "4096")...)
	p.upload = a.header.Get("Location")[strings.LastIndex(a.header.Get("Location"), "/")+1:]
	var list struct{ Tokens []api.Token }
	s.call(http.MethodGet, "/api/tokens", nil, http.StatusOK, &list, s.as(who)...)
	p.token = list.Tokens[0].ID
	return p
}

// TestOwners requests each kind of thing as its owner, another instructor, someone that it
// is shared with, its former owner, and an account with the former owner's name.
func TestOwners(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	s.bearer[owner], s.bearer[instructor] = s.enrol(s.owner(), "instructor"), s.enrol("other", "instructor")
	s.bearer[studentUse] = s.enrol("student-use", "student")
	p := s.possess(owner, "owned")
	tus := func(who int) []string { return append(s.as(who), "Tus-Resumable", "1.0.0") }

	// The error for another user's things is the same as for missing ones.
	for _, c := range []struct {
		method, path, id, none string
		body                   any
	}{
		{http.MethodGet, "/api/nodes/", p.node, noID, nil},
		{http.MethodDelete, "/api/nodes/", p.node, noID, nil},
		{http.MethodGet, "/api/images/", p.image, "none.qcow2", nil},
		{http.MethodDelete, "/api/images/", p.image, "none.qcow2", nil},
		{http.MethodGet, "/api/labs/", p.lab, noID, nil},
		{http.MethodDelete, "/api/labs/", p.lab, noID, nil},
		{http.MethodGet, "/api/jobs/", p.job, noID, nil},
		{http.MethodDelete, "/api/jobs/", p.job, noID, nil},
		{http.MethodDelete, "/api/tokens/", p.token, noID, nil},
		{http.MethodDelete, "/api/uploads/", p.upload, "none.qcow2", nil},
		{http.MethodDelete, "/api/auth/sessions/", p.token, noID, nil},
		{http.MethodPost, "/api/nodes?image=", p.image, "none.qcow2", "image"},
		{http.MethodGet, "/api/nodes/{}/snapshots", p.node, noID, nil},
		{http.MethodPost, "/api/nodes/{}/snapshots/kept/revert", p.node, noID, nil},
		{http.MethodDelete, "/api/nodes/{}/snapshots/kept", p.node, noID, nil},
		{http.MethodPost, "/api/nodes/{}/tickets", p.node, noID, nil},
		{http.MethodGet, "/api/images/{}/users", p.image, "none.qcow2", nil},
		{http.MethodGet, "/api/labs/{}/shares", p.lab, noID, nil},
	} {
		said := func(id string) string {
			path, body := strings.Replace(c.path, "{}", id, 1), c.body
			if !strings.Contains(c.path, "{}") {
				path += id
			}
			if c.body == "image" {
				path, body = "/api/nodes", request{"name": s.name("x"), "image": id}
			}
			a := s.send(c.method, path, body, tus(instructor)...)
			var problem map[string]any
			if a.status < 400 || json.Unmarshal(a.body, &problem) != nil {
				t.Fatalf("%s %s: %d %s", c.method, path, a.status, a.body)
			}
			return http.StatusText(a.status) + strings.ReplaceAll(string(a.body), id, "ID")
		}
		if theirs, none := said(c.id), said(c.none); theirs != none {
			t.Errorf("%s %s of another is answered %s, and of none %s", c.method, c.path, theirs, none)
		}
	}

	s.share("nodes", p.node, "users/student-use", "use")
	s.share("images", p.image, "users/student-use", "use")
	s.share("labs", p.lab, "users/student-use", "use")
	check := func(when string, want map[string]string, people ...int) {
		t.Helper()
		for what, ask := range map[string]func(who int) answer{
			"node":  func(who int) answer { return s.send(http.MethodGet, "/api/nodes/"+p.node, nil, s.as(who)...) },
			"image": func(who int) answer { return s.send(http.MethodGet, "/api/images/"+p.image, nil, s.as(who)...) },
			"lab":   func(who int) answer { return s.send(http.MethodGet, "/api/labs/"+p.lab, nil, s.as(who)...) },
			"job":   func(who int) answer { return s.send(http.MethodGet, "/api/jobs/"+p.job, nil, s.as(who)...) },
			"snapshots": func(who int) answer {
				return s.send(http.MethodGet, "/api/nodes/"+p.node+"/snapshots", nil, s.as(who)...)
			},
			"revert": func(who int) answer {
				return s.send(http.MethodPost, "/api/nodes/"+p.node+"/snapshots/none/revert", nil, s.as(who)...)
			},
			"rename": func(who int) answer {
				return s.send(http.MethodPatch, "/api/nodes/"+p.node, request{"name": ""}, s.as(who)...)
			},
			"rename the lab": func(who int) answer {
				return s.send(http.MethodPatch, "/api/labs/"+p.lab, request{"name": ""}, s.as(who)...)
			},
			"describe": func(who int) answer {
				return s.send(http.MethodPatch, "/api/images/"+p.image, request{"displayName": ""}, s.as(who)...)
			},
			"join": func(who int) answer {
				return s.send(http.MethodPost, "/api/nodes", request{"name": s.name("owned"), "image": "micro", "network": p.network}, s.as(who)...)
			},
			"delete the network": func(who int) answer {
				return s.send(http.MethodDelete, "/api/networks/"+p.network, nil, s.as(who)...)
			},
		} {
			if want[what] == "" {
				continue
			}
			codes := strings.Fields(want[what])
			for i, who := range people {
				var problem struct{ Code string }
				a := ask(who)
				_ = a.decode(&problem)
				if got := map[bool]string{true: "ok", false: problem.Code}[a.status < 300]; got != codes[i] {
					t.Errorf("%s, %s as %d: %d %s, want %s", when, what, who, a.status, a.body, codes[i])
				}
			}
		}
	}
	all := []int{owner, instructor, studentUse}
	check("at first", map[string]string{
		"node": "ok node_not_found ok", "image": "ok image_not_found ok", "lab": "ok not_found ok", "job": "ok job_not_found job_not_found",
		"snapshots": "ok node_not_found ok", "revert": "not_found node_not_found forbidden", "rename": "invalid_request node_not_found forbidden",
		"rename the lab": "invalid_request not_found forbidden", "describe": "invalid_request image_not_found forbidden",
		"join": "node_name_taken forbidden forbidden", "delete the network": "node_busy forbidden forbidden",
	}, all...)

	// The other instructor gets everything. The former owner, and whoever gets that name,
	// have no access.
	s.refused(http.MethodDelete, "/api/users/"+s.owner(), nil, refusal{http.StatusConflict, "still_owner", "1 node, 2 images, 1 lab, 1 network, 1 unfinished upload"}, s.as(admin)...)
	s.refused(http.MethodDelete, "/api/users/"+s.owner()+"?owned=transfer&to=nobody", nil, refusal{http.StatusUnprocessableEntity, "invalid_request", "not found"}, s.as(admin)...)
	s.refused(http.MethodDelete, "/api/users/"+s.owner()+"?owned=transfer&to="+s.owner(), nil, refusal{http.StatusUnprocessableEntity, "invalid_request", "another account"}, s.as(admin)...)
	s.refused(http.MethodDelete, "/api/users/"+s.owner()+"?owned=transfer", nil, refusal{http.StatusUnprocessableEntity, "invalid_request", ""}, s.as(admin)...)
	var owned api.Owned
	s.call(http.MethodGet, "/api/users/"+s.owner()+"/owned", nil, http.StatusOK, &owned, s.as(admin)...)
	if len(owned.Nodes) != 1 || owned.Nodes[0].ID != p.node || len(owned.Images) != 2 || len(owned.Labs) != 1 || len(owned.Networks) != 1 || owned.Uploads != 1 {
		t.Errorf("the account owns %+v", owned)
	}
	var started api.Job
	s.call(http.MethodDelete, "/api/users/"+s.owner()+"?owned=transfer&to=other", nil, http.StatusAccepted, &started, s.as(admin)...)
	s.ended(started.ID, "succeeded", s.as(admin)...)
	s.refused(http.MethodGet, "/api/nodes", nil, refusal{http.StatusUnauthorized, "unauthenticated", ""}, s.as(owner)...)
	s.bearer[owner] = s.enrol(s.owner(), "instructor")
	check("afterwards", map[string]string{
		"node": "node_not_found ok ok", "image": "image_not_found ok ok", "lab": "not_found ok ok", "job": "job_not_found job_not_found job_not_found",
		"snapshots": "node_not_found ok ok", "revert": "node_not_found not_found forbidden", "rename": "node_not_found invalid_request forbidden",
		"rename the lab": "not_found invalid_request forbidden", "describe": "image_not_found invalid_request forbidden",
		"join": "forbidden node_name_taken forbidden", "delete the network": "forbidden node_busy forbidden",
	}, all...)
	s.refused(http.MethodDelete, "/api/networks/"+p.network, nil, refusal{http.StatusForbidden, "forbidden", "belongs to other"}, s.as(owner)...)
	if text := s.virsh("dumpxml", p.node); !strings.Contains(text, ">other</") || strings.Contains(text, s.owner()+"</") {
		t.Errorf("the node's metadata names its former owner:\n%s", text)
	}

	// The command deletes an account with everything that it owns.
	if out, code := s.run("user", "delete", "other"); code != 1 || !strings.Contains(out, "it owns 1 node") {
		t.Errorf("user delete: %d %s", code, out)
	}
	if out, code := s.run("user", "delete", "other", "--transfer-to=other"); code != 1 || !strings.Contains(out, "another account") {
		t.Errorf("user delete --transfer-to itself: %d %s", code, out)
	}
	if out, code := s.run("user", "delete", "other", "--delete-owned"); code != 0 || !strings.Contains(out, "Account deleted") {
		t.Errorf("user delete --delete-owned: %d %s", code, out)
	}
	s.bearer[instructor] = s.bearer[admin]
	check("at last", map[string]string{"node": "node_not_found", "image": "image_not_found", "lab": "not_found"}, admin)
	if nets := s.virsh("net-list", "--all", "--name"); strings.Contains(nets, p.network) {
		t.Errorf("the network of a deleted account is left:\n%s", nets)
	}
}
