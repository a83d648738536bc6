package main

import (
	"bufio"
	"context"
	"slices"
	"strconv"
	"testing"
	"time"
)

// TestEventsResume disconnects a client's event stream. After reconnecting, the client
// receives the missed events, or a reset if they are no longer known.
func TestEventsResume(t *testing.T) {
	t.Parallel()
	l := newRunningLab(t)
	n := l.create("told")
	ctx, cut := context.WithCancel(t.Context())
	first := l.followWith(ctx)
	l.edit(n.ID, request{"description": "seen"})
	last := first.await("what was seen", promptly, func(e serverEvent) bool { return e.node().Description == "seen" })
	cut()
	<-first.ended

	var missed []string
	for i := range 5 {
		missed = append(missed, "missed "+strconv.Itoa(i))
		l.edit(n.ID, request{"description": missed[i]})
	}
	back := l.followWith(t.Context(), "Last-Event-ID", last.id)
	back.await("the last that was missed", promptly, func(e serverEvent) bool { return e.node().Description == missed[4] })
	var told []string
	before := last.id
	back.mu.Lock()
	for _, e := range back.list {
		if e.id <= before { // IDs have the same length, so they compare as strings
			t.Errorf("event %s came after %s", e.id, before)
		}
		before = e.id
		if of := e.node(); of.ID == n.ID && (len(told) == 0 || told[len(told)-1] != of.Description) {
			told = append(told, of.Description)
		}
	}
	back.mu.Unlock()
	if !slices.Equal(told, missed) {
		t.Errorf("it received %q, and missed %q", told, missed)
	}

	// An old ID, a future one, and one from an earlier run of the service.
	reset := func(e serverEvent) bool { return e.kind == "reset" }
	l.followWith(t.Context(), "Last-Event-ID", "1").await("a reset", promptly, reset)
	l.followWith(t.Context(), "Last-Event-ID", "9"+before).await("a reset", promptly, reset)
	l.stop()
	l.start()
	again := l.followWith(t.Context(), "Last-Event-ID", before)
	again.await("a reset", promptly, reset)
	l.edit(n.ID, request{"description": "after"})
	again.await("what follows the reset", promptly, func(e serverEvent) bool { return e.node().Description == "after" })
	// Without a valid ID, the stream starts with the next event.
	l.edit(n.ID, request{"description": "later"})
	for _, id := range []string{"", "x", "-1"} {
		fresh := l.followWith(t.Context(), "Last-Event-ID", id)
		l.edit(n.ID, request{"description": "for " + id})
		fresh.await("the next change", promptly, func(e serverEvent) bool { return e.node().Description == "for "+id })
		if fresh.list[0].kind == "reset" || fresh.list[0].node().Description == "later" {
			t.Errorf("Last-Event-ID %q: the first event is %s %s", id, fresh.list[0].kind, fresh.list[0].data)
		}
	}
	l.delete(n.ID)
	l.stop()
}

// TestEventStreamLives reads a stream without events. It needs heartbeats, because proxies
// close connections that are silent for 20 seconds.
func TestEventStreamLives(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.launch(nil, nowhere) // so that other tests' nodes cause no events
	l.awaitHealth("degraded")
	res := l.eventStream(t.Context())
	defer func() { _ = res.Body.Close() }()
	if h := res.Header; h.Get("Cache-Control") != "no-store" || h.Get("X-Accel-Buffering") != "no" {
		t.Errorf("the stream's header is %v", h)
	}
	late := time.AfterFunc(20*time.Second, l.kill)
	defer late.Stop()
	for lines := bufio.NewScanner(res.Body); ; {
		if !lines.Scan() {
			t.Fatal("the stream was silent for 20 seconds, or ended")
		}
		if lines.Text() == ": alive" {
			break
		}
	}
	late.Stop()
	l.stop()
}
