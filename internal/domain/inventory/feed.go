package inventory

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
)

// feed schedules the readings of one host.
type feed struct {
	host *hypervisor.Host
	wake chan struct{} // one slot

	mu     sync.Mutex
	known  bool          // all domains were read since the host was last connected
	batch                // the next readings
	urgent chan struct{} // not nil while a domain with an event is waiting to be read; closed afterwards

	apart map[string]*apart // by id: readings in progress
	slots chan struct{}     // one for each reading of a domain whose QEMU does not respond

	sightings   sightings            // see lack
	suspects    map[string]time.Time // see suspect
	differences uint64
}

// batch is a set of domains to read. Domains with an event are read first, also while all
// domains are read.
type batch struct {
	all     bool
	dirty   map[string]bool            // ids with an event, or changed by this service
	odd     map[string]bool            // ids that changed, maybe without an event
	waiting map[string][]chan struct{} // by id, for dirty domains; closed when the domain was read
}

func newBatch() batch {
	return batch{dirty: map[string]bool{}, odd: map[string]bool{}, waiting: map[string][]chan struct{}{}}
}

// await adds channels to close when their domain has been read.
func (b *batch) await(waiting map[string][]chan struct{}) {
	for id, list := range waiting {
		b.waiting[id] = append(b.waiting[id], list...)
	}
}

func newFeed(h *hypervisor.Host) *feed {
	return &feed{host: h, wake: make(chan struct{}, 1), batch: newBatch(), apart: map[string]*apart{}, slots: make(chan struct{}, silentAtOnce), suspects: map[string]time.Time{}, sightings: sightings{}}
}

// note schedules a reading of a domain, or of all domains if id is empty.
func (f *feed) note(id string, done chan struct{}) {
	f.mu.Lock()
	if id == "" {
		f.all = true
	} else {
		f.dirty[id] = true
		if f.urgent == nil {
			f.urgent = make(chan struct{})
		}
	}
	if done != nil {
		f.waiting[id] = append(f.waiting[id], done)
	} else {
		delete(f.suspects, id) // libvirt sent an event
	}
	f.mu.Unlock()
	f.wakeUp()
}

// take returns the scheduled batch and starts a new one.
func (f *feed) take() batch {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.batch
	f.batch = newBatch()
	return b
}

// takeDirty moves the domains with events since b was taken into b.
func (f *feed) takeDirty(b *batch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.Copy(b.dirty, f.dirty)
	b.await(f.waiting)
	f.dirty, f.waiting = map[string]bool{}, map[string][]chan struct{}{}
}

// calm releases the callers of giveWay, unless there are new events.
func (f *feed) calm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.urgent != nil && len(f.dirty) == 0 {
		close(f.urgent)
		f.urgent = nil
	}
}

// giveWayLimit limits each wait in giveWay, because events may never stop.
const giveWayLimit = time.Second

// giveWay waits while domains with an event are read. Polls call it, because they are not
// urgent, and compete for libvirtd and CPU time.
func (f *feed) giveWay(ctx context.Context) {
	f.mu.Lock()
	urgent := f.urgent
	f.mu.Unlock()
	if urgent == nil {
		return
	}
	limit := time.NewTimer(giveWayLimit)
	defer limit.Stop()
	select {
	case <-urgent:
	case <-limit.C:
	case <-ctx.Done():
	}
}

// readPause is the pause before a failed reading is repeated.
const readPause = 500 * time.Millisecond

// tryAgain reschedules a batch that could not be read. If the host is connected, because only
// one connection broke, it is read again soon. Otherwise tryAgain returns false, and all
// domains are read when the host is connected again.
func (f *feed) tryAgain(b batch) bool {
	again := f.host.Status().State == hypervisor.Connected
	f.mu.Lock()
	f.all = f.all || b.all
	maps.Copy(f.dirty, b.dirty)
	maps.Copy(f.odd, b.odd)
	if again {
		f.await(b.waiting)
	}
	f.mu.Unlock()
	if again {
		time.AfterFunc(readPause, f.wakeUp)
	}
	return again
}

func (f *feed) wakeUp() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *feed) setKnown(known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known = known
}

func (f *feed) isKnown() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.known
}
