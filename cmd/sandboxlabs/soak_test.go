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
	cyclesVariable   = "SANDBOXLABS_SOAK_CYCLES"   // how many nodes to create and delete
	connectsVariable = "SANDBOXLABS_SOAK_CONNECTS" // how many WebSockets to open
)

// livesAbreast is how many nodes exist at a time. A node spends most of its time waiting,
// mainly for libvirt to stop QEMU.
const livesAbreast = 4

// By how much the service's usage at the end may exceed that after its first nodes.
const (
	moreGoroutines = 10
	moreFiles      = 6
	moreMemory     = 24 << 20 // bytes; includes variation by the garbage collector
)

// footprint is what an idle service uses.
type footprint struct{ goroutines, files, threads, memory float64 }

// TestSoak creates and deletes nodes, and opens and closes consoles. The service's usage
// must not grow with their number.
func TestSoak(t *testing.T) {
	t.Parallel()
	cycles, connects := numberOf(t, cyclesVariable, 16), numberOf(t, connectsVariable, 200)
	runEvery := 1
	if os.Getenv(cyclesVariable) == "" {
		runEvery = 8 // booting a guest is slow
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

// liveAbreast creates and deletes count nodes, some at a time. One in runEvery is started.
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

// connect opens and closes WebSockets of the console and the screen, some at a time, and
// waits for the first message on each.
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

// footprint reads the service's current usage.
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
