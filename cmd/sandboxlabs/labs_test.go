package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// networks lists the lab's own networks in libvirt.
func (l *lab) networks() (names []string) {
	list, _ := l.tryVirsh("net-list", "--all", "--name")
	for name := range strings.FieldsSeq(list) {
		if strings.HasPrefix(name, l.prefix) {
			names = append(names, name)
		}
	}
	return names
}

// wantNoNetworksLeft expects the test to leave no networks, and removes those that it
// leaves.
func (l *lab) wantNoNetworksLeft() {
	l.t.Cleanup(func() {
		for _, name := range l.networks() {
			_, _ = l.tryVirsh("net-destroy", name)
			_, _ = l.tryVirsh("net-undefine", name)
			l.t.Errorf("network %s is left behind", name)
		}
	})
}

// TestLabs draws a lab, and checks what exists of it in libvirt and who sees it.
func TestLabs(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	s.wantNoNetworksLeft()
	s.bearer[owner], s.bearer[student] = s.enrol(s.owner(), "instructor"), s.enrol("student", "student")
	mine := s.as(owner)
	a, b, other := s.nodeOf(owner, "a"), s.nodeOf(owner, "b"), s.nodeOf(admin, "other")
	id := s.labOf(owner, "drawn")
	path, second := "/api/labs/"+id, s.labOf(owner, "second")
	var v api.Lab
	put := func(node string, x, y float64) {
		t.Helper()
		s.call(http.MethodPut, path+"/nodes/"+node, request{"x": x, "y": y}, http.StatusOK, &v, mine...)
	}
	put(a.ID, 0, 0)
	put(b.ID, 400, 100)

	// A link between two nodes creates a network, placed half-way between them.
	s.call(http.MethodPost, path+"/links", request{"from": a.ID, "to": b.ID}, http.StatusOK, &v, mine...)
	if len(v.Networks) != 1 {
		t.Fatalf("after a link was drawn the lab is %+v", v)
	}
	net := v.Networks[0]
	if want := s.name("drawn") + "-net1"; net.Name != want || !net.Active || !net.DHCP || net.X != 200 || net.Y != 50 || len(net.Nodes) != 2 {
		t.Errorf("the network is %+v", net)
	}
	if text := s.virsh("net-dumpxml", net.ID); strings.Contains(text, "<forward") || !strings.Contains(text, `">`+s.owner()+"</owner>") {
		t.Errorf("libvirt has the network as\n%s", text)
	}
	cards := func(node api.Node) int { return strings.Count(s.virsh("domiflist", node.ID), net.Name) }
	s.call(http.MethodPost, path+"/links", request{"from": b.ID, "to": net.ID}, http.StatusOK, &v, mine...) // already connected
	if cards(a) != 1 || cards(b) != 1 {
		t.Errorf("they have %d and %d cards on it", cards(a), cards(b))
	}

	// What is refused, with the reason.
	for _, c := range []struct {
		method, path string
		body         any
		want         refusal
	}{
		{http.MethodPost, path + "/links", request{"from": a.ID, "to": a.ID}, refusal{422, "invalid_request", "another node or to a network"}},
		{http.MethodPost, path + "/links", request{"from": net.ID, "to": a.ID}, refusal{422, "invalid_request", "is not in the lab"}},
		{http.MethodPost, path + "/links", request{"from": a.ID, "to": other.ID}, refusal{422, "invalid_request", "Add it first"}},
		{http.MethodPut, path + "/nodes/" + other.ID, request{"x": 0, "y": 0}, refusal{404, "node_not_found", ""}},
		{http.MethodPut, path + "/nodes/" + a.ID, request{"x": 1e9, "y": 0}, refusal{422, "invalid_request", "pixels"}},
		{http.MethodPut, path + "/positions", request{"positions": []request{{"id": a.ID, "x": 0, "y": -1e9}}}, refusal{422, "invalid_request", "pixels"}},
		{http.MethodPut, "/api/labs/" + second + "/nodes/" + a.ID, request{"x": 0, "y": 0}, refusal{409, "node_busy", "another lab"}},
		{http.MethodPost, "/api/labs", request{"name": "a\x00b"}, refusal{422, "invalid_request", "control character"}},
		{http.MethodPost, "/api/labs", request{"name": strings.Repeat("é", 65)}, refusal{422, "invalid_request", "64"}},
		{http.MethodGet, "/api/labs/nosuch", nil, refusal{404, "not_found", "nosuch"}},
	} {
		c.want.check(t, c.method+" "+c.path, s.send(c.method, c.path, c.body, mine...))
	}

	// Everyone sees the same positions, and nothing else moves.
	s.call(http.MethodPut, path+"/positions", request{"positions": []request{{"id": net.ID, "x": 8, "y": 16.5}, {"id": noID, "x": 1, "y": 1}}}, http.StatusNoContent, nil, mine...)
	s.call(http.MethodGet, path, nil, http.StatusOK, &v, s.as(admin)...)
	if v.Networks[0].X != 8 || v.Networks[0].Y != 16.5 || !slices.Contains(v.Nodes, api.LabNode{ID: b.ID, X: 400, Y: 100}) {
		t.Errorf("after a move the lab is %+v", v)
	}

	// A shared lab shows its nodes, also those added later. When the share ends, it shows
	// none.
	sees := func(path string, want int) {
		t.Helper()
		if got := s.send(http.MethodGet, path, nil, s.as(student)...).status; got != want {
			t.Errorf("the student asks for %s: %d, want %d", path, got, want)
		}
	}
	told := s.followWith(t.Context(), s.as(student)...)
	ofLab := func(kind string) func(serverEvent) bool {
		return func(e serverEvent) bool { return e.kind == kind && strings.Contains(string(e.data), id) }
	}
	sees(path, http.StatusNotFound)
	s.share("labs", id, "users/student", "use")
	sees(path, http.StatusOK)
	told.await("the student is notified of the lab", promptly, ofLab("lab.changed"))
	sees("/api/nodes/"+a.ID, http.StatusOK)
	sees("/api/nodes/"+other.ID, http.StatusNotFound)
	if got := s.send(http.MethodDelete, path+"/nodes/"+a.ID, nil, s.as(student)...).status; got != http.StatusForbidden {
		t.Errorf("the student takes a node out: %d", got)
	}
	s.call(http.MethodDelete, path+"/nodes/"+b.ID, nil, http.StatusOK, nil, mine...)
	sees("/api/nodes/"+b.ID, http.StatusNotFound)
	put(b.ID, 0, 0)
	s.call(http.MethodDelete, path+"/shares/users/student", nil, http.StatusNoContent, nil, mine...)
	sees("/api/nodes/"+a.ID, http.StatusNotFound)
	told.await("the lab is gone for the student", promptly, ofLab("lab.removed"))

	// Its network is for its nodes: nobody else can connect theirs to it, or learn which
	// ones are connected.
	s.bearer[instructor] = s.enrol("colleague", "instructor")
	theirs := refusal{http.StatusForbidden, "forbidden", "belongs to " + s.owner()}
	alone := s.nodeOf(instructor, "alone")
	s.refused(http.MethodPost, "/api/nodes/"+alone.ID+"/interfaces", request{"network": net.Name}, theirs, s.as(instructor)...)
	s.refused(http.MethodPost, "/api/nodes", request{"name": s.name("guest"), "baseImage": "micro", "network": net.Name}, theirs, s.as(instructor)...)
	s.refused(http.MethodPost, "/api/nodes", request{"name": s.name("guest"), "baseImage": "micro", "network": "nosuch"}, refusal{http.StatusUnprocessableEntity, "invalid_request", "not found on host"}, s.as(instructor)...)
	s.call(http.MethodPut, path+"/nodes/"+other.ID, request{"x": 0, "y": 0}, http.StatusOK, nil, s.as(admin)...)
	s.call(http.MethodPost, path+"/links", request{"from": other.ID, "to": net.ID}, http.StatusOK, nil, s.as(admin)...)
	s.refused(http.MethodDelete, path+"/networks/"+net.ID, nil, refusal{http.StatusForbidden, "forbidden", "nodes that you can't change"}, mine...)
	if text := string(s.send(http.MethodDelete, "/api/networks/"+net.Name, nil, mine...).body); !strings.Contains(text, "1 other node") || strings.Contains(text, other.Name) {
		t.Errorf("the network with another user's node on it is not deleted: %s", text)
	}
	if cards(other) != 1 {
		t.Errorf("the administrator's node has %d cards on the network", cards(other))
	}
	s.call(http.MethodDelete, path+"/links/"+other.ID+"/"+net.ID, nil, http.StatusOK, nil, s.as(admin)...)
	s.call(http.MethodDelete, path+"/nodes/"+other.ID, nil, http.StatusOK, nil, s.as(admin)...)

	// Deleting a node or a network deletes its links, and nothing else.
	s.call(http.MethodDelete, path+"/links/"+a.ID+"/"+net.ID, nil, http.StatusOK, &v, mine...)
	if cards(a) != 0 || cards(b) != 1 || len(v.Networks) != 1 {
		t.Errorf("without its link a has %d cards, and the lab is %+v", cards(a), v)
	}
	s.call(http.MethodDelete, path+"/networks/"+net.ID, nil, http.StatusOK, &v, mine...)
	if len(v.Networks) != 0 || strings.Contains(s.virsh("net-list", "--all", "--name"), net.Name) {
		t.Errorf("the network is still there: %+v", v)
	}
	s.call(http.MethodDelete, "/api/nodes/"+b.ID, nil, http.StatusNoContent, nil, mine...)
	s.call(http.MethodGet, path, nil, http.StatusOK, &v, mine...)
	if len(v.Nodes) != 1 {
		t.Errorf("after a node was deleted the lab is %+v", v)
	}
	s.refused(http.MethodDelete, "/api/users/"+s.owner(), nil, refusal{http.StatusConflict, "still_owner", "2 labs"}, s.as(admin)...)
	s.call(http.MethodDelete, path, nil, http.StatusNoContent, nil, mine...)
	s.call(http.MethodPut, "/api/labs/"+second+"/nodes/"+a.ID, request{"x": 0, "y": 0}, http.StatusOK, nil, mine...)
	if n := s.send(http.MethodGet, "/api/nodes/"+a.ID, nil, mine...); n.status != http.StatusOK {
		t.Errorf("the node of a deleted lab: %d", n.status)
	}
}
