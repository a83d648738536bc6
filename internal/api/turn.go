package api

import (
	"sync"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// turns lets only one request at a time send data of an upload. tusd lets a later request end an
// earlier one, so that a client can resume after a lost connection; if several sent at once, none
// would succeed.
type turns struct {
	mu      sync.Mutex
	sending map[string]bool // by upload
}

// enter lets a request send data of an upload until end is called. It returns fault.UploadBusy if
// another request is sending.
func (t *turns) enter(upload string) (end func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sending[upload] {
		return nil, fault.New(fault.UploadBusy, "Another request is sending bytes of this upload. Ask for its offset (HEAD), which ends that request, and continue there.")
	}
	t.sending[upload] = true
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.sending, upload)
	}, nil
}
