package console

import (
	"bytes"
	"context"
	"time"
)

const (
	// catchUpTimeout is how long live output waits for the earlier output from the log.
	catchUpTimeout = time.Second
	// signBytes from the end of the backlog are compared with the log.
	signBytes = 256
	// seamReach and seamBytes limit the search for where live output begins in the log,
	// since a guest can print output that makes the search slow.
	seamReach = 64 << 10
	seamBytes = 1 << 10
	// signMin is the least number of bytes to search for if their position is not known.
	signMin = 64
)

// held is live output that waits for earlier output from the log.
type held struct{ output []byte }

// catchUp starts reading the host's log, and holds live output back until the backlog has
// what the guest printed while the console was not open here. It does not wait.
func (h *hub) catchUp(ctx context.Context, host string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	path := h.port.LogPath
	if h.m.logs == nil || path == "" {
		h.logged = -1
		return
	}
	waiting := &held{}
	h.held = waiting
	late := time.AfterFunc(catchUpTimeout, func() { h.goOn(waiting, nil, 0) })
	h.m.work.Go(func() {
		tail, length, err := h.m.logs.ConsoleLogTail(ctx, host, path, int64(h.m.history))
		late.Stop()
		if err != nil {
			h.m.log.Debug("the log of a console cannot be read", "node", h.id, "error", err)
		}
		h.goOn(waiting, tail, length)
	})
}

// hold holds live output back while the log is read, and returns whether it did; the
// caller holds mu.
func (h *hub) hold(p []byte) bool {
	if h.held == nil || len(h.held.output)+len(p) > h.m.backlog {
		h.letGo()
		return false
	}
	h.held.output = append(h.held.output, p...)
	return true
}

// letGo stops waiting for the log; the caller holds mu.
func (h *hub) letGo() {
	if h.held == nil {
		return
	}
	h.logged = -1
	h.append(h.held.output)
	h.held = nil
	h.tell()
}

// goOn ends the wait identified by waiting, unless it has ended. It inserts the missing
// output between the backlog and the live output. tail is the newest part of the log, and
// length the size of the whole log. tail is nil if the log could not be read.
func (h *hub) goOn(waiting *held, tail []byte, length int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held != waiting {
		return
	}
	if tail == nil {
		h.letGo()
		return
	}
	begin := length - int64(len(tail)) // position of the tail's first byte
	until := seam(tail, waiting.output)
	switch from, lost := h.resumeAt(tail, begin); {
	case lost > 0:
		h.backlog.skip(lost)
		fallthrough
	case from >= 0 && from < until:
		h.backlog.append(tail[max(0, from):until])
	}
	h.logged = begin + int64(until)
	h.append(waiting.output)
	h.held = nil
	h.tell()
}

// resumeAt returns where in the log's tail the backlog ends, or a negative number if that
// is not known. lost is the number of bytes between the backlog and the tail. The caller
// holds mu.
func (h *hub) resumeAt(tail []byte, begin int64) (from int, lost int64) {
	b := &h.backlog
	if b.end == b.start {
		return 0, 0
	}
	sign := b.read(max(b.start, b.end-signBytes), b.end, signBytes)
	at := h.logged - begin
	switch {
	case h.logged >= 0 && at < 0:
		return 0, -at
	case h.logged >= 0 && at <= int64(len(tail)):
		// Positions in a log move when its oldest part is dropped. QEMU also logs bytes
		// twice when it cannot write them at once, so the backlog may end slightly later.
		if bytes.HasSuffix(tail[:at], sign[max(0, int64(len(sign))-at):]) {
			return int(at), 0
		}
		near := max(0, int(at)-len(sign))
		if i := bytes.Index(tail[near:], sign); i >= 0 && len(sign) >= signMin {
			return near + i + len(sign), 0
		}
	}
	if i := bytes.LastIndex(tail, sign); i >= 0 && len(sign) >= signMin {
		return i + len(sign), 0
	}
	return -1, 0
}

// seam returns where in the log's tail the live output begins: from there on, both have
// the same bytes. Of several such positions, it returns the one nearest to the position
// that follows from the lengths.
func seam(tail, live []byte) int {
	guess := max(0, len(tail)-len(live))
	fits := func(at int) bool {
		rest := tail[at:]
		n := min(len(rest), len(live), seamBytes)
		return bytes.Equal(rest[:n], live[:n])
	}
	for d := range seamReach {
		if at := guess + d; at < len(tail) && fits(at) {
			return at
		}
		if at := guess - d; at >= 0 && fits(at) {
			return at
		}
	}
	return len(tail)
}
