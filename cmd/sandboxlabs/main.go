// Command sandboxlabs turns libvirt hosts into labs: it serves the REST API and
// the browser UI, and has the commands that an operator needs beside them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// version is the release; the build may set another one.
var version = "0.1.0"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newRootCommand().ExecuteContext(ctx)
	stop()
	if err == nil {
		return
	}
	if !errors.Is(err, errReported) {
		fmt.Fprintln(plainWriter{os.Stderr}, "sandboxlabs:", explain(err))
	}
	os.Exit(1)
}

// errReported ends a command whose output has said everything.
var errReported = errors.New("reported")

// explain is the text of an error for an operator: the message of a fault, or the error as
// it is.
func explain(err error) string {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err.Error()
	}
	if f.Cause != nil {
		return fmt.Sprintf("%s (%v)", f.Message, f.Cause)
	}
	return f.Message
}
