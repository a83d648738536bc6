package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

func TestIntents(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		first, err := Open(ctx, url, nil, IntentMigrations()...)
		if err != nil {
			t.Fatal(err)
		}
		type plan struct{ Volume string }
		var begun []Intent
		for _, of := range []struct{ kind, host string }{
			{"node.create", "a"}, {"image.upload", "a"}, {"node.create", "a"}, {"node.create", "b"}, {"catalog.pull", ""},
		} {
			intent, err := NewIntents(first, NewLease(first)).Begin(ctx, of.kind, of.host, plan{Volume: "v\x00\"1"})
			if err != nil {
				t.Fatal(err)
			}
			begun = append(begun, intent)
		}
		if err := Close(first); err != nil {
			t.Fatal(err)
		}

		intents := openIntents(t, url)
		check := func(want []Intent, host string, kinds ...string) {
			t.Helper()
			got, err := intents.Pending(ctx, host, kinds...)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.EqualFunc(got, want, func(a, b Intent) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
				t.Errorf("pending on %q, kinds %v:\n got %v\nwant %v", host, kinds, got, want)
			}
		}
		check(begun[0:3], "a")
		check([]Intent{begun[0], begun[2]}, "a", "node.create")
		check(begun[0:3], "a", "node.create", "image.upload")
		check(begun[3:4], "b")
		check(begun[4:5], "")
		check(nil, "c")
		for range 2 {
			if err := intents.Done(ctx, begun[0].ID); err != nil {
				t.Error(err)
			}
		}
		check(begun[1:3], "a")
		if _, err := intents.Begin(ctx, "test", "", func() {}); err == nil {
			t.Error("data that is not JSON was taken")
		}
	})
}

// TestIntentSurvivesKill kills a process right after Begin has returned in it.
func TestIntentSurvivesKill(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), asChild+"="+url)
		child.Stderr = os.Stderr
		if _, err := child.StdinPipe(); err != nil { // kept open: the child waits for it to close
			t.Fatal(err)
		}
		output, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		id, readErr := bufio.NewReader(output).ReadString('\n')
		if err := child.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = child.Wait() // it was killed
		if readErr != nil {
			t.Fatal(readErr)
		}
		left := openIntents(t, url)
		intents, err := left.Pending(t.Context(), "h")
		// PostgreSQL notices the end of the process with a delay.
		for deadline := time.Now().Add(10 * time.Second); err == nil && len(intents) == 0 && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			intents, err = left.Pending(t.Context(), "h")
		}
		if err != nil || len(intents) != 1 || intents[0].ID != strings.TrimSpace(id) {
			t.Errorf("pending = %v, %v; want intent %s", intents, err, id)
		}
	})
}

// beginAndWait is the process that TestIntentSurvivesKill kills.
func beginAndWait(url string) {
	ctx := context.Background()
	db, err := Open(ctx, url, nil, IntentMigrations()...)
	if err == nil {
		var intent Intent
		intents := NewIntents(db, NewLease(db))
		if _, err = intents.lease.Hold(ctx); err == nil {
			intent, err = intents.Begin(ctx, "test", "h", nil)
		}
		fmt.Println(intent.ID)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // ends when the test process has ended
}

// Intents of a living process are not returned to others; intents of an ended process are.
func TestIntentsOfTheLivingAreTheirs(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		mine, theirs := openIntents(t, url), openIntents(t, url)
		release, err := theirs.lease.Hold(ctx)
		if err != nil {
			t.Fatal(err)
		}
		own, err := mine.lease.Hold(ctx)
		if err != nil {
			t.Fatal(err)
		}
		intent, err := theirs.Begin(ctx, "test", "h", nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // reading does not claim it
			if list, err := mine.Pending(ctx, "h"); err != nil || len(list) != 0 {
				t.Errorf("while its holder lives: %v, %v", list, err)
			}
			if list, err := mine.All(ctx, "h", "test"); err != nil || len(list) != 1 || list[0].ID != intent.ID {
				t.Errorf("while its holder lives, all are %v, %v", list, err)
			}
		}
		if list, err := theirs.Pending(ctx, "h"); err != nil || len(list) != 1 {
			t.Errorf("its holder sees %v, %v", list, err)
		}
		if err := release(); err != nil {
			t.Fatal(err)
		}
		if list := mine.awaitLeft(t); list[0].ID != intent.ID {
			t.Errorf("when its holder has ended: %v", list)
		}
		if err := own(); err != nil {
			t.Error(err)
		}
	})
}

// openIntents opens a database with its own connections, like another process.
func openIntents(t *testing.T, url string) *Intents {
	t.Helper()
	db := open(t, url, IntentMigrations()...)
	return NewIntents(db, NewLease(db))
}

// awaitLeft polls until one intent on the host "h" is left. PostgreSQL notices the end of a process
// with a delay, and it takes two checks.
func (s *Intents) awaitLeft(t *testing.T) []Intent {
	t.Helper()
	for deadline := time.Now().Add(lookAgain + 10*time.Second); ; {
		list, err := s.Pending(t.Context(), "h")
		if err != nil || len(list) > 1 || len(list) == 0 && time.Now().After(deadline) {
			t.Fatalf("pending = %v, %v; want one", list, err)
		}
		if len(list) == 1 {
			return list
		}
		<-time.After(20 * time.Millisecond)
	}
}

