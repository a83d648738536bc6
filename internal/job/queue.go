package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivertype"
	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

const (
	// lookInterval is how often the service checks for jobs of processes that have ended.
	lookInterval = 2 * time.Second
	// stopTimeout is how long jobs may take to return when the service stops.
	stopTimeout = 15 * time.Second
	// undoTimeout limits one attempt to undo, which continues while the service stops.
	undoTimeout = time.Minute
	undoPause   = 10 * time.Second

	defaultPause = 2 * time.Second
	maxPause     = 5 * time.Minute
	// awayDoublings is how often the first pause is doubled for the interval between two checks
	// whether a host is reachable again.
	awayDoublings = 3

	// retention is how long the record of a job is kept after the job has ended.
	retention     = 30 * 24 * time.Hour
	cleanInterval = time.Hour
)

// queueArgs is all that River stores about a job.
type queueArgs struct {
	ID string `json:"id"`
}

// Kind returns the kind of all jobs in River's table.
func (queueArgs) Kind() string { return "job" }

// worker runs the jobs that River dispatches.
type worker struct {
	river.WorkerDefaults[queueArgs]
	s *Service
}

// Timeout returns -1 for no timeout, because large images take long. River's own detection of stuck
// jobs ignores jobs without a timeout; look detects them by their lease instead.
func (worker) Timeout(*river.Job[queueArgs]) time.Duration { return -1 }

// Work runs one attempt of a job.
func (w worker) Work(ctx context.Context, j *river.Job[queueArgs]) error {
	return w.s.work(ctx, j.Args.ID)
}

func (s *Service) newQueue() (err error) {
	workersOf := river.NewWorkers()
	river.AddWorker(workersOf, worker{s: s})
	s.queue, err = river.NewClient(s.driver, &river.Config{
		ID:                s.o.Lease.Holder(),
		FetchPollInterval: time.Second / 2,
		JobTimeout:        -1,
		Logger:            slog.New(quiet{s.o.Log.Handler()}),
		MaxAttempts:       1 << 14, // not used as a limit: the job's record counts attempts
		Queues:            map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers}},
		Workers:           workersOf,
	})
	return err
}

// Run runs jobs until ctx ends. It then stops the running jobs, which resume at the next start.
func (s *Service) Run(ctx context.Context) error {
	if err := s.queue.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("start the job queue: %w", err)
	}
	look, clean := time.NewTicker(lookInterval), time.NewTicker(cleanInterval)
	defer look.Stop()
	defer clean.Stop()
	s.look(ctx)
	s.clean(ctx)
	for {
		select {
		case <-look.C:
			s.look(ctx)
			s.wake(ctx)
		case <-clean.C:
			s.clean(ctx)
		case <-ctx.Done():
			s.stop(ctx)
			return nil
		}
	}
}

// stop stops the running jobs.
func (s *Service) stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := s.queue.StopAndCancel(ctx); err != nil {
		// The records name this process as the holder, so that the next start resumes the jobs.
		s.o.Log.Warn("jobs that do not end are left", "error", err)
	}
}

// look resumes the jobs of processes that have ended.
func (s *Service) look(ctx context.Context) {
	if err := s.rescue(ctx); err != nil && ctx.Err() == nil {
		s.o.Log.Error("jobs that were cut off cannot be taken up yet", "error", err)
	}
}

func (s *Service) rescue(ctx context.Context) error {
	found, err := s.queue.JobList(ctx, river.NewJobListParams().States(rivertype.JobStateRunning).First(MaxPage))
	if err != nil {
		return err
	}
	for _, queued := range found.Jobs {
		if len(queued.AttemptedBy) == 0 {
			continue
		}
		holder := queued.AttemptedBy[len(queued.AttemptedBy)-1]
		if holder == s.o.Lease.Holder() {
			continue
		}
		ended, err := s.o.Lease.Ended(ctx, holder)
		if err != nil {
			return err
		}
		if !ended {
			continue
		}
		if err := s.takeUp(ctx, queued, holder); err != nil {
			return err
		}
	}
	return nil
}

// takeUp queues a job again whose process has ended.
func (s *Service) takeUp(ctx context.Context, queued *rivertype.JobRow, holder string) error {
	var args queueArgs
	if err := json.Unmarshal(queued.EncodedArgs, &args); err != nil {
		return err
	}
	s.o.Log.Info("taking up a job that was cut off", "job", args.ID)
	err := s.o.DB.WithContext(ctx).Model(&row{}).Where("id = ? AND holder = ? AND state = ?", args.ID, holder, Running).
		Updates(map[string]any{"state": Queued, "holder": ""}).Error
	if err != nil {
		return err
	}
	why, err := json.Marshal(rivertype.AttemptError{At: now(), Attempt: queued.Attempt, Error: "the process ended"})
	if err != nil {
		return err
	}
	_, err = s.driver.GetExecutor().JobRescueMany(ctx, &riverdriver.JobRescueManyParams{
		ID: []int64{queued.ID}, Error: [][]byte{why}, FinalizedAt: []*time.Time{nil}, ScheduledAt: []time.Time{now()},
		State: []string{string(rivertype.JobStateAvailable)}, StuckHorizon: now(),
	})
	return err
}

