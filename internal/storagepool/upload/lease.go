package upload

import (
	"context"
	"sync"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

// Whoever works on an upload locks it: within this process by its key, and among the
// processes that share the database by the holder in the record.

// keys are the uploads that this process has locked.
type keys struct {
	mu    sync.Mutex
	taken map[string]bool
}

// take locks an upload within this process; it returns false if it is locked already.
func (k *keys) take(key string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.taken[key] {
		return false
	}
	if k.taken == nil {
		k.taken = map[string]bool{}
	}
	k.taken[key] = true
	return true
}

func (k *keys) drop(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.taken, key)
}

// hold locks an upload until release is called. It returns fault.UploadBusy if this or
// another process has locked it.
func (s *Service) hold(ctx context.Context, host, id string) (row record, release func(), err error) {
	if row, err = s.upload(ctx, host, id); err != nil {
		return row, nil, err
	}
	key := row.key()
	if !s.busy.take(key) {
		return row, nil, uploadBusy(id)
	}
	defer func() {
		if err != nil {
			s.busy.drop(key)
		}
	}()
	// Read again: the previous holder may have changed it.
	if row, err = s.upload(ctx, row.Host, id); err != nil {
		return row, nil, err
	}
	if row.Holder != "" && row.Holder != s.o.Lease.Holder() {
		ended, err := s.o.Lease.Ended(ctx, row.Holder)
		if err != nil {
			return row, nil, err
		}
		if !ended {
			return row, nil, uploadBusy(id)
		}
	}
	before := row.Holder
	row.Holder = s.o.Lease.Holder()
	taken := s.o.DB.WithContext(ctx).Model(&record{}).Where("id = ? AND host = ? AND holder = ?", id, row.Host, before).Update("holder", row.Holder)
	if taken.Error != nil {
		return row, nil, taken.Error
	}
	if taken.RowsAffected == 0 {
		return row, nil, uploadBusy(id)
	}
	return row, func() { s.letGo(ctx, row) }, nil
}

// letGo unlocks an upload.
func (s *Service) letGo(ctx context.Context, row record) {
	ctx, cancel := store.Outlasting(ctx)
	defer cancel()
	err := s.o.DB.WithContext(ctx).Model(&record{}).Where("id = ? AND host = ?", row.ID, row.Host).Update("holder", "").Error
	if err != nil {
		s.o.Log.Error("an upload cannot be let go", "upload", row.ID, "error", err)
	}
	s.busy.drop(row.key())
}

func uploadBusy(id string) error {
	return fault.New(fault.UploadBusy, "Another request is using the upload %q. Try again when it has finished.", id)
}
