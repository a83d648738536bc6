package main

import (
	"net/http"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// file returns a lab file whose nodes are all connected to each of the networks.
func (l *lab) file(nodes, networks int) request {
	var nets, machines []request
	var names []string
	for i := range networks {
		name := "wire" + strconv.Itoa(i)
		names = append(names, name)
		nets = append(nets, request{"name": name, "addresses": i == 0, "x": 100 * i, "y": 50})
	}
	for i := range nodes {
		machines = append(machines, request{
			"name": l.name("m" + strconv.Itoa(i)), "image": "micro", "osType": "linux", "ram": 64, "cpus": 1, "disk": 1 << 30, "networks": names, "x": 10 * i, "y": -7.5,
		})
	}
	return request{"sandboxlabs": "lab/1", "name": l.name("drawn"), "networks": nets, "nodes": machines}
}

// wantImported expects a complete lab and nothing else.
func (l *lab) wantImported(id string, nodes, networks int) api.Lab {
	l.t.Helper()
	var v api.Lab
	l.call(http.MethodGet, "/api/labs/"+id, nil, http.StatusOK, &v)
	if len(v.Nodes) != nodes || len(v.Networks) != networks {
		l.t.Fatalf("the lab is %+v", v)
	}
	if got := l.networks(); len(got) != networks {
		l.t.Errorf("libvirt has the networks %q", got)
	}
	for i, n := range v.Networks {
		if len(n.Nodes) != nodes || !n.Active || n.Y != 50 {
			l.t.Errorf("network %d is %+v", i, n)
		}
	}
	var files []string
	for _, n := range v.Nodes {
		files = append(files, n.ID+".qcow2")
		if cards := l.definition(n.ID).Devices.Interfaces; len(cards) != 1+networks {
			l.t.Errorf("node %s has %d cards", n.ID, len(cards))
		}
		if n.Y != -7.5 {
			l.t.Errorf("a node stands at %+v", n)
		}
	}
	l.wantVolumes(l.nodesPool(), files...)
	if got := l.domains(); len(got) != nodes {
		l.t.Errorf("the domains are %q", got)
	}
	return v
}

// deleteLab deletes a lab and everything in it.
func (l *lab) deleteLab(v api.Lab) {
	l.t.Helper()
	for _, n := range v.Nodes {
		l.delete(n.ID)
	}
	for _, n := range v.Networks {
		l.call(http.MethodDelete, "/api/labs/"+v.ID+"/networks/"+n.ID, nil, http.StatusOK, nil)
	}
	l.call(http.MethodDelete, "/api/labs/"+v.ID, nil, http.StatusNoContent, nil)
}

// An import is one job. If the service is killed during it, the job continues to its end
// and creates nothing twice. If the job is cancelled, it leaves nothing.
func TestImportOfALab(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("networks take root")
	}
	l := newLab(t)
	l.wantNoNetworksLeft()
	l.addMicro()

	// Killed after a disk was created that no domain has yet.
	l.launch([]string{crashVariable + "=" + afterOverlay})
	l.awaitHealth("ok")
	j := l.startJob("/api/labs/import", l.file(2, 2))
	if j.Kind != "lab.import" || j.Target.Type != "lab" || j.Unit != "parts" {
		t.Errorf("the job is %+v", j)
	}
	if code := l.service.code(t, promptly); code != -1 {
		t.Fatalf("the service ended with %d instead of being killed:\n%s", code, l.service.log)
	}
	l.client.CloseIdleConnections()
	if left := l.volumes(l.nodesPool()); len(left) != 1 || len(l.networks()) != 2 {
		t.Fatalf("the crash left volumes %q and networks %q; the test missed its moment", left, l.networks())
	}
	l.start()
	if j = l.awaitJob(j.ID, "succeeded"); j.Done != 8 || j.Total != 8 {
		t.Errorf("at its end the job reports %d of %d", j.Done, j.Total)
	}
	l.deleteLab(l.wantImported(j.Target.ID, 2, 2))

	// Killed at an arbitrary moment when a part of the lab exists.
	const many = 8
	begun := func() api.Job {
		t.Helper()
		j := l.startJob("/api/labs/import", l.file(many, 1))
		until(t, promptly, said("some of it is made"), func() bool { return l.job(j.ID).Done >= 4 })
		return j
	}
	j = begun()
	l.kill()
	if made := len(l.domains()); made == many {
		t.Log("the import was faster than the kill")
	}
	l.start()
	l.awaitJob(j.ID, "succeeded")
	v := l.wantImported(j.Target.ID, many, 1)

	// Two imports at once: names that are in use are not used twice.
	j = l.startJob("/api/labs/import", l.file(1, 0))
	l.awaitJob(j.ID, "succeeded")
	var beside api.Lab
	l.call(http.MethodGet, "/api/labs/"+j.Target.ID, nil, http.StatusOK, &beside)
	if n := l.node(beside.Nodes[0].ID); n.Name != l.name("m0-2") {
		t.Errorf("beside %s it is named %s", l.name("m0"), n.Name)
	}
	l.deleteLab(beside)
	l.deleteLab(v)

	// Cancelled.
	j = begun()
	l.call(http.MethodPost, "/api/jobs/"+j.ID+"/cancel", nil, http.StatusOK, nil)
	until(t, patience, said("the job has ended"), func() bool { return l.job(j.ID).Finished != nil })
	if j = l.job(j.ID); j.State != "cancelled" {
		t.Fatalf("cancelled, the job is %s: %+v", j.State, j.Error)
	}
	l.wantVolumes(l.nodesPool())
	if domains, networks := l.domains(), l.networks(); len(domains)+len(networks) > 0 {
		t.Errorf("an import that was cancelled leaves the domains %q and the networks %q", domains, networks)
	}
	l.refused(http.MethodGet, "/api/labs/"+j.Target.ID, nil, refusal{http.StatusNotFound, "not_found", j.Target.ID})
	if n := l.rows("intents"); n != 0 {
		t.Errorf("%d intents are left", n)
	}
	l.stop()
}

