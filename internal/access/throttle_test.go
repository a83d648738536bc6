package access

import (
	"fmt"
	"testing"
	"time"
)

// TestAddressIsSlowedDown tries one password on many accounts: the address has
// to wait, others do not.
func TestAddressIsSlowedDown(t *testing.T) {
	c := new(clock)
	throttle := newThrottle(c.now)
	blocked := func(address string) bool { return throttle.check("fresh", address) != nil }
	for i := range freeAddressFailures {
		if blocked("192.0.2.7") {
			t.Fatalf("the address has to wait after %d failures", i)
		}
		throttle.failed(fmt.Sprint("account", i), "192.0.2.7")
		c.advance(overallRefill) // so that not everybody has to wait
	}
	throttle.failed("own", "192.0.2.7")
	throttle.succeeded("own") // an account of one's own is no help
	if !blocked("192.0.2.7") || !blocked("::ffff:192.0.2.7") {
		t.Error("the address need not wait")
	}
	if blocked("192.0.2.8") {
		t.Error("its neighbour has to wait")
	}
	for i := range freeAddressFailures + 1 {
		throttle.failed(fmt.Sprint("other", i), fmt.Sprintf("2001:db8:1:2::%x", i))
		c.advance(overallRefill)
	}
	if !blocked("2001:db8:1:2:ffff::1") || blocked("2001:db8:1:3::1") {
		t.Error("an IPv6 network of a subscriber is not counted as one")
	}
	c.advance(forgetAfter)
	throttle.failed("later", "192.0.2.9")
	if len(throttle.addresses) != 1 {
		t.Errorf("%d addresses are remembered", len(throttle.addresses))
	}
	c.advance(time.Minute)
	if blocked("192.0.2.7") {
		t.Error("the address still has to wait")
	}
}
