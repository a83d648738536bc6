package image

import (
	"context"
	"errors"
	"testing"
)

func TestKeyedLocks(t *testing.T) {
	var k keyedLocks
	lock := func(ctx context.Context, key string, exclusive bool) func() {
		t.Helper()
		unlock, err := k.lock(ctx, key, exclusive)
		if err != nil {
			t.Fatal(err)
		}
		return unlock
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	refused := func(key string, exclusive bool) {
		t.Helper()
		if _, err := k.lock(over, key, exclusive); !errors.Is(err, context.Canceled) {
			t.Errorf("a lock that is held, exclusive %v: %v", exclusive, err)
		}
	}
	first, second := lock(t.Context(), "a", false), lock(t.Context(), "a", false)
	refused("a", true)
	lock(t.Context(), "b", true)()
	first()
	refused("a", true)
	second()
	alone := lock(t.Context(), "a", true)
	refused("a", false)
	alone()
	lock(t.Context(), "a", false)()
	if len(k.locks) != 0 {
		t.Errorf("%d locks are kept that nobody uses", len(k.locks))
	}
}
