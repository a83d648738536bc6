package access

import (
	"cmp"
	"net/netip"
	"sync"
	"time"
)

// How failed sign-ins delay the next ones. The delay per account is short, because anyone
// can cause it: it prevents guessing without locking the owner out for long. An address has
// more free attempts than an account, because a whole class may share it.
const (
	freeFailures        = 5                // on one account before the first pause
	freeAddressFailures = 30               // from one address before the first pause
	firstPause          = time.Second      // doubles with every further failure
	longestPause        = time.Minute      //
	forgetAfter         = 15 * time.Minute // without a failure, a count begins again
	// maxRemembered bounds each of the counts; beyond it those with the fewest
	// failures are forgotten. The gate's pace keeps them below it.
	maxRemembered = 1 << 14
)

// attempt is a sign-in as the throttle counts it.
type attempt struct {
	name    string // of the account, known or not
	network string // of the client; see NetworkOf
	// known is set where the account was signed in to from the network before. Such
	// attempts are counted apart from all others: no stranger can make its owner wait.
	known bool
}

// throttle counts failed sign-ins: by account name (known or not, so that it tells no one
// which exist) and by network; those of an account from a network that it was signed in to
// from before, by both. How many attempts there may be in all is the gate's to bound.
type throttle struct {
	now func() time.Time

	mu       sync.Mutex
	accounts map[string]failures
	networks map[string]failures
	pairs    map[string]failures // of known attempts, by account and network
}

type failures struct {
	count int
	last  time.Time
}

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, accounts: make(map[string]failures), networks: make(map[string]failures), pairs: make(map[string]failures)}
}

func (a attempt) pair() string { return a.name + "\n" + a.network }

// check returns fault.TooManyRequests when the account or the network must wait.
func (t *throttle) check(a attempt) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	var wait time.Duration
	if a.known {
		wait = t.pairs[a.pair()].wait(now, freeFailures)
	} else {
		wait = max(t.accounts[a.name].wait(now, freeFailures), t.networks[a.network].wait(now, freeAddressFailures))
	}
	if wait <= 0 {
		return nil
	}
	return tooMany(wait, "Too many sign-ins failed.")
}

// failed records a failure.
func (t *throttle) failed(a attempt) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if a.known {
		count(t.pairs, a.pair(), now)
		return
	}
	count(t.accounts, a.name, now)
	count(t.networks, a.network, now)
}

// succeeded forgets an account's failures. The network keeps its own: one's own account
// must not buy more guesses at others. A success from a network that is known says nothing
// of the failures of strangers.
func (t *throttle) succeeded(a attempt) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a.known {
		delete(t.pairs, a.pair())
		return
	}
	delete(t.accounts, a.name)
}

// count adds a failure, and forgets what is old, or too much.
func count(all map[string]failures, key string, now time.Time) {
	for key, f := range all {
		if now.Sub(f.last) >= forgetAfter {
			delete(all, key)
		}
	}
	if _, there := all[key]; !there && len(all) >= maxRemembered {
		least := ""
		for key, f := range all {
			if o := all[least]; least == "" || cmp.Or(cmp.Compare(f.count, o.count), f.last.Compare(o.last)) < 0 {
				least = key
			}
		}
		delete(all, least)
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

// NetworkOf is what clients are counted by: the address, of IPv6 its /64, which a
// single subscriber has whole.
func NetworkOf(address string) string {
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
