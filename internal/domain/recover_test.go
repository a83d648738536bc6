package domain

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sandboxlabs/sandboxlabs/internal/event"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

// noStorage is for what needs none.
type noStorage struct{ Storage }

// serviceOn is a Service on hosts of libvirt's built-in driver, connected, that does
// nothing by itself.
func serviceOn(t *testing.T, hosts ...string) *Service {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	o := hypervisor.Options{Log: quiet}
	for _, name := range hosts {
		o.Addresses = append(o.Addresses, hypervisor.Address{Name: name, URI: "test:///default"})
	}
	set, err := hypervisor.New(o)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), storetest.SQLite(t), quiet, store.IntentMigrations()...)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{Hosts: set, Storage: noStorage{}, Intents: store.NewIntents(db), Accounts: noAccounts{}, Events: &event.Broker{}, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = set.Run(ctx) })
	t.Cleanup(func() {
		end()
		wg.Wait()
		if err := store.Close(db); err != nil {
			t.Error(err)
		}
	})
	for _, h := range set.Hosts() {
		for deadline := time.Now().Add(10 * time.Second); h.Status().State != hypervisor.Connected; <-time.After(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("host %s is %v", h.Name(), h.Status().State)
			}
		}
	}
	return s
}

// What is left of a node's change is settled only while nothing else changes the node.
func TestRecoveryTakesItsTurn(t *testing.T) {
	s := serviceOn(t, "h")
	node, other := uuid.NewString(), uuid.NewString()
	for _, data := range []any{startData{ID: node}, cloneData{Source: node, ID: other}, cloneData{Source: other, ID: node}} {
		kind := startIntent
		if _, clone := data.(cloneData); clone {
			kind = cloneIntent
		}
		done, err := s.o.Intents.Start(t.Context(), kind, "h", data)
		if err != nil {
			t.Fatal(err)
		}
		done(false)
		left := func() int {
			t.Helper()
			if err := s.recover(t.Context(), "h"); err != nil {
				t.Error(err)
			}
			all, err := s.o.Intents.All(t.Context(), "h")
			if err != nil {
				t.Error(err)
			}
			return len(all)
		}
		release, err := s.claim(t.Context(), node)
		if err != nil {
			t.Fatal(err)
		}
		if left() != 1 {
			t.Errorf("%s %+v was settled in the middle of another change of the node", kind, data)
		}
		release()
		if left() != 0 {
			t.Errorf("%s %+v was not settled when the other change was over", kind, data)
		}
	}
}
