package job

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

// heavyWork is a job that blocks until the test ends it.
type heavyWork struct {
	mu      sync.Mutex
	running map[string]chan struct{} // by job id
	began   []string                 // owners, in the order in which their jobs began
	most    map[string]int           // by owner: the most jobs at once
	owners  map[string]string
}

func newHeavyWork() *heavyWork {
	return &heavyWork{running: map[string]chan struct{}{}, most: map[string]int{}, owners: map[string]string{}}
}

func (w *heavyWork) run(ctx context.Context, t *Task) error {
	end := make(chan struct{})
	w.mu.Lock()
	w.running[t.ID], w.owners[t.ID] = end, t.Owner
	w.began = append(w.began, t.Owner)
	now := 0
	for id := range w.running {
		if w.owners[id] == t.Owner {
			now++
		}
	}
	w.most[t.Owner] = max(w.most[t.Owner], now)
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.running, t.ID)
	}()
	select {
	case <-end:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// started waits until n jobs have begun, and returns their owners.
func (w *heavyWork) started(t *testing.T, n int) []string {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		w.mu.Lock()
		began := slices.Clone(w.began)
		w.mu.Unlock()
		if len(began) >= n {
			return began
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d jobs have begun, want %d: %v", len(began), n, began)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// finish ends a job of an owner.
func (w *heavyWork) finish(t *testing.T, owner string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, end := range w.running {
		if w.owners[id] == owner {
			close(end)
			delete(w.running, id)
			return
		}
	}
	t.Fatalf("no job of %s runs", owner)
}

// TestHeavyJobsTakeTurns has one owner start nine heavy jobs at once: two run, and the others
// occupy no worker. Jobs of another owner, and jobs that are not heavy, begin at once.
func TestHeavyJobsTakeTurns(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		p := newProcess(t, url)
		w := newHeavyWork()
		p.Handle("heavy", Kind{Run: w.run, Heavy: true})
		p.Handle("light", Kind{Run: func(context.Context, *Task) error { return nil }})
		p.start(t)
		var jobs []Job
		for range 9 {
			jobs = append(jobs, p.mustStart(t, Request{Kind: "heavy", Owner: "greedy"}))
		}
		w.started(t, heavyOfOwner)
		late := p.mustStart(t, Request{Kind: "heavy", Owner: "late"})
		p.await(t, late.ID, Running)
		light := p.mustStart(t, Request{Kind: "light", Owner: "greedy"})
		p.await(t, light.ID, Succeeded)
		for i := range 9 { // each job that ends lets the next one begin
			w.finish(t, "greedy")
			w.started(t, min(heavyOfOwner+1+i+1, 10))
		}
		w.finish(t, "late")
		for _, j := range append(jobs, late) {
			if j := p.await(t, j.ID, Succeeded); j.Attempt != 1 {
				t.Errorf("a job that waited for its turn took %d attempts", j.Attempt)
			}
		}
		if w.most["greedy"] != heavyOfOwner {
			t.Errorf("%d jobs of one owner ran at once", w.most["greedy"])
		}

		// A waiting job can be cancelled.
		running := []Job{p.mustStart(t, Request{Kind: "heavy", Owner: "x"}), p.mustStart(t, Request{Kind: "heavy", Owner: "x"})}
		w.started(t, 12)
		waits := p.mustStart(t, Request{Kind: "heavy", Owner: "x"})
		if _, err := p.Cancel(t.Context(), waits.ID); err != nil {
			t.Fatal(err)
		}
		p.await(t, waits.ID, Cancelled)
		for range running {
			w.finish(t, "x")
		}
	})
}

// TestSlotIsShared has two processes whose jobs need the same slot: only one job runs at a time,
// and the owners take turns, however many jobs one of them has.
func TestSlotIsShared(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		here, there := newProcess(t, url), newProcess(t, url)
		w := newHeavyWork()
		for _, p := range []*process{here, there} {
			p.Handle("convert", Kind{Run: w.run, Heavy: true, Slot: "convert"})
		}
		target := func(host string, n int) Target { return Target{Type: "image", ID: fmt.Sprint(n), Host: host} }
		for i := range 4 {
			here.mustStart(t, Request{Kind: "convert", Owner: "greedy", Target: target("one", i)})
		}
		for i := range 2 {
			here.mustStart(t, Request{Kind: "convert", Owner: "modest", Target: target("one", 10+i)})
		}
		here.start(t)
		there.start(t)
		want := []string{"greedy", "modest", "greedy", "modest", "greedy", "greedy"}
		for i := range want {
			began := w.started(t, i+1)
			if !slices.Equal(began, want[:i+1]) {
				t.Fatalf("the owners came in the order %v, want %v", began, want[:i+1])
			}
			if i == 1 { // another host has its own slot
				other := there.mustStart(t, Request{Kind: "convert", Owner: "other", Target: target("two", 20)})
				here.await(t, other.ID, Running)
				w.mu.Lock()
				w.began = slices.DeleteFunc(w.began, func(owner string) bool { return owner == "other" })
				w.mu.Unlock()
				w.finish(t, "other")
			}
			w.finish(t, want[i])
		}
	})
}

type waitError struct{}

func (waitError) Error() string       { return "a slot is taken" }
func (waitError) Wait() time.Duration { return 20 * time.Millisecond }

// TestWaitingHoldsNoWorker has more jobs than workers wait for a resource: another job still gets a
// worker, and retries while waiting do not count as attempts.
func TestWaitingHoldsNoWorker(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		p := newProcess(t, url)
		free := make(chan struct{})
		p.Handle("waits", Kind{Attempts: 1, Run: func(context.Context, *Task) error {
			select {
			case <-free:
				return nil
			default:
				return fmt.Errorf("convert: %w", waitError{})
			}
		}})
		p.Handle("other", Kind{Run: func(context.Context, *Task) error { return nil }})
		p.start(t)
		var jobs []Job
		for range 2 * workers {
			jobs = append(jobs, p.mustStart(t, Request{Kind: "waits"}))
		}
		p.await(t, p.mustStart(t, Request{Kind: "other"}).ID, Succeeded)
		close(free)
		for _, j := range jobs {
			if j := p.await(t, j.ID, Succeeded); j.Attempt != 1 || j.Error != "" {
				t.Errorf("the job that waited is %+v", j)
			}
		}
	})
}
