package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// TestFigures runs a guest and compares the reported usage with the output of virsh.
func TestFigures(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.addMicro()
	takeGuest(t)
	l.launch(nil, "--figures-interval=1s")
	l.awaitHealth("ok")
	n, off := l.create("busy"), l.create("off")
	l.act(n.ID, "run", nil)
	var now struct {
		Interval float64           `json:"interval"`
		Nodes    []api.NodeFigures `json:"nodes"`
	}
	mine := func() (points []api.Figures) {
		l.call(http.MethodGet, "/api/figures?points=120", nil, http.StatusOK, &now)
		for _, f := range now.Nodes {
			if f.ID == off.ID {
				t.Error("a node that is off has metrics")
			}
			if f.ID == n.ID {
				points = f.Points
			}
		}
		return points
	}
	// A booting guest uses CPU time, reads its disk, and requests an address.
	var seen api.Figures
	until(t, patience, func() string { return fmt.Sprintf("metrics of a boot: %+v", seen) }, func() bool {
		for _, p := range mine() {
			seen.CPU, seen.Memory = max(seen.CPU, p.CPU), max(seen.Memory, p.Memory)
			seen.DiskRead, seen.NetSent = max(seen.DiskRead, p.DiskRead), max(seen.NetSent, p.NetSent)
		}
		return seen.CPU > 0.1 && seen.Memory > 20<<20 && seen.DiskRead > 0 && seen.NetSent > 0
	})
	if seen.CPU > 8 || seen.Memory > 4<<30 || now.Interval != 1 {
		t.Errorf("metrics of a small guest: %+v every %v s", seen, now.Interval)
	}

	get := func(query string) []api.Figures {
		var series struct {
			Points []api.Figures `json:"points"`
		}
		l.call(http.MethodGet, "/api/nodes/"+n.ID+"/figures"+query, nil, http.StatusOK, &series)
		return series.Points
	}
	all := get("")
	for i := 1; i < len(all); i++ {
		if gap := all[i].Time.Sub(all[i-1].Time); gap < 500*time.Millisecond {
			t.Errorf("two points within %v", gap)
		}
	}
	if later := get("?since=" + url.QueryEscape(all[0].Time.Format(time.RFC3339Nano))); len(later) < len(all)-1 || !later[0].Time.After(all[0].Time) {
		t.Errorf("since the first of %d points there are %d, from %v", len(all), len(later), later[0].Time)
	}
	if steps := get("?step=3600"); len(steps) < 1 || len(steps) > 2 {
		t.Errorf("in steps of an hour: %+v", steps)
	}
	l.refused(http.MethodGet, "/api/nodes/nothing/figures", nil, refusal{http.StatusNotFound, "node_not_found", "nothing"})

	text := string(l.send(http.MethodGet, "/metrics", nil).body)
	labels := fmt.Sprintf("{host=\"local\",id=%q,name=%q} ", n.ID, n.Name)
	value := func(name string) (v float64) {
		if _, rest, ok := strings.Cut(text, "\n"+name+labels); !ok {
			t.Errorf("no %s%s in\n%s", name, labels, text)
		} else if _, err := fmt.Sscan(rest, &v); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return v
	}
	var theirs float64
	for line := range strings.Lines(l.virsh("domstats", n.ID, "--cpu-total")) {
		if ns, ok := strings.CutPrefix(strings.TrimSpace(line), "cpu.time="); ok {
			if _, err := fmt.Sscan(ns, &theirs); err != nil {
				t.Fatal(err)
			}
			theirs /= 1e9
		}
	}
	// The service read it up to a second before virsh did, or earlier on a slow machine.
	if ours := value("sandboxlabs_node_cpu_seconds_total"); ours <= 0 || ours > theirs || theirs-ours > 10 {
		t.Errorf("CPU time %v s, virsh says %v s", ours, theirs)
	}
	for _, name := range []string{"memory_bytes", "disk_read_bytes_total", "network_sent_bytes_total"} {
		if v := value("sandboxlabs_node_" + name); v <= 0 {
			t.Errorf("%s is %v", name, v)
		}
	}
	for _, want := range []string{
		`sandboxlabs_libvirt_call_duration_seconds_count{host="local",operation="node.start"} 1`,
		`sandboxlabs_libvirt_call_duration_seconds_count{host="local",operation="node.usage"}`,
		"go_goroutines ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}

	l.act(n.ID, "stop", forced)
	until(t, promptly, said("no metrics of a node that is off"), func() bool { return len(mine()) == 0 })
	if kept := get(""); len(kept) < len(all) {
		t.Errorf("of %d points %d are kept when the node is off", len(all), len(kept))
	}
	l.stop()
}
