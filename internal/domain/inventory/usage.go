package inventory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
)

const (
	// DefaultUsageInterval is how often the use of running nodes is read.
	DefaultUsageInterval = 5 * time.Second
	// UsageKept is how long a point of it is kept.
	UsageKept = time.Hour
	// DefaultAskInterval is how often, at most, memory and disks are read: libvirt has to
	// ask each QEMU for them, which costs five times as much as all else. Points between two
	// readings have the memory of the one before, and the rates of disks that it showed.
	DefaultAskInterval = 5 * time.Second
	// readPatience is how long the figures of a host wait for its QEMUs, each of which
	// libvirt may ask something even for the time of its processors. One that does not
	// answer holds up a reading, and no other: libvirt has it as busy then. maxReadings of
	// a host may be held up so.
	readPatience = 3 * time.Second
	maxReadings  = 8
)

// Usage is what a node used on average since the point before.
type Usage struct {
	Time time.Time
	// CPUs is the processor time per time: 1 is one processor of the host, all of it.
	CPUs float64
	// MemoryBytes is what the node's QEMU takes of the host's memory.
	MemoryBytes int64
	// GuestBytes is what the guest itself says that it uses; 0 while it says nothing,
	// as one without a balloon driver does.
	GuestBytes int64
	// Bytes per second, over all disks and all network interfaces.
	DiskRead, DiskWritten, NetReceived, NetSent float64
}

// Totals is what a running node used since it was started.
type Totals struct {
	ID, Name, Host string
	CPUSeconds     float64
	MemoryBytes    int64
	GuestBytes     int64 // as in Usage
	// Bytes, over all disks and all network interfaces.
	DiskRead, DiskWritten, NetReceived, NetSent uint64
}

// point is a Usage as it is kept: 40 bytes, so that an hour of a node at an
// interval of 5 s takes 29 KB.
type point struct {
	at                     int64 // Unix, in milliseconds
	cpus                   float32
	memory, guest          uint32 // KiB
	read, written, in, out float32
}

func (p point) usage() Usage {
	return Usage{
		Time: time.UnixMilli(p.at).UTC(), CPUs: float64(p.cpus), MemoryBytes: int64(p.memory) << 10, GuestBytes: int64(p.guest) << 10,
		DiskRead: float64(p.read), DiskWritten: float64(p.written), NetReceived: float64(p.in), NetSent: float64(p.out),
	}
}

// reading is what libvirt tells of a running domain at one time.
type reading struct {
	run    uint // the domain's number, another one after each start
	at     time.Time
	memory bool // its QEMU was asked for it: otherwise it is missing
	asked  bool // likewise for the disks
	totals Totals
	disks  map[string]int64 // virtual sizes, by file
}

// series is what is kept of a domain on one host.
type series struct {
	points []point // oldest first
	last   reading // what it lacks is that of the readings before
	asked  reading // the last one of the same run that has the disks
	// The rates of disks between the last two of those.
	read, written float32
	runs          bool // it was in the last reading of its host
}

// add takes in a reading. It makes a point with the one before, unless the domain was
// started anew between them.
func (s *series) add(r reading) {
	if r.run != s.last.run {
		s.asked, s.read, s.written = reading{}, 0, 0
	} else if !r.memory {
		r.totals.MemoryBytes, r.totals.GuestBytes = s.last.totals.MemoryBytes, s.last.totals.GuestBytes
	}
	before := s.asked.totals
	switch {
	case !r.asked:
		r.totals.DiskRead, r.totals.DiskWritten = before.DiskRead, before.DiskWritten
	case s.asked.asked:
		seconds := r.at.Sub(s.asked.at).Seconds()
		s.read, s.written = rate(before.DiskRead, r.totals.DiskRead, seconds), rate(before.DiskWritten, r.totals.DiskWritten, seconds)
		s.asked = r
	default:
		s.asked = r
	}
	seconds := r.at.Sub(s.last.at).Seconds()
	now, then := r.totals, s.last.totals
	if r.run == s.last.run && seconds > 0 {
		s.points = append(s.points, point{
			at: r.at.UnixMilli(), cpus: float32(max(0, now.CPUSeconds-then.CPUSeconds) / seconds),
			memory: kibibytes(now.MemoryBytes), guest: kibibytes(now.GuestBytes),
			read: s.read, written: s.written,
			in: rate(then.NetReceived, now.NetReceived, seconds), out: rate(then.NetSent, now.NetSent, seconds),
		})
	}
	s.last = r
}

