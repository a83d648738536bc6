package audit

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/store"
	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

func open(t *testing.T, url string, log *slog.Logger, days int) *Service {
	t.Helper()
	db, err := store.Open(t.Context(), url, nil, Migrations()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close(db) })
	s, err := New(Options{DB: db, Log: log, Days: days})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs the service until stop is called, which waits for its end.
func run(t *testing.T, s *Service) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func TestEntriesAreFoundAndStay(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, nil, 0)
		stop := run(t, s)
		start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		for i := range 50 {
			s.Record(Entry{
				Time: start.Add(time.Duration(i) * time.Minute), Actor: []string{"ann", "bob"}[i%2], Action: "run-node",
				TargetKind: "nodes", TargetID: fmt.Sprint("id", i%5), TargetName: fmt.Sprint("name", i%5), Status: 200,
			})
		}
		// What clients choose is not an obstacle.
		s.Record(Entry{Time: start.Add(time.Hour), Actor: "ann", Action: "odd", TargetID: "nul \x00 broken \xff\xfe and long " + strings.Repeat("é", 300)})
		stop() // stores what waits

		var ids []int64
		for before := int64(0); ; {
			page, next, err := s.Search(t.Context(), Filter{Actor: "ann", Action: "run-node"}, before, 7)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page {
				ids = append(ids, e.ID)
			}
			if next == 0 {
				break
			}
			before = next
		}
		if len(ids) != 25 {
			t.Errorf("ann's pages hold %d entries, want 25", len(ids))
		}
		for i := 1; i < len(ids); i++ {
			if ids[i] >= ids[i-1] {
				t.Fatalf("the pages are not newest first, each entry once: %v", ids)
			}
		}
		for _, c := range []struct {
			name   string
			filter Filter
			want   int
		}{
			{"target by id", Filter{Target: "id3"}, 10},
			{"target by name", Filter{Target: "name3"}, 10},
			{"since and until", Filter{Since: start.Add(10 * time.Minute), Until: start.Add(20 * time.Minute)}, 10},
			{"nothing", Filter{Actor: "ann' OR '1'='1"}, 0},
			{"a NUL", Filter{Target: "a\x00"}, 0},
			{"all", Filter{}, 51},
		} {
			n := 0
			if err := s.Each(t.Context(), c.filter, func(Entry) error { n++; return nil }); err != nil || n != c.want {
				t.Errorf("%s: %d entries, want %d; %v", c.name, n, c.want, err)
			}
		}
		if err := s.db.Exec("UPDATE audit_entries SET actor = 'mallory'").Error; err == nil || !strings.Contains(err.Error(), "never changed") {
			t.Errorf("the database lets an entry be changed: %v", err)
		}
	})
}

func TestOldEntriesGo(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, nil, 30)
		for _, days := range []int{1, 29, 31, 400} {
			if err := s.Write(t.Context(), Entry{Time: time.Now().AddDate(0, 0, -days), Action: fmt.Sprint("d", days)}); err != nil {
				t.Fatal(err)
			}
		}
		s.sweep(t.Context())
		left, _, err := s.Search(t.Context(), Filter{}, 0, 10)
		if err != nil || len(left) != 2 || left[0].Action != "d29" || left[1].Action != "d1" {
			t.Errorf("left are %+v, %v", left, err)
		}
	})
}

// TestEntriesAreNotLostSilently has a database that is unreachable: no one waits for it
// long, and what it never took is in the log.
func TestEntriesAreNotLostSilently(t *testing.T) {
	var text bytes.Buffer
	s := open(t, storetest.SQLite(t), slog.New(slog.NewTextHandler(&text, nil)), 0)
	if err := store.Close(s.db); err != nil {
		t.Fatal(err)
	}
	stop := run(t, s)
	start := time.Now()
	s.Record(Entry{Actor: "ann", Action: "delete-node", TargetID: "the-node"})
	if took := time.Since(start); took > 10*storeTimeout {
		t.Errorf("recording took %v", took)
	}
	stop()
	if log := text.String(); !strings.Contains(log, "only in this log") || !strings.Contains(log, "the-node") {
		t.Errorf("the log says %s", log)
	}
}

func BenchmarkRecord(b *testing.B) {
	db, err := store.Open(b.Context(), storetest.SQLite(b), nil, Migrations()...)
	if err != nil {
		b.Fatal(err)
	}
	s, err := New(Options{DB: db})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	go func() { _ = s.Run(ctx) }()
	for b.Loop() {
		s.Record(Entry{Actor: "ann", Action: "run-node", TargetID: "x"})
	}
	cancel()
	_ = store.Close(db)
}
