package main

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// TestQuotas limits what an account may have, also when it sends many requests at once.
func TestQuotas(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	s.bearer[owner], s.bearer[studentUse] = s.enrol(s.owner(), "instructor"), s.enrol("use", "student")
	exceeded := func(detail string) refusal { return refusal{http.StatusForbidden, "quota_exceeded", detail} }
	limit := func(quota request) {
		t.Helper()
		s.call(http.MethodPatch, "/api/users/"+s.owner(), request{"quota": quota}, http.StatusOK, nil, s.as(admin)...)
	}
	// atOnce sends n requests concurrently, and counts the status codes.
	atOnce := func(n int, send func(i int) answer) map[int]int {
		var mu sync.Mutex
		var all sync.WaitGroup
		count := map[int]int{}
		for i := range n {
			all.Go(func() {
				a := send(i)
				mu.Lock()
				defer mu.Unlock()
				count[a.status]++
			})
		}
		all.Wait()
		return count
	}

	limit(request{"nodes": 3, "running": 1, "uploads": 1})
	count := atOnce(8, func(i int) answer {
		a, err := s.try(http.MethodPost, "/api/nodes", request{"name": s.name("n" + strconv.Itoa(i)), "baseImage": "micro", "resources": request{"ram": 64}}, s.as(owner)...)
		if err != nil {
			t.Error(err)
		}
		return a
	})
	if count[http.StatusCreated] != 3 || count[http.StatusForbidden] != 5 {
		t.Errorf("of 8 nodes made at once with a quota of 3: %v", count)
	}
	var list struct{ Nodes []api.Node }
	s.call(http.MethodGet, "/api/nodes", nil, http.StatusOK, &list, s.as(owner)...)
	if len(list.Nodes) != 3 {
		t.Fatalf("there are %d nodes", len(list.Nodes))
	}
	var accounts struct{ Users []api.Account }
	s.call(http.MethodGet, "/api/users", nil, http.StatusOK, &accounts, s.as(admin)...)
	for _, a := range accounts.Users {
		// The administrator may own nodes of accounts of that name from other services on
		// this machine.
		if want := map[string]int64{s.owner(): 3}[a.Name]; a.Name != "admin" && (a.Used == nil || *a.Used.Nodes != want) {
			t.Errorf("account %s is told to use %+v, want %d nodes", a.Name, a.Used, want)
		}
	}
	s.refused(http.MethodPost, "/api/nodes", request{"name": s.name("more"), "baseImage": "micro"}, exceeded("account \""+s.owner()+"\" can have 3 nodes, and this would make it 4"), s.as(owner)...)
	s.call(http.MethodDelete, "/api/nodes/"+list.Nodes[2].ID, nil, http.StatusNoContent, nil, s.as(owner)...)
	third := s.nodeOf(owner, "third")

	var me api.SignedIn
	if s.call(http.MethodGet, "/api/auth/me", nil, http.StatusOK, &me, s.as(owner)...); me.Quota == nil || *me.Quota.Nodes != 3 || *me.Used.Nodes != 3 || *me.Used.Running != 0 {
		t.Errorf("the owner reads the quota %+v and the use %+v", me.Quota, me.Used)
	}

	// A running node counts for its owner, whoever starts it.
	nodes := []api.Node{list.Nodes[0], list.Nodes[1], third}
	for _, n := range nodes {
		s.share("nodes", n.ID, "users/use", "use")
	}
	count = atOnce(3, func(i int) answer {
		a, err := s.try(http.MethodPost, "/api/nodes/"+nodes[i].ID+"/run", nil, s.as(studentUse)...)
		if err != nil {
			t.Error(err)
		}
		return a
	})
	if count[http.StatusOK] != 1 || count[http.StatusForbidden] != 2 {
		t.Errorf("of 3 nodes started at once with a quota of 1: %v", count)
	}
	running := 0
	for _, n := range nodes {
		var now api.Node
		if s.call(http.MethodGet, "/api/nodes/"+n.ID, nil, http.StatusOK, &now, s.as(owner)...); now.State == "running" {
			running++
			s.call(http.MethodPost, "/api/nodes/"+n.ID+"/run", nil, http.StatusOK, nil, s.as(owner)...) // already running
		}
		s.call(http.MethodPost, "/api/nodes/"+n.ID+"/stop", forced, http.StatusOK, nil, s.as(owner)...)
	}
	if running != 1 {
		t.Errorf("%d nodes run", running)
	}
	limit(request{"cpus": 0})
	s.refused(http.MethodPost, "/api/nodes/"+third.ID+"/run", nil, exceeded("CPUs of running nodes"), s.as(owner)...)
	limit(request{"ram": 63})
	s.refused(http.MethodPost, "/api/nodes/"+third.ID+"/run", nil, exceeded("this would make it 64"), s.as(owner)...)

	// Growing a node counts, too.
	patch := func(resources request, want refusal) {
		t.Helper()
		s.refused(http.MethodPatch, "/api/nodes/"+third.ID, request{"resources": resources}, want, s.as(owner)...)
	}
	limit(request{"disk": third.Resources.Disk * 3})
	patch(request{"disk": third.Resources.Disk * 2}, exceeded("bytes of disks and images"))
	limit(request{"cpus": 1, "ram": 64})
	s.call(http.MethodPatch, "/api/nodes/"+third.ID, request{"resources": request{"ram": 96}}, http.StatusOK, nil, s.as(owner)...) // the node is off
	s.call(http.MethodPatch, "/api/nodes/"+third.ID, request{"resources": request{"ram": 64}}, http.StatusOK, nil, s.as(owner)...)
	s.call(http.MethodPost, "/api/nodes/"+third.ID+"/run", nil, http.StatusOK, nil, s.as(owner)...)
	patch(request{"cpus": 2}, exceeded("CPUs of running nodes"))
	patch(request{"ram": 65}, exceeded("this would make it 65"))
	s.call(http.MethodPost, "/api/nodes/"+third.ID+"/stop", forced, http.StatusOK, nil, s.as(owner)...)

	// Reverting to a snapshot of a running node starts the node with the resources that it
	// had then.
	limit(request{})
	s.call(http.MethodPost, "/api/nodes/"+third.ID+"/run", nil, http.StatusOK, nil, s.as(owner)...)
	s.call(http.MethodPost, "/api/nodes/"+third.ID+"/snapshots", request{"name": "live"}, http.StatusCreated, nil, s.as(owner)...)
	s.call(http.MethodPost, "/api/nodes/"+third.ID+"/stop", forced, http.StatusOK, nil, s.as(owner)...)
	limit(request{"ram": 63})
	s.refused(http.MethodPost, "/api/nodes/"+third.ID+"/snapshots/live/revert", nil, exceeded("this would make it 64"), s.as(owner)...)
	s.call(http.MethodDelete, "/api/nodes/"+third.ID+"/snapshots/live", nil, http.StatusNoContent, nil, s.as(owner)...)

	// Clones count like any node, whether they are backed by the source or are copies of
	// it.
	clone := func(name, mode string) answer {
		t.Helper()
		a, err := s.try(http.MethodPost, "/api/nodes/"+third.ID+"/clone", request{"name": s.name(name), "mode": mode}, s.as(owner)...)
		if err != nil {
			t.Error(err)
		}
		return a
	}
	modes := map[string]int{"linked": http.StatusCreated, "full": http.StatusAccepted}
	for mode, made := range modes {
		limit(request{"nodes": 3})
		exceeded("this would make it 4").check(t, "a "+mode+" clone over the quota", clone("clone", mode))
		limit(request{"nodes": 4})
		count = atOnce(2, func(i int) answer { return clone(mode+strconv.Itoa(i), mode) })
		if count[made] != 1 || count[http.StatusForbidden] != 1 {
			t.Errorf("of 2 %s clones at once with space for one: %v", mode, count)
		}
		var jobs struct{ Jobs []api.Job }
		s.call(http.MethodGet, "/api/jobs", nil, http.StatusOK, &jobs, s.as(owner)...)
		for _, j := range jobs.Jobs {
			s.send(http.MethodPost, "/api/jobs/"+j.ID+"/cancel", nil, s.as(owner)...)
			until(t, patience, said("the copy has ended"), func() bool {
				s.call(http.MethodGet, "/api/jobs/"+j.ID, nil, http.StatusOK, &j, s.as(owner)...)
				return j.Finished != nil
			})
		}
		s.call(http.MethodGet, "/api/nodes", nil, http.StatusOK, &list, s.as(owner)...)
		for _, n := range list.Nodes {
			if strings.HasPrefix(n.Name, s.name(mode)) {
				s.call(http.MethodDelete, "/api/nodes/"+n.ID, nil, http.StatusNoContent, nil, s.as(owner)...)
			}
		}
	}

	// Uploads: one at a time, and only as large as the disk quota leaves free.
	limit(request{"uploads": 1})
	blank := s.qemuImage("1M")
	slow, feed := io.Pipe()
	body, kind := form("slow.qcow2", slow)
	sent := make(chan answer, 1)
	go func() {
		a, err := s.try(http.MethodPost, "/api/images/custom", body, append(s.as(owner), "Content-Type", kind)...)
		if err != nil {
			t.Error(err)
		}
		sent <- a
	}()
	if _, err := feed.Write(blank[:len(blank)/2]); err != nil {
		t.Fatal(err)
	}
	another := func() answer {
		body, kind := form("other.qcow2", bytes.NewReader(blank))
		return s.send(http.MethodPost, "/api/images/custom", body, append(s.as(owner), "Content-Type", kind)...)
	}
	until(t, promptly, said("the upload is under way"), func() bool {
		return strings.Contains(string(s.send(http.MethodGet, "/api/images", nil, s.as(owner)...).body), `"uploading"`)
	})
	exceeded("concurrent uploads").check(t, "a second upload", another())
	resumable := append(s.as(owner), "Tus-Resumable", "1.0.0", "Upload-Length", strconv.Itoa(len(blank)))
	exceeded("concurrent uploads").check(t, "a second upload, resumable", s.send(http.MethodPost, "/api/uploads", nil, resumable...))
	if _, err := feed.Write(blank[len(blank)/2:]); err != nil {
		t.Fatal(err)
	}
	_ = feed.Close()
	if a := <-sent; a.status != http.StatusCreated {
		t.Errorf("the first upload: %d %s", a.status, a.body)
	}
	limit(request{"disk": third.Resources.Disk * 3})
	exceeded("bytes of disks and images").check(t, "an upload without space", another())
	s.refused(http.MethodPost, "/api/nodes", request{"name": s.name("more"), "baseImage": "micro"}, exceeded("bytes of disks and images"), s.as(owner)...)
	for mode := range modes {
		exceeded("bytes of disks and images").check(t, "a "+mode+" clone without space", clone("clone", mode))
	}
	limit(request{})
	if a := another(); a.status != http.StatusCreated {
		t.Errorf("an upload without a quota: %d %s", a.status, a.body)
	}
	s.refused(http.MethodDelete, "/api/users/"+s.owner(), nil, refusal{http.StatusConflict, "still_owner", "owns 3 nodes, 2 images. Transfer"}, s.as(admin)...)
}
