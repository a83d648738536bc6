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
	// DefaultUsageInterval is how often the usage of running nodes is read.
	DefaultUsageInterval = 5 * time.Second
	// UsageKept is how long a data point is kept.
	UsageKept = time.Hour
	// DefaultAskInterval is the minimum interval at which memory and disk usage are read.
	// libvirt has to ask each QEMU for them, which costs five times as much as everything
	// else. Data points in between repeat the last memory usage and disk rates.
	DefaultAskInterval = 5 * time.Second
	// readPatience is how long a reading of a host's usage waits for QEMU processes, which
	// libvirt may query even for the CPU time. A QEMU that does not respond blocks only one
	// reading, because libvirt skips the domain as busy afterwards. maxReadings limits the
	// blocked readings of a host.
	readPatience = 3 * time.Second
	maxReadings  = 8
)

// Usage is a node's average usage since the previous data point.
type Usage struct {
	Time time.Time
	// CPUs is the CPU time per time: 1 is one fully used CPU of the host.
	CPUs float64
	// MemoryBytes is the host memory that the node's QEMU uses.
	MemoryBytes int64
	// GuestBytes is the memory usage that the guest reports; 0 if it does not, for example
	// without a balloon driver.
	GuestBytes int64
	// Bytes per second, over all disks and all network interfaces.
	DiskRead, DiskWritten, NetReceived, NetSent float64
}

// Totals is the usage of a running node since it was started.
type Totals struct {
	ID, Name, Host string
	CPUSeconds     float64
	MemoryBytes    int64
	GuestBytes     int64 // see Usage
	// Bytes, over all disks and all network interfaces.
	DiskRead, DiskWritten, NetReceived, NetSent uint64
}

// point is a compact Usage of 40 bytes: an hour of a node at an interval of 5 s takes 29 KB.
type point struct {
	at                     int64 // Unix time in milliseconds
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

// reading is what libvirt reported about a running domain at one time.
type reading struct {
	run    uint // the domain's libvirt id, different after each start
	at     time.Time
	memory bool // QEMU was asked for the memory; otherwise it is missing
	asked  bool // the same for the disks
	totals Totals
	disks  map[string]int64 // virtual sizes, by file
}

// series is the history of a domain on one host.
type series struct {
	points []point // oldest first
	last   reading // missing values are taken from earlier readings
	asked  reading // the last one of the same run with disk statistics
	// The disk rates between the last two readings with disk statistics.
	read, written float32
	runs          bool // it was in the last reading of its host
}

// add adds a reading. It creates a data point from the difference to the previous one, unless
// the domain was restarted in between.
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

// rate returns how fast a counter grew, 0 if it decreased because a device was removed.
func rate(then, now uint64, seconds float64) float32 {
	if now < then || seconds <= 0 {
		return 0
	}
	return float32(float64(now-then) / seconds)
}

func kibibytes(bytes int64) uint32 { return uint32(bytes >> 10) } //nolint:gosec // real memory: up to 4 TiB

// meter reads the usage of the running nodes of all hosts, and keeps it for UsageKept.
type meter struct {
	interval    time.Duration
	askInterval time.Duration // see DefaultAskInterval

	mu    sync.RWMutex
	hosts map[string]map[string]*series // by host name and domain UUID
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

// UsageInterval returns the time between two data points.
func (inv *Inventory) UsageInterval() time.Duration { return inv.meter.interval }

// measure reads the usage of a host's running domains periodically, in one call each time,
// until ctx ends. It does not wait for readings that a QEMU blocks.
func (inv *Inventory) measure(ctx context.Context, h *hypervisor.Host) {
	tick := time.NewTicker(inv.meter.interval)
	defer tick.Stop()
	var asked time.Time
	underWay := make(chan struct{}, maxReadings) // one for each reading in progress
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
				// The inventory reports an unreachable host.
				if h.Do(ctx, "node.usage", func(conn *libvirt.Connect) error { return r.read(ctx, conn) }) != nil {
					return nil
				}
				return r.readings
			}
			late := true
			for tries := 0; tries < 2 && late; tries++ { // the second one skips the domain that blocks the first
				readings, late = inTime(ctx, underWay, read)
			}
		}
		resized := inv.meter.add(h.Name(), func(id string) bool { return inv.has(h.Name(), id) }, readings, now)
		inv.feeds[h.Name()].noteOdd(resized)
	}
}

// inTime returns a reading, unless it is late or too many are in progress.
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

// diskBytes returns the size of the disk in a file that the domain's QEMU last reported, 0 if
// it did not.
func (m *meter) diskBytes(host, id, file string) int64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if n := m.hosts[host][id]; n != nil {
		return n.asked.disks[file]
	}
	return 0
}

// mustAsk returns whether there is a running domain whose QEMU has not been asked yet and may
// be.
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

// add adds a reading of a host. It removes data older than UsageKept, and domains that no
// longer exist. resized are the domains whose disk sizes changed.
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
			continue // the previous one was late, and rates over a short time are meaningless
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

// after returns the points after a time. The older ones are freed when append moves the slice
// to a new array.
func after(points []point, unixMilli int64) []point {
	first, _ := slices.BinarySearchFunc(points, unixMilli+1, func(p point, at int64) int { return cmp.Compare(p.at, at) })
	return points[first:]
}

// Usage returns a node's data points after a time, oldest first, averaged over step if that
// is longer than the interval. There are none for times when the node was off. The time of an
// averaged point is the end of its step.
func (inv *Inventory) Usage(id string, since time.Time, step time.Duration) []Usage {
	inv.meter.mu.RLock()
	var points []point
	for _, nodes := range inv.meter.hosts { // several hosts, if it has migrated
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

// average combines the points in each step into one. Steps begin at multiples of their
// length, so that they do not shift between requests.
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

// RecentUsage returns the last data points, at most most of them and oldest first, of each
// node that was running when its host was last read.
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

// Totals returns the usage of the running nodes since their start, from the last reading, in
// no particular order.
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
