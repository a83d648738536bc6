package access

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

// TestAddressIsSlowedDown tries one password on many accounts: the address has
// to wait, others do not.
func TestAddressIsSlowedDown(t *testing.T) {
	c := new(clock)
	throttle := newThrottle(c.now)
	blocked := func(address string) bool {
		return throttle.check(attempt{name: "fresh", network: NetworkOf(address)}) != nil
	}
	for i := range freeAddressFailures {
		if blocked("192.0.2.7") {
			t.Fatalf("the address has to wait after %d failures", i)
		}
		throttle.failed(attempt{name: fmt.Sprint("account", i), network: NetworkOf("192.0.2.7")})
		c.advance(time.Second)
	}
	throttle.failed(attempt{name: "own", network: NetworkOf("192.0.2.7")})
	throttle.succeeded(attempt{name: "own", network: NetworkOf("192.0.2.7")}) // one's own account does not help
	if !blocked("192.0.2.7") || !blocked("::ffff:192.0.2.7") {
		t.Error("the address need not wait")
	}
	if blocked("192.0.2.8") {
		t.Error("its neighbour has to wait")
	}
	for i := range freeAddressFailures + 1 {
		throttle.failed(attempt{name: fmt.Sprint("other", i), network: NetworkOf(fmt.Sprintf("2001:db8:1:2::%x", i))})
		c.advance(time.Second)
	}
	if !blocked("2001:db8:1:2:ffff::1") || blocked("2001:db8:1:3::1") {
		t.Error("an IPv6 network of a subscriber is not counted as one")
	}
	c.advance(forgetAfter)
	throttle.failed(attempt{name: "later", network: NetworkOf("192.0.2.9")})
	if len(throttle.networks) != 1 {
		t.Errorf("%d addresses are remembered", len(throttle.networks))
	}
	c.advance(time.Minute)
	if blocked("192.0.2.7") {
		t.Error("the address still has to wait")
	}
}

// TestManyAddressesRefuseNobody has 256 addresses fail as fast as they may, on one account
// and on many: the account's owner signs in from where they did before, and so does someone
// who never signed in from anywhere.
func TestManyAddressesRefuseNobody(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		f := newFixture(t, url)
		f.cheap()
		name, password := f.admin(t)
		home := Visit{Address: "198.51.100.7"}
		if _, _, _, err := f.signIn(ctx, Credentials{Name: name, Password: password, Visit: home}); err != nil {
			t.Fatal(err)
		}
		f.addUser(t, "fresh", RoleStudent)
		if err := f.SetPassword(ctx, "fresh", "a passphrase to begin with", false, false); err != nil {
			t.Fatal(err)
		}
		for i := range 256 {
			from := Visit{Address: fmt.Sprintf("203.0.113.%d", i)}
			for _, guessed := range []string{name, "nobody", fmt.Sprint("made-up", i)} {
				_, _, _, err := f.signIn(ctx, Credentials{Name: guessed, Password: "wrong password", Visit: from})
				if code := fault.CodeOf(err); code != fault.Unauthenticated && code != fault.TooManyRequests {
					t.Fatal(err)
				}
			}
		}
		_, _, _, err := f.signIn(ctx, Credentials{Name: name, Password: password, Visit: Visit{Address: "198.51.100.8"}})
		wantCode(t, "the guessed account, from a new address", err, fault.TooManyRequests)
		if _, _, _, err := f.signIn(ctx, Credentials{Name: name, Password: password, Visit: home}); err != nil {
			t.Errorf("the guessed account, from its own address: %v", err)
		}
		if _, _, _, err := f.signIn(ctx, Credentials{Name: "fresh", Password: "a passphrase to begin with", Visit: Visit{Address: "198.51.100.9"}}); err != nil {
			t.Errorf("another account, from an address that was never seen: %v", err)
		}

		// The right to go before strangers is not a right to guess.
		for range freeFailures {
			_, _, _, err = f.signIn(ctx, Credentials{Name: name, Password: "wrong password", Visit: home})
			wantCode(t, "a failure at home", err, fault.Unauthenticated)
		}
		_, _, _, err = f.signIn(ctx, Credentials{Name: name, Password: password, Visit: home})
		wantCode(t, "after many failures at home", err, fault.TooManyRequests)
		if _, _, _, err := f.signIn(ctx, Credentials{Name: "fresh", Password: "a passphrase to begin with", Visit: home}); err != nil {
			t.Errorf("another account at that home: %v", err)
		}
	})
}

