package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

const slowest = 15 // tests that the end of again lists

// again runs a part n times beside a load.
func again(ctx context.Context, n, load int, target string) error {
	dir, err := newFolder()
	if err != nil {
		return err
	}
	g, err := newGround(ctx)
	if err != nil {
		return err
	}
	defer keepBusy(load)()
	fmt.Printf("suite: %s runs %d times beside %s; logs are in %s\n", target, n, loadText(load), dir)
	var runs []part
	for i := 1; i <= n && ctx.Err() == nil; i++ {
		folder := filepath.Join(dir, fmt.Sprintf("%03d", i))
		if err := os.Mkdir(folder, 0o755); err != nil { //nolint:gosec // logs of tests are not secret
			return err
		}
		p := runPart(ctx, folder, target, g.environment(), io.Discard)
		fmt.Printf("suite: run %d of %d %s\n", i, n, p.verdict())
		if p.err != nil {
			p.explain(os.Stdout)
		}
		runs = append(runs, p)
	}
	left := g.leave(context.WithoutCancel(ctx), os.Stdout)
	return errors.Join(table(os.Stdout, runs, load), left.err)
}

func loadText(load int) string {
	if load == 0 {
		return "no load"
	}
	return fmt.Sprintf("%d core(s) kept busy by a loop", load)
}

// keepBusy runs as many loops as told until stop is called.
func keepBusy(loops int) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for range loops {
		wg.Go(func() {
			for ctx.Err() == nil {
			}
		})
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

// tally is what several runs of one test came to.
type tally struct {
	result
	runs, failures int
	total, longest time.Duration
}

// table prints how often each test failed, and which take longest.
func table(out io.Writer, runs []part, load int) error {
	tallies := map[string]*tally{}
	broken := 0
	for _, p := range runs {
		if p.err != nil {
			broken++
		}
		for _, r := range p.results {
			if r.outcome == skipped {
				continue
			}
			key := r.place + " " + r.name
			t := tallies[key]
			if t == nil {
				t = &tally{result: r}
				tallies[key] = t
			}
			t.runs++
			t.total += r.took
			t.longest = max(t.longest, r.took)
			if r.outcome == failed {
				t.failures++
			}
		}
	}
	all := slices.Collect(maps.Values(tallies))
	slices.SortFunc(all, func(a, b *tally) int { return cmp.Compare(b.failures, a.failures) })
	fmt.Fprintf(out, "\nsuite: %d of %d runs failed, beside %s\n", broken, len(runs), loadText(load))
	for _, t := range all {
		if t.failures > 0 {
			fmt.Fprintf(out, "  %3d of %3d failed  %s %s\n", t.failures, t.runs, t.place, t.name)
		}
	}
	slices.SortFunc(all, func(a, b *tally) int { return cmp.Compare(b.total, a.total) })
	fmt.Fprintf(out, "the tests that take longest (mean, longest):\n")
	for _, t := range all[:min(len(all), slowest)] {
		mean := t.total / time.Duration(t.runs)
		fmt.Fprintf(out, "  %8s %8s  %s %s\n", mean.Round(10*time.Millisecond), t.longest.Round(10*time.Millisecond), t.place, t.name)
	}
	fmt.Fprintf(out, "\n%d passed, %d failed\n", len(runs)-broken, broken)
	if broken > 0 {
		return fmt.Errorf("%d of %d runs failed", broken, len(runs))
	}
	return nil
}