// Rights and quotas apply to a lab file. It is refused as a whole before anything is
// created, and the error names the position in the file.
func TestImportOfABadLab(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	s.bearer[owner] = s.enrol(s.owner(), "instructor")
	secret := s.imageOf(admin, s.qemuImage("1M"))
	with := func(change func(file, node request)) request {
		file := s.file(2, 1)
		change(file, file["nodes"].([]request)[1])
		return file
	}
	for _, c := range []struct {
		file any
		want refusal
	}{
		{"<lab/>", refusal{422, "invalid_request", ""}},
		{[]int{1}, refusal{422, "invalid_request", "object"}},
		{request{}, refusal{422, "invalid_request", "sandboxlabs"}},
		{with(func(f, _ request) { f["sandboxlabs"] = "lab/2" }), refusal{422, "invalid_request", "lab/1"}},
		{with(func(f, _ request) { f["name"] = "a\x00b" }), refusal{422, "invalid_request", "control character"}},
		{with(func(f, _ request) { f["more"] = 1 }), refusal{422, "invalid_request", "more: unexpected property"}},
		{with(func(f, n request) { f["nodes"] = slices.Repeat([]request{n}, 101) }), refusal{422, "invalid_request", "nodes"}},
		{with(func(_, n request) { n["name"] = "../etc" }), refusal{422, "invalid_request", "nodes[1].name: "}},
		{with(func(_, n request) { n["name"] = s.name("m0") }), refusal{422, "invalid_request", "nodes[1].name: the name"}},
		{with(func(_, n request) { n["networks"] = []string{"nowhere"} }), refusal{422, "invalid_request", `nodes[1].networks[0]: network "nowhere" is not in the file`}},
		{with(func(_, n request) { n["networks"] = []string{"wire0", "wire0"} }), refusal{422, "invalid_request", "nodes[1].networks[1]"}},
		{with(func(_, n request) { n["image"] = "nosuch" }), refusal{404, "image_not_found", "nodes[1]: "}},
		{with(func(_, n request) { n["image"] = secret.ID }), refusal{404, "image_not_found", "nodes[1]: "}},
		{with(func(_, n request) { n["ram"] = 1 }), refusal{422, "invalid_request", "nodes[1].ram: "}},
		{with(func(_, n request) { n["ram"] = "64" }), refusal{422, "invalid_request", "nodes[1].ram: expected"}},
		{with(func(_, n request) { n["cpus"] = 100000 }), refusal{422, "invalid_request", "nodes[1].cpus: "}},
		{with(func(_, n request) { n["disk"] = 1 }), refusal{422, "invalid_request", "nodes[1].disk: "}},
		{with(func(_, n request) { n["x"] = 1e9 }), refusal{422, "invalid_request", "nodes[1].x: "}},
		{with(func(_, n request) { n["osType"] = "<a>\n" }), refusal{422, "invalid_request", "nodes[1]"}},
	} {
		c.want.check(t, "an import", s.send(http.MethodPost, "/api/labs/import", c.file, s.as(owner)...))
	}
	s.refused(http.MethodPost, "/api/labs/import?host=nosuch", s.file(1, 0), refusal{404, "host_not_found", "nosuch"}, s.as(owner)...)
	limit := func(quota request) {
		t.Helper()
		s.call(http.MethodPatch, "/api/users/"+s.owner(), request{"quota": quota}, http.StatusOK, nil, s.as(admin)...)
	}
	limit(request{"nodes": 2})
	s.refused(http.MethodPost, "/api/labs/import", s.file(3, 0), refusal{403, "quota_exceeded", "nodes[2]: "}, s.as(owner)...)
	limit(request{"disk": 3 << 29})
	s.refused(http.MethodPost, "/api/labs/import", s.file(2, 0), refusal{403, "quota_exceeded", "nodes[1]: "}, s.as(owner)...)
	var labs struct{ Labs []api.LabSummary }
	s.call(http.MethodGet, "/api/labs", nil, http.StatusOK, &labs, s.as(admin)...)
	if domains := s.domains(); len(domains)+len(labs.Labs) > 0 {
		t.Errorf("what was refused left the domains %q and the labs %+v", domains, labs.Labs)
	}

	// Nodes that are being created count, and created nodes do not count twice. In
	// addition to its disk of 1 GiB, each node counts with its seed and its console log.
	limit(request{"nodes": 2, "disk": 2<<30 + 64<<20})
	var j api.Job
	s.call(http.MethodPost, "/api/labs/import", s.file(2, 0), http.StatusAccepted, &j, s.as(owner)...)
	s.refused(http.MethodPost, "/api/nodes", request{"name": s.name("third"), "baseImage": "micro"}, refusal{403, "quota_exceeded", "2 nodes"}, s.as(owner)...)
	until(t, patience, said("the lab is imported"), func() bool {
		s.call(http.MethodGet, "/api/jobs/"+j.ID, nil, http.StatusOK, &j, s.as(owner)...)
		return j.Finished != nil
	})
	if j.State != "succeeded" {
		t.Errorf("the import has %s: %+v", j.State, j.Error)
	}
	var log struct{ Entries []api.AuditEntry }
	s.call(http.MethodGet, "/api/audit?action=import-lab&target="+j.Target.ID, nil, http.StatusOK, &log, s.as(admin)...)
	if len(log.Entries) != 1 || log.Entries[0].TargetName != s.name("drawn") || log.Entries[0].TargetKind != "labs" {
		t.Errorf("the audit log has %+v", log.Entries)
	}
}
