package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// The environment variables of TestFaults; `make fault` sets them.
const (
	roundsVariable = "SANDBOXLABS_FAULT_ROUNDS" // number of rounds; a few if not set
	seedVariable   = "SANDBOXLABS_FAULT_SEED"   // seed printed by an earlier run; random if not set
)

// TestFaults repeatedly kills and stops libvirtd and the service at random moments of a
// random workload, and checks each time that the state is consistent when they are back. A
// seed reproduces the workload and the faults, but not their exact timing.
func TestFaults(t *testing.T) {
	t.Parallel()
	rounds, seed := numberOf(t, roundsVariable, 10), uint64(numberOf(t, seedVariable, int(rand.Int32())))
	t.Logf("%s=%d %s=%d", roundsVariable, rounds, seedVariable, seed)
	l := newLabApart(t)
	l.addMicro()
	f := &faultLab{lab: l, small: l.qemuImage("1M"), foreign: l.imageOf("vmdk", "1M")}
	l.start()
	kinds := slices.Sorted(maps.Keys(randomFaults))
	begun := time.Now()
	for round := range rounds {
		f.rng = rand.New(rand.NewPCG(seed, uint64(round)*16))
		kind := kinds[f.rng.IntN(len(kinds))]
		end := f.work(seed, uint64(round))
		f.wait(50, 500)
		randomFaults[kind](f)
		f.wait(0, 100)
		end()
		l.client.CloseIdleConnections()
		l.wantSound(fmt.Sprintf("round %d, %s", round, kind))
		f.thin()
		if t.Failed() {
			break
		}
	}
	t.Logf("%d rounds in %v: %v", rounds, time.Since(begun).Round(time.Second), f.done)
	l.stop()
}

func numberOf(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		t.Fatalf("%s: %q is not a number", variable, text)
	}
	return n
}

// faultLab is a lab with a workload.
type faultLab struct {
	*lab
	small   []byte // an image
	foreign []byte // an image that needs conversion
	rng     *rand.Rand

	mu   sync.Mutex
	done tally
}

// tally counts responses by status.
type tally map[string]int

// randomFaults are the possible faults. Each leaves everything running again.
var randomFaults = map[string]func(*faultLab){
	"the service was killed": func(f *faultLab) {
		f.service.kill()
		f.launch(nil)
	},
	"the service was stopped for a while": func(f *faultLab) {
		_ = f.service.cmd.Process.Signal(syscall.SIGSTOP)
		f.wait(50, 600)
		_ = f.service.cmd.Process.Signal(syscall.SIGCONT)
	},
	"libvirtd was killed": func(f *faultLab) {
		f.own.kill()
		f.wait(0, 500)
		f.own.restart()
	},
	"libvirtd was stopped for a while": func(f *faultLab) {
		f.own.freeze()
		f.wait(50, 1500)
		f.own.thaw()
	},
	"libvirtd and the service were killed": func(f *faultLab) {
		f.own.kill()
		f.service.kill()
		f.launch(nil)
		f.wait(0, 800)
		f.own.restart()
	},
	"libvirtd was stopped, and the service killed meanwhile": func(f *faultLab) {
		f.own.freeze()
		f.wait(0, 200)
		f.service.kill()
		f.launch(nil)
		f.wait(0, 500)
		f.own.thaw()
	},
	"every QEMU was killed": func(f *faultLab) {
		f.own.in("pkill -KILL qemu-system || true")
	},
}

// wait sleeps for a random duration between from and to, in milliseconds.
func (f *faultLab) wait(from, to int) {
	<-time.After(time.Duration(from+f.rng.IntN(to-from)) * time.Millisecond)
}

