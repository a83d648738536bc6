package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/sandboxlabs/sandboxlabs/internal/domain"
)

// The moments at which serveUntilCrash dies.
const (
	afterOverlay = "after-overlay" // an overlay was made, and no domain has it
	beforeVolume = "before-volume" // a volume of a node is to be removed
	beforeLog    = "before-log"    // a console log is to be removed
)

// serveUntilCrash is `serve` with a storage that kills the process at a moment.
func serveUntilCrash(moment string) {
	err := func() error {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
		addConfigFlags(flags)
		if err := flags.Parse(os.Args[2:]); err != nil {
			return err
		}
		c, err := loadConfig(flags)
		if err != nil {
			return err
		}
		if !c.AuthOff {
			return errors.New("only with auth off")
		}
		log := slog.New(slog.NewTextHandler(os.Stderr, nil))
		a, err := wire(ctx, c, log, func(s domain.Storage) domain.Storage { return mortal{s, moment} })
		if err != nil {
			return err
		}
		defer a.Close()
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
		if err != nil {
			return err
		}
		return a.Serve(ctx, l)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// mortal is the real storage, until its moment comes.
type mortal struct {
	domain.Storage
	moment string
}

func (m mortal) dieAt(moment string) {
	if m.moment == moment {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal comes
	}
}

func (m mortal) CreateOverlay(ctx context.Context, host, volume, imageID string, capacityBytes int64) (string, error) {
	path, err := m.Storage.CreateOverlay(ctx, host, volume, imageID, capacityBytes)
	if err == nil {
		m.dieAt(afterOverlay)
	}
	return path, err
}

func (m mortal) DeleteNodeVolume(ctx context.Context, host, volume string) error {
	m.dieAt(beforeVolume)
	return m.Storage.DeleteNodeVolume(ctx, host, volume)
}

func (m mortal) DeleteConsoleLog(ctx context.Context, host, nodeID string) error {
	m.dieAt(beforeLog)
	return m.Storage.DeleteConsoleLog(ctx, host, nodeID)
}
