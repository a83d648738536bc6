//go:build bench

package bench

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cleanupTime is reserved from the test's time, so that a bench that takes too long can
// still remove what it created.
const cleanupTime = 2 * time.Minute

func TestBench(t *testing.T) {
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if deadline, ok := t.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-cleanupTime))
		defer cancel()
	}
	before := load()
	r := newRig(ctx, t)
	var report table
	for _, part := range []struct {
		name string
		run  func()
	}{
		{"nodes", func() {
			base := r.uploadBlank(ctx)
			nodes := r.benchCreate(ctx, &report, base)
			r.removeNodes(ctx, r.benchList(ctx, &report, base, nodes))
			r.removeImage(ctx, base)
		}},
		{"changes", func() {
			base := r.uploadBlank(ctx)
			r.benchChanges(ctx, &report, base)
			r.removeImage(ctx, base)
		}},
		{"overlays", func() { r.benchOverlays(ctx, &report) }},
		{"upload", func() { r.benchUpload(ctx, &report) }},
		{"console", func() { r.benchConsole(ctx, &report) }},
	} {
		if only := os.Getenv("BENCH_ONLY"); only == "" || only == part.name {
			part.run()
		}
	}
	r.findNothing(ctx)

	text := fmt.Sprintf("# Benchmark\n\n%s\n\n%s\n%s", machine(ctx, t, before), report.markdown(), notes)
	t.Log("\n" + text)
	if folder := os.Getenv("BENCH_OUT"); folder != "" {
		if err := os.WriteFile(filepath.Join(folder, "bench.md"), []byte(text), 0o644); err != nil { //nolint:gosec // to be read by everyone
			t.Error(err)
		}
	}
}

const notes = `
Speed ratios above 1 mean that SandboxLabs is faster. Memory ratios above 1 mean that it uses more memory.

- Requests go over one HTTP connection that stays open, as those of a browser or a script do; virsh starts and connects for every command, which is part of its time unless the row says otherwise. "Less start-up" subtracts the median of ` + "`virsh uri`" + `, which starts, connects and does next to nothing, once for each command.
- Create makes an overlay and a domain. The domain that virsh defines has the XML of one that SandboxLabs made.
- Uploads and copies end in the page cache: neither the service, nor libvirt, nor cp waits for the disk. Each begins with the source read and nothing left to write back. The source is on the file system of the pools; cp makes no shared blocks. The client of the upload is on this machine too, and takes its part of the CPUs, as virsh does; SandboxLabs also takes the SHA-256.
- Console: one guest in software emulation, whose serial port sets the pace. A key is typed every 20 ms or so and its echo awaited, over the WebSocket and in a terminal with virsh console, in turn. Output is that of yes as one of those who watch sees it; the clients of all are on this machine too.
- Memory is the peak of resident memory: of the service, including the UI, the API, the database and all consoles; of one virsh; of one cp. libvirtd's is in neither.
- Medians on a machine that does other things as well: see the load.
`

// table collects the results.
type table struct{ rows [][]string }

func (tb *table) add(what, ours, other, theirs, ratio, goal string) {
	tb.rows = append(tb.rows, []string{what, ours, other, theirs, ratio, goal})
}

// markdown formats the table as Markdown with aligned columns, so that its source is
// readable too.
func (tb *table) markdown() string {
	rows := append([][]string{{"what", "SandboxLabs", "against", "its figure", "ratio", "goal"}}, tb.rows...)
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	var b strings.Builder
	for n, row := range rows {
		for i, cell := range row {
			fmt.Fprintf(&b, "| %s%s ", cell, strings.Repeat(" ", widths[i]-len([]rune(cell))))
		}
		b.WriteString("|\n")
		if n == 0 {
			for _, width := range widths {
				b.WriteString("|" + strings.Repeat("-", width+2))
			}
			b.WriteString("|\n")
		}
	}
	return b.String()
}

// machine describes the machine of the measurement.
func machine(ctx context.Context, t *testing.T, loadBefore string) string {
	model := "unknown CPU"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	var versions []string
	for line := range strings.Lines(string(command(ctx, t, "virsh", "-c", libvirtURI, "version").out)) {
		if _, value, ok := strings.Cut(line, ":"); ok && (strings.HasPrefix(line, "Using library") || strings.HasPrefix(line, "Running hypervisor")) {
			versions = append(versions, strings.TrimSpace(value))
		}
	}
	return fmt.Sprintf("%d CPUs (%s), %s, %s; load before %s, after %s; %s.",
		runtime.NumCPU(), model, strings.Join(versions, ", "), runtime.Version(), loadBefore, load(), time.Now().UTC().Format(time.DateOnly))
}

// load returns the machine's load average of the last minute.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(text), " ")
	return one
}
