package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"sync"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// limit sets the owner's quota.
func (s *school) limit(quota request) {
	s.t.Helper()
	s.call(http.MethodPatch, "/api/users/"+s.owner(), request{"quota": quota}, http.StatusOK, nil, s.as(admin)...)
}

// used returns the owner's usage of the quota. The owner and administrators see the same.
func (s *school) used() api.Quota {
	s.t.Helper()
	var me api.SignedIn
	s.call(http.MethodGet, "/api/auth/me", nil, http.StatusOK, &me, s.as(owner)...)
	if me.Used == nil {
		s.t.Fatal("the owner is not told what they use")
	}
	var a api.Account
	s.call(http.MethodGet, "/api/users/"+s.owner(), nil, http.StatusOK, &a, s.as(admin)...)
	if *a.Used.Nodes != *me.Used.Nodes || *a.Used.Networks != *me.Used.Networks || *a.Used.Labs != *me.Used.Labs {
		s.t.Errorf("an administrator sees %d nodes, %d networks and %d labs, and their owner %d, %d and %d",
			*a.Used.Nodes, *a.Used.Networks, *a.Used.Labs, *me.Used.Nodes, *me.Used.Networks, *me.Used.Labs)
	}
	return *me.Used
}

// gzipped compresses a file.
func gzipped(t *testing.T, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// uploadPacked has the owner upload a compressed file, and returns how the job ended.
func (s *school) uploadPacked(content []byte) (ended api.Job) {
	s.t.Helper()
	body, kind := form("packed.qcow2.gz", bytes.NewReader(content))
	whole, err := io.ReadAll(body) // so that its size is announced
	if err != nil {
		s.t.Fatal(err)
	}
	var up api.Uploaded
	s.call(http.MethodPost, "/api/images/custom", bytes.NewReader(whole), http.StatusAccepted, &up, append(s.as(owner), "Content-Type", kind)...)
	until(s.t, patience, said("the conversion has ended"), func() bool {
		var list struct{ Jobs []api.Job }
		s.call(http.MethodGet, "/api/jobs", nil, http.StatusOK, &list, s.as(owner)...)
		for _, j := range list.Jobs {
			if j.Target.ID == up.Image.ID && j.Finished != nil {
				ended = j
				return true
			}
		}
		return false
	})
	return ended
}

// TestQuotaCountsEverything limits networks and labs, and the unpacked size of uploads.
func TestQuotaCountsEverything(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	s := openSchool(l, "--max-upload-bytes=67108864")
	s.bearer[owner] = s.enrol(s.owner(), "instructor")
	exceeded := func(detail string) refusal { return refusal{http.StatusForbidden, "quota_exceeded", detail} }
	atOnce := func(path string, body func(i int) request) map[int]int {
		var mu sync.Mutex
		var all sync.WaitGroup
		count := map[int]int{}
		for i := range 6 {
			all.Go(func() {
				a, err := s.try(http.MethodPost, path, body(i), s.as(owner)...)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				count[a.status]++
			})
		}
		all.Wait()
		return count
	}

	s.limit(request{"networks": 2, "labs": 1})
	if count := atOnce("/api/labs", func(i int) request { return request{"name": s.name("lab" + strconv.Itoa(i))} }); count[http.StatusCreated] != 1 || count[http.StatusForbidden] != 5 {
		t.Errorf("of 6 labs at once with a quota of 1: %v", count)
	}
	if count := atOnce("/api/networks", func(i int) request { return request{"name": s.name("net" + strconv.Itoa(i))} }); count[http.StatusCreated] != 2 || count[http.StatusForbidden] != 4 {
		t.Errorf("of 6 networks at once with a quota of 2: %v", count)
	}
	if used := s.used(); *used.Networks != 2 || *used.Labs != 1 {
		t.Errorf("used are %d networks and %d labs", *used.Networks, *used.Labs)
	}
	var labs struct{ Labs []api.LabSummary }
	s.call(http.MethodGet, "/api/labs", nil, http.StatusOK, &labs, s.as(owner)...)
	lab := "/api/labs/" + labs.Labs[0].ID
	s.refused(http.MethodPost, lab+"/networks", request{"x": 0, "y": 0}, exceeded("2 networks"), s.as(owner)...)
	one, two := s.nodeOf(owner, "one"), s.nodeOf(owner, "two")
	for _, n := range []api.Node{one, two} {
		s.call(http.MethodPut, lab+"/nodes/"+n.ID, request{"x": 0, "y": 0}, http.StatusOK, nil, s.as(owner)...)
	}
	s.refused(http.MethodPost, lab+"/links", request{"from": one.ID, "to": two.ID}, exceeded("2 networks"), s.as(owner)...)
	file := request{"sandboxlabs": "lab/1", "name": s.name("imported"), "networks": []request{{"name": "a"}}}
	s.refused(http.MethodPost, "/api/labs/import", file, exceeded("1 labs"), s.as(owner)...)
	s.limit(request{"networks": 2, "labs": 2})
	s.refused(http.MethodPost, "/api/labs/import", file, exceeded("2 networks"), s.as(owner)...)
	var networks struct{ Networks []api.Network }
	s.call(http.MethodGet, "/api/networks", nil, http.StatusOK, &networks, s.as(owner)...)
	for _, v := range networks.Networks {
		if v.Owner == s.owner() {
			s.call(http.MethodDelete, "/api/networks/"+v.Name, nil, http.StatusNoContent, nil, s.as(owner)...)
		}
	}
	if used := s.used(); *used.Networks != 0 {
		t.Errorf("after all are deleted %d networks are used", *used.Networks)
	}

	// A small file that unpacks to many zeros, within the quota and the limit or not.
	small := gzipped(t, s.qemuImage("40M", "-o", "preallocation=full"))
	before := *s.used().Disk
	s.limit(request{"disk": before + 20<<20})
	if j := s.uploadPacked(small); j.State != "failed" || j.Error == nil || j.Error.Code != "quota_exceeded" {
		t.Errorf("%d bytes with 40 MiB in them, with 20 MiB left of the quota: %s, %+v", len(small), j.State, j.Error)
	}
	if used := *s.used().Disk; used != before {
		t.Errorf("of what was given up %d bytes are still used", used-before)
	}
	s.limit(request{"disk": before + 200<<20})
	if j := s.uploadPacked(small); j.State != "succeeded" {
		t.Errorf("with 200 MiB left: %s, %+v", j.State, j.Error)
	}
	s.limit(request{})
	if j := s.uploadPacked(gzipped(t, s.qemuImage("80M", "-o", "preallocation=full"))); j.State != "failed" || j.Error == nil || j.Error.Code != "image_too_large" {
		t.Errorf("80 MiB in a file where 64 MiB may be uploaded: %s, %+v", j.State, j.Error)
	}

	// The source's disk becomes a read-only backing file of the linked clone. It counts
	// once for the owner.
	s.limit(request{"nodes": 10})
	before = *s.used().Disk
	s.call(http.MethodPost, "/api/nodes/"+one.ID+"/clone", request{"name": s.name("linked")}, http.StatusCreated, nil, s.as(owner)...)
	if grown := *s.used().Disk - before; grown <= one.Resources.Disk {
		t.Errorf("a linked clone of a disk of %d bytes takes %d of the quota", one.Resources.Disk, grown)
	}
	s.stop()
}

// TestQuotaCountsSnapshots takes snapshots of a running node. Their saved memory counts.
func TestQuotaCountsSnapshots(t *testing.T) {
	t.Parallel()
	takeGuest(t)
	s := newSchool(t)
	s.bearer[owner] = s.enrol(s.owner(), "instructor")
	s.limit(request{"nodes": 10})
	n := s.nodeOf(owner, "kept")
	path := "/api/nodes/" + n.ID
	s.call(http.MethodPost, path+"/run", nil, http.StatusOK, nil, s.as(owner)...)
	last := *s.used().Disk
	for _, name := range []string{"first", "second"} {
		s.limit(request{"disk": last + 1<<20})
		s.refused(http.MethodPost, path+"/snapshots", request{"name": name}, refusal{http.StatusForbidden, "quota_exceeded", "bytes of disks"}, s.as(owner)...)
		s.limit(request{"disk": last + 1<<30})
		s.call(http.MethodPost, path+"/snapshots", request{"name": name}, http.StatusCreated, nil, s.as(owner)...)
		now := *s.used().Disk
		if now <= last {
			t.Errorf("snapshot %s of a running node takes %d bytes of the quota", name, now-last)
		}
		last = now
	}
	for _, name := range []string{"first", "second"} {
		s.call(http.MethodDelete, path+"/snapshots/"+name, nil, http.StatusNoContent, nil, s.as(owner)...)
	}
	if now := *s.used().Disk; now >= last {
		t.Errorf("after all snapshots are deleted %d bytes are used, %d before", now, last)
	}
	s.call(http.MethodPost, path+"/stop", forced, http.StatusOK, nil, s.as(owner)...)
	s.stop()
}
