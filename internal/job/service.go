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
	// DB is a database that was opened with this package's Migrations.
	DB *gorm.DB
	// Lease identifies this process; it must be held as long as the service runs. Other processes
	// use it to detect that this one has ended.
	Lease  *store.Lease
	Events *event.Broker
	// Pause is the delay before the second attempt; it doubles for each further attempt. 0 means two
	// seconds.
	Pause time.Duration
	Log   *slog.Logger
}

// Kind defines how jobs of one kind run.
type Kind struct {
	// Run executes the job. It may be called again after a transient failure, and after a crash at
	// any moment; it then resumes from the state it finds, or starts again. It must return soon
	// after ctx ends. An error ends the job, unless its fault.Code is one of waiting (host or pool
	// unreachable, source unreachable, internal error). If the error has a method Wait()
	// time.Duration, the job waits for that long without occupying a worker, and the attempt does
	// not count.
	Run func(ctx context.Context, t *Task) error
	// Undo removes what Run has created, or its input, when the job fails permanently or is
	// cancelled, whether or not Run was called. It is repeated until it returns nil. Nil if there is
	// nothing to undo.
	Undo func(ctx context.Context, j Job) error
	// Attempts limits how often Run is called; 0 means DefaultAttempts.
	Attempts int
	// Heavy jobs are scheduled fairly: at most heavyOfOwner of one owner run at once, and if more
	// jobs are waiting than may run, their owners take turns.
	Heavy bool
	// Slot names a resource that only one job uses at a time, across all processes, on the host of
	// its target. Empty if there is none. Several kinds may share a slot. Only heavy jobs use it.
	Slot string
}

// DefaultAttempts is how often a job is attempted, including attempts that a crash of the service
// ended.
const DefaultAttempts = 6

// workers is how many jobs a process runs at once.
const workers = 8

// Service runs the jobs of this process. Its methods are safe for concurrent use, but Handle must
// be called before Run.
type Service struct {
	o      Options
	kinds  map[string]Kind
	driver riverdriver.Driver[*sql.Tx]
	queue  *river.Client[*sql.Tx]

	mu      sync.Mutex
	running map[string]*Task // by job id
}

// New returns a Service, and creates River's tables if they do not exist. Jobs can be started at
// once, but run only after Run is called.
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

// Handle registers k as the implementation of the jobs of a kind.
func (s *Service) Handle(kind string, k Kind) {
	if k.Attempts == 0 {
		k.Attempts = DefaultAttempts
	}
	s.kinds[kind] = k
}

// Request describes a job to start.
type Request struct {
	Kind   string
	Owner  string
	Target Target
	Args   any // stored as JSON; must not contain secrets
	// Single rejects the job if another job of the same kind and target has not ended.
	Single bool
}

// Start records a job and returns it. This process or another one runs it soon. Errors:
// fault.JobExists.
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

// Cancel requests that a job ends and that its changes are undone. It returns the job's current
// state: Cancelled if the job was waiting and its kind has nothing to undo. It does not change a
// job that has ended. Errors: fault.JobNotFound.
func (s *Service) Cancel(ctx context.Context, id string) (Job, error) {
	// A job that waits for its first attempt may have something to undo, too: an attempt that a stop
	// of the service interrupted does not count, and a job's input may exist before the job runs.
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

// hurry schedules a job that waits for another attempt to run now.
func (s *Service) hurry(ctx context.Context, id string) {
	r, err := s.row(ctx, id)
	if err == nil {
		_, err = s.queue.JobRetry(ctx, r.QueueID)
	}
	if err != nil { // the job still runs at its scheduled time
		s.o.Log.Warn("a cancelled job cannot be taken up at once", "job", id, "error", err)
	}
}

// Job returns a job. Errors: fault.JobNotFound.
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

// NotFound returns the error for a job that does not exist.
func NotFound(id string) error {
	return fault.New(fault.JobNotFound, "Job %q not found.", id)
}

// fresh returns a job with its latest progress, if it runs in this process.
func (s *Service) fresh(r row) Job {
	s.mu.Lock()
	t := s.running[r.ID]
	s.mu.Unlock()
	if t == nil || r.State.IsFinal() {
		return r.job()
	}
	return t.now()
}

// Filter selects jobs. Empty fields match all jobs.
type Filter struct {
	Kind   string
	States []State
	Owner  string
	// After is the cursor that List returned with the previous page.
	After string
	Limit int // 1 to MaxPage; 0 is MaxPage
}

// MaxPage is the maximum number of jobs that List returns at once.
const MaxPage = 200

// List returns jobs, newest first, and the cursor of the next page, which is empty on the last
// page.
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
