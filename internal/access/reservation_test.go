package access

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/secret"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

// replica is a Service with its own database handle and lease, as another process of the
// service has.
func replica(t *testing.T, url string) (s *Service, end func()) {
	t.Helper()
	db, err := store.Open(t.Context(), url, nil, append(store.IntentMigrations(), Migrations()...)...)
	if err != nil {
		t.Fatal(err)
	}
	lease := store.NewLease(db)
	release, err := lease.Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ran := make(chan error, 1)
	go func() { ran <- lease.Run(ctx) }()
	if s, err = New(Options{DB: db, Vault: secret.In(t.TempDir()), Leases: lease}); err != nil {
		t.Fatal(err)
	}
	end = sync.OnceFunc(func() {
		stop()
		<-ran
		if err := release(); err != nil {
			t.Error(err)
		}
		if err := store.Close(db); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	return s, end
}

// TestReservationsOfReplicas has two processes reserve of one quota at the same time:
// together they get what there is, and what a process that ended had reserved is free again.
func TestReservationsOfReplicas(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		one, _ := replica(t, url)
		two, endTwo := replica(t, url)
		most := int64(5)
		u := user{ID: newID(), Name: "ann", Role: RoleStudent, Password: unusableHash(), Created: one.now(), Quota: Quota{Nodes: &most, Networks: &most}}
		if err := one.db.Create(&u).Error; err != nil {
			t.Fatal(err)
		}
		nothing := func() (map[string]Amount, error) { return map[string]Amount{}, nil }
		var mu sync.Mutex
		var all sync.WaitGroup
		var releases [2][]func()
		refused := 0
		for i := range 12 {
			all.Go(func() {
				s := []*Service{one, two}[i%2]
				release, err := s.Reserve(ctx, u.ID, fmt.Sprint("node/", i), Amount{Nodes: 1}, nothing)
				mu.Lock()
				defer mu.Unlock()
				switch fault.CodeOf(err) {
				case "":
					releases[i%2] = append(releases[i%2], release)
				case fault.QuotaExceeded:
					refused++
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got := len(releases[0]) + len(releases[1]); got != 5 || refused != 7 {
			t.Fatalf("of 12 reservations in two processes %d were held and %d refused, want 5 and 7", got, refused)
		}
		// The bounds do not mix, and what was released here is free here.
		if _, err := one.Reserve(ctx, u.ID, "network/1", Amount{Networks: 1}, nothing); err != nil {
			t.Errorf("a network beside: %v", err)
		}
		for _, release := range releases[0] {
			release()
		}
		for i := range releases[0] {
			if _, err := one.Reserve(ctx, u.ID, fmt.Sprint("again/", i), Amount{Nodes: 1}, nothing); err != nil {
				t.Errorf("after a release: %v", err)
			}
		}
		_, err := one.Reserve(ctx, u.ID, "more", Amount{Nodes: 1}, nothing)
		wantCode(t, "beyond the quota", err, fault.QuotaExceeded)
		if len(releases[1]) == 0 {
			return
		}
		endTwo()
		deadline := time.Now().Add(2 * time.Minute)
		for {
			if _, err = one.Reserve(ctx, u.ID, "more", Amount{Nodes: 1}, nothing); err == nil {
				break
			}
			wantCode(t, "until the other process is known to have ended", err, fault.QuotaExceeded)
			if time.Now().After(deadline) {
				t.Fatal("what a process that ended had reserved is never free again")
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
}

// TestReleasedElsewhere: what another process has just made counts until this one has had
// time to learn of it, unless it is said to be gone.
func TestReleasedElsewhere(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		here, _ := replica(t, url)
		there, _ := replica(t, url)
		most := int64(1)
		u := user{ID: newID(), Name: "ann", Role: RoleStudent, Password: unusableHash(), Created: here.now(), Quota: Quota{Nodes: &most}}
		if err := here.db.Create(&u).Error; err != nil {
			t.Fatal(err)
		}
		nothing := func() (map[string]Amount, error) { return map[string]Amount{}, nil }
		begun := time.Now()
		release, err := there.Reserve(ctx, u.ID, "node/a", Amount{Nodes: 1}, nothing)
		if err != nil {
			t.Fatal(err)
		}
		release()
		if _, err := here.Reserve(ctx, u.ID, "node/b", Amount{Nodes: 1}, nothing); fault.CodeOf(err) != fault.QuotaExceeded && time.Since(begun) < settleTime {
			t.Errorf("right after another process made a node: %v", err)
		}
		here.Unreserve(ctx, "node/a")
		if _, err := here.Reserve(ctx, u.ID, "node/b", Amount{Nodes: 1}, nothing); err != nil {
			t.Errorf("after that node was deleted: %v", err)
		}
	})
}