// clean deletes the records of jobs that ended more than retention ago.
func (s *Service) clean(ctx context.Context) {
	err := s.o.DB.WithContext(ctx).Where("finished < ?", now().Add(-retention)).Delete(&row{}).Error
	if err != nil && ctx.Err() == nil {
		s.o.Log.Warn("old jobs cannot be forgotten", "error", err)
	}
}

// work runs one attempt of a job. Its result is for River: nil completes River's job, a snooze
// schedules it again.
func (s *Service) work(ctx context.Context, id string) error {
	r, err := s.take(ctx, id)
	if fault.CodeOf(err) == fault.JobNotFound {
		return nil // deleted
	}
	if errors.Is(err, errNotItsTurn) {
		s.wake(ctx)
		return river.JobSnooze(turnPause)
	}
	if err != nil {
		s.o.Log.Error("a job cannot be taken up", "job", id, "error", err)
		return river.JobSnooze(s.o.Pause)
	}
	kind, known := s.kinds[r.Kind]
	switch {
	case r.State.IsFinal():
		return nil
	case r.Outcome != "":
		return s.conclude(ctx, r)
	case r.State == Cancelling:
		return s.end(ctx, r, Cancelled, nil)
	case !known:
		return s.end(ctx, r, Failed, fault.New(fault.Unsupported, "This version of the service doesn't support jobs of kind %q.", r.Kind))
	case r.Attempt > r.MaxAttempts:
		return s.end(ctx, r, Failed, fault.New(fault.Internal, "The job failed %d times because the service stopped. See the service's log.", r.MaxAttempts))
	}
	err = s.settle(ctx, r, s.attempt(ctx, r, kind))
	if kind.Heavy {
		s.wake(ctx)
	}
	return err
}

// take records that this process runs the job now. It returns errNotItsTurn if the job has to wait
// for others.
func (s *Service) take(ctx context.Context, id string) (r row, err error) {
	err = s.o.DB.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := s.checkTurn(tx, id); err != nil {
			return err
		}
		began := now()
		err := tx.Model(&row{}).Where("id = ? AND finished IS NULL", id).Updates(map[string]any{
			"holder": s.o.Lease.Holder(), "attempt": gorm.Expr("attempt + 1"), "next_attempt": nil,
			"started": gorm.Expr("COALESCE(started, ?)", began),
			"state":   gorm.Expr("CASE WHEN state = ? THEN ? ELSE state END", Queued, Running),
		}).Error
		if err != nil {
			return err
		}
		return tx.Where("id = ?", id).Limit(1).Find(&r).Error
	})
	if err == nil && r.ID == "" {
		err = NotFound(id)
	}
	return r, err
}

// attempt runs the job's kind.
func (s *Service) attempt(ctx context.Context, r row, kind Kind) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	t := &Task{Job: r.job(), s: s, cancel: cancel, step: r.Step, done: r.DoneBytes, total: r.TotalBytes}
	s.mu.Lock()
	s.running[r.ID] = t
	s.mu.Unlock()
	reporting, stop := context.WithCancel(ctx)
	reported := make(chan struct{})
	go func() {
		defer close(reported)
		t.report(reporting)
	}()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		stop()
		<-reported
		s.mu.Lock()
		delete(s.running, r.ID)
		s.mu.Unlock()
		// Save the last progress; settle records the result afterwards.
		work, cancel := undo(ctx)
		defer cancel()
		last := t.now()
		if kept := t.update(work, map[string]any{"step": last.Step, "done_bytes": last.DoneBytes, "total_bytes": last.TotalBytes}); err == nil && errors.Is(kept, errLost) {
			err = kept
		}
	}()
	s.tell(t.now())
	if err := kind.Run(ctx, t); err != nil {
		// The cause of the cancellation matters more than the error that Run returned because of it.
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return err
	}
	return nil
}

// settle records the result of an attempt, and decides what happens next.
func (s *Service) settle(ctx context.Context, r row, failure error) error {
	work, cancel := undo(ctx)
	defer cancel()
	switch {
	case failure == nil:
		return s.finish(work, r, Succeeded)
	case errors.Is(failure, errLost):
		return nil // River's row belongs to the other process, too
	case errors.Is(failure, errCancelled):
		return s.end(work, r, Cancelled, nil)
	case ctx.Err() != nil: // the service stops; this does not count as an attempt
		err := s.o.DB.WithContext(work).Model(&row{}).Where("id = ? AND state = ?", r.ID, Running).
			Updates(map[string]any{"state": Queued, "holder": "", "attempt": r.Attempt - 1}).Error
		if err != nil {
			s.o.Log.Error("a job that was stopped cannot be noted; it is taken up all the same", "job", r.ID, "error", err)
		}
		return river.JobSnooze(0)
	}
	var waits interface{ Wait() time.Duration }
	if errors.As(failure, &waits) {
		return s.putOff(work, r, waits.Wait())
	}
	switch code := fault.CodeOf(failure); {
	case code == fault.HostUnreachable:
		// The attempt does not count: a host may be unreachable for longer than all attempts take,
		// and the job's input would be deleted.
		r.Attempt--
		return s.tryAgain(work, r, failure, s.o.Pause<<awayDoublings)
	case passing[code] && r.Attempt < r.MaxAttempts:
		return s.tryAgain(work, r, failure, min(s.o.Pause<<(r.Attempt-1), maxPause))
	}
	return s.end(work, r, Failed, failure)
}

