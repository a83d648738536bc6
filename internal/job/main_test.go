package job

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/event"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

// asChild is an environment variable that makes the test binary a process that runs jobs on the
// database it names, for tests that kill the process.
const asChild = "SANDBOXLABS_TEST_JOBS"

func TestMain(m *testing.M) {
	if url := os.Getenv(asChild); url != "" {
		workUntilKilled(url)
	}
	os.Exit(storetest.Main(m))
}

// process is a job service with its own dependencies, as a separate process has.
type process struct {
	*Service
	events *event.Broker
}

// newProcess opens the database again. The test's cleanup closes what it opened.
func newProcess(t *testing.T, url string) *process {
	t.Helper()
	p, closing, err := openProcess(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closing)
	return p
}

func openProcess(ctx context.Context, url string) (*process, func(), error) {
	db, err := store.Open(ctx, url, nil, append(store.IntentMigrations(), Migrations()...)...)
	if err != nil {
		return nil, nil, err
	}
	lease := store.NewLease(db)
	release, err := lease.Hold(ctx)
	if err != nil {
		return nil, nil, err
	}
	events := &event.Broker{}
	s, err := New(ctx, Options{DB: db, Lease: lease, Events: events, Pause: 10 * time.Millisecond})
	if err != nil {
		return nil, nil, err
	}
	return &process{s, events}, func() {
		_ = release()
		_ = store.Close(db)
	}, nil
}

// start runs the service, and returns a function that stops it gracefully.
func (p *process) start(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the service ended with %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// workUntilKilled runs jobs that never end.
func workUntilKilled(url string) {
	ctx := context.Background()
	p, _, err := openProcess(ctx, url)
	if err == nil {
		p.Handle("endless", Kind{Run: func(ctx context.Context, _ *Task) error {
			fmt.Println("running")
			<-ctx.Done()
			return ctx.Err()
		}})
		err = p.Run(ctx)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// await polls a job until it is in the given state.
func (p *process) await(t *testing.T, id string, want State) Job {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; {
		j, err := p.Job(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if j.State == want {
			return j
		}
		if j.State.IsFinal() || time.Now().After(end) {
			t.Fatalf("the job is %s (%s), want %s", j.State, j.Error, want)
		}
		<-time.After(10 * time.Millisecond)
	}
}
