package main

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// scaleVariable is how many domains TestScale defines. Without it, the test is skipped.
// `make bench` sets it.
const scaleVariable = "SANDBOXLABS_SCALE_DOMAINS"

const (
	scaleClients = 64
	scaleTime    = 10 * time.Second // for the clients' requests
	scaleRunning = 20
	scaleSettle  = 15 * time.Second // after which everything that the service reads at its start has been read
	scaleWatch   = 60 * time.Second // for the CPU time of usage readings; all domains are read twice in it
)

// TestScale measures the service with many domains on its own libvirtd: its start, its
// list compared with that of virsh, its memory, and the cost of metrics at an interval of
// a second. It fails for wrong results only, not for slow ones.
func TestScale(t *testing.T) {
	count := numberOf(t, scaleVariable, 0)
	if count == 0 {
		t.Skipf("a measurement: %s=1000 makes it", scaleVariable)
	}
	path := program(t)
	l := newLabApart(t)
	l.client.Transport = &http.Transport{MaxIdleConnsPerHost: scaleClients}
	l.addMicro()
	l.launchProgram(path)
	l.awaitHealth("ok")
	begun := time.Now()
	l.abreast(4, count, func(i int) error {
		a, err := l.try(http.MethodPost, "/api/nodes", request{"name": l.name(fmt.Sprint(i)), "baseImage": "micro", "resources": request{"ram": 64}})
		if err == nil && a.status != http.StatusCreated {
			err = fmt.Errorf("%d %s", a.status, a.body)
		}
		return err
	})
	t.Logf("%d nodes made in %v, 4 at a time", count, time.Since(begun).Round(time.Second))
	l.stop()

	begun = time.Now()
	l.launchProgram(path)
	l.awaitHealth("ok")
	ready := time.Since(begun)
	nodes := l.nodes()
	if len(nodes) != count {
		t.Fatalf("%d of %d nodes are shown", len(nodes), count)
	}
	var alone, theirs []time.Duration
	for i := range 200 {
		alone = append(alone, l.timeList(t, count))
		if i%10 == 0 {
			begun := time.Now()
			if lines := strings.Count(l.virsh("list", "--all"), "\n") + 1; lines != count {
				t.Errorf("virsh lists %d of %d domains", lines, count)
			}
			theirs = append(theirs, time.Since(begun))
		}
	}
	var mu sync.Mutex
	var together []time.Duration
	end := time.Now().Add(scaleTime)
	l.abreast(scaleClients, scaleClients, func(int) error {
		for time.Now().Before(end) {
			took := l.timeList(t, count)
			mu.Lock()
			together = append(together, took)
			mu.Unlock()
		}
		return nil
	})
	t.Logf("start to ready: %v", ready.Round(time.Millisecond))
	t.Logf("GET /api/nodes, one client: p50 %v, p99 %v; virsh list --all: p50 %v", at(alone, 0.5), at(alone, 0.99), at(theirs, 0.5))
	t.Logf("GET /api/nodes, %d clients: %.0f a second, p50 %v, p99 %v", scaleClients, float64(len(together))/scaleTime.Seconds(), at(together, 0.5), at(together, 0.99))
	t.Logf("the service's memory: %d MiB at most", l.peakKiB()>>10)

	running := nodes[:min(scaleRunning, len(nodes))]
	for _, n := range running { // they can be measured without using their CPU
		l.act(n.ID, "run", nil)
		l.act(n.ID, "pause", nil)
	}
	l.stop()
	var cost [2]usedCPU
	for i, interval := range []string{"1m", "1s"} {
		l.launchProgram(path, "--figures-interval="+interval)
		l.awaitHealth("ok")
		if interval == "1s" {
			until(t, promptly, said("all that run have metrics"), func() bool {
				var now struct{ Nodes []api.NodeFigures }
				l.call(http.MethodGet, "/api/figures", nil, http.StatusOK, &now)
				return len(now.Nodes) == len(running)
			})
		}
		<-time.After(scaleSettle)
		before := l.usedCPU()
		<-time.After(scaleWatch)
		cost[i] = l.usedCPU().less(before)
		l.stop()
	}
	extra := cost[1].less(cost[0])
	percent := func(d time.Duration) float64 { return 100 * d.Seconds() / scaleWatch.Seconds() }
	t.Logf("metrics of %d nodes each second: %.2f %% of a core in the service, %.2f %% in libvirtd (beside %.2f %% and %.2f %% without)",
		len(running), percent(extra.service), percent(extra.libvirtd), percent(cost[0].service), percent(cost[0].libvirtd))
}

// abreast runs f for each number below count, with that many clients at a time.
func (l *lab) abreast(clients, count int, f func(i int) error) {
	l.t.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < count; i = int(next.Add(1)) - 1 {
				if err := f(i); err != nil {
					l.t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// timeList lists the nodes and returns how long that took. It counts the nodes in the
// response without decoding it, so that the client adds little time.
func (l *lab) timeList(t *testing.T, count int) time.Duration {
	begun := time.Now()
	a, err := l.try(http.MethodGet, "/api/nodes", nil)
	took := time.Since(begun)
	if err != nil || strings.Count(string(a.body), `"overlayPath"`) != count {
		t.Errorf("GET /api/nodes: %v %d, %d nodes", err, a.status, strings.Count(string(a.body), `"overlayPath"`))
	}
	return took
}

// at returns the percentile part of all, where part is between 0 and 1.
func at(all []time.Duration, part float64) time.Duration {
	slices.Sort(all)
	return all[min(len(all)-1, int(part*float64(len(all))))].Round(10 * time.Microsecond)
}

// usedCPU is CPU time.
type usedCPU struct{ service, libvirtd time.Duration }

func (u usedCPU) less(v usedCPU) usedCPU {
	return usedCPU{u.service - v.service, u.libvirtd - v.libvirtd}
}

// usedCPU reads the CPU time of the service and of the lab's own libvirtd.
func (l *lab) usedCPU() usedCPU {
	l.t.Helper()
	return usedCPU{l.serviceCPU(), l.cpuTime(l.own.in("cat /proc/$(cat /run/libvirtd.pid)/stat"))}
}

// serviceCPU reads the CPU time of the service.
func (l *lab) serviceCPU() time.Duration {
	l.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", l.service.cmd.Process.Pid))
	if err != nil {
		l.t.Fatal(err)
	}
	return l.cpuTime(string(stat))
}

// cpuTime returns the CPU time of a process from its /proc/PID/stat (proc(5)).
func (l *lab) cpuTime(stat string) (used time.Duration) {
	l.t.Helper()
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	for _, f := range fields[11:13] { // utime and stime, in hundredths of a second
		ticks, err := strconv.Atoi(f)
		if err != nil {
			l.t.Fatal(err)
		}
		used += time.Duration(ticks) * 10 * time.Millisecond
	}
	return used
}