// TestRestartEndsNobody restarts PostgreSQL, which ends the leases of all processes. A process that
// checks before the others have acquired theirs again finds none of them ended, however often
// PostgreSQL restarts.
func TestRestartEndsNobody(t *testing.T) {
	url := storetest.Postgres(t)
	ctx := t.Context()
	mine, theirs := openIntents(t, url), openIntents(t, url)
	release, err := theirs.lease.Hold(ctx)
	if err != nil {
		t.Fatal(err)
	}
	own, err := mine.lease.Hold(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.Begin(ctx, "test", "h", nil); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Intents{mine, theirs} {
		conns, err := s.db.DB()
		if err != nil {
			t.Fatal(err)
		}
		conns.SetMaxIdleConns(-1) // statements on sessions that the server has ended fail
	}
	noneLeft := func(when string) {
		t.Helper()
		if list, err := mine.Pending(ctx, "h"); err != nil || len(list) != 0 {
			t.Errorf("%s: %v, %v", when, list, err)
		}
		if ended, err := mine.lease.Ended(ctx, theirs.lease.Holder()); err != nil || ended {
			t.Errorf("%s, it has ended: %v, %v", when, ended, err)
		}
	}
	session := mine.lease.held.(*sessionLeases)
	holder := uuid.MustParse(theirs.lease.Holder())
	longAgo := time.Now().Add(-time.Hour)
	storetest.Outage(t)()
	noneLeft("after a restart")
	if since := session.free[holder]; since.Before(longAgo) {
		t.Errorf("its lease is free since %v; the test missed its moment", since)
	}
	session.free[holder] = longAgo
	storetest.Outage(t)()
	noneLeft("after another one, in which the first look was long ago")
	if err := theirs.lease.held.keep(ctx); err != nil {
		t.Fatal(err)
	}
	noneLeft("when it is held again")
	if len(session.free) > 0 {
		t.Errorf("of what lives, these are noted: %v", session.free)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	released := time.Now()
	mine.awaitLeft(t)
	if took := time.Since(released); took < lookAgain {
		t.Errorf("it counted as ended after %v", took)
	}
	storetest.Outage(t)()
	if list, err := mine.Pending(ctx, "h"); err != nil || len(list) != 1 {
		t.Errorf("after a restart, what was left before is %v, %v", list, err)
	}
	if err := own(); err != nil {
		t.Error(err)
	}
}

// TestRunKeepsTheLease has the server end the session that holds a lease.
func TestRunKeepsTheLease(t *testing.T) {
	url := storetest.Postgres(t)
	db := open(t, url, IntentMigrations()...)
	intents := NewIntents(db, NewLease(db))
	release, err := intents.lease.Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- intents.lease.Run(ctx) }()
	lease := func() (session int) {
		t.Helper()
		err := db.Raw("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())").Scan(&session).Error
		if err != nil {
			t.Fatal(err)
		}
		return session // 0 if there is none
	}
	before := lease()
	if err := db.Exec("SELECT pg_terminate_backend(?)", before).Error; err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * keepInterval)
	for now := before; now == 0 || now == before; now = lease() {
		if time.Now().After(deadline) {
			t.Fatalf("the lease is session %d's, and was %d's", now, before)
		}
		<-time.After(20 * time.Millisecond)
	}
	cancel()
	if err := errors.Join(<-ended, release()); err != nil {
		t.Error(err)
	}
}

// Intents that this process is working on are not left; those that it gave up are.
func TestOngoingIntentsAreNotLeft(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		intents := openIntents(t, url)
		left := func() (list []Intent) {
			t.Helper()
			list, err := intents.Left(t.Context(), "h", "test")
			if err != nil {
				t.Fatal(err)
			}
			return list
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		during := func(unsettled error) Change {
			return Change{Kind: "test", Host: "h", Data: "same", Once: unsettled != nil,
				Do: func(context.Context) error {
					cancel() // the client has disconnected
					return nil
				},
				Settle: func(ctx context.Context, failure error) error {
					if list := left(); len(list) != 0 {
						t.Errorf("while it is worked on, these are left: %v", list)
					}
					return errors.Join(ctx.Err(), failure, unsettled)
				}}
		}
		if failure, unsettled := intents.Apply(ctx, during(nil)); failure != nil || unsettled != nil || len(left()) != 0 {
			t.Errorf("when it is complete: %v, %v, left: %v", failure, unsettled, left())
		}
		cut := errors.New("cut off")
		if failure, unsettled := intents.Apply(t.Context(), during(cut)); failure != nil || !errors.Is(unsettled, cut) || len(left()) != 1 {
			t.Errorf("when it is cut off: %v, %v, left: %v", failure, unsettled, left())
		}
		again := Change{Kind: "test", Host: "h", Data: "same", Once: true, Settle: func(context.Context, error) error { return nil }}
		if failure, unsettled := intents.Apply(t.Context(), again); failure != nil || unsettled != nil || len(left()) != 1 {
			t.Errorf("once more: %v, %v, left: %v", failure, unsettled, left())
		}
		again.Once = false
		again.Do = func(context.Context) error { return cut }
		if failure, unsettled := intents.Apply(t.Context(), again); !errors.Is(failure, cut) || unsettled != nil || len(left()) != 1 {
			t.Errorf("undone: %v, %v, left: %v", failure, unsettled, left())
		}
	})
}
