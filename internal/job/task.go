package job

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/event"
)

const (
	// tellInterval is how often clients are notified of a job's progress.
	tellInterval = 500 * time.Millisecond
	// saveTicks of it pass between two looks at the job's record.
	saveTicks = 4
	// rateWeight is how much of the rate is the latest interval's.
	rateWeight = 0.3
)

// The causes for which a job's context ends.
var (
	errCancelled = errors.New("the job was cancelled")
	errLost      = errors.New("another process took the job over")
)

// Task is a job that runs: what its Kind's Run is given. Its methods may be
// called from any goroutine.
type Task struct {
	Job // as it was when the attempt began

	s      *Service
	cancel context.CancelCauseFunc

	mu          sync.Mutex
	step        string
	done, total int64
	rate        float64 // bytes per second
	cancelling  bool
}

// Progress notes that done of total bytes are done; a total of 0 is not known.
func (t *Task) Progress(done, total int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done, t.total = done, total
}

// Begin notes the step that the job is at, and sets its progress back.
func (t *Task) Begin(step string) {
	t.mu.Lock()
	t.step, t.done, t.total, t.rate = step, 0, 0, 0
	t.mu.Unlock()
	t.s.tell(t.now())
}

// At notes that the job is at a step, and how much of the whole is done; in what,
// the kind of job says.
func (t *Task) At(step string, done, total int64) {
	t.mu.Lock()
	t.step, t.done, t.total = step, done, total
	t.mu.Unlock()
	t.s.tell(t.now())
}

// now is the job as clients see it.
func (t *Task) now() Job {
	t.mu.Lock()
	defer t.mu.Unlock()
	j := t.Job
	j.Step, j.DoneBytes, j.TotalBytes, j.BytesPerSecond = t.step, t.done, t.total, int64(t.rate)
	if t.cancelling {
		j.State = Cancelling
	}
	return j
}

// stop ends the job's context because the job was cancelled.
func (t *Task) stop() {
	t.mu.Lock()
	t.cancelling = true
	t.mu.Unlock()
	t.cancel(errCancelled)
}

// report tells clients of the progress, and keeps it, until ctx ends.
func (t *Task) report(ctx context.Context) {
	tick := time.NewTicker(tellInterval)
	defer tick.Stop()
	var told Job
	var before int64
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		t.mu.Lock()
		moved := max(t.done-before, 0) // a new step begins at 0
		before = t.done
		if recent := float64(moved) / tellInterval.Seconds(); t.rate == 0 {
			t.rate = recent
		} else {
			t.rate += rateWeight * (recent - t.rate)
		}
		t.mu.Unlock()
		now := t.now()
		if now.DoneBytes != told.DoneBytes || now.TotalBytes != told.TotalBytes || now.BytesPerSecond != told.BytesPerSecond {
			t.s.tell(now)
			told = now
		}
		if n%saveTicks == 0 {
			t.keep(ctx, now)
		}
	}
}

// keep writes the progress down, and notices a cancellation that was asked of
// another process.
func (t *Task) keep(ctx context.Context, now Job) {
	err := t.update(ctx, map[string]any{"step": now.Step, "done_bytes": now.DoneBytes, "total_bytes": now.TotalBytes})
	switch {
	case errors.Is(err, errLost):
		t.cancel(err)
		return
	case err != nil:
		if ctx.Err() == nil {
			t.s.o.Log.Warn("a job's progress cannot be kept", "job", t.ID, "error", err)
		}
		return
	}
	if r, err := t.s.row(ctx, t.ID); err == nil && r.State == Cancelling {
		t.stop()
	}
}

// update changes the job's record, unless the job is another's by now: errLost.
func (t *Task) update(ctx context.Context, values map[string]any) error {
	changed := t.s.o.DB.WithContext(ctx).Model(&row{}).
		Where("id = ? AND holder = ? AND attempt = ? AND finished IS NULL", t.ID, t.s.o.Lease.Holder(), t.Attempt).Updates(values)
	if changed.Error == nil && changed.RowsAffected == 0 {
		return errLost
	}
	return changed.Error
}

// tell publishes a job as it is now.
func (s *Service) tell(j Job) { s.o.Events.Publish(event.JobChanged, j) }
