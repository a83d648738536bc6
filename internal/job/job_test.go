package job

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/event"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

func (p *process) mustStart(t *testing.T, r Request) Job {
	t.Helper()
	j, err := p.Start(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestJobs(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		p := newProcess(t, url)
		seen := p.events.Subscribe(0)
		defer seen.Close()
		type args struct{ Name string }
		var attempts, undone atomic.Int64
		hold := make(chan struct{})
		p.Handle("good", Kind{Run: func(ctx context.Context, task *Task) error {
			var a args
			if err := task.Args(&a); err != nil || a.Name != "x\x00\"" {
				t.Errorf("the arguments are %+v, %v", a, err)
			}
			task.Begin("copying")
			for i := range int64(1000) {
				task.Progress(i+1, 1000)
			}
			<-hold
			return nil
		}})
		p.Handle("flaky", Kind{Run: func(context.Context, *Task) error {
			if attempts.Add(1) < 3 {
				return fault.New(fault.PoolUnavailable, "The pool is stopped.")
			}
			return nil
		}})
		var away atomic.Int64
		p.Handle("away", Kind{Attempts: 2, Run: func(context.Context, *Task) error {
			if away.Add(1) < 5 {
				return fault.New(fault.HostUnreachable, "The host is unreachable.")
			}
			return nil
		}})
		p.Handle("bad", Kind{
			Run: func(context.Context, *Task) error { return fault.New(fault.ImageUnsafe, "It is bad.") },
			Undo: func(_ context.Context, j Job) error {
				if j.Target.ID != "bad one" {
					t.Errorf("to undo %+v", j.Target)
				}
				if undone.Add(1) == 1 {
					return nil
				}
				return errors.New("undone twice")
			},
		})
		p.Handle("panics", Kind{Attempts: 2, Run: func(context.Context, *Task) error { panic("oh") }})
		p.Handle("waits", Kind{Run: func(ctx context.Context, _ *Task) error {
			<-ctx.Done()
			return ctx.Err()
		}, Undo: func(context.Context, Job) error {
			undone.Add(1)
			return nil
		}})

		early := p.mustStart(t, Request{Kind: "flaky", Owner: "b"})
		if early.State != Queued {
			t.Errorf("a new job is %s", early.State)
		}
		if j, err := p.Cancel(t.Context(), early.ID); err != nil || j.State != Cancelled {
			t.Errorf("cancelled before it began: %s, %v", j.State, err)
		}
		p.start(t)

		good := p.mustStart(t, Request{Kind: "good", Owner: "a", Args: args{"x\x00\""}, Target: Target{"image", "i", "h"}, Single: true})
		if _, err := p.Start(t.Context(), Request{Kind: "good", Target: Target{"image", "i", "h"}, Args: args{}, Single: true}); fault.CodeOf(err) != fault.JobExists {
			t.Errorf("a second job of the same target: %v", err)
		}
		p.await(t, good.ID, Running)
		for e := range seen.C {
			if j, ok := e.Data.(Job); ok && e.Type == event.JobChanged && j.ID == good.ID && j.DoneBytes == 1000 {
				if j.Step != "copying" || j.TotalBytes != 1000 || j.BytesPerSecond == 0 {
					t.Errorf("the progress is told as %+v", j)
				}
				break
			}
		}
		close(hold)
		if j := p.await(t, good.ID, Succeeded); j.DoneBytes != 1000 || j.Owner != "a" || j.Started.IsZero() || j.Finished.Before(j.Started) || j.Error != "" || j.Attempt != 1 {
			t.Errorf("the job that succeeded is %+v", j)
		}
		p.mustStart(t, Request{Kind: "flaky", Target: Target{"image", "i", "h"}, Single: true})

		flaky := p.mustStart(t, Request{Kind: "flaky"})
		absent := p.mustStart(t, Request{Kind: "away"})
		bad := p.mustStart(t, Request{Kind: "bad", Target: Target{ID: "bad one"}})
		panics := p.mustStart(t, Request{Kind: "panics"})
		if j := p.await(t, flaky.ID, Succeeded); j.Error != "" {
			t.Errorf("the job that succeeded at last is %+v", j)
		}
		if j := p.await(t, absent.ID, Succeeded); j.Attempt != 1 || away.Load() != 5 {
			t.Errorf("the job whose host was unreachable is %+v, after %d looks", j, away.Load())
		}
		if j := p.await(t, bad.ID, Failed); j.ErrorCode != fault.ImageUnsafe || j.Error != "It is bad." || j.Attempt != 1 || undone.Load() != 1 {
			t.Errorf("the job that failed is %+v, undone %d times", j, undone.Load())
		}
		if j := p.await(t, panics.ID, Failed); j.ErrorCode != fault.Internal || j.Attempt != 2 {
			t.Errorf("the job that panicked is %+v", j)
		}

		late := p.mustStart(t, Request{Kind: "waits", Owner: "a"})
		p.await(t, late.ID, Running)
		if j, err := p.Cancel(t.Context(), late.ID); err != nil || j.State != Cancelling && j.State != Cancelled {
			t.Errorf("after the cancellation the job is %s, %v", j.State, err)
		}
		p.await(t, late.ID, Cancelled)
		if undone.Load() != 2 {
			t.Error("what the cancelled job began was not undone")
		}
		if j, err := p.Cancel(t.Context(), good.ID); err != nil || j.State != Succeeded {
			t.Errorf("cancelling what has ended: %s, %v", j.State, err)
		}
		if _, err := p.Job(t.Context(), "none"); fault.CodeOf(err) != fault.JobNotFound {
			t.Errorf("no job: %v", err)
		}

		first, next, err := p.List(t.Context(), Filter{States: []State{Succeeded, Cancelled}, Owner: "a", Limit: 1})
		if err != nil || len(first) != 1 || first[0].ID != late.ID || next != late.ID {
			t.Errorf("the first page is %+v, next %q, %v", first, next, err)
		}
		second, next, err := p.List(t.Context(), Filter{States: []State{Succeeded, Cancelled}, Owner: "a", Limit: 1, After: next})
		if err != nil || len(second) != 1 || second[0].ID != good.ID || next != "" {
			t.Errorf("the second page is %+v, next %q, %v", second, next, err)
		}
	})
}

