package console

import "context"

// AwaitAttached waits until the viewers of a node see its consoles live, or another
// program turns out to hold them. It returns at once if there are no viewers. Callers that
// start a node call it after creating the QEMU process and before running the guest, so
// that viewers miss no boot output.
func (m *Manager) AwaitAttached(ctx context.Context, id string) {
	for _, h := range m.of(id) {
		h.awaitAttached(ctx)
	}
}

func (h *hub) awaitAttached(ctx context.Context) {
	for {
		h.mu.Lock()
		settled := len(h.viewers) == 0 || h.err != nil || h.state == Connected || h.state == Taken
		changed := h.room
		h.mu.Unlock()
		if settled {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
