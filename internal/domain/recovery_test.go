package domain

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/inventory"
	"github.com/sandboxlabs/sandboxlabs/internal/event"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

// noStorage is a Storage for tests that do not use it.
type noStorage struct{ Storage }

// serviceOn returns a Service on connected hosts of libvirt's test driver. It is not running.
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
	lease := store.NewLease(db)
	inv, err := inventory.New(inventory.Options{Hosts: set, Accounts: noAccounts{}, Events: &event.Broker{}, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{Hosts: set, Inventory: inv, Storage: noStorage{}, Intents: store.NewIntents(db, lease), Lease: lease, Accounts: noAccounts{}, Log: quiet})
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

// An unfinished change to a node is recovered only while no other change to the node is
// running.
func TestRecoveryTakesItsTurn(t *testing.T) {
	s := serviceOn(t, "h")
	node, other := uuid.NewString(), uuid.NewString()
	for _, data := range []any{startData{ID: node}, cloneData{Source: node, ID: other}, cloneData{Source: other, ID: node}} {
		kind := startIntent
		if _, clone := data.(cloneData); clone {
			kind = cloneIntent
		}
		if _, err := s.o.Intents.Begin(t.Context(), kind, "h", data); err != nil {
			t.Fatal(err)
		}
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

// usedStorage has a volume that is in use until it is free.
type usedStorage struct {
	noStorage
	tried, free chan struct{}
}

func (usedStorage) Prepare(context.Context, string) error { return nil }

func (usedStorage) NodeVolumes(context.Context, string, string) (map[string]string, error) {
	return nil, nil
}

func (usedStorage) DeleteConsoleLog(context.Context, string, string) error { return nil }

func (u usedStorage) DeleteNodeVolume(context.Context, string, string, time.Time) error {
	select {
	case <-u.free:
		return nil
	default:
	}
	select {
	case u.tried <- struct{}{}:
	default:
	}
	return fault.New(fault.NodeBusy, "A clone is backed by it.")
}

// A deletion that waits for another node's disk ends soon after that node was removed,
// without a tick.
func TestRecoveryFollowsWhatItWaitsFor(t *testing.T) {
	s := serviceOn(t, "h")
	storage := usedStorage{tried: make(chan struct{}, 1), free: make(chan struct{})}
	s.o.Storage = storage
	node := uuid.NewString()
	if _, err := s.o.Intents.Begin(t.Context(), deleteIntent, "h", deleteData{ID: node, Volumes: []string{node + ".qcow2"}}); err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.tend(ctx, s.o.Hosts.Hosts()[0], nil)
	}()
	<-storage.tried
	close(storage.free)
	s.nodeChanged(Node{ID: uuid.NewString(), Host: "h", Files: []string{"/pool/clone.qcow2", "/pool/" + node + ".qcow2"}})
	for deadline := time.Now().Add(10 * time.Second); ; <-time.After(10 * time.Millisecond) {
		left, err := s.o.Intents.All(t.Context(), "h")
		if err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the deletion still waits: %v", left)
		}
	}
	end()
	<-ended
}
