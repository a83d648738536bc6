package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// grace is how long a part that was told to end may take before it is killed.
const grace = 20 * time.Second

// part is one run of a target of the Makefile.
type part struct {
	target  string
	log     string // file
	err     error
	took    time.Duration
	results []result // empty for a target that writes no report
}

// prepared are the targets that others need. Parts find them made: two that run side by side would
// build into each other.
var prepared = []string{"setup-test", "build", "micro"}

// runPart runs a target and reads its report. Its output goes to a log in dir, named after the
// target, and to out.
func runPart(ctx context.Context, dir, target string, environment []string, out io.Writer) part {
	p := part{target: target, log: filepath.Join(dir, target+".log")}
	begin := time.Now()
	p.err = p.run(ctx, dir, environment, out)
	p.took = time.Since(begin)
	var err error
	if p.results, err = readReport(p.report(dir)); err != nil && p.err == nil {
		p.err = err
	}
	return p
}

func (p *part) report(dir string) string { return filepath.Join(dir, p.target+".xml") }

func (p *part) run(ctx context.Context, dir string, environment []string, out io.Writer) error {
	log, err := os.Create(p.log)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	args := []string{"--no-print-directory", p.target, "REPORT=" + p.report(dir)}
	for _, made := range prepared {
		if made != p.target {
			args = append(args, "--old-file="+made)
		}
	}
	cmd := exec.CommandContext(ctx, "make", args...) //nolint:gosec // the targets are the Makefile's
	// A process group, so that what the target started ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = grace
	cmd.Env = append(slices.Clone(environment), "NO_COLOR=1")
	shown := &prefixer{prefix: fmt.Sprintf("%-12s | ", p.target), out: out}
	cmd.Stdout = io.MultiWriter(log, shown)
	cmd.Stderr = cmd.Stdout
	err = cmd.Run()
	shown.flush()
	if ctx.Err() == nil || err == nil {
		return err
	}
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what did not end when told to
	}
	return fmt.Errorf("stopped: %w", ctx.Err())
}

// explain lists what failed, the commands that run it on its own, and the end of what it printed.
func (p *part) explain(out io.Writer) {
	if p.target == leftoversPart {
		fmt.Fprintf(out, "\n%v\n", p.err)
		return
	}
	n := count(p.results)
	fmt.Fprintf(out, "\n%s failed after %s: %v; log: %s\n", p.target, p.took.Round(time.Second), p.err, p.log)
	if n[failed] == 0 {
		fmt.Fprintf(out, "    make %s\n", p.target)
	}
	for _, r := range p.results {
		if r.outcome == failed {
			fmt.Fprintf(out, "  %s: %s\n    %s\n", r.place, r.name, p.command(r))
			for _, line := range r.said {
				fmt.Fprintf(out, "    | %s\n", line)
			}
		}
	}
}

// command is how to run one test on its own.
func (p *part) command(r result) string {
	name := r.name
	if i := strings.LastIndex(name, " › "); i >= 0 { // of Playwright, the titles around it
		name = name[i+len(" › "):]
	}
	run := "'" + strings.ReplaceAll(regexp.QuoteMeta(name), "'", `'\''`) + "'"
	if p.target == "test-go" {
		return fmt.Sprintf("make %s PKG=./%s RUN='^%s$'", p.target, r.place, r.name)
	}
	return fmt.Sprintf("make %s RUN=%s", p.target, run)
}

// shared lets several parts write lines to one stream.
type shared struct {
	mu  sync.Mutex
	out io.Writer
}

func (s *shared) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(b)
}

// prefixer begins each line with a prefix, and writes whole lines.
type prefixer struct {
	prefix string
	out    io.Writer
	line   []byte
}

func (p *prefixer) Write(b []byte) (int, error) {
	p.line = append(p.line, b...)
	for {
		i := bytes.IndexByte(p.line, '\n')
		if i < 0 {
			return len(b), nil
		}
		if _, err := fmt.Fprintf(p.out, "%s%s\n", p.prefix, p.line[:i]); err != nil {
			return 0, err
		}
		p.line = p.line[i+1:]
	}
}

// flush writes a last line that has no end.
func (p *prefixer) flush() {
	if len(p.line) > 0 {
		fmt.Fprintf(p.out, "%s%s\n", p.prefix, p.line)
	}
}
