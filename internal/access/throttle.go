package access

import (
	"sync"
	"time"
)

// How failed sign-ins slow the next ones down. The pause on an account is kept
// short, because anybody can cause it: it makes guessing hopeless, and does not
// keep the account's owner out for long.
const (
	freeFailures  = 5                // on one account before the first pause
	firstPause    = time.Second      // doubles with every further failure
	longestPause  = time.Minute      //
	forgetAfter   = 15 * time.Minute // without a failure, an account's count starts anew
	overallBurst  = 60               // failures on all accounts together that may come at once
	overallRefill = time.Second      // per further failure
)

// throttle counts failed sign-ins, by account name (known or not, so that it
// tells nobody which exist) and overall. The overall pace also bounds how many
// names it remembers.
type throttle struct {
	now func() time.Time

	mu       sync.Mutex
	accounts map[string]failures
	// spent is when the overall allowance will be whole again.
	spent time.Time
}

type failures struct {
	count int
	last  time.Time
}

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, accounts: make(map[string]failures)}
}

// check answers fault.TooManyRequests when the account, or everybody, must wait.
func (t *throttle) check(name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	wait := t.spent.Add(-(overallBurst - 1) * overallRefill).Sub(now)
	if f, ok := t.accounts[name]; ok {
		wait = max(wait, f.last.Add(pause(f.count)).Sub(now))
	}
	if wait <= 0 {
		return nil
	}
	return tooMany(wait, "Too many sign-ins failed.")
}

// failed records a failure.
func (t *throttle) failed(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	for name, f := range t.accounts {
		if now.Sub(f.last) >= forgetAfter {
			delete(t.accounts, name)
		}
	}
	t.accounts[name] = failures{count: t.accounts[name].count + 1, last: now}
	if t.spent.Before(now) {
		t.spent = now
	}
	t.spent = t.spent.Add(overallRefill)
}

// succeeded forgets an account's failures.
func (t *throttle) succeeded(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.accounts, name)
}

// pause is how long an account rests after its count-th failure in a row.
func pause(count int) time.Duration {
	if count < freeFailures {
		return 0
	}
	return min(firstPause<<min(count-freeFailures, 16), longestPause)
}
