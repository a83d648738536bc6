package access

import (
	"net/netip"
	"sync"
	"time"
)

// How failed sign-ins slow the next ones down. The pause on an account is kept
// short, because anybody can cause it: it makes guessing hopeless, and does not
// keep the account's owner out for long. More are free from one address than on
// one account, because a whole class may sit behind it.
const (
	freeFailures        = 5                // on one account before the first pause
	freeAddressFailures = 30               // from one address before the first pause
	firstPause          = time.Second      // doubles with every further failure
	longestPause        = time.Minute      //
	forgetAfter         = 15 * time.Minute // without a failure, a count starts anew
	overallBurst        = 60               // failures on all accounts together that may come at once
	overallRefill       = time.Second      // per further failure
)

// throttle counts failed sign-ins: by account name (known or not, so that it
// tells nobody which exist), by client address, and overall. The overall pace
// also bounds how many names and addresses it remembers.
type throttle struct {
	now func() time.Time

	mu        sync.Mutex
	accounts  map[string]failures
	addresses map[string]failures
	// spent is when the overall allowance will be whole again.
	spent time.Time
}

type failures struct {
	count int
	last  time.Time
}

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, accounts: make(map[string]failures), addresses: make(map[string]failures)}
}

// check answers fault.TooManyRequests when the account, the address, or
// everybody must wait.
func (t *throttle) check(name, address string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	wait := max(
		t.spent.Add(-(overallBurst-1)*overallRefill).Sub(now),
		t.accounts[name].wait(now, freeFailures),
		t.addresses[network(address)].wait(now, freeAddressFailures),
	)
	if wait <= 0 {
		return nil
	}
	return tooMany(wait, "Too many sign-ins failed.")
}

// failed records a failure.
func (t *throttle) failed(name, address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	count(t.accounts, name, now)
	count(t.addresses, network(address), now)
	if t.spent.Before(now) {
		t.spent = now
	}
	t.spent = t.spent.Add(overallRefill)
}

// succeeded forgets an account's failures. The address keeps its own: an account
// of one's own must not buy more guesses at others.
func (t *throttle) succeeded(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.accounts, name)
}

// count adds a failure, and forgets what is old.
func count(all map[string]failures, key string, now time.Time) {
	for key, f := range all {
		if now.Sub(f.last) >= forgetAfter {
			delete(all, key)
		}
	}
	all[key] = failures{count: all[key].count + 1, last: now}
}

// wait is how long to rest after these failures; none is the zero value.
func (f failures) wait(now time.Time, free int) time.Duration {
	if f.count < free {
		return 0
	}
	return f.last.Add(min(firstPause<<min(f.count-free, 16), longestPause)).Sub(now)
}

// network is what failures are counted by: the address, of IPv6 its /64, which a
// single subscriber has whole.
func network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if a = a.Unmap(); a.Is4() {
		return a.String()
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return address
	}
	return p.String()
}
