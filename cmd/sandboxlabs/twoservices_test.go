package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/testground"
)

// beside starts another service on the lab's pools, with the lab's database or a separate
// one. It is removed with the lab.
func (l *lab) beside(dataDir string) *lab {
	l.t.Helper()
	other := &lab{t: l.t, prefix: l.prefix, dataDir: dataDir, address: testground.Address(l.t), client: &http.Client{Transport: &http.Transport{}}}
	l.t.Cleanup(func() {
		other.client.CloseIdleConnections()
		for _, p := range other.all {
			p.kill()
		}
	})
	other.start()
	return other
}

// TestTwoServicesOnOneImage has two services create nodes from an image and delete the
// image at the same time. Whichever is first, no node may lose its backing file.
func TestTwoServicesOnOneImage(t *testing.T) {
	t.Parallel()
	const rounds = 4
	for name, own := range map[string]bool{"one database": false, "two databases": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.start()
			dataDir := l.dataDir
			if own {
				dataDir = t.TempDir()
			}
			services := []*lab{l, l.beside(dataDir)}
			file := filepath.Join(t.TempDir(), "micro.qcow2")
			if err := os.WriteFile(file, l.qemuImage("1M"), 0o600); err != nil {
				t.Fatal(err)
			}
			var made, deleted int
			for round := range rounds {
				if out, code := l.run("image", "add", file, "--base", "micro"); code != 0 {
					t.Fatalf("image add: exit code %d\n%s", code, out)
				}
				for _, s := range services {
					s.call(http.MethodPost, "/api/hosts/local/refresh", nil, http.StatusOK, nil)
				}
				gone := make(chan bool, len(services))
				var all sync.WaitGroup
				for i, s := range services {
					for j := range 2 {
						all.Go(func() {
							pauseRandomly(50 + 700*(round%2))
							a, err := s.try(http.MethodPost, "/api/nodes", request{"name": l.name(fmt.Sprintf("n%d-%d-%d", round, i, j)), "baseImage": "micro", "resources": request{"ram": 64}})
							if err != nil || !slices.Contains([]int{http.StatusCreated, http.StatusConflict, http.StatusNotFound}, a.status) {
								t.Errorf("a node was answered with %v %d %s", err, a.status, a.body)
							}
						})
					}
					all.Go(func() {
						pauseRandomly(50)
						a, err := s.try(http.MethodDelete, "/api/images/micro", nil)
						if err != nil || !slices.Contains([]int{http.StatusNoContent, http.StatusConflict, http.StatusNotFound}, a.status) {
							t.Errorf("the deletion was answered with %v %d %s", err, a.status, a.body)
						}
						gone <- a.status == http.StatusNoContent
					})
				}
				all.Wait()
				// With virsh, which knows nothing about the services.
				images, disks := l.volumes(l.imagesPool()), l.volumes(l.nodesPool())
				there := slices.Equal(images, []string{"micro.qcow2"})
				if !there && len(images) > 0 {
					t.Fatalf("the images pool holds %q", images)
				}
				if len(disks) > 0 && !there {
					t.Fatalf("the image is gone from under %q", disks)
				}
				if one, two := <-gone, <-gone; !there {
					deleted++
					if !one && !two {
						t.Error("the image is gone, and nobody was told so")
					}
				}
				made += len(disks)
				for _, s := range services {
					s.awaitNodes()
				}
				for _, n := range l.nodes() {
					l.delete(n.ID)
				}
				if there {
					l.call(http.MethodPost, "/api/hosts/local/refresh", nil, http.StatusOK, nil)
					l.call(http.MethodDelete, "/api/images/micro", nil, http.StatusNoContent, nil)
				}
				l.wantVolumes(l.nodesPool())
			}
			t.Logf("%d nodes were made, and the image was deleted in %d rounds of %d", made, deleted, rounds)
		})
	}
}

// TestTwoServicesOnOneSource has a service clone a node while another one deletes or wipes
// it. Whichever is first, no node may lose its backing file.
func TestTwoServicesOnOneSource(t *testing.T) {
	t.Parallel()
	l := newRunningLab(t)
	other := l.beside(t.TempDir())
	cloned := map[string]int{}
	const rounds = 8
	for round := range rounds {
		method, path, verb := http.MethodDelete, "", "deleted"
		if round%2 == 1 {
			method, path, verb = http.MethodPost, "/wipe", "wiped"
		}
		n := l.create(fmt.Sprintf("source%d", round))
		l.write(n, "7")
		other.awaitNodes()
		var all sync.WaitGroup
		all.Go(func() {
			pauseRandomly(300)
			a, err := l.try(http.MethodPost, "/api/nodes/"+n.ID+"/clone", request{"name": l.name(fmt.Sprintf("clone%d", round))})
			if err != nil || !slices.Contains([]int{http.StatusCreated, http.StatusConflict, http.StatusNotFound, http.StatusBadGateway}, a.status) {
				t.Errorf("the clone was answered with %v %d %s", err, a.status, a.body)
			}
		})
		all.Go(func() {
			pauseRandomly(300)
			a, err := other.try(method, "/api/nodes/"+n.ID+path, nil)
			if err != nil || !slices.Contains([]int{http.StatusOK, http.StatusNoContent, http.StatusConflict, http.StatusNotFound}, a.status) {
				t.Errorf("the node is %s: %v %d %s", verb, err, a.status, a.body)
			}
		})
		all.Wait()
		l.awaitNodes()
		for _, c := range l.nodes() {
			// libvirt sends no event when another program changes a node's disk.
			until(t, promptly, said("the node's disk is shown"), func() bool {
				c = l.node(c.ID)
				disks := l.definition(c.ID, "--inactive").Devices.Disks
				return len(disks) > 0 && disks[0].Source != nil && disks[0].Source.File.File == c.OverlayPath
			})
			switch {
			case c.ID != n.ID:
				cloned[verb]++
				// Reading it opens the whole backing chain. A clone of the wiped node has
				// no data.
				if verb == "deleted" || !l.has(c, "0") {
					l.read(c, "7")
				}
			case !l.has(c, "0"):
				l.read(c, "7")
			}
			l.delete(c.ID)
		}
		// Files that were only kept for the clone are deleted within moments.
		until(t, promptly, said("all disks are gone"), func() bool { return len(l.volumes(l.nodesPool())) == 0 })
	}
	t.Logf("of %d sources each, so many were cloned: %v", rounds/2, cloned)
}

// pauseRandomly pauses for a random time of up to most.
func pauseRandomly(most int) {
	<-time.After(time.Duration(rand.IntN(most)) * time.Millisecond)
}
