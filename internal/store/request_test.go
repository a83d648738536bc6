package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/secret"
	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

// replica is a process of the service, reduced to its requests.
type replica struct {
	*Requests
	end func() error // releases its lease, like the end of the process
	now time.Time
}

func newReplica(t *testing.T, url string, keys Vault) *replica {
	t.Helper()
	db := open(t, url, append(IntentMigrations(), RequestMigrations()...)...)
	lease := NewLease(db)
	release, err := lease.Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{now: time.Now(), end: sync.OnceValue(release)}
	t.Cleanup(func() { _ = r.end() })
	if r.Requests, err = NewRequests(RequestOptions{DB: db, Lease: lease, Vault: keys, Now: func() time.Time { return r.now }}); err != nil {
		t.Fatal(err)
	}
	return r
}

// begins expects that the request has to be processed.
func (r *replica) begins(t *testing.T, request Request) *Attempt {
	t.Helper()
	attempt, earlier, err := r.Begin(t.Context(), request)
	if attempt == nil || earlier != nil || err != nil {
		t.Fatalf("%+v is not begun: %+v, %v", request, earlier, err)
	}
	return attempt
}

// refuses expects that the request is neither begun nor answered.
func (r *replica) refuses(t *testing.T, request Request, code fault.Code) {
	t.Helper()
	attempt, earlier, err := r.Begin(t.Context(), request)
	if attempt != nil || earlier != nil || fault.CodeOf(err) != code {
		t.Errorf("%+v: %v, %+v, %v; want %s", request, attempt, earlier, err, code)
	}
	var f *fault.Error
	if code == fault.RequestInProgress && (!errors.As(err, &f) || f.RetryAfter <= 0) {
		t.Error("nothing tells when to come again")
	}
}

// repeats expects an earlier answer.
func (r *replica) repeats(t *testing.T, request Request, want Answer) {
	t.Helper()
	attempt, earlier, err := r.Begin(t.Context(), request)
	if attempt != nil || earlier == nil || err != nil || fmt.Sprint(*earlier) != fmt.Sprint(want) {
		t.Errorf("%+v: %v, %+v, %v; want %+v", request, attempt, earlier, err, want)
	}
}

var (
	once   = Request{Account: "alice", Key: "k", Route: "POST /api/labs", Digest: "d1"}
	other  = Request{Account: "alice", Key: "k", Route: "POST /api/labs", Digest: "d2"}
	bobs   = Request{Account: "bob", Key: "k", Route: "POST /api/labs", Digest: "d2"}
	answer = Answer{Status: 201, Location: "/api/labs/1", ContentType: "application/json", Body: []byte(`{"secret":"sbx_made-up"}`)}
)

func keep(t *testing.T, a *Attempt) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the client disconnects, and sends the request again
	if err := a.Keep(ctx, answer); err != nil {
		t.Fatal(err)
	}
}

// TestRequestIsAnsweredOnce sends one request many times, concurrently and sequentially, to two
// processes.
func TestRequestIsAnsweredOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		keys := secret.In(t.TempDir())
		replicas := []*replica{newReplica(t, url, keys), newReplica(t, url, keys)}
		var mu sync.Mutex
		var won []*Attempt
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() {
				attempt, earlier, err := replicas[i%2].Begin(t.Context(), once)
				switch {
				case attempt != nil:
					mu.Lock()
					defer mu.Unlock()
					won = append(won, attempt)
				case earlier != nil || fault.CodeOf(err) != fault.RequestInProgress:
					t.Errorf("answered with %+v, %v", earlier, err)
				}
			})
		}
		all.Wait()
		if len(won) != 1 {
			t.Fatalf("%d of 10 were begun", len(won))
		}
		replicas[0].refuses(t, once, fault.RequestInProgress)
		replicas[1].refuses(t, other, fault.IdempotencyReused)
		keep(t, replicas[1].begins(t, bobs)) // another account's request with the same key
		keep(t, won[0])
		for _, r := range replicas {
			r.repeats(t, once, answer)
			r.repeats(t, bobs, answer)
			r.refuses(t, other, fault.IdempotencyReused)
		}

		// The next process can read it as well, even with a newer key.
		if err := keys.Rotate(); err != nil {
			t.Fatal(err)
		}
		for _, r := range replicas {
			if err := r.end(); err != nil {
				t.Error(err)
			}
		}
		next := newReplica(t, url, keys)
		next.repeats(t, once, answer)
		if err := next.Reseal(t.Context()); err != nil {
			t.Error(err)
		}
		if n, err := keys.Prune(); n != 1 || err != nil {
			t.Errorf("%d keys were removed, %v", n, err)
		}
		next.repeats(t, once, answer)

		var rows []map[string]any
		if err := next.o.DB.Table("idempotency_keys").Find(&rows).Error; err != nil || len(rows) != 2 {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		if text := fmt.Sprint(rows); strings.Contains(text, "sbx_") || !strings.Contains(text, secret.Prefix) {
			t.Errorf("the table holds %s", text)
		}
		if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
			files, _ := filepath.Glob(path + "*")
			for _, file := range files {
				if content, err := os.ReadFile(file); err == nil && strings.Contains(string(content), "sbx_") {
					t.Errorf("%s holds the answer in the clear", file)
				}
			}
		}
	})
}

