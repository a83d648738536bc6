package console

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
)

const (
	maxSide = 4096 // characters
	// settle is how long to wait for further sizes; only the last one is set.
	settle = 250 * time.Millisecond
	// sttyLooks and sttyPause limit the wait for the guest's stty.
	sttyLooks = 10
	sttyPause = 100 * time.Millisecond
)

// size is the size of a terminal in characters.
type size struct{ cols, rows int }

// Resize tells the guest the size of the viewer's terminal through the guest agent,
// because a serial line has no size. It returns at once. Without an agent, nothing happens
// until one connects. Of several sizes in quick succession, the last one is set. The size
// of a read-only viewer is ignored, since all viewers share one size. It fails with
// fault.Invalid, and with the final errors of Next.
func (v *Viewer) Resize(cols, rows int) error {
	if cols < 1 || rows < 1 || cols > maxSide || rows > maxSide {
		return fault.New(fault.Invalid, "Columns and rows must be 1 to %d, not %d×%d.", maxSide, cols, rows)
	}
	h := v.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := v.usable(); err != nil || v.readOnly {
		return err
	}
	if h.size != (size{cols, rows}) {
		h.size = size{cols, rows}
		h.startSizing()
	}
	return nil
}

// applySize tells the guest the size again, because the guest or its agent may have
// restarted.
func (h *hub) applySize() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sized = size{}
	h.startSizing()
}

// startSizing sets the size in the background; the caller holds mu.
func (h *hub) startSizing() {
	if h.sizing || h.state != Connected || h.size == (size{}) || h.port.Device == "" {
		return
	}
	h.sizing = true
	h.m.work.Go(func() { h.setSize(h.m.ctx) })
}

// setSize tells the guest the size until the guest has the latest one, or setting it
// fails.
func (h *hub) setSize(ctx context.Context) {
	for {
		select {
		case <-time.After(settle):
		case <-ctx.Done():
		}
		h.mu.Lock()
		want, device := h.size, h.port.Device
		if want == h.sized || h.state != Connected || ctx.Err() != nil {
			h.sizing = false
			h.mu.Unlock()
			return
		}
		h.sized = want
		h.mu.Unlock()
		place, _ := h.m.nodes.Place(h.id)
		err := h.m.hosts.AskAgent(ctx, place.Host, h.id, "console.resize", func(a *hypervisor.Agent) error { return tellSize(ctx, a, device, want) })
		if err != nil {
			h.m.log.Debug("could not set the size of the guest's terminal", "node", h.id, "error", err)
		}
	}
}

// tellSize runs stty in the guest to set the size of a serial line. It takes at most some
// seconds.
func tellSize(ctx context.Context, agent *hypervisor.Agent, device string, s size) error {
	var started struct{ PID int64 }
	err := agent.Command("guest-exec", map[string]any{
		"path": "stty",
		"arg":  []string{"-F", device, "rows", strconv.Itoa(s.rows), "cols", strconv.Itoa(s.cols)},
	}, &started)
	if err != nil {
		return err
	}
	// The agent keeps the status of a command until it is asked for.
	for range sttyLooks {
		var status struct {
			Exited   bool
			ExitCode int
		}
		if err := agent.Command("guest-exec-status", map[string]any{"pid": started.PID}, &status); err != nil {
			return err
		}
		if status.Exited {
			if status.ExitCode != 0 {
				return fmt.Errorf("the guest's stty -F %s ended with %d", device, status.ExitCode)
			}
			return nil
		}
		select {
		case <-time.After(sttyPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return errors.New("the guest's stty does not end")
}