// rate is how fast a count grew. A device that was taken out takes its count with it.
func rate(then, now uint64, seconds float64) float32 {
	if now < then || seconds <= 0 {
		return 0
	}
	return float32(float64(now-then) / seconds)
}

func kibibytes(bytes int64) uint32 { return uint32(bytes >> 10) } //nolint:gosec // real memory: up to 4 TiB

// meter reads what the running nodes of all hosts use, and keeps it for
// UsageKept.
type meter struct {
	interval    time.Duration
	askInterval time.Duration // see DefaultAskInterval

	mu    sync.RWMutex
	hosts map[string]map[string]*series // by host's name and domain's UUID
}

func newMeter(interval, askInterval time.Duration) *meter {
	if interval <= 0 {
		interval = DefaultUsageInterval
	}
	if askInterval <= 0 {
		askInterval = DefaultAskInterval
	}
	return &meter{interval: interval, askInterval: askInterval, hosts: map[string]map[string]*series{}}
}

// UsageInterval is the time between two points.
func (inv *Inventory) UsageInterval() time.Duration { return inv.meter.interval }

// measure reads a host's running domains, in one call each time, until ctx ends. It
// leaves readings behind that QEMUs hold up.
func (inv *Inventory) measure(ctx context.Context, h *hypervisor.Host) {
	tick := time.NewTicker(inv.meter.interval)
	defer tick.Stop()
	var asked time.Time
	underWay := make(chan struct{}, maxReadings) // has one for each reading that has not ended
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		ask := now.Sub(asked) > inv.meter.askInterval-inv.meter.interval/2 || inv.meter.mustAsk(h.Name(), h.BlockJobs().Quiet)
		var readings map[string]reading
		if inv.anyRuns(h.Name()) {
			if ask {
				asked = now
			}
			read := func() (readings map[string]reading) {
				r := usageReader{at: now, ask: ask, jobs: h.BlockJobs(), readings: map[string]reading{}}
				// The inventory reports a host that is away.
				if h.Do(ctx, "node.usage", func(conn *libvirt.Connect) error { return r.read(ctx, conn) }) != nil {
					return nil
				}
				return r.readings
			}
			late := true
			for tries := 0; tries < 2 && late; tries++ { // the second passes over whom the first waits for
				readings, late = inTime(ctx, underWay, read)
			}
		}
		resized := inv.meter.add(h.Name(), func(id string) bool { return inv.has(h.Name(), id) }, readings, now)
		inv.feeds[h.Name()].noteOdd(resized)
	}
}

// inTime is a reading, unless that is late or too many are under way.
func inTime(ctx context.Context, underWay chan struct{}, read func() map[string]reading) (readings map[string]reading, late bool) {
	select {
	case underWay <- struct{}{}:
	default:
		return nil, false
	}
	answer := make(chan map[string]reading, 1)
	go func() {
		defer func() { <-underWay }()
		answer <- read()
	}()
	patience := time.NewTimer(readPatience)
	defer patience.Stop()
	select {
	case readings = <-answer:
		return readings, false
	case <-patience.C:
		return nil, true
	case <-ctx.Done():
		return nil, false
	}
}

// diskBytes is what a domain's QEMU said last of the size of the disk in a file, 0
// where it did not.
func (m *meter) diskBytes(host, id, file string) int64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if n := m.hosts[host][id]; n != nil {
		return n.asked.disks[file]
	}
	return 0
}

// mustAsk returns whether a running domain was read whose QEMU was not asked so far, and
// may be.
func (m *meter) mustAsk(host string, mayAsk func(id string) bool) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for id, n := range m.hosts[host] {
		if n.runs && !n.asked.asked && mayAsk(id) {
			return true
		}
	}
	return false
}