// TestNetworksAreForgotten bounds what is remembered of an account.
func TestNetworksAreForgotten(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		f := newFixture(t, url)
		f.addUser(t, "traveller", RoleStudent)
		u, _, err := f.userByName(ctx, "traveller")
		if err != nil {
			t.Fatal(err)
		}
		for i := range maxNetworks + 5 {
			if err := f.remember(ctx, u.ID, fmt.Sprintf("192.0.2.%d", i)); err != nil {
				t.Fatal(err)
			}
			f.clock.advance(time.Second)
		}
		if err := f.remember(ctx, u.ID, "not an address "+strings.Repeat("x", 1000)+"\x00"); err != nil {
			t.Fatal(err)
		}
		known := func(address string) bool {
			a, err := f.attemptOf(ctx, "traveller", address)
			if err != nil {
				t.Fatal(err)
			}
			return a.known
		}
		if known("192.0.2.0") || !known("192.0.2.10") || known("192.0.2.200") {
			t.Error("the networks that are known are not the latest")
		}
		if a, err := f.attemptOf(ctx, "somebody", "192.0.2.10"); err != nil || a.known {
			t.Errorf("another account is known there: %v", err)
		}
	})
}

// TestGate has more callers wait than may: each network waits for itself, and those in
// the preferred lanes go first.
func TestGate(t *testing.T) {
	g := newGate()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var inside []func()
	for range hashesAtOnce {
		leave, err := g.enter(ctx, "first", false)
		if err != nil {
			t.Fatal(err)
		}
		inside = append(inside, leave)
	}
	type entered struct {
		lane string
		err  error
	}
	order := make(chan entered, 2*waitingInAll)
	wait := func(ctx context.Context, lane string, preferred bool) {
		g.mu.Lock()
		before := g.others.count + g.preferred.count
		g.mu.Unlock()
		go func() {
			leave, err := g.enter(ctx, lane, preferred)
			order <- entered{lane, err}
			if err == nil {
				leave()
			}
		}()
		for { // until it waits
			g.mu.Lock()
			now := g.others.count + g.preferred.count
			g.mu.Unlock()
			if now > before {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}
	// One network fills its lane; others still may wait.
	for range waitingByLane {
		wait(ctx, "loud", false)
	}
	_, err := g.enter(ctx, "loud", false)
	wantCode(t, "in a lane that is full", err, fault.TooManyRequests)
	wait(ctx, "quiet", false)
	wait(ctx, "known", true)
	gone, leaveQueue := context.WithCancel(ctx)
	wait(gone, "gone", false)
	leaveQueue()
	if e := <-order; e.lane != "gone" || !errors.Is(e.err, context.Canceled) {
		t.Errorf("who does not wait any more: %+v", e)
	}
	inside[0]()
	for i, want := range []string{"known", "loud", "quiet"} {
		if e := <-order; e.lane != want || e.err != nil {
			t.Errorf("number %d is %+v, want %s", i, e, want)
		}
	}
	for range waitingByLane - 1 {
		if e := <-order; e.lane != "loud" || e.err != nil {
			t.Errorf("then comes %+v", e)
		}
	}
	// A few networks fill the queue: a new one still gets in, and a longer lane loses its
	// last.
	again, err := g.enter(ctx, "first", false)
	if err != nil {
		t.Fatal(err)
	}
	for i := range waitingInAll {
		wait(ctx, fmt.Sprint("lane", i/waitingByLane), false)
	}
	_, err = g.enter(ctx, "lane0", false)
	wantCode(t, "when the queue is full", err, fault.TooManyRequests)
	cancelled := make(chan entered, 1)
	go func() {
		_, err := g.enter(ctx, "newcomer", false)
		cancelled <- entered{"newcomer", err}
	}()
	if e := <-order; fault.CodeOf(e.err) != fault.TooManyRequests {
		t.Errorf("who gives way is %+v", e)
	}
	cancel()
	if e := <-cancelled; !errors.Is(e.err, context.Canceled) {
		t.Errorf("the newcomer did not wait: %+v", e)
	}
	for range waitingInAll - 1 {
		if e := <-order; !errors.Is(e.err, context.Canceled) {
			t.Errorf("a waiter ended as %+v", e)
		}
	}
	inside[1]()
	again()
	if g.inside != 0 || g.others.count != 0 || len(g.others.waiting) != 0 || len(g.others.turns) != 0 || g.preferred.count != 0 {
		t.Errorf("left are %d inside, %+v and %+v", g.inside, g.others, g.preferred)
	}
}
