package console

import "context"

// LetGo closes the consoles of a node, with their connections, before an operation that
// ends its QEMU process or its serial ports, and keeps them closed until back is called.
// Viewers see that the console is reconnecting, or that the node is off if stops says that
// it will be off afterwards. LetGo returns when the consoles are closed or ctx is done.
func (m *Manager) LetGo(ctx context.Context, id string, stops bool) (back func()) {
	state := Reconnecting
	if stops {
		state = Offline
	}
	m.mu.Lock()
	m.away[id] = append(m.away[id], state)
	m.mu.Unlock()
	hubs := m.of(id)
	for _, h := range hubs {
		signal(h.wake)
	}
	for _, h := range hubs {
		h.awaitClosed(ctx)
	}
	return func() {
		m.mu.Lock()
		if m.away[id] = m.away[id][1:]; len(m.away[id]) == 0 {
			delete(m.away, id)
		}
		m.mu.Unlock()
		m.NodeChanged(id)
	}
}

// Unstick closes and reopens those consoles of a node that may have queued input. It is
// called before operations after which the guest may end.
func (m *Manager) Unstick(ctx context.Context, id string) {
	stuck := false
	for _, h := range m.of(id) {
		h.mu.Lock()
		stuck = stuck || len(h.intake.unread) > 0
		h.mu.Unlock()
	}
	if stuck {
		m.LetGo(ctx, id, false)()
	}
}

// isAway returns whether the consoles of a node must stay closed, and the state that their
// viewers see meanwhile.
func (m *Manager) isAway(id string) (state State, away bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if states := m.away[id]; len(states) > 0 {
		return states[len(states)-1], true
	}
	return "", false
}

// awaitClosed waits until the hub has no line.
func (h *hub) awaitClosed(ctx context.Context) {
	for {
		h.mu.Lock()
		open, changed := h.open, h.room
		h.mu.Unlock()
		if !open {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
