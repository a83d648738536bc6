package job

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/event"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

// Options configures a Service; all fields but Pause and Log are required.
type Options struct {
	// DB was opened with this package's Migrations.
	DB *gorm.DB
	// Lease is held, and runs while the service does: jobs of a process that ended are
	// known by it.
	Lease  *store.Lease
	Events *event.Broker
	// Pause is the one before a second attempt, and doubles for each further one;
	// 0 is two seconds.
	Pause time.Duration
	Log   *slog.Logger
}

// Kind is how jobs of one kind are done.
type Kind struct {
	// Run does the work. It may run again after it failed for a passing reason,
	// and after a crash at any moment: it resumes from what is there, or starts again.
	// It returns soon after ctx ends. An error whose fault.Code is not one of
	// waiting (host or pool away, source away, internal) ends the job. With an error that
	// has a method Wait() time.Duration the job waits for so long, without a worker, and the attempt is not counted.
	Run func(ctx context.Context, t *Task) error
	// Undo removes what Run has made, or what it was to work on, when the job fails for
	// good or is cancelled, whether or not Run was called; it is tried again until it
	// returns nil. Nil: there is nothing to undo.
	Undo func(ctx context.Context, j Job) error
	// Attempts bounds how often Run begins; 0 is DefaultAttempts.
	Attempts int
	// Heavy jobs take turns: at most heavyOfOwner of an owner's run at once, and when more
	// wait than may run, their owners come one after the other.
	Heavy bool
	// Slot names what one job has at a time, in all processes, on the host of its target;
	// empty: nothing. Kinds may share it. It is for heavy ones.
	Slot string
}

// DefaultAttempts is how often a job is tried, crashes of the service included.
const DefaultAttempts = 6

// workers is how many jobs a process does at once.
const workers = 8

// Service is the jobs of this process. Its methods may be called from any
// goroutine, but Handle only before Run.
type Service struct {
	o      Options
	kinds  map[string]Kind
	driver riverdriver.Driver[*sql.Tx]
	queue  *river.Client[*sql.Tx]

	mu      sync.Mutex
	running map[string]*Task // by job id
}

