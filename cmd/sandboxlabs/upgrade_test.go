package main

import (
	"database/sql"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/pquerna/otp/totp"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// upgradeState describes the data that an earlier version has left; see
// testdata/upgrade/make.py.
type upgradeState struct {
	Nodes     map[string]string // ids by short name
	Image     string            // owned by ann, shared with the group of cat (view)
	Captured  string            // owned by ann
	Lab       string            // owned by ann, with node "plain", shared with bob (view)
	Job       string            // of ann, ended
	Upload    string            // of ann, incomplete
	SSHKey    string            // of ann
	Passwords map[string]string
	Tokens    map[string]string
	TOTP      string // of tess
	Recovery  []string
}

var xmlUUID = regexp.MustCompile(`<uuid>([^<]+)</uuid>`)

// restore adds the data of an earlier version to a lab that has the micro image: the
// database, the domains and networks under names and ids that are unique to the lab, and
// their volumes.
func (l *lab) restore(folder string) (known upgradeState) {
	t := l.t
	t.Helper()
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	defined, err := filepath.Glob(filepath.Join(folder, "*-*.xml"))
	if err != nil || len(defined) == 0 {
		t.Fatalf("nothing is defined in %s: %v", folder, err)
	}
	own := []string{"sbt-upgrade", l.prefix, "course-net1", l.name("net1")}
	for _, file := range defined {
		id := xmlUUID.FindStringSubmatch(read(filepath.Base(file)))[1]
		own = append(own, id, uuid.NewString())
	}
	replace := strings.NewReplacer(own...)
	if err := json.Unmarshal([]byte(replace.Replace(read("known.json"))), &known); err != nil {
		t.Fatal(err)
	}

	l.dataDir = t.TempDir()
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(l.dataDir, "sandboxlabs.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{replace.Replace(read("database.sql")), "UPDATE uploads SET expires = '" + time.Now().UTC().Add(time.Hour).Format(time.DateTime) + "+00:00'"} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(l.dataDir, "secrets.key"), []byte(read("secrets.key")), 0o600); err != nil {
		t.Fatal(err)
	}

	for _, image := range []string{known.Image, known.Captured} {
		l.virsh("vol-create-as", l.imagesPool(), image, "16M", "--format", "qcow2")
	}
	for name, id := range known.Nodes {
		base := "micro.qcow2"
		if name == "plain" {
			base = known.Image
		}
		var volume libvirtxml.StorageVolume
		if err := volume.Unmarshal(l.virsh("vol-dumpxml", base, "--pool", l.imagesPool())); err != nil {
			t.Fatal(err)
		}
		l.virsh("vol-create-as", l.nodesPool(), id+".qcow2", strconv.FormatUint(volume.Capacity.Value, 10)+"B", "--format", "qcow2",
			"--backing-vol", filepath.Join(poolsFolder, l.imagesPool(), base), "--backing-vol-format", "qcow2")
	}
	slices.Sort(defined) // networks before nodes
	for _, file := range defined {
		l.defineUnique(replace.Replace(read(filepath.Base(file))))
	}
	return known
}

// defineUnique defines a domain or a network with addresses that nothing else has.
func (l *lab) defineUnique(text string) {
	t := l.t
	t.Helper()
	file := filepath.Join(t.TempDir(), "define.xml")
	write := func(text string, err error) {
		if err == nil {
			err = os.WriteFile(file, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if strings.HasPrefix(strings.TrimSpace(text), "<network") {
		var network libvirtxml.Network
		if err := network.Unmarshal(text); err != nil {
			t.Fatal(err)
		}
		network.Bridge, network.MAC = nil, nil
		write(network.Marshal())
		t.Cleanup(func() {
			_, _ = l.tryVirsh("net-destroy", network.Name)
			_, _ = l.tryVirsh("net-undefine", network.Name)
		})
		l.virsh("net-define", file)
		l.virsh("net-start", network.Name)
		return
	}
	var domain libvirtxml.Domain
	if err := domain.Unmarshal(text); err != nil {
		t.Fatal(err)
	}
	for i := range domain.Devices.Interfaces {
		domain.Devices.Interfaces[i].MAC = nil
	}
	write(domain.Marshal())
	l.virsh("define", file)
}

// TestUpgrade starts the program with the data of each earlier version. Accounts, nodes,
// images, labs and shares must work as before.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	states, err := filepath.Glob("testdata/upgrade/*/known.json")
	if err != nil || len(states) == 0 {
		t.Fatalf("there are no states to upgrade from: %v", err)
	}
	for _, file := range states {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.addMicro()
			s := &school{lab: l}
			known := l.restore(filepath.Dir(file))
			l.auth = true
			l.start()
			s.upgraded(known)
			s.ownersAreRecorded(known)
			s.stop()
			s.start()
			s.upgraded(known)
			s.inheritsNothing(known)
			s.runsAgain(known)
		})
	}
}

// with returns the headers of a request with a token of the state.
func with(token string) []string { return []string{"Authorization", "Bearer " + token} }

// upgraded compares what users have with what they had before.
func (s *school) upgraded(known upgradeState) {
	t := s.t
	t.Helper()
	for _, name := range []string{"admin", "ann", "bob", "cat", "eve", "fresh"} {
		a := s.tryLogin(request{"username": name, "password": known.Passwords[name]})
		if a.status != http.StatusOK || a.MustChangePassword != (name == "fresh") || a.User.Name != name {
			t.Errorf("%s signs in: %d %s", name, a.status, a.body)
		}
	}
	if a := s.tryLogin(request{"username": "gone", "password": known.Passwords["gone"]}); a.status != http.StatusUnauthorized {
		t.Errorf("a deleted account signs in: %d", a.status)
	}
	var me api.SignedIn
	s.call(http.MethodGet, "/api/auth/me", nil, http.StatusOK, &me, with(known.Tokens["ann"])...)
	if len(me.SSHKeys) != 1 || me.SSHKeys[0] != known.SSHKey || me.Quota == nil || *me.Quota.Nodes != 3 || *me.Used.Nodes != 2 {
		t.Errorf("ann is %+v", me)
	}

	for who, want := range map[string]string{
		"admin": "evil=eve/manage plain=ann/manage web=ann/manage", "ann": "plain=ann/manage web=ann/manage", "ann-reads": "plain=ann/view web=ann/view",
		"bob": "plain=ann/view web=ann/use", "eve": "evil=eve/manage", "cat": "",
	} {
		var list struct{ Nodes []api.Node }
		s.call(http.MethodGet, "/api/nodes", nil, http.StatusOK, &list, with(known.Tokens[who])...)
		var got []string
		for _, n := range list.Nodes {
			if n.Managed && strings.HasPrefix(n.Name, s.prefix) {
				got = append(got, strings.TrimPrefix(n.Name, s.prefix+"-")+"="+n.Owner+"/"+n.Access)
			}
		}
		slices.Sort(got)
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s has the nodes %q, want %q", who, text, want)
		}
	}
	for who, want := range map[string]string{"ann": "manage manage", "ann-reads": "view view", "bob": "", "cat": "view", "eve": ""} {
		var list imageList
		s.call(http.MethodGet, "/api/images", nil, http.StatusOK, &list, with(known.Tokens[who])...)
		var got []string
		for _, i := range list.CustomImages {
			if i.ID == known.Image || i.ID == known.Captured {
				got = append(got, i.Access)
			}
		}
		if text := strings.Join(got, " "); text != want || len(list.BaseImages) != 1 {
			t.Errorf("%s has the images %q, want %q; base images %+v", who, text, want, list.BaseImages)
		}
	}
	for who, want := range map[string]int{"ann": http.StatusOK, "bob": http.StatusOK, "eve": http.StatusNotFound, "cat": http.StatusNotFound} {
		a := s.send(http.MethodGet, "/api/labs/"+known.Lab, nil, with(known.Tokens[who])...)
		var v api.Lab
		if a.status != want || (want == http.StatusOK && (a.decode(&v) != nil || v.Owner != "ann" || len(v.Nodes) != 1 || len(v.Networks) != 1 || len(v.Networks[0].Nodes) != 1)) {
			t.Errorf("%s has the lab: %d %s", who, a.status, a.body)
		}
	}
	for who, want := range map[string]int{"ann": http.StatusOK, "admin": http.StatusOK, "eve": http.StatusNotFound} {
		if a := s.send(http.MethodGet, "/api/jobs/"+known.Job, nil, with(known.Tokens[who])...); a.status != want || (want == http.StatusOK && !strings.Contains(string(a.body), `"owner":"ann"`)) {
			t.Errorf("%s has the job: %d %s", who, a.status, a.body)
		}
		if a := s.send(http.MethodHead, "/api/uploads/"+known.Upload, nil, append(with(known.Tokens[who]), "Tus-Resumable", "1.0.0")...); a.status != want {
			t.Errorf("%s has the upload: %d", who, a.status)
		}
	}
	var networks struct{ Networks []api.Network }
	s.call(http.MethodGet, "/api/networks", nil, http.StatusOK, &networks, with(known.Tokens["admin"])...)
	owners := map[string]string{}
	for _, v := range networks.Networks {
		if v.Managed {
			owners[v.Name] = v.Owner
		}
	}
	if owners[s.name("ann")] != "ann" || owners[s.name("net1")] != "ann" || owners[s.name("gone")] != "gone" {
		t.Errorf("the networks belong to %v", owners)
	}
}

