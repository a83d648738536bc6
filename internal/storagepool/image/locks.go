package image

import (
	"context"
	"math"
	"sync"

	"golang.org/x/sync/semaphore"
)

// keyedLocks is a set of read-write locks, one for each key in use. Waiting for a lock can
// be cancelled, because its holder may wait for a host that does not respond.
type keyedLocks struct {
	mu    sync.Mutex
	locks map[string]*keyedLock
}

type keyedLock struct {
	*semaphore.Weighted // a writer acquires the full weight, a reader 1
	users               int
}

// lock acquires the lock of a key, or fails when ctx ends. It returns the function that
// releases the lock.
func (k *keyedLocks) lock(ctx context.Context, key string, exclusive bool) (unlock func(), err error) {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = map[string]*keyedLock{}
	}
	l := k.locks[key]
	if l == nil {
		l = &keyedLock{Weighted: semaphore.NewWeighted(math.MaxInt64)}
		k.locks[key] = l
	}
	l.users++
	k.mu.Unlock()
	weight := int64(1)
	if exclusive {
		weight = math.MaxInt64
	}
	if err := l.Acquire(ctx, weight); err != nil {
		k.leave(key, l)
		return nil, err
	}
	return func() {
		l.Release(weight)
		k.leave(key, l)
	}, nil
}

func (k *keyedLocks) leave(key string, l *keyedLock) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(k.locks, key)
	}
}
