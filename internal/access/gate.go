package access

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	hashesAtOnce  = 2    // so that sign-ins take 128 MiB at most
	waitingByLane = 32   // for a hash, in one lane
	waitingInAll  = 1024 // in all lanes; beyond it the longest lane loses its last
)

// gate bounds how many passwords are hashed at once, and how many callers wait for
// it. Callers wait in lanes, one for each network, and the lanes take turns: a
// network that asks for much waits for itself. Those in the preferred lanes go first.
type gate struct {
	mu        sync.Mutex
	inside    int
	preferred lanes
	others    lanes
}

// lanes are queues that take turns.
type lanes struct {
	waiting map[string][]*waiter
	turns   []string // lanes with a waiter, the next first
	count   int      // of waiters
}

// waiter waits for its turn: admitted gets true, or false when it is turned away.
type waiter struct{ admitted chan bool }

func newGate() *gate {
	return &gate{preferred: lanes{waiting: map[string][]*waiter{}}, others: lanes{waiting: map[string][]*waiter{}}}
}

// enter waits for a turn; leave, which must be called, gives it back. It returns
// fault.TooManyRequests when too many wait, or ctx's error.
func (g *gate) enter(ctx context.Context, lane string, preferred bool) (leave func(), err error) {
	l := &g.others
	if preferred {
		l = &g.preferred
	}
	g.mu.Lock()
	if g.inside < hashesAtOnce { // then no one waits
		g.inside++
		g.mu.Unlock()
		return g.leave, nil
	}
	w := l.add(lane)
	g.mu.Unlock()
	if w == nil {
		return nil, tooManyAtOnce()
	}
	select {
	case admitted := <-w.admitted:
		if !admitted {
			return nil, tooManyAtOnce()
		}
		return g.leave, nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	waited := l.remove(lane, w)
	g.mu.Unlock()
	if !waited && <-w.admitted { // at the same moment
		g.leave()
	}
	return nil, ctx.Err()
}

// leave hands the turn to the next waiter.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := g.preferred.next()
	if w == nil {
		w = g.others.next()
	}
	if w == nil {
		g.inside--
		return
	}
	w.admitted <- true
}

// add returns a new waiter in a lane; nil if the queue is full.
func (l *lanes) add(lane string) *waiter {
	if len(l.waiting[lane]) >= waitingByLane {
		return nil
	}
	if l.count >= waitingInAll {
		longest := lane
		for name, list := range l.waiting {
			if len(list) > len(l.waiting[longest]) {
				longest = name
			}
		}
		if longest == lane || len(l.waiting[longest]) <= len(l.waiting[lane])+1 {
			return nil
		}
		last := l.waiting[longest][len(l.waiting[longest])-1]
		l.remove(longest, last)
		last.admitted <- false
	}
	w := &waiter{admitted: make(chan bool, 1)}
	if len(l.waiting[lane]) == 0 {
		l.turns = append(l.turns, lane)
	}
	l.waiting[lane] = append(l.waiting[lane], w)
	l.count++
	return w
}

// next takes the first waiter of the lane whose turn it is; nil when no one waits.
func (l *lanes) next() *waiter {
	if len(l.turns) == 0 {
		return nil
	}
	lane := l.turns[0]
	w := l.waiting[lane][0]
	l.remove(lane, w)
	if i := slices.Index(l.turns, lane); i >= 0 { // the others come first
		l.turns = append(slices.Delete(l.turns, i, i+1), lane)
	}
	return w
}

// remove takes a waiter out of its lane, and returns whether it was there.
func (l *lanes) remove(lane string, w *waiter) bool {
	i := slices.Index(l.waiting[lane], w)
	if i < 0 {
		return false
	}
	l.count--
	if l.waiting[lane] = slices.Delete(l.waiting[lane], i, i+1); len(l.waiting[lane]) == 0 {
		delete(l.waiting, lane)
		l.turns = slices.DeleteFunc(l.turns, func(name string) bool { return name == lane })
	}
	return true
}

func tooManyAtOnce() error { return tooMany(time.Second, "Too many people sign in at this moment.") }