// ownersAreRecorded waits until the owners' ids are recorded with their names, and tries
// the second factor.
func (s *school) ownersAreRecorded(known upgradeState) {
	t := s.t
	t.Helper()
	until(t, promptly, said("the ids of owners are recorded"), func() bool {
		for _, id := range known.Nodes {
			if !strings.Contains(s.virsh("dumpxml", id), "owner id=") {
				return false
			}
		}
		return strings.Contains(s.virsh("net-dumpxml", "--inactive", s.name("ann")), "owner id=")
	})
	if text := s.virsh("net-dumpxml", "--inactive", s.name("gone")); strings.Contains(text, "owner id=") {
		t.Errorf("the network of a deleted account has an owner:\n%s", text)
	}
	code, err := totp.GenerateCode(known.TOTP, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{code, known.Recovery[0]} {
		if a := s.tryLogin(request{"username": "tess", "password": known.Passwords["tess"], "code": code}); a.status != http.StatusOK || !a.TOTP {
			t.Errorf("tess signs in: %d %s", a.status, a.body)
		}
	}
}

// inheritsNothing creates accounts with the names of deleted ones, which must get none of
// their things.
func (s *school) inheritsNothing(known upgradeState) {
	t := s.t
	t.Helper()
	s.bearer[admin] = known.Tokens["admin"]
	gone := with(s.enrol("gone", "instructor"))
	s.refused(http.MethodDelete, "/api/networks/"+s.name("gone"), nil, refusal{http.StatusForbidden, "forbidden", ""}, gone...)

	var started api.Job
	s.call(http.MethodDelete, "/api/users/eve?owned=transfer&to=ann", nil, http.StatusAccepted, &started, s.as(admin)...)
	s.ended(started.ID, "succeeded", s.as(admin)...)
	eve := with(s.enrol("eve", "instructor"))
	var list struct{ Nodes []api.Node }
	s.call(http.MethodGet, "/api/nodes", nil, http.StatusOK, &list, eve...)
	if len(list.Nodes) != 0 {
		t.Errorf("a new eve has the nodes %+v", list.Nodes)
	}
	s.refused(http.MethodGet, "/api/nodes/"+known.Nodes["evil"], nil, refusal{http.StatusNotFound, "node_not_found", ""}, eve...)
	var n api.Node
	if s.call(http.MethodGet, "/api/nodes/"+known.Nodes["evil"], nil, http.StatusOK, &n, with(known.Tokens["ann"])...); n.Owner != "ann" || n.Access != "manage" {
		t.Errorf("eve's node is %+v", n)
	}
}

// runsAgain boots a node as a user that it is shared with.
func (s *school) runsAgain(known upgradeState) {
	takeGuest(s.t)
	s.token = known.Tokens["bob"]
	defer func() { s.token = "" }()
	s.act(known.Nodes["web"], "run", nil)
	console := s.console(known.Nodes["web"])
	console.login()
	console.shell("echo it is $((6*7))", "it is 42")
}

// ended waits until a job has ended, and fails if it is in another state than state.
func (s *school) ended(id, state string, header ...string) api.Job {
	s.t.Helper()
	var j api.Job
	until(s.t, patience, func() string { return "the job has ended; it is " + j.State }, func() bool {
		s.call(http.MethodGet, "/api/jobs/"+id, nil, http.StatusOK, &j, header...)
		return j.Finished != nil
	})
	if j.State != state {
		s.t.Fatalf("the job is %+v, want %s (%+v)", j, state, j.Error)
	}
	return j
}
