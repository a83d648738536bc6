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

// times are what one thing took, again and again.
type times []time.Duration

// at returns the time that the part p of all stayed within.
func (ts times) at(p float64) time.Duration {
	sorted := slices.Sorted(slices.Values(ts))
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}

func (ts times) median() time.Duration { return ts.at(0.5) }

// inMilliseconds tells the median and one more part.
func (ts times) inMilliseconds(p float64) string {
	return fmt.Sprintf("p50 %s, p%.0f %s (n=%d)", milliseconds(ts.median()), 100*p, milliseconds(ts.at(p)), len(ts))
}

func milliseconds(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 1, 64) + " ms"
}

// inSeconds tells the median and each of them.
func (ts times) inSeconds() string {
	var all []string
	for _, d := range ts {
		all = append(all, fmt.Sprintf("%.2f", d.Seconds()))
	}
	return fmt.Sprintf("%.2f s (%s)", ts.median().Seconds(), strings.Join(all, ", "))
}

// faster returns how many times as fast ours is.
func faster(ours, theirs time.Duration) string {
	return fmt.Sprintf("%.2f×", float64(theirs)/float64(ours))
}

func mebibytes(kib int64) string { return fmt.Sprintf("%.1f MiB", float64(kib)/1024) }

// ran is a command that is over.
type ran struct {
	out     []byte
	took    time.Duration
	peakKiB int64
}

// samplePause is how often a command's memory is looked at. The kernel's own
// count of a child's peak (ru_maxrss) would not do: it begins with that of the
// process that started it.
const samplePause = time.Millisecond

// command runs a command that has to succeed.
func command(ctx context.Context, t *testing.T, name string, args ...string) ran {
	t.Helper()
	return runCommand(ctx, t, 0, name, args...)
}

// sampled is command, and looks at the memory, which takes some of the CPU.
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

// watchPeak returns the last peak that a process had while it was looked at.
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

// peakKiB reads a process's peak of resident memory.
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
	return 0, fmt.Errorf("process %d shows no peak of its memory", pid) // it is over
}

// resetPeak has the peak begin again at what the process takes now; where that is not
// permitted, it stays that of its life so far.
func resetPeak(pid int) {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}
