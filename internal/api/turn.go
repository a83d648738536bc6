package api

import (
	"sync"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// turns let one request at a time send bytes of an upload. tusd has a later request end an
// earlier one, which lets a client resume after its connection was lost; of several that
// send at the same time, none would get through.
type turns struct {
	mu      sync.Mutex
	sending map[string]bool // by upload
}

// enter lets a request send bytes of an upload, until end. It returns fault.UploadBusy while
// another one does.
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
