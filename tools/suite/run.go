package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	logs = ".cache/tests" // one folder for each run
	kept = 10             // folders of runs
)

// run runs the parts that the others need, then lanes of parts, and prints what failed.
func run(ctx context.Context, limit time.Duration, first, lanes []string) error {
	dir, err := newFolder()
	if err != nil {
		return err
	}
	g, err := newGround(ctx)
	if err != nil {
		return err
	}
	begin := time.Now()
	inTime, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out := &shared{out: os.Stdout}
	fmt.Fprintf(out, "suite: logs are in %s\n", dir)
	inTurn := func(targets []string) (done []part) {
		for _, target := range targets {
			fmt.Fprintf(out, "suite: %s starts\n", target)
			p := runPart(inTime, dir, target, g.environment(), out)
			fmt.Fprintf(out, "suite: %s %s\n", target, p.verdict())
			done = append(done, p)
		}
		return done
	}
	done := make([][]part, 1+len(lanes))
	done[0] = inTurn(first)
	var wg sync.WaitGroup
	for i, lane := range lanes {
		wg.Go(func() { done[1+i] = inTurn(strings.Fields(lane)) })
	}
	wg.Wait()
	parts := append(slices.Concat(done...), g.leave(context.WithoutCancel(ctx), os.Stdout))
	return summarize(os.Stdout, parts, time.Since(begin))
}

// verdict is one line on how the part ended.
func (p *part) verdict() string {
	verb := "passed"
	if p.err != nil {
		verb = "FAILED"
	}
	n := count(p.results)
	tests := ""
	if len(p.results) > 0 {
		tests = fmt.Sprintf(", %d tests: %d failed, %d skipped", len(p.results), n[failed], n[skipped])
	}
	return fmt.Sprintf("%s in %s%s", verb, p.took.Round(time.Second), tests)
}

// summarize prints how each part ended, what failed, and the totals. A part without its own
// tests, or one that failed where all its tests passed, counts as one.
func summarize(out io.Writer, parts []part, took time.Duration) error {
	fmt.Fprintf(out, "\nsuite: the end, after %s\n", took.Round(time.Second))
	var total [3]int
	broken := 0
	for i := range parts {
		p := &parts[i]
		fmt.Fprintf(out, "  %-14s %s\n", p.target, p.verdict())
		n := count(p.results)
		switch {
		case p.err != nil && n[failed] == 0:
			n[failed] = 1
		case len(p.results) == 0:
			n[passed] = 1
		}
		for o := range total {
			total[o] += n[o]
		}
	}
	for i := range parts {
		if parts[i].err != nil {
			broken++
			parts[i].explain(out)
		}
	}
	fmt.Fprintf(out, "\n%d passed, %d failed, %d skipped\n", total[passed], total[failed], total[skipped])
	if broken > 0 {
		return errors.New("there are failures, listed above")
	}
	return nil
}

// newFolder makes the folder of a run, and removes those of runs long past.
func newFolder() (string, error) {
	if err := os.MkdirAll(logs, 0o755); err != nil { //nolint:gosec // logs of tests are not secret
		return "", err
	}
	past, err := os.ReadDir(logs) // sorted by name, which is the time
	if err != nil {
		return "", err
	}
	for len(past) >= kept {
		if err := os.RemoveAll(filepath.Join(logs, past[0].Name())); err != nil {
			return "", err
		}
		past = past[1:]
	}
	dir, err := filepath.Abs(logs)
	if err != nil {
		return "", err
	}
	return os.MkdirTemp(dir, time.Now().Format("20060102-150405-"))
}
