package inventory

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
)

// feed collects what is to be read on one host.
type feed struct {
	host *hypervisor.Host
	wake chan struct{} // one slot

	mu     sync.Mutex
	known  bool          // all domains were read since the host was connected last
	batch                // what is to be read next
	urgent chan struct{} // not nil while a domain of which an event told is not read yet; closed then

	apart map[string]*apart // by id: readings that have not ended
	slots chan struct{}     // has one for each reading of a domain that libvirt is silent about

	sightings   sightings            // see lack
	suspects    map[string]time.Time // see suspect
	differences uint64
}

// batch is what is read at a time. A domain of which an event told is read before the
// next one of all others.
type batch struct {
	all     bool
	dirty   map[string]bool            // an event, or a change of ours, told of them
	odd     map[string]bool            // those that look otherwise, though no event may have told
	waiting map[string][]chan struct{} // by id, of those in dirty; closed when that was read
}

func newBatch() batch {
	return batch{dirty: map[string]bool{}, odd: map[string]bool{}, waiting: map[string][]chan struct{}{}}
}

// await adds channels that are to be closed when a domain was read.
func (b *batch) await(waiting map[string][]chan struct{}) {
	for id, list := range waiting {
		b.waiting[id] = append(b.waiting[id], list...)
	}
}

func newFeed(h *hypervisor.Host) *feed {
	return &feed{host: h, wake: make(chan struct{}, 1), batch: newBatch(), apart: map[string]*apart{}, slots: make(chan struct{}, silentAtOnce), suspects: map[string]time.Time{}, sightings: sightings{}}
}

// note asks for a domain to be read, or for all of them with an empty id.
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
		delete(f.suspects, id) // libvirt tells of it
	}
	f.mu.Unlock()
	f.wakeUp()
}

// take returns what is to be read.
func (f *feed) take() batch {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.batch
	f.batch = newBatch()
	return b
}

// takeDirty adds the domains to a batch of which events told since it was taken.
func (f *feed) takeDirty(b *batch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.Copy(b.dirty, f.dirty)
	b.await(f.waiting)
	f.dirty, f.waiting = map[string]bool{}, map[string][]chan struct{}{}
}

// calm lets go on who gives way, unless events told of more.
func (f *feed) calm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.urgent != nil && len(f.dirty) == 0 {
		close(f.urgent)
		f.urgent = nil
	}
}

// giveWayLimit bounds each wait of giveWay: events may come without end.
const giveWayLimit = time.Second

// giveWay waits while a domain is read of which an event told: for polls, which are not
// urgent, and share libvirtd and the processors with that.
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

// readPause is how long a reading that failed waits for the next one.
const readPause = 500 * time.Millisecond

// tryAgain puts back what could not be read. On a host that is connected, as when one
// connection broke, it is read again soon; else it returns false, and all is read
// when the host is back.
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
