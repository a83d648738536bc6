// Package event carries every change that clients are notified of: an ordered
// stream with ids, from which a client that was cut off can resume.
package event

import (
	"sync"
	"time"
)

// Type names what happened; it is the SSE event name on the wire.
type Type string

// The event types.
const (
	NodeChanged  Type = "node.changed"
	NodeRemoved  Type = "node.removed"
	ImageChanged Type = "image.changed"
	ImageRemoved Type = "image.removed"
	HostChanged  Type = "host.changed"
	JobChanged   Type = "job.changed"
	LabChanged   Type = "lab.changed"
	LabRemoved   Type = "lab.removed"
	PoolLevel    Type = "pool.level" // a storage pool has become fuller, or less full, by a level
	// Reset tells a client that events were lost to it (it was disconnected for longer
	// than the broker remembers): it must reload its lists.
	Reset Type = "reset"
)

// Event is one change. ID grows by one for each event; ids of an earlier run of
// the service are smaller than all of this one's. Data is encoded as JSON and must not be changed once published.
type Event struct {
	ID   uint64
	Type Type
	Time time.Time
	Data any
}

const (
	remembered = 1024 // events kept for clients that resume
	queued     = 256  // events a slow subscriber may lag behind
)

// Broker fans events out. The zero value is ready; all methods may be called
// from any goroutine.
type Broker struct {
	mu     sync.Mutex
	lastID uint64
	recent []Event // at most remembered, oldest first
	subs   map[*Subscription]struct{}
}

// Subscription receives events in order until Close, or until it lags: then
// the channel is closed, and its owner resumes from the last event it saw.
type Subscription struct {
	// C is closed when the subscriber was too slow, or by Close.
	C      <-chan Event
	c      chan Event
	broker *Broker
}

// Publish appends an event and hands it to every subscriber. It never blocks:
// a subscriber whose queue is full is cut off.
func (b *Broker) Publish(t Type, data any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.begin()
	b.lastID++
	e := Event{ID: b.lastID, Type: t, Time: time.Now(), Data: data}
	if len(b.recent) == remembered {
		b.recent = append(b.recent[:0], b.recent[1:]...)
	}
	b.recent = append(b.recent, e)
	for s := range b.subs {
		select {
		case s.c <- e:
		default:
			b.remove(s)
		}
	}
}

// Subscribe starts a subscription. With after > 0, the events that followed
// that id come first; when some of them are forgotten, or the id is not one of
// this run, a single Reset event comes instead.
func (b *Broker) Subscribe(after uint64) *Subscription {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.begin()
	c := make(chan Event, remembered+queued)
	s := &Subscription{C: c, c: c, broker: b}
	if b.subs == nil {
		b.subs = map[*Subscription]struct{}{}
	}
	b.subs[s] = struct{}{}
	if after == 0 || after == b.lastID {
		return s
	}
	if after > b.lastID || len(b.recent) == 0 || b.recent[0].ID > after+1 {
		c <- Event{ID: b.lastID, Type: Reset, Time: time.Now(), Data: struct{}{}}
		return s
	}
	for _, e := range b.recent {
		if e.ID > after {
			c <- e
		}
	}
	return s
}

// Close ends the subscription. It may be called more than once.
func (s *Subscription) Close() {
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	s.broker.remove(s)
}

// remove expects b.mu to be held.
func (b *Broker) remove(s *Subscription) {
	if _, ok := b.subs[s]; ok {
		delete(b.subs, s)
		close(s.c)
	}
}

// begin expects b.mu to be held. It starts the ids at the clock, so that the id
// which a client brings from an earlier run is known to be old.
func (b *Broker) begin() {
	if b.lastID == 0 {
		b.lastID = uint64(time.Now().UnixMicro()) // after 1970
	}
}
