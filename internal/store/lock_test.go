package store

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

// TestLock checks that two services on one database exclude each other by name.
func TestLock(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		var services []*Lease
		for range 2 {
			db, err := Open(t.Context(), url, nil, IntentMigrations()...)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = Close(db) })
			services = append(services, NewLease(db))
		}
		var wg sync.WaitGroup
		var counter, inside atomic.Int32
		for i := range 40 {
			wg.Go(func() {
				unlock, err := services[i%2].Lock(t.Context(), "networks/one")
				if err != nil {
					t.Error(err)
					return
				}
				defer unlock()
				if inside.Add(1) != 1 {
					t.Error("two have the lock at once")
				}
				counter.Add(1)
				inside.Add(-1)
			})
		}
		wg.Wait()
		if n := counter.Load(); n != 40 {
			t.Errorf("%d of 40 had the lock", n)
		}

		unlock, err := services[0].Lock(t.Context(), "networks/one")
		if err != nil {
			t.Fatal(err)
		}
		other, err := services[1].Lock(t.Context(), "networks/two")
		if err != nil {
			t.Fatal("another name waits:", err)
		}
		other()
		for _, s := range services {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			if _, err := s.Lock(ctx, "networks/one"); err == nil {
				t.Error("two have the lock")
			}
			cancel()
		}
		unlock()
		if unlock, err = services[1].Lock(t.Context(), "networks/one"); err != nil {
			t.Fatal("after those who gave up:", err)
		}
		unlock()
	})
}