// work starts clients that create and change objects. The returned function stops them and
// waits for them.
func (f *faultLab) work(seed, round uint64) (end func()) {
	ctx, cancel := context.WithCancel(f.t.Context())
	nodes := f.nodes()
	var wg sync.WaitGroup
	for client := range 4 {
		rng := rand.New(rand.NewPCG(seed, round*16+1+uint64(client)))
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				var n api.Node
				if len(nodes) > 0 {
					n = nodes[rng.IntN(len(nodes))]
				}
				f.step(rng.IntN(100), n, fmt.Sprintf("r%d-%d-%d", round, client, i))
			}
		})
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

// step sends one random request.
func (f *faultLab) step(dice int, n api.Node, name string) {
	create := request{"name": f.name(name), "baseImage": "micro", "resources": request{"ram": 64}}
	switch {
	case dice < 30:
		f.ask(http.MethodPost, "/api/nodes", create)
	case dice < 40:
		for range 2 {
			f.ask(http.MethodPost, "/api/nodes", create, "Idempotency-Key", name)
		}
	case dice < 50:
		create["cloudInit"] = request{"hostname": "x"}
		f.ask(http.MethodPost, "/api/nodes", create)
	case dice < 60:
		body, kind := form("again", bytes.NewReader([][]byte{f.small, f.foreign}[dice%2]))
		f.ask(http.MethodPost, "/api/images/custom", body, "Content-Type", kind)
	case n.ID == "":
	case dice < 66:
		f.ask(http.MethodPatch, "/api/nodes/"+n.ID, request{"name": f.name(name), "resources": request{"ram": 64 + dice, "disk": n.Resources.Disk + 1<<20}})
	case dice < 75:
		f.ask(http.MethodDelete, "/api/nodes/"+n.ID+"?snapshots=true", nil)
	case dice < 82:
		f.ask(http.MethodPost, "/api/nodes/"+n.ID+"/wipe", forced)
	case dice < 86:
		f.ask(http.MethodPost, "/api/nodes/"+n.ID+"/snapshots", request{"name": name})
	case dice < 88 && n.CurrentSnapshot != "":
		f.ask(http.MethodPost, "/api/nodes/"+n.ID+"/snapshots/"+n.CurrentSnapshot+"/revert", forced)
	case dice < 90 && n.CurrentSnapshot != "":
		f.ask(http.MethodDelete, "/api/nodes/"+n.ID+"/snapshots/"+n.CurrentSnapshot, nil)
	case dice < 93:
		f.ask(http.MethodPost, "/api/nodes/"+n.ID+"/clone", request{"name": f.name(name), "mode": []string{"linked", "full"}[dice%2]})
	case dice < 95:
		f.ask(http.MethodPost, "/api/nodes/"+n.ID+"/run", nil)
	default:
		f.ask(http.MethodPost, "/api/nodes/"+n.ID+"/stop", forced)
	}
}

// ask sends a request. It may be refused, but only with a reason.
func (f *faultLab) ask(method, path string, body any, header ...string) {
	a, err := f.try(method, path, body, header...)
	what := "cut off"
	if err == nil {
		what = strconv.Itoa(a.status)
		var p api.Problem
		if a.status >= http.StatusBadRequest {
			if err := a.decode(&p); err != nil || p.Code == "internal" {
				f.t.Errorf("%s %s: %d without a reason: %s", method, path, a.status, a.body)
			}
			what += " " + p.Code
		}
	}
	if err != nil || a.status >= http.StatusBadRequest {
		<-time.After(20 * time.Millisecond) // an immediate retry would fail in the same way
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done == nil {
		f.done = tally{}
	}
	f.done[what]++
}

// thin deletes accumulated nodes and images.
func (f *faultLab) thin() {
	const enough = 8
	nodes := f.nodes()
	for _, n := range nodes[min(enough, len(nodes)):] {
		f.call(http.MethodDelete, "/api/nodes/"+n.ID+"?snapshots=true", nil, http.StatusNoContent, nil)
	}
	custom := f.images().CustomImages
	for _, i := range custom[min(enough, len(custom)):] {
		f.call(http.MethodDelete, "/api/images/"+i.ID, nil, http.StatusNoContent, nil)
	}
}
