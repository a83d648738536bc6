package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"nhooyr.io/websocket"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// The variables of TestSoak; `make soak` sets them.
const (
	cyclesVariable   = "SANDBOXLABS_SOAK_CYCLES"   // lives of nodes
	connectsVariable = "SANDBOXLABS_SOAK_CONNECTS" // WebSockets
)

// livesAbreast is how many nodes live at a time: much of a life is waiting, for
// libvirt to end QEMU above all.
const livesAbreast = 4

// What the service may have more of at the end than after its first nodes.
const (
	moreGoroutines = 10
	moreFiles      = 6
	moreMemory     = 24 << 20 // bytes; the collector's own pace is in it
)

// footprint is what the service takes, with nothing under way.
type footprint struct{ goroutines, files, threads, memory float64 }

// TestSoak lets nodes live and die, and consoles come and go. What the service
// takes must not grow with their number.
func TestSoak(t *testing.T) {
	t.Parallel()
	cycles, connects := numberOf(t, cyclesVariable, 16), numberOf(t, connectsVariable, 200)
	runEvery := 1
	if os.Getenv(cyclesVariable) == "" {
		runEvery = 8 // guests take their time
	}
	path := program(t)
	l := newLab(t)
	l.addMicro()
	takeGuest(t)
	l.launchProgram(path)
	l.awaitHealth("ok")
	l.liveAbreast("warm", livesAbreast, 1)
	watched := l.create("watched")
	l.act(watched.ID, "run", nil)
	l.connect(watched, 50)
	before := l.footprint()

	begun := time.Now()
	for done := 0; done < cycles; {
		some := min(max(livesAbreast, cycles/20), cycles-done)
		l.liveAbreast(fmt.Sprint(done), some, runEvery)
		done += some
		t.Logf("%d cycles, one in %.2f s: %+v", done, time.Since(begun).Seconds()/float64(done), l.footprint())
	}
	lived := time.Since(begun)
	begun = time.Now()
	l.connect(watched, connects)
	connected := time.Since(begun)

	var after footprint
	until(t, patience, func() string { return fmt.Sprintf("it takes what it took before, %+v; it takes %+v", before, after) }, func() bool {
		after = l.footprint()
		return after.goroutines <= before.goroutines+moreGoroutines && after.threads <= before.threads+moreGoroutines &&
			after.files <= before.files+moreFiles && after.memory <= before.memory+moreMemory
	})
	t.Logf("%d cycles in %v, %d WebSockets in %v; before %+v, after %+v", cycles, lived.Round(time.Second), connects, connected.Round(time.Millisecond), before, after)
	l.act(watched.ID, "stop", forced)
	l.delete(watched.ID)
	l.wantVolumes(l.nodesPool())
	l.wantVolumes(l.logsPool())
	l.stop()
}

// liveAbreast lets so many nodes live, some at a time; one of runEvery runs.
func (l *lab) liveAbreast(name string, count, runEvery int) {
	l.t.Helper()
	l.abreast(livesAbreast, count, func(i int) error {
		l.live(fmt.Sprintf("%s-%d", name, i), i%runEvery == 0)
		return nil
	})
	if l.t.Failed() {
		l.t.FailNow()
	}
}

// live creates a node, watches its console, starts it if run is set and waits for its first
// output, and deletes it.
func (l *lab) live(name string, run bool) {
	l.t.Helper()
	var n api.Node
	l.call(http.MethodPost, "/api/nodes", request{"name": l.name(name), "baseImage": "micro", "resources": request{"ram": 64}}, http.StatusCreated, &n)
	c := l.console(n.ID)
	c.status("offline")
	if run {
		l.act(n.ID, "run", nil)
		c.status("connected")
		c.wait("output", patience, func() bool { return len(c.all) > 0 })
		l.act(n.ID, "stop", forced)
		c.status("offline")
	}
	l.delete(n.ID)
	<-c.done
	_ = c.socket.CloseNow()
}

// connect opens and closes WebSockets, of the console and of the screen, some at
// a time, and waits each time for the first that comes.
func (l *lab) connect(n api.Node, times int) {
	l.t.Helper()
	var wg sync.WaitGroup
	const abreast = 8
	for place := range abreast {
		wg.Go(func() {
			for i := place; i < times; i += abreast {
				if err := l.connectOnce(n, []string{"console", "vnc"}[i/abreast%2]); err != nil {
					l.t.Errorf("WebSocket %d: %v", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func (l *lab) connectOnce(n api.Node, kind string) error {
	socket, a, err := l.dialSocket("/ws/"+kind, url.Values{"nodeId": {n.ID}}, nil)
	if err != nil {
		return fmt.Errorf("dial %s: %w (%d %s)", kind, err, a.status, a.body)
	}
	ctx, cancel := context.WithTimeout(context.Background(), promptly)
	defer cancel()
	if _, _, err := socket.Read(ctx); err != nil {
		_ = socket.CloseNow()
		return fmt.Errorf("read from %s: %w", kind, err)
	}
	return socket.Close(websocket.StatusNormalClosure, "")
}

// footprint asks the service what it takes.
func (l *lab) footprint() footprint {
	l.t.Helper()
	l.client.CloseIdleConnections()
	text := string(l.send(http.MethodGet, "/metrics", nil).body)
	value := func(name string) (v float64) {
		_, rest, _ := strings.Cut(text, "\n"+name+" ")
		if _, err := fmt.Sscan(rest, &v); err != nil {
			l.t.Fatalf("no %s in\n%s", name, text)
		}
		return v
	}
	return footprint{value("go_goroutines"), value("process_open_fds"), value("go_threads"), value("process_resident_memory_bytes")}
}
