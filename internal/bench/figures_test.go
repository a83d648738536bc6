//go:build bench

package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// times are the durations of repeated runs of one operation.
type times []time.Duration

// at returns the percentile p, which is between 0 and 1.
func (ts times) at(p float64) time.Duration {
	sorted := slices.Sorted(slices.Values(ts))
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}

func (ts times) median() time.Duration { return ts.at(0.5) }

// inMilliseconds formats the median and the percentile p.
func (ts times) inMilliseconds(p float64) string {
	return fmt.Sprintf("p50 %s, p%.0f %s (n=%d)", milliseconds(ts.median()), 100*p, milliseconds(ts.at(p)), len(ts))
}

func milliseconds(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 1, 64) + " ms"
}

// inSeconds formats the median and all durations.
func (ts times) inSeconds() string {
	var all []string
	for _, d := range ts {
		all = append(all, fmt.Sprintf("%.2f", d.Seconds()))
	}
	return fmt.Sprintf("%.2f s (%s)", ts.median().Seconds(), strings.Join(all, ", "))
}

// faster formats how many times as fast ours is.
func faster(ours, theirs time.Duration) string {
	return fmt.Sprintf("%.2f×", float64(theirs)/float64(ours))
}

func mebibytes(kib int64) string { return fmt.Sprintf("%.1f MiB", float64(kib)/1024) }

// ran is a command that has ended.
type ran struct {
	out     []byte
	took    time.Duration
	peakKiB int64
}

// samplePause is the interval for reading a command's memory usage. The kernel's own peak
// of a child (ru_maxrss) is not suitable: it starts with the memory of the process that
// started the child.
const samplePause = time.Millisecond

// command runs a command that must succeed.
func command(ctx context.Context, t *testing.T, name string, args ...string) ran {
	t.Helper()
	return runCommand(ctx, t, 0, name, args...)
}

// sampled is command with its memory usage sampled, which uses some CPU.
func sampled(ctx context.Context, t *testing.T, name string, args ...string) ran {
	t.Helper()
	return runCommand(ctx, t, samplePause, name, args...)
}

func runCommand(ctx context.Context, t *testing.T, pause time.Duration, name string, args ...string) ran {
	t.Helper()
	var out, problems bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Stdout, cmd.Stderr = &out, &problems
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var r ran
	stop, stopped := make(chan struct{}), make(chan struct{})
	if pause > 0 {
		go func() {
			defer close(stopped)
			r.peakKiB = watchPeak(cmd.Process.Pid, pause, stop)
		}()
	} else {
		close(stopped)
	}
	err := cmd.Wait()
	r.took = time.Since(begin)
	close(stop)
	<-stopped
	r.out = out.Bytes()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, problems.Bytes())
	}
	return r
}

// watchPeak returns the last peak of a process's memory that it could read.
func watchPeak(pid int, pause time.Duration, stop <-chan struct{}) (kib int64) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return kib
		case <-tick.C:
			if now, err := peakKiB(pid); err == nil {
				kib = now
			}
		}
	}
}

// peakKiB reads the peak of a process's resident memory.
func peakKiB(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		}
	}
	return 0, fmt.Errorf("process %d shows no peak of its memory", pid) // it has ended
}

// resetPeak resets the peak to the current usage of the process. If that is not permitted,
// the peak remains that of its lifetime.
func resetPeak(pid int) {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}
