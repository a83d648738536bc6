// Command sandboxlabs turns libvirt hosts into labs. It serves the REST API and the
// browser UI, and has commands for operators.
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

// version is the release. The build may set another one.
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

// errReported ends a command that has already printed what went wrong.
var errReported = errors.New("reported")

// explain returns the text of an error for an operator: the message of a fault, or the
// error as it is.
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