// tryAgain schedules another attempt after a transient failure.
func (s *Service) tryAgain(ctx context.Context, r row, failure error, pause time.Duration) error {
	pause += rand.N(pause/4 + 1) //nolint:gosec // no secret: so that many that failed together do not come back together
	code, text := s.explain(r, failure)
	next := now().Add(pause)
	err := s.o.DB.WithContext(ctx).Model(&row{}).Where("id = ? AND state = ?", r.ID, Running).
		Updates(map[string]any{"state": Queued, "holder": "", "attempt": r.Attempt, "next_attempt": next, "error_code": code, "error": text}).Error
	if err != nil {
		return s.later(r, err)
	}
	s.tellOf(ctx, r.ID)
	return river.JobSnooze(pause)
}

// putOff schedules the job again because it waits for a resource that others use. The attempt does
// not count.
func (s *Service) putOff(ctx context.Context, r row, pause time.Duration) error {
	err := s.o.DB.WithContext(ctx).Model(&row{}).Where("id = ? AND state = ?", r.ID, Running).
		Updates(map[string]any{"state": Queued, "holder": "", "attempt": r.Attempt - 1, "next_attempt": now().Add(pause), "step": "waiting"}).Error
	if err != nil {
		return s.later(r, err)
	}
	s.tellOf(ctx, r.ID)
	return river.JobSnooze(pause)
}

// end records how a job is to end, and ends it once its changes are undone.
func (s *Service) end(ctx context.Context, r row, outcome State, failure error) error {
	r.Outcome = outcome
	values := map[string]any{"outcome": outcome}
	if failure != nil {
		r.ErrorCode, r.Error = s.explain(r, failure)
		values["error_code"], values["error"] = r.ErrorCode, r.Error
	}
	if err := s.o.DB.WithContext(ctx).Model(&row{}).Where("id = ?", r.ID).Updates(values).Error; err != nil {
		return s.later(r, err)
	}
	return s.conclude(ctx, r)
}

// conclude undoes a job's changes and ends the job; if that fails, it schedules a retry.
func (s *Service) conclude(ctx context.Context, r row) error {
	ctx, cancel := undo(ctx)
	defer cancel()
	if kind := s.kinds[r.Kind]; kind.Undo != nil {
		if err := kind.Undo(ctx, r.job()); err != nil {
			s.o.Log.Warn("what a job began cannot be undone yet; it is tried again", "job", r.ID, "kind", r.Kind, "error", err)
			return river.JobSnooze(undoPause)
		}
	}
	return s.finish(ctx, r, r.Outcome)
}

// finish records how a job ended.
func (s *Service) finish(ctx context.Context, r row, state State) error {
	values := map[string]any{"state": state, "finished": now(), "active_key": nil, "holder": "", "next_attempt": nil}
	if state == Succeeded {
		values["error"], values["error_code"] = "", ""
	}
	if err := s.o.DB.WithContext(ctx).Model(&row{}).Where("id = ? AND finished IS NULL", r.ID).Updates(values).Error; err != nil {
		return s.later(r, err)
	}
	s.tellOf(ctx, r.ID)
	return nil
}

// later has River schedule a job again whose record could not be written.
func (s *Service) later(r row, err error) error {
	s.o.Log.Error("a job's record cannot be written; it is tried again", "job", r.ID, "error", err)
	return river.JobSnooze(undoPause)
}

// explain returns the failure in the form that users see. It logs errors that are not written for
// users.
func (s *Service) explain(r row, failure error) (fault.Code, string) {
	var f *fault.Error
	if errors.As(failure, &f) {
		if f.Cause != nil {
			s.o.Log.Warn("a job failed", "job", r.ID, "kind", r.Kind, "attempt", r.Attempt, "code", f.Code, "cause", f.Cause)
		}
		return f.Code, f.Message
	}
	s.o.Log.Error("a job failed", "job", r.ID, "kind", r.Kind, "attempt", r.Attempt, "error", failure)
	return fault.Internal, "Something went wrong inside the service. Its log says what."
}

// tellOf publishes the current record of a job.
func (s *Service) tellOf(ctx context.Context, id string) {
	if r, err := s.row(ctx, id); err == nil {
		s.tell(r.job())
	}
}

// undo returns a context for undoing changes, which remains valid after ctx ends.
func undo(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
}

// quiet forwards only River's warnings and errors.
type quiet struct{ slog.Handler }

// Enabled reports whether records of a level are forwarded.
func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && q.Handler.Enabled(ctx, level)
}
