package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/upload"
)

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "sandboxlabs",
		Short:         "Virtual machine labs on libvirt, in the browser",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetOut(plainWriter{os.Stdout})
	root.SetErr(plainWriter{os.Stderr})
	addConfigFlags(root.PersistentFlags())
	root.AddCommand(newServeCommand(), newDoctorCommand(), newUserCommand(), newRecoverCommand(), newChangeCommand(), newImageCommand(), newTokenCommand(), newConsoleCommand(), newSecretCommand(), newGuacamoleCommand(), newOpenAPICommand(), newVersionCommand())
	return root
}

// withApp loads the configuration, creates the app and calls f. Commands other than serve
// print their own results, so they log only errors by default.
func withApp(cmd *cobra.Command, f func(ctx context.Context, a *app) error) error {
	c, err := loadConfig(cmd.Flags())
	if err != nil {
		return err
	}
	if cmd.Name() != serveName && !cmd.Flags().Changed("log-level") {
		c.LogLevel = slog.LevelError
	}
	log := newLog(cmd.ErrOrStderr(), c.LogLevel)
	a, err := newApp(cmd.Context(), c, log)
	if err != nil {
		return err
	}
	defer a.Close()
	return f(cmd.Context(), a)
}

// withBackend is withApp for commands that need the hosts, which stay connected while f
// runs.
func withBackend(cmd *cobra.Command, f func(ctx context.Context, a *app) error) error {
	return withApp(cmd, func(ctx context.Context, a *app) error {
		running, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- a.runBackend(running) }()
		err := f(ctx, a)
		stop()
		return errors.Join(err, <-ended)
	})
}

const serveName = "serve"

func newServeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   serveName,
		Short: "Serve the API and the browser UI",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withApp(cmd, func(ctx context.Context, a *app) error {
				l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a.config.Listen)
				if err != nil {
					return fmt.Errorf("listen: %w; another program may use the port: choose another with --listen", err)
				}
				if !a.config.AuthOff {
					if _, err := ensureAdmin(ctx, a, cmd.OutOrStdout()); err != nil {
						return err
					}
				}
				a.log.Info("serving", "url", a.config.url(), "version", version, "data-dir", a.config.DataDir)
				err = a.Serve(ctx, l)
				a.log.Info("stopped; the nodes keep running")
				return err
			})
		},
	}
}

func newImageCommand() *cobra.Command {
	image := &cobra.Command{Use: "image", Short: "Manage images"}
	var base, osType, host, firmware string
	var tpm bool
	add := &cobra.Command{
		Use:   "add FILE",
		Short: "Add an image to the images pool",
		Long: "Adds an image to the images pool. It is verified like an upload, and converted to qcow2 if necessary.\n" +
			"With --base it becomes the base image with that id. If that image already exists, nothing is changed.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withBackend(cmd, func(ctx context.Context, a *app) error {
				if err := domain.CheckFirmware("firmware", firmware); err != nil {
					return err
				}
				err := addImage(ctx, a, cmd.OutOrStdout(), args[0], upload.Upload{Host: host, OSType: osType, BaseID: base, Firmware: firmware, TPM: tpm})
				return a.recordCommand(ctx, "image add", "images", cmp.Or(base, filepath.Base(args[0])), err)
			})
		},
	}
	add.Flags().StringVar(&base, "base", "", "add it as the base image with this id")
	add.Flags().StringVar(&osType, "os-type", "", "operating system, such as debian")
	add.Flags().StringVar(&firmware, "firmware", "", "firmware of its nodes: bios, uefi or uefi-secure (default: bios)")
	add.Flags().BoolVar(&tpm, "tpm", false, "give its nodes a TPM 2.0")
	add.Flags().StringVar(&host, "host", "", "host whose pool it is added to (default: the first)")
	image.AddCommand(add)
	return image
}

func addImage(ctx context.Context, a *app, out io.Writer, path string, u upload.Upload) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	u.FileName, u.SizeBytes, u.Owner = filepath.Base(path), info.Size(), "operator"
	if err := a.ready(ctx, u.Host); err != nil {
		return err
	}
	if u.BaseID != "" {
		if strings.ContainsAny(u.BaseID, "/\\ ") || strings.HasPrefix(u.BaseID, ".") {
			return fmt.Errorf("--base: %q is not a valid name", u.BaseID)
		}
		if img, err := a.images.Image(u.Host, u.BaseID); err == nil {
			_, err = fmt.Fprintf(out, "Image %s already exists (%s, %s).\n", img.ID, img.State, img.Path)
			return err
		}
	}
	img, err := a.uploads.Receive(ctx, u, f)
	if err != nil {
		return err
	}
	if img.State == image.Verifying {
		c := upload.Conversion{ID: img.ID, Host: img.Host}
		if err := a.uploads.Convert(ctx, c, silent{}); err != nil {
			return errors.Join(err, a.uploads.UndoConversion(context.WithoutCancel(ctx), c))
		}
		if img, err = a.images.Usable(img.Host, img.ID); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, "Image %s is ready: %s\n", img.ID, img.Path)
	return err
}

// silent discards progress reports.
type silent struct{}

func (silent) Begin(string)          {}
func (silent) Progress(int64, int64) {}

// ready waits until a host's pools can be used. It returns an error at once if the host is
// unreachable, because a command must not wait for it.
func (a *app) ready(ctx context.Context, host string) error {
	h, err := a.hosts.Host(host)
	if err != nil {
		return err
	}
	if err := h.Settled(ctx); err != nil {
		return err
	}
	if st := h.Status(); st.Problem != "" {
		return fault.New(fault.HostUnreachable, "Host %q (%s) cannot be reached: %s.", st.Name, st.URI, strings.TrimSuffix(st.Problem, "."))
	}
	return a.pools.Prepare(ctx, h.Name())
}

func newOpenAPICommand() *cobra.Command {
	return &cobra.Command{
		Use:   "openapi",
		Short: "Print the OpenAPI 3.1 document of the REST API",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// The document does not depend on data, so use an empty database instead of the configured
			// one.
			dir, err := os.MkdirTemp("", "sandboxlabs-openapi-")
			if err != nil {
				return err
			}
			defer func() { _ = os.RemoveAll(dir) }()
			c, err := loadConfig(cmd.Flags())
			if err != nil {
				return err
			}
			c.Database = "sqlite:" + filepath.Join(dir, "empty.db")
			a, err := newApp(cmd.Context(), c, slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			defer a.Close()
			doc, err := a.server.OpenAPI()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), string(doc))
			return err
		},
	}
}
