package inventory

import (
	"testing"
	"time"
)

func there(string) bool { return true }

// feedMeter adds one reading of a node per second: half a CPU, 1 kB/s of disk reads.
func feedMeter(m *meter, begin time.Time, from, to int, run uint) {
	for i := from; i < to; i++ {
		at := begin.Add(time.Duration(i) * time.Second)
		m.add("h", there, map[string]reading{"id": {run: run, at: at, memory: true, asked: true, totals: Totals{
			CPUSeconds: float64(i-from) / 2, MemoryBytes: 1 << 20, DiskRead: uint64(i-from) * 1000,
		}}}, at)
	}
}

func TestMeter(t *testing.T) {
	inv := &Inventory{meter: newMeter(time.Second, 0)}
	begin := time.UnixMilli(1_800_000_000_000).UTC()
	feedMeter(inv.meter, begin, 0, 11, 1)
	all := inv.Usage("id", time.Time{}, 0)
	if len(all) != 10 {
		t.Fatalf("%d points of 11 readings", len(all))
	}
	want := Usage{Time: begin.Add(time.Second), CPUs: 0.5, MemoryBytes: 1 << 20, DiskRead: 1000}
	if all[0] != want {
		t.Errorf("got %+v, want %+v", all[0], want)
	}
	if got := inv.Usage("id", begin.Add(8*time.Second), 0); len(got) != 2 || got[0].Time != begin.Add(9*time.Second) {
		t.Errorf("after the eighth second: %+v", got)
	}
	// Steps begin at multiples of their length: 0–5 contains the points 1–4, 5–10 the points
	// 5–9.
	if got := inv.Usage("id", time.Time{}, 5*time.Second); len(got) != 3 || got[0].Time != begin.Add(5*time.Second) || got[1].CPUs != 0.5 || got[1].DiskRead != 1000 {
		t.Errorf("steps of 5 s: %+v", got)
	}
	if got := inv.RecentUsage(3)["id"]; len(got) != 3 || got[2] != all[9] {
		t.Errorf("recent: %+v", got)
	}

	// Restarted: its counters begin at zero, and no rate is computed across the restart.
	feedMeter(inv.meter, begin, 11, 14, 2)
	if got := inv.Usage("id", begin.Add(10*time.Second), 0); len(got) != 2 || got[0].CPUs != 0.5 {
		t.Errorf("after the second start: %+v", got)
	}
	// Off: no recent usage, but the history is kept. Then deleted.
	now := begin.Add(15 * time.Second)
	inv.meter.add("h", there, nil, now)
	if len(inv.RecentUsage(1)) != 0 || len(inv.Usage("id", time.Time{}, 0)) != 12 {
		t.Errorf("off: recent %v, kept %d", inv.RecentUsage(1), len(inv.Usage("id", time.Time{}, 0)))
	}
	inv.meter.add("h", func(string) bool { return false }, nil, now)
	if len(inv.meter.hosts["h"]) != 0 {
		t.Error("a node that is gone is kept")
	}
}

// TestMeterForgets reads a node for a day and checks that only the last hour is kept.
func TestMeterForgets(t *testing.T) {
	inv := &Inventory{meter: newMeter(time.Second, 0)}
	feedMeter(inv.meter, time.UnixMilli(1_800_000_000_000), 0, 24*3600, 1)
	points := inv.meter.hosts["h"]["id"].points
	if len(points) != 3600 || cap(points) > 2*3600 {
		t.Errorf("%d points are kept in a place for %d", len(points), cap(points))
	}
}

// TestMeterAsksSeldom reads memory and disks only in some readings.
func TestMeterAsksSeldom(t *testing.T) {
	inv := &Inventory{meter: newMeter(time.Second, 0)}
	begin := time.UnixMilli(1_800_000_000_000).UTC()
	feed := func(i int, run uint, asked bool) {
		r := reading{run: run, at: begin.Add(time.Duration(i) * time.Second), memory: asked, asked: asked, totals: Totals{CPUSeconds: float64(i), NetSent: uint64(i) * 10}}
		if asked {
			r.totals.MemoryBytes, r.totals.DiskRead = int64(i)<<20, uint64(i)*1000
		}
		inv.meter.add("h", there, map[string]reading{"id": r}, r.at)
	}
	feed(0, 1, false)
	if !inv.meter.mustAsk("h", there) {
		t.Error("a new node's QEMU is not asked at once")
	}
	feed(1, 1, true)
	if inv.meter.mustAsk("h", there) {
		t.Error("it is asked again at once")
	}
	for i := 2; i < 10; i++ {
		feed(i, 1, i == 6)
	}
	all := inv.Usage("id", time.Time{}, 0)
	if len(all) != 9 {
		t.Fatalf("%d points of 10 readings", len(all))
	}
	for i, u := range all {
		memory, read := int64(1<<20), 0.0
		if i >= 5 {
			memory, read = 6<<20, 1000
		}
		if u.CPUs != 1 || u.NetSent != 10 || u.MemoryBytes != memory || u.DiskRead != read {
			t.Errorf("point %d: %+v", i+1, u)
		}
	}
	if total := inv.meter.hosts["h"]["id"].last.totals; total.DiskRead != 6000 || total.CPUSeconds != 9 {
		t.Errorf("the totals are %+v", total)
	}
	feed(10, 2, false) // restarted
	if !inv.meter.mustAsk("h", there) || inv.meter.hosts["h"]["id"].last.totals.DiskRead != 0 {
		t.Error("what the run before had is taken for the new one's")
	}
}

// A node is read again when its disk sizes in the usage change. A reading that QEMU did not
// answer has no sizes, and does not count as a change.
func TestFiguresTellOfResizedDisks(t *testing.T) {
	m, begin := newMeter(time.Second, 0), time.Now()
	for i, c := range []struct {
		asked   bool
		bytes   int64
		resized bool
		want    int64
	}{{true, 5, true, 5}, {true, 5, false, 5}, {false, 0, false, 5}, {true, 9, true, 9}} {
		r := reading{run: 1, at: begin.Add(time.Duration(i) * time.Second), asked: c.asked, disks: map[string]int64{"/a": c.bytes}}
		resized := m.add("h", func(string) bool { return true }, map[string]reading{"id": r}, r.at)
		if got := m.diskBytes("h", "id", "/a"); got != c.want || (len(resized) > 0) != c.resized {
			t.Errorf("reading %d: %d bytes, and %q are resized; want %d", i, got, resized, c.want)
		}
	}
	if got := m.diskBytes("h", "other", "/a"); got != 0 {
		t.Errorf("of a domain that was not read: %d", got)
	}
}

// A slow reading does not block others for long, and the number of slow readings is limited.
func TestLateReadingsAreBounded(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	underWay := make(chan struct{}, 1)
	stuck := func() map[string]reading { <-release; return nil }
	if _, late := inTime(t.Context(), underWay, stuck); !late {
		t.Error("a reading that lasts is not late")
	}
	if readings, late := inTime(t.Context(), underWay, func() map[string]reading { return map[string]reading{"id": {}} }); late || readings != nil {
		t.Errorf("one beside it that is one too many: %v, late %v", readings, late)
	}
}