// TestRequestIsBegunAnew covers requests that have no answer.
func TestRequestIsBegunAnew(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		keys := secret.In(t.TempDir())
		first, second := newReplica(t, url, keys), newReplica(t, url, keys)

		// The attempt failed.
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := first.begins(t, once).Drop(ctx); err != nil {
			t.Fatal(err)
		}
		// Its process has ended; until then the request is in progress.
		late := second.begins(t, once)
		first.refuses(t, once, fault.RequestInProgress)
		if err := second.end(); err != nil {
			t.Fatal(err)
		}
		first.refuses(t, other, fault.IdempotencyReused)
		// PostgreSQL reports the end of a process some seconds late.
		var all sync.WaitGroup
		begun := make(chan *Attempt, 5)
		deadline := time.Now().Add(lookAgain + 10*time.Second)
		for range cap(begun) {
			all.Go(func() {
				for len(begun) == 0 && time.Now().Before(deadline) {
					attempt, _, err := first.Begin(t.Context(), once)
					if attempt == nil && fault.CodeOf(err) != fault.RequestInProgress {
						t.Error(err)
						return
					}
					if attempt != nil {
						begun <- attempt
						return
					}
					time.Sleep(20 * time.Millisecond)
				}
			})
		}
		all.Wait()
		close(begun)
		if len(begun) != 1 {
			t.Fatalf("%d took it up", len(begun))
		}
		again := <-begun
		// A late attempt neither answers the request nor ends it.
		if err := errors.Join(late.Keep(t.Context(), Answer{Status: 202}), late.Drop(t.Context())); err != nil {
			t.Error(err)
		}
		first.refuses(t, once, fault.RequestInProgress)
		keep(t, again)
		first.repeats(t, once, answer)

		// Its answer could not be stored.
		unkept := first.begins(t, bobs)
		first.o.Vault = secret.In("/dev/null")
		if err := unkept.Keep(t.Context(), answer); err == nil {
			t.Error("an answer was encrypted without a key")
		}
		first.o.Vault = keys
		keep(t, first.begins(t, bobs))
		first.repeats(t, bobs, answer)
	})
}

// TestRequestsAreForgotten lets a day pass.
func TestRequestsAreForgotten(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		r := newReplica(t, url, secret.In(t.TempDir()))
		keep(t, r.begins(t, once))
		r.now = r.now.Add(requestLife - time.Minute)
		keep(t, r.begins(t, bobs))
		r.repeats(t, once, answer)
		r.now = r.now.Add(2 * time.Minute)
		attempt := r.begins(t, other) // the key is free
		keep(t, attempt)
		r.refuses(t, once, fault.IdempotencyReused)
		r.now = r.now.Add(requestLife - 3*time.Minute)
		if err := r.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.repeats(t, other, answer)
		r.now = r.now.Add(4 * time.Minute)
		if err := r.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		var count int64
		if err := r.o.DB.Model(&requestRow{}).Count(&count).Error; err != nil || count != 0 {
			t.Errorf("%d rows are left, %v", count, err)
		}
	})
}