// add takes in one reading of a host, and forgets what is older than UsageKept,
// and the domains that are not present any more. resized are those whose disks have
// other sizes than before.
func (m *meter) add(host string, present func(id string) bool, readings map[string]reading, now time.Time) (resized []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	nodes := m.hosts[host]
	if nodes == nil {
		nodes = map[string]*series{}
		m.hosts[host] = nodes
	}
	for id, r := range readings {
		if nodes[id] == nil {
			nodes[id] = &series{}
		}
		if last := nodes[id].last; r.run == last.run && r.at.Sub(last.at) < m.interval/2 {
			continue // the one before came late: rates over a moment say nothing
		}
		if r.asked && !maps.Equal(r.disks, nodes[id].asked.disks) {
			resized = append(resized, id)
		}
		nodes[id].add(r)
	}
	oldest := now.Add(-UsageKept).UnixMilli()
	for id, n := range nodes {
		_, n.runs = readings[id]
		n.points = after(n.points, oldest)
		if !n.runs && (!present(id) || len(n.points) == 0) {
			delete(nodes, id)
		}
	}
	return resized
}

// after cuts off the points up to a time. (append moves what is left to a new
// array from time to time, and lets go of the old one.)
func after(points []point, unixMilli int64) []point {
	first, _ := slices.BinarySearchFunc(points, unixMilli+1, func(p point, at int64) int { return cmp.Compare(p.at, at) })
	return points[first:]
}

// Usage returns what is kept of a node after a time, oldest first, averaged over
// steps when they are longer than the interval. While the node was off there are
// no points. Points of a step bear the time of its end.
func (inv *Inventory) Usage(id string, since time.Time, step time.Duration) []Usage {
	inv.meter.mu.RLock()
	var points []point
	for _, nodes := range inv.meter.hosts { // several hosts: it has migrated
		if n := nodes[id]; n != nil {
			points = append(points, after(n.points, since.UnixMilli())...)
		}
	}
	inv.meter.mu.RUnlock()
	slices.SortFunc(points, func(a, b point) int { return cmp.Compare(a.at, b.at) })
	if step > inv.meter.interval {
		points = average(points, step.Milliseconds())
	}
	list := make([]Usage, len(points))
	for i, p := range points {
		list[i] = p.usage()
	}
	return list
}

// average makes one point of those in each step. Steps begin at whole multiples
// of their length, so that they do not move from one request to the next.
func average(points []point, step int64) []point {
	var list []point
	for len(points) > 0 {
		end := points[0].at/step*step + step
		n := 0
		var cpus, memory, guest, read, written, in, out float64
		for ; n < len(points) && points[n].at < end; n++ {
			p := points[n]
			cpus += float64(p.cpus)
			memory += float64(p.memory)
			guest += float64(p.guest)
			read += float64(p.read)
			written += float64(p.written)
			in += float64(p.in)
			out += float64(p.out)
		}
		by := float64(n)
		list = append(list, point{
			at: end, cpus: float32(cpus / by), memory: uint32(memory / by), guest: uint32(guest / by),
			read: float32(read / by), written: float32(written / by), in: float32(in / by), out: float32(out / by),
		})
		points = points[n:]
	}
	return list
}

// RecentUsage returns the last points of every node that was running when its
// host was read last, at most that many of each, oldest first.
func (inv *Inventory) RecentUsage(most int) map[string][]Usage {
	inv.meter.mu.RLock()
	defer inv.meter.mu.RUnlock()
	all := map[string][]Usage{}
	for _, nodes := range inv.meter.hosts {
		for id, n := range nodes {
			if !n.runs || len(n.points) == 0 {
				continue
			}
			recent := n.points[max(0, len(n.points)-most):]
			list := make([]Usage, len(recent))
			for i, p := range recent {
				list[i] = p.usage()
			}
			all[id] = list
		}
	}
	return all
}

// Totals returns what the running nodes used since their start, as it was read
// last, in no order.
func (inv *Inventory) Totals() []Totals {
	inv.meter.mu.RLock()
	var list []Totals
	for host, nodes := range inv.meter.hosts {
		for id, n := range nodes {
			if n.runs {
				t := n.last.totals
				t.ID, t.Host = id, host
				list = append(list, t)
			}
		}
	}
	inv.meter.mu.RUnlock()
	for i := range list {
		if n, err := inv.Node(list[i].ID); err == nil {
			list[i].Name = n.Name
		}
	}
	return list
}
