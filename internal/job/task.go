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
	// saveTicks is how many tellIntervals pass between two updates of the job's record.
	saveTicks = 4
	// rateWeight is the weight of the latest interval in the moving average of the rate.
	rateWeight = 0.3
)

// These are the causes for which a job's context is cancelled.
var (
	errCancelled = errors.New("the job was cancelled")
	errLost      = errors.New("another process took the job over")
)

// Task is a running job, as its Kind's Run gets it. Its methods are safe for concurrent use.
type Task struct {
	Job // its state when the attempt began

	s      *Service
	cancel context.CancelCauseFunc

	mu          sync.Mutex
	step        string
	done, total int64
	rate        float64 // bytes per second
	cancelling  bool
}

// Progress records that done of total bytes are processed; a total of 0 means unknown.
func (t *Task) Progress(done, total int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done, t.total = done, total
}

// Begin records that the job has begun a step, and resets its progress.
func (t *Task) Begin(step string) {
	t.mu.Lock()
	t.step, t.done, t.total, t.rate = step, 0, 0, 0
	t.mu.Unlock()
	t.s.tell(t.now())
}

// At records the job's step and its progress; the unit depends on the kind of job.
func (t *Task) At(step string, done, total int64) {
	t.mu.Lock()
	t.step, t.done, t.total = step, done, total
	t.mu.Unlock()
	t.s.tell(t.now())
}

// now returns the job as clients see it.
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

// stop cancels the job's context because the job was cancelled.
func (t *Task) stop() {
	t.mu.Lock()
	t.cancelling = true
	t.mu.Unlock()
	t.cancel(errCancelled)
}

// report publishes and saves the progress regularly until ctx ends.
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
		moved := max(t.done-before, 0) // a new step resets done to 0
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

// keep saves the progress, and detects that the job was cancelled through another process.
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

// update changes the job's record. It returns errLost if another process has taken over the job.
func (t *Task) update(ctx context.Context, values map[string]any) error {
	changed := t.s.o.DB.WithContext(ctx).Model(&row{}).
		Where("id = ? AND holder = ? AND attempt = ? AND finished IS NULL", t.ID, t.s.o.Lease.Holder(), t.Attempt).Updates(values)
	if changed.Error == nil && changed.RowsAffected == 0 {
		return errLost
	}
	return changed.Error
}

// tell publishes the current state of a job.
func (s *Service) tell(j Job) { s.o.Events.Publish(event.JobChanged, j) }
