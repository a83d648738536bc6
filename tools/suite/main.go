// Command suite runs the parts of the tests, which are targets of the Makefile:
//
//	suite run [-limit D] [-first PARTS] LANE...
//	suite again [-n N] [-load CORES] PART
//
// run runs the parts that come first, then the lanes side by side, with the parts in a lane one after
// another. A part that fails
// stops nothing: the end lists what failed, where its log is, and how to run it on its own.
//
// again runs one part N times beside a load, and prints how often each test failed and which
// tests take longest.
//
// The variables of the make that runs suite, such as RUN, reach the parts.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const usage = `usage: suite run [-limit D] [-first PARTS] LANE...
       suite again [-n N] [-load CORES] PART`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "suite:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("%s", usage)
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	switch args[0] {
	case "run":
		limit := flags.Duration("limit", 2*time.Hour, "end what still runs after this time")
		first := flags.String("first", "", "parts that the others need")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		return run(ctx, *limit, strings.Fields(*first), flags.Args())
	case "again":
		n := flags.Int("n", 20, "number of runs")
		load := flags.Int("load", 0, "number of cores to keep busy")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		if flags.NArg() != 1 || *n < 1 || *load < 0 {
			return fmt.Errorf("%s", usage)
		}
		return again(ctx, *n, *load, flags.Arg(0))
	}
	return fmt.Errorf("%s", usage)
}
