package main

import (
	"net/http"
	"strings"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// TestNothingComesBack makes an instructor revert and clone their node when its state
// includes, or included, devices that they are not allowed to attach now: an interface on another
// user's network, another user's image in its drive, user-mode networking, and a host file
// as a serial port.
func TestNothingComesBack(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	s.bearer[owner], s.bearer[instructor] = s.enrol(s.owner(), "instructor"), s.enrol(s.name("colleague"), "instructor")
	s.removeNetworks("theirs", "mine")
	for who, name := range map[int]string{instructor: "theirs", owner: "mine"} {
		s.call(http.MethodPost, "/api/networks", request{"name": s.name(name)}, http.StatusCreated, nil, s.as(who)...)
	}
	n := s.nodeOf(owner, "n")
	path := "/api/nodes/" + n.ID
	take := func(name string) {
		t.Helper()
		s.call(http.MethodPost, path+"/snapshots", request{"name": name}, http.StatusCreated, nil, s.as(owner)...)
	}
	revert := func(who int, name string) answer {
		t.Helper()
		return s.send(http.MethodPost, path+"/snapshots/"+name+"/revert", nil, s.as(who)...)
	}
	clone := func(who int, mode string) answer {
		t.Helper()
		return s.send(http.MethodPost, path+"/clone", request{"name": s.name("clone"), "mode": mode}, s.as(who)...)
	}
	allowed := func(what string, a answer, status int) {
		t.Helper()
		if a.status != status {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
	forbidden := func(why string) refusal { return refusal{http.StatusForbidden, "forbidden", why} }
	plug := func(who int, network string) (mac string) {
		t.Helper()
		var card api.Interface
		s.call(http.MethodPost, path+"/interfaces", request{"network": s.name(network)}, http.StatusCreated, &card, s.as(who)...)
		return card.MAC
	}
	unplug := func(mac string) {
		t.Helper()
		s.call(http.MethodDelete, path+"/interfaces/"+mac, nil, http.StatusNoContent, nil, s.as(admin)...)
	}

	var plain api.Node
	if a := clone(owner, "linked"); a.status != http.StatusCreated || a.decode(&plain) != nil {
		t.Fatalf("the clone of a node with nothing special: %d %s", a.status, a.body)
	}
	s.call(http.MethodDelete, "/api/nodes/"+plain.ID, nil, http.StatusNoContent, nil, s.as(owner)...)
	take("bare")
	// A device that the instructor may attach now is restored.
	mac := plug(owner, "mine")
	take("own")
	unplug(mac)
	allowed("a card on one's own network", revert(owner, "own"), http.StatusOK)
	if nets := s.nodeAs(n.ID, owner).Networks; len(nets) != 2 {
		t.Errorf("after the revert the node is on %q", nets)
	}
	allowed("back again", revert(owner, "bare"), http.StatusOK)

	// An interface on another user's network, which an administrator attached and detached.
	mac = plug(admin, "theirs")
	take("card")
	for _, mode := range []string{"linked", "full"} {
		forbidden("a card on network").check(t, mode+" clone", clone(owner, mode))
	}
	unplug(mac)
	forbidden("a card on network \""+s.name("theirs")).check(t, "revert to a card", revert(owner, "card"))
	if nets := s.nodeAs(n.ID, owner).Networks; len(nets) != 1 {
		t.Errorf("after a refused revert the node is on %q", nets)
	}
	allowed("an administrator's revert", revert(admin, "card"), http.StatusOK)
	allowed("a card that is there already", revert(owner, "card"), http.StatusOK)
	allowed("back again", revert(owner, "bare"), http.StatusOK)

	// Another user's image in the drive.
	s.token = s.bearer[instructor]
	iso := s.uploadISO("theirs.iso")
	s.token = ""
	s.call(http.MethodPut, path+"/media", request{"image": iso.ID}, http.StatusOK, nil, s.as(admin)...)
	take("media")
	notTheirs := refusal{http.StatusNotFound, "image_not_found", iso.Path}
	notTheirs.check(t, "clone with media", clone(owner, "linked"))
	s.call(http.MethodPut, path+"/media", request{"image": ""}, http.StatusOK, nil, s.as(admin)...)
	notTheirs.check(t, "revert to media", revert(owner, "media"))
	allowed("back again", revert(owner, "bare"), http.StatusOK)

	// Devices that can only be added in the domain XML.
	for name, give := range map[string]func(d *libvirtxml.Domain){
		"user": func(d *libvirtxml.Domain) { d.Devices.Interfaces = append(d.Devices.Interfaces, userCard()) },
		"file": func(d *libvirtxml.Domain) {
			d.Devices.Serials = append(d.Devices.Serials, libvirtxml.DomainSerial{Source: &libvirtxml.DomainChardevSource{File: &libvirtxml.DomainChardevSourceFile{Path: "/var/tmp/" + s.name("serial")}}})
		},
	} {
		before := s.virsh("dumpxml", "--inactive", "--security-info", n.ID)
		d := s.definition(n.ID, "--inactive", "--security-info")
		give(&d)
		s.define(d)
		take(name)
		want := forbidden("Only administrators")
		if name == "user" {
			want = refusal{http.StatusForbidden, "user_network_off", "User-mode networking is off"}
		}
		want.check(t, "clone with "+name, clone(owner, "linked"))
		var was libvirtxml.Domain
		if err := was.Unmarshal(before); err != nil {
			t.Fatal(err)
		}
		s.define(was)
		want.check(t, "revert to "+name, revert(owner, name))
		a := revert(admin, name)
		if name == "user" {
			want.check(t, "an administrator's revert to "+name, a)
		} else {
			allowed("an administrator's revert to "+name, a, http.StatusOK)
		}
		allowed("back again", revert(owner, "bare"), http.StatusOK)
		if text := s.virsh("dumpxml", "--inactive", n.ID); strings.Contains(text, "type='user'") || strings.Contains(text, s.name("serial")) {
			t.Errorf("it is left with %s:\n%s", name, text)
		}
	}
	s.stop()
}

// nodeAs reads a node as the given user.
func (s *school) nodeAs(id string, who int) (n api.Node) {
	s.t.Helper()
	s.call(http.MethodGet, "/api/nodes/"+id, nil, http.StatusOK, &n, s.as(who)...)
	return n
}