// New makes a Service, and River's tables where they are absent. Jobs may be
// started at once; they are done by Run.
func New(ctx context.Context, o Options) (*Service, error) {
	if o.DB == nil || o.Lease == nil || o.Events == nil {
		return nil, errors.New("job: database, lease and events are required")
	}
	if o.Lease.Holder() == "" {
		return nil, errors.New("job: the lease is not held")
	}
	if o.Pause == 0 {
		o.Pause = defaultPause
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	conns, err := o.DB.DB()
	if err != nil {
		return nil, err
	}
	s := &Service{o: o, kinds: map[string]Kind{}, driver: driver(o.DB, conns), running: map[string]*Task{}}
	if err := migrateQueue(ctx, o.DB, s.driver); err != nil {
		return nil, fmt.Errorf("bring the tables of the job queue up to date: %w", err)
	}
	if err := s.newQueue(); err != nil {
		return nil, fmt.Errorf("job: %w", err)
	}
	return s, nil
}

// Handle has jobs of a kind done by k.
func (s *Service) Handle(kind string, k Kind) {
	if k.Attempts == 0 {
		k.Attempts = DefaultAttempts
	}
	s.kinds[kind] = k
}

// Request is a job to be started.
type Request struct {
	Kind   string
	Owner  string
	Target Target
	Args   any // becomes JSON; no secret belongs in it
	// Single refuses the job while another of its kind and target has not ended.
	Single bool
}

// Start puts a job on record and returns it. It is done soon, by this process or
// another one. Errors: fault.JobExists.
func (s *Service) Start(ctx context.Context, r Request) (Job, error) {
	kind, ok := s.kinds[r.Kind]
	if !ok {
		return Job{}, fmt.Errorf("start a job: there is no kind %q", r.Kind)
	}
	args, err := json.Marshal(r.Args)
	if err != nil {
		return Job{}, fmt.Errorf("start a job of kind %s: %w", r.Kind, err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Job{}, fmt.Errorf("start a job of kind %s: %w", r.Kind, err)
	}
	rec := row{
		ID: id.String(), Kind: r.Kind, Owner: r.Owner, TargetType: r.Target.Type, TargetID: r.Target.ID, TargetHost: r.Target.Host,
		Args: string(args), State: Queued, MaxAttempts: kind.Attempts, Created: now(),
	}
	if r.Single {
		key := r.Kind + " " + r.Target.Host + "/" + r.Target.Type + "/" + r.Target.ID
		rec.ActiveKey = &key
	}
	err = s.o.DB.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		sqlTx, err := transaction(tx)
		if err != nil {
			return err
		}
		queued, err := s.queue.InsertTx(ctx, sqlTx, queueArgs{ID: rec.ID}, nil)
		if err != nil {
			return err
		}
		rec.QueueID = queued.Job.ID
		return tx.Create(&rec).Error
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return Job{}, fault.New(fault.JobExists, "A job for this is already running. Wait for it, or cancel it.")
	}
	if err != nil {
		return Job{}, fmt.Errorf("start a job of kind %s: %w", r.Kind, err)
	}
	s.tell(rec.job())
	return rec.job(), nil
}

// Cancel asks a job to end and to undo what it began, and returns it as it is
// then: Cancelled when it waited and its kind has nothing to undo. Of one that has
// ended nothing changes. Errors: fault.JobNotFound.
func (s *Service) Cancel(ctx context.Context, id string) (Job, error) {
	// What waits for its first attempt may have something to undo, too: a stop of the
	// service counts no attempt, and what a job is to work on may be there before it.
	var free []string
	for kind, k := range s.kinds {
		if k.Undo == nil {
			free = append(free, kind)
		}
	}
	asked := s.o.DB.WithContext(ctx).Model(&row{}).Where("id = ? AND state = ? AND kind IN ?", id, Queued, free).
		Updates(map[string]any{"state": Cancelled, "finished": now(), "active_key": nil, "next_attempt": nil})
	if asked.Error == nil && asked.RowsAffected == 0 {
		asked = s.o.DB.WithContext(ctx).Model(&row{}).Where("id = ? AND state IN ?", id, []State{Queued, Running}).
			Updates(map[string]any{"state": Cancelling, "next_attempt": nil})
	}
	if asked.Error != nil {
		return Job{}, fmt.Errorf("cancel job %s: %w", id, asked.Error)
	}
	s.mu.Lock()
	t := s.running[id]
	s.mu.Unlock()
	if t != nil {
		t.stop()
	}
	j, err := s.Job(ctx, id)
	if err != nil || asked.RowsAffected == 0 {
		return j, err
	}
	s.tell(j)
	if t == nil && j.State == Cancelling {
		s.hurry(ctx, id)
	}
	return j, nil
}

// hurry has the queue take a job now that waits for another attempt.
func (s *Service) hurry(ctx context.Context, id string) {
	r, err := s.row(ctx, id)
	if err == nil {
		_, err = s.queue.JobRetry(ctx, r.QueueID)
	}
	if err != nil { // it comes at its time
		s.o.Log.Warn("a cancelled job cannot be taken up at once", "job", id, "error", err)
	}
}

// Job returns one job; fault.JobNotFound when there is none.
func (s *Service) Job(ctx context.Context, id string) (Job, error) {
	r, err := s.row(ctx, id)
	if err != nil {
		return Job{}, err
	}
	return s.fresh(r), nil
}

func (s *Service) row(ctx context.Context, id string) (row, error) {
	var r row
	err := s.o.DB.WithContext(ctx).Where("id = ?", id).Take(&r).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return row{}, NotFound(id)
	}
	if err != nil {
		return row{}, fmt.Errorf("read job %s: %w", id, err)
	}
	return r, nil
}

// NotFound is the error of a job that is not there.
func NotFound(id string) error {
	return fault.New(fault.JobNotFound, "Job %q not found.", id)
}

// fresh is a job with the progress that this process knows.
func (s *Service) fresh(r row) Job {
	s.mu.Lock()
	t := s.running[r.ID]
	s.mu.Unlock()
	if t == nil || r.State.IsFinal() {
		return r.job()
	}
	return t.now()
}

// Filter chooses jobs. Empty fields choose all.
type Filter struct {
	Kind   string
	States []State
	Owner  string
	// After is the cursor that the page before ended with.
	After string
	Limit int // 1 to MaxPage; 0 is MaxPage
}

// MaxPage is the most jobs that List returns at once.
const MaxPage = 200

// List returns jobs, the newest first, and the cursor of the next page, empty on
// the last one.
func (s *Service) List(ctx context.Context, f Filter) (jobs []Job, next string, err error) {
	if f.Limit <= 0 || f.Limit > MaxPage {
		f.Limit = MaxPage
	}
	query := s.o.DB.WithContext(ctx)
	if len(f.States) > 0 {
		query = query.Where("state IN ?", f.States)
	}
	if f.Kind != "" {
		query = query.Where("kind = ?", f.Kind)
	}
	if f.Owner != "" {
		query = query.Where("owner = ?", f.Owner)
	}
	if f.After != "" {
		query = query.Where("id < ?", f.After)
	}
	var rows []row
	if err := query.Order("id DESC").Limit(f.Limit + 1).Find(&rows).Error; err != nil {
		return nil, "", fmt.Errorf("list the jobs: %w", err)
	}
	if len(rows) > f.Limit {
		rows = rows[:f.Limit]
		next = rows[f.Limit-1].ID
	}
	jobs = make([]Job, len(rows))
	for i, r := range rows {
		jobs[i] = s.fresh(r)
	}
	return jobs, next, nil
}

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
