package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"

	"github.com/sandboxlabs/sandboxlabs/internal/secret"
)

// secretOptions are the options whose values may be encrypted or read from a file.
var secretOptions = []string{"database", "guacamole-database", "guacamole-json-secret", "oidc-client-secret"}

const maxSecretBytes = 4096

// configPurpose binds an encrypted value to its option.
func configPurpose(option string) string { return "config:" + option }

// secretText returns the value of a secret option: as given like other options, read from
// the file that it names, or decrypted with a key of the data-dir.
func (c *config) secretText(k *koanf.Koanf, name string) (string, error) {
	text := k.String(name)
	if path, ok := strings.CutPrefix(text, "file:"); ok {
		content, err := os.ReadFile(path) // the operator chooses the path
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		text = strings.TrimSpace(string(content))
	}
	if !secret.IsSealed(text) {
		return text, nil
	}
	if c.Sealed == nil {
		c.Sealed = map[string]string{}
	}
	c.Sealed[name] = text
	opened, err := secret.In(c.DataDir).Open(configPurpose(name), text)
	if err != nil {
		return "", fmt.Errorf("%s: %w; or seal it again: sandboxlabs secret seal %s", name, err, name)
	}
	return opened, nil
}

func newSecretCommand() *cobra.Command {
	c := &cobra.Command{Use: "secret", Short: "Encrypt secrets for the configuration, and rotate the key"}
	c.AddCommand(&cobra.Command{
		Use:   "seal OPTION",
		Short: "Read a secret from standard input, and print it encrypted, for the configuration",
		Long: "Reads a secret from standard input and prints it encrypted with the key in data-dir.\n" +
			"Use the output as the value of the option in the configuration. OPTION is one of:\n" + strings.Join(secretOptions, ", ") + ".",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(secretOptions, args[0]) {
				return fmt.Errorf("%q is none of %s", args[0], strings.Join(secretOptions, ", "))
			}
			o, err := readOptions(cmd.Flags()) // the configuration need not be complete yet
			if err != nil {
				return err
			}
			text, err := readSecret(cmd.InOrStdin())
			if err != nil {
				return err
			}
			sealed, err := secret.In(o.all.String("data-dir")).Seal(configPurpose(args[0]), text)
			if err == nil {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), sealed)
			}
			return err
		},
	}, &cobra.Command{
		Use:   "rotate",
		Short: "Create a new key and re-encrypt stored secrets; old keys are kept until `secret prune`",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withApp(cmd, func(ctx context.Context, a *app) error {
				err := a.keys.Rotate()
				n := 0
				if err == nil {
					n, err = a.reseal(ctx)
				}
				if err := a.recordCommand(ctx, "secret rotate", "secrets", "", err); err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "Created a new key in %s and re-encrypted %d stored secrets.\n", a.keys.Path(), n)
				return errors.Join(err, a.printRest(cmd))
			})
		},
	}, &cobra.Command{
		Use:   "prune",
		Short: "Remove all keys but the newest",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withApp(cmd, func(ctx context.Context, a *app) error {
				old, err := a.sealedByOld()
				if err != nil {
					return err
				}
				if len(old) > 0 {
					return fmt.Errorf("the configuration's %s would be lost: it is encrypted with an old key. Seal it again (sandboxlabs secret seal OPTION), and retry", strings.Join(old, ", "))
				}
				_, err = a.reseal(ctx) // also encrypts again what was stored with an old key meanwhile
				n := 0
				if err == nil {
					n, err = a.keys.Prune()
				}
				if err := a.recordCommand(ctx, "secret prune", "secrets", "", err); err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "Removed %d old keys. Older backups of the database need a copy of the previous key file.\n", n)
				return err
			})
		},
	})
	return c
}

// reseal encrypts the stored secrets with the newest key, and returns how many it
// encrypted.
func (a *app) reseal(ctx context.Context) (n int, err error) {
	if n, err = a.access.Reseal(ctx); err != nil {
		return n, err
	}
	if err := a.requests.Reseal(ctx); err != nil || a.guacamole == nil {
		return n, err
	}
	more, err := a.guacamole.Reseal(ctx)
	return n + more, err
}

// printRest prints which of the configuration's secrets are encrypted with an old key.
func (a *app) printRest(cmd *cobra.Command) error {
	old, err := a.sealedByOld()
	if err != nil {
		return err
	}
	for _, option := range old {
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "The configuration's %s is encrypted with an old key. Seal it again: sandboxlabs secret seal %s\n", option, option); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), "Copy the key file to other replicas. Then remove the old keys: sandboxlabs secret prune")
	return err
}

// sealedByOld lists the options that are encrypted with an old key.
func (a *app) sealedByOld() (old []string, err error) {
	for _, option := range slices.Sorted(maps.Keys(a.config.Sealed)) {
		newest, err := a.keys.IsNewest(a.config.Sealed[option])
		if err != nil {
			return nil, err
		}
		if !newest {
			old = append(old, option)
		}
	}
	return old, nil
}

// readSecret reads a secret from standard input. An argument would be visible to every
// process of the machine.
func readSecret(in io.Reader) (string, error) {
	content, err := io.ReadAll(io.LimitReader(in, maxSecretBytes+1))
	if err != nil {
		return "", fmt.Errorf("read the secret from standard input: %w", err)
	}
	text := strings.TrimRight(string(content), "\r\n")
	if text == "" || len(text) > maxSecretBytes {
		return "", fmt.Errorf("standard input must contain the secret, of at most %d bytes", maxSecretBytes)
	}
	return text, nil
}
