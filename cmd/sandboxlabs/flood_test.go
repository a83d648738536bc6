package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"nhooyr.io/websocket"
)

const (
	floodViewers = 50
	floodStalled = 10 // number of stalled viewers
	maxPeakKiB   = 100 << 10
	// floodBytes exceeds the size at which virtlogd rotates the log, and is more than twice
	// the amount buffered for a viewer.
	floodBytes = 2304 << 10
)

// program builds the released program, without the race detector, which would distort its
// memory usage.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sandboxlabs")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// launchProgram starts the service from an executable.
func (l *lab) launchProgram(path string, flags ...string) {
	l.t.Helper()
	p := &process{out: &output{}, log: &output{}, exited: make(chan struct{})}
	p.cmd = exec.Command(path, append(append([]string{"serve"}, l.flags()...), flags...)...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.all = append(l.all, p)
	l.service = p
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
}

// peakKiB returns the peak memory usage of the service.
func (l *lab) peakKiB() int {
	l.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", l.service.cmd.Process.Pid))
	if err != nil {
		l.t.Fatal(err)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)
	kib, err := strconv.Atoi(string(m[1]))
	if err != nil {
		l.t.Fatal(err)
	}
	return kib
}

// TestConsoleFlood makes a guest print endlessly for many viewers, some of which read
// nothing. Then it reads the log of this output.
func TestConsoleFlood(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.addMicro()
	binary := program(t)
	takeGuest(t)
	l.launchProgram(binary)
	l.awaitHealth("ok")
	n := l.create("flood")
	first := l.console(n.ID)
	first.status("offline")
	l.act(n.ID, "run", nil)
	first.status("connected")
	first.login()

	var stop context.CancelFunc
	ctx, stop := context.WithCancel(context.Background())
	ended := regexp.MustCompile(`end=\d`)
	var all sync.WaitGroup
	var mu sync.Mutex
	finished := 0
	t.Cleanup(func() { stop(); all.Wait() })
	for i := range floodViewers - 1 {
		socket, a, err := l.dialConsole(url.Values{"nodeId": {n.ID}, "readonly": {strconv.FormatBool(i%2 == 0)}}, nil)
		if err != nil {
			t.Fatalf("viewer %d: %v %s", i, err, a.body)
		}
		if i < floodStalled {
			t.Cleanup(func() { _ = socket.CloseNow() })
			continue
		}
		all.Go(func() {
			defer func() { _ = socket.CloseNow() }()
			var last []byte
			for {
				kind, data, err := socket.Read(ctx)
				if err != nil {
					return
				}
				if kind != websocket.MessageBinary {
					continue
				}
				last = append(last, data...)
				last = bytes.Clone(last[max(0, len(last)-100):])
				if ended.Match(last) {
					mu.Lock()
					finished++
					mu.Unlock()
					return
				}
			}
		})
	}
	first.told(control{Type: "viewers", Count: floodViewers})

	begun, before, usedBefore := time.Now(), 0, l.serviceCPU()
	first.wait("the start", promptly, func() bool { before = len(first.all); return true })
	first.typed("yes\r")
	first.wait("a flood", 3*patience, func() bool {
		first.unread = nil
		return len(first.all)-before > floodBytes
	})
	took, used := time.Since(begun), l.serviceCPU()-usedBefore
	first.typed("\x03")
	first.expect("# ")
	first.shell("echo end=$((3+4))", "end=7")
	until(t, patience, said("all viewers that read see the end"), func() bool {
		mu.Lock()
		defer mu.Unlock()
		return finished == floodViewers-1-floodStalled
	})
	peak := l.peakKiB()
	t.Logf("%d viewers, %d of them stalled: %d KiB in %v, %v of a CPU, peak memory %.1f MiB", floodViewers, floodStalled, (len(first.seen())-before)>>10, took.Round(time.Second), used, float64(peak)/1024)
	if peak >= maxPeakKiB {
		t.Errorf("the service took %d KiB, %d are allowed", peak, maxPeakKiB)
	}

	// The log equals what the viewer saw, from the first byte of the boot on.
	path := "/api/nodes/" + n.ID + "/console/log"
	var whole answer
	difference := ""
	until(t, promptly, func() string { return "the log is what was seen: " + difference }, func() bool {
		whole = l.call(http.MethodGet, path+"?download=1", nil, http.StatusOK, nil)
		difference = compareLog(whole.body, first.seen())
		return difference == ""
	})
	seen, size := whole.body, strconv.Itoa(len(whole.body))
	if names := l.volumes(l.logsPool()); !strings.Contains(strings.Join(names, " "), n.ID+".log.0") {
		t.Errorf("the log was not rotated: %q", names)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff", "X-Log-Offset": "0", "Content-Length": size,
		"Content-Disposition": `attachment; filename="` + n.Name + `-console.log"`,
	} {
		if got := whole.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	var pages []byte
	for len(pages) < len(seen) {
		a := l.call(http.MethodGet, fmt.Sprintf("%s?offset=%d&limit=700000", path, len(pages)), nil, http.StatusOK, nil)
		if len(a.body) == 0 || a.header.Get("X-Log-Offset") != strconv.Itoa(len(pages)) {
			t.Fatalf("page at %d: %d bytes, %v", len(pages), len(a.body), a.header)
		}
		pages = append(pages, a.body...)
	}
	if !bytes.Equal(pages, seen) {
		t.Error("the pages are not the whole")
	}
	for query, want := range map[string][]byte{
		"offset=-100": seen[len(seen)-100:], "offset=-100&limit=10": seen[len(seen)-100 : len(seen)-90], "offset=" + size: {},
		"offset=999999999": {}, "offset=-999999999&limit=50": seen[:50], "": seen[:256<<10], "limit=5&port=serial0": seen[:5],
	} {
		if a := l.call(http.MethodGet, path+"?"+query, nil, http.StatusOK, nil); !bytes.Equal(a.body, want) {
			t.Errorf("?%s: %d bytes, %d others wanted", query, len(a.body), len(want))
		}
	}
	for query, want := range map[string]refusal{
		"offset=x": {http.StatusUnprocessableEntity, "invalid_request", "offset"},
		"limit=-1": {http.StatusUnprocessableEntity, "invalid_request", "limit"},
		"port=3":   {http.StatusNotFound, "not_found", "Its ports are: serial0."},
	} {
		l.refused(http.MethodGet, path+"?"+query, nil, want)
	}
	var found struct {
		Size    int
		Next    int
		Matches []struct {
			Offset int
			Line   string
		}
	}
	l.call(http.MethodGet, path+"/search?text=END%3D7", nil, http.StatusOK, &found)
	if len(found.Matches) != 1 || found.Next != 0 || found.Size != len(seen) || found.Matches[0].Line != "end=7" || !bytes.HasPrefix(seen[found.Matches[0].Offset:], []byte("end=7\r\n")) {
		t.Errorf("the search found %+v", found)
	}
	l.call(http.MethodGet, path+"/search?text=y&limit=5", nil, http.StatusOK, &found)
	if len(found.Matches) != 5 || found.Next <= found.Matches[4].Offset {
		t.Errorf("the search for all found %+v", found)
	}

	// The log is kept when the node is stopped and the service restarts, and a new viewer sees
	// its end.
	l.act(n.ID, "stop", forced)
	first.status("offline")
	l.stop()
	l.launchProgram(binary)
	l.awaitHealth("ok")
	later := l.console(n.ID)
	later.status("offline")
	later.expect("end=7")
	l.delete(n.ID)
	l.refused(http.MethodGet, path, nil, refusal{http.StatusNotFound, "node_not_found", "not found"})
	l.stop()
}

// compareLog describes where a log differs from the viewed output; it returns "" if they
// are equal. While a console is not read fast enough, QEMU logs a byte again at each
// attempt to write it (qemu_chr_write_buffer), so repeated bytes do not count as a
// difference.
func compareLog(log, seen []byte) string {
	i := 0
	for j, b := range log {
		switch {
		case i < len(seen) && b == seen[i]:
			i++
		case j > 0 && b == log[j-1]:
		default:
			return fmt.Sprintf("from byte %d on the log has %q, and %q was seen", j, log[max(0, j-60):min(len(log), j+60)], seen[max(0, i-60):min(len(seen), i+60)])
		}
	}
	if i < len(seen) {
		return fmt.Sprintf("the log has %d bytes, and lacks the end of %d that were seen", len(log), len(seen))
	}
	return ""
}