// TestStop stops the service gracefully: its jobs resume in the next one, and the interruption does
// not count as an attempt.
func TestStop(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		p := newProcess(t, url)
		began := make(chan struct{})
		p.Handle("long", Kind{Run: func(ctx context.Context, _ *Task) error {
			close(began)
			<-ctx.Done()
			return ctx.Err()
		}})
		stop := p.start(t)
		j := p.mustStart(t, Request{Kind: "long"})
		<-began
		stop()
		if got, err := p.Job(t.Context(), j.ID); err != nil || got.State != Queued || got.Attempt != 0 {
			t.Errorf("after the end of the service the job is %+v, %v", got, err)
		}

		next := newProcess(t, url)
		next.Handle("long", Kind{Run: func(context.Context, *Task) error { return nil }})
		next.start(t)
		if got := next.await(t, j.ID, Succeeded); got.Attempt != 1 {
			t.Errorf("it took %d attempts", got.Attempt)
		}
	})
}

// TestCancelWhatWaits cancels jobs that wait for their first attempt: one that has not begun, and
// one that was stopped. Their changes are undone.
func TestCancelWhatWaits(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		p := newProcess(t, url)
		began, undone := make(chan struct{}), make(chan string, 2)
		work := Kind{Run: func(ctx context.Context, _ *Task) error {
			close(began)
			<-ctx.Done()
			return ctx.Err()
		}, Undo: func(_ context.Context, j Job) error {
			undone <- j.ID
			return nil
		}}
		p.Handle("work", work)
		stop := p.start(t)
		stopped := p.mustStart(t, Request{Kind: "work"})
		<-began
		stop()
		fresh := p.mustStart(t, Request{Kind: "work"})
		for _, j := range []Job{stopped, fresh} {
			if j, err := p.Cancel(t.Context(), j.ID); err != nil || j.State != Cancelling || j.Attempt != 0 {
				t.Errorf("cancelled while it waits, the job is %+v, %v", j, err)
			}
		}
		next := newProcess(t, url)
		next.Handle("work", work)
		next.start(t)
		next.await(t, stopped.ID, Cancelled)
		next.await(t, fresh.ID, Cancelled)
		if n := len(undone); n != 2 {
			t.Fatalf("Undo was called %d times", n)
		}
		if one, two := <-undone, <-undone; one == two {
			t.Error("one of them was undone twice")
		}
	})
}

// TestKill kills the process that runs a job: another process resumes the job within seconds, but
// not while the first one lives.
func TestKill(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		p := newProcess(t, url)
		taken := make(chan struct{})
		p.Handle("endless", Kind{Run: func(context.Context, *Task) error {
			close(taken)
			return nil
		}})
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), asChild+"="+url)
		child.Stderr = os.Stderr
		output, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _, _ = child.Process.Kill(), child.Wait() }()
		j := p.mustStart(t, Request{Kind: "endless"})
		if _, err := bufio.NewReader(output).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		p.start(t)
		select {
		case <-taken:
			t.Fatal("the job was taken from a process that lives")
		case <-time.After(2*lookInterval + lookInterval/2):
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		killed := time.Now()
		if got := p.await(t, j.ID, Succeeded); got.Attempt != 2 {
			t.Errorf("it took %d attempts", got.Attempt)
		}
		t.Logf("it was taken up after %v", time.Since(killed).Round(time.Millisecond))
	})
}

// TestCancelElsewhere cancels a job that runs in another process.
func TestCancelElsewhere(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		here, there := newProcess(t, url), newProcess(t, url)
		wait := Kind{Run: func(ctx context.Context, _ *Task) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		here.Handle("waits", wait)
		there.Handle("waits", wait)
		there.start(t)
		j := here.mustStart(t, Request{Kind: "waits"})
		here.await(t, j.ID, Running)
		if j, err := here.Cancel(t.Context(), j.ID); err != nil || j.State != Cancelling {
			t.Errorf("after the cancellation the job is %s, %v", j.State, err)
		}
		here.await(t, j.ID, Cancelled)
		list, _, err := here.List(t.Context(), Filter{States: slices.DeleteFunc(slices.Clone(States), State.IsFinal)})
		if err != nil || len(list) != 0 {
			t.Errorf("unfinished jobs: %+v, %v", list, err)
		}
	})
}
