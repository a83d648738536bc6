package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/user"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/audit"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// These commands change the database directly, also while a service runs: it checks
// accounts, sessions and tokens regularly, and closes open connections within seconds.

func newUserCommand() *cobra.Command {
	c := &cobra.Command{Use: "user", Short: "Manage accounts"}
	c.AddCommand(newUserInitCommand(), newUserListCommand(), newUserAddCommand(), newUserPasswordCommand(), newUserLinkCommand(), newUserDeleteCommand(),
		accountCommand("role NAME ROLE", "Change an account's role: admin, instructor, student or viewer", 2, func(ctx context.Context, s *access.Service, args []string) (string, error) {
			role := access.Role(args[1])
			a, err := s.ChangeUser(ctx, args[0], access.UserChange{Role: &role})
			return fmt.Sprintf("Account %s now has the role %s.", a.Name, a.Role), err
		}),
		accountCommand("disable NAME", "Disable an account; its open consoles and streams end within seconds", 1, func(ctx context.Context, s *access.Service, args []string) (string, error) {
			off := true
			a, err := s.ChangeUser(ctx, args[0], access.UserChange{Disabled: &off})
			return fmt.Sprintf("Account %s is disabled. Its nodes keep running.", a.Name), err
		}),
		accountCommand("enable NAME", "Enable a disabled account", 1, func(ctx context.Context, s *access.Service, args []string) (string, error) {
			off := false
			a, err := s.ChangeUser(ctx, args[0], access.UserChange{Disabled: &off})
			return fmt.Sprintf("Account %s is enabled.", a.Name), err
		}),
		accountCommand("reset-totp NAME", "Turn off an account's two-factor authentication, for users who lost their second factor", 1, func(ctx context.Context, s *access.Service, args []string) (string, error) {
			return fmt.Sprintf("Account %s now signs in with its password only.", args[0]), s.ResetTOTP(ctx, args[0])
		}),
	)
	return c
}

// accountCommand returns a command that changes the account named by its first argument.
func accountCommand(use, short string, args int, change func(ctx context.Context, s *access.Service, args []string) (done string, err error)) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(args),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withApp(cmd, func(ctx context.Context, a *app) error {
				done, err := change(ctx, a.access, args)
				if err := a.recordCommand(ctx, "user "+cmd.Name(), "users", args[0], err); err != nil {
					return err
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), done)
				return err
			})
		},
	}
}

func newUserInitCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "init",
		Short: "Create the first administrator, if there is none, and print the password",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withApp(cmd, func(ctx context.Context, a *app) error {
				created, err := ensureAdmin(ctx, a, cmd.OutOrStdout())
				if err == nil && !created {
					_, err = fmt.Fprintln(cmd.OutOrStdout(), "Sign in as the administrator that was created before. Forgot the password? Run: sandboxlabs recover-admin")
				}
				return err
			})
		},
	}
}

// ensureAdmin creates the first administrator and prints the password, which is not shown
// again.
func ensureAdmin(ctx context.Context, a *app, out io.Writer) (created bool, err error) {
	name, password, created, err := a.access.EnsureAdmin(ctx)
	if err == nil && created {
		_, err = fmt.Fprintf(out, "Created the first administrator. Copy the password now; it won't be shown again.\n  user:     %s\n  password: %s\n", name, password)
		err = errors.Join(err, a.recordCommand(ctx, "user init", "users", name, nil))
	}
	return created, err
}

func newUserListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the accounts",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withApp(cmd, func(ctx context.Context, a *app) error {
				list, err := a.access.Users(ctx)
				if err != nil {
					return err
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				_, _ = fmt.Fprintln(w, "NAME\tROLE\tCREATED\tSIGN-IN") // Flush returns its errors
				for _, u := range list {
					_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", u.Name, u.Role, u.Created.Format("2006-01-02"), signInOf(u))
				}
				return w.Flush()
			})
		},
	}
}

// signInOf describes how someone can sign in.
func signInOf(u access.Account) string {
	var words []string
	switch {
	case u.Disabled:
		words = append(words, "disabled")
	case u.External:
		words = append(words, "provider")
	default:
		words = append(words, "password")
	}
	if u.MustChange {
		words = append(words, "to be changed")
	}
	if u.TOTP {
		words = append(words, "second factor")
	}
	return strings.Join(words, ", ")
}

func newUserAddCommand() *cobra.Command {
	var role string
	var fromInput, final bool
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Create an account and print its password",
		Long: "Creates an account with a random password, which is printed, or with the password from\n" +
			"standard input. Its owner must change it at the first sign-in.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n := access.NewUser{Name: args[0], Role: access.Role(role), MustChange: !final}
			var err error
			if fromInput {
				if n.Password, err = readSecret(cmd.InOrStdin()); err != nil {
					return err
				}
			}
			return withApp(cmd, func(ctx context.Context, a *app) error {
				u, made, err := a.access.CreateUser(ctx, n)
				if err := a.recordCommand(ctx, "user add", "users", args[0], err); err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "Created account %s with the role %s.\n", u.Name, u.Role)
				return errors.Join(err, printPassword(cmd.OutOrStdout(), u.Name, made))
			})
		},
	}
	c.Flags().StringVar(&role, "role", string(access.RoleStudent), "admin, instructor, student or viewer")
	passwordFlags(c, &fromInput, &final)
	return c
}

func newUserPasswordCommand() *cobra.Command {
	var fromInput, final, keepTokens bool
	c := &cobra.Command{
		Use:   "password NAME",
		Short: "Set a new password for an account and print it; its sessions and tokens end",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			password, made := "", ""
			if fromInput {
				var err error
				if password, err = readSecret(cmd.InOrStdin()); err != nil {
					return err
				}
			} else {
				made = access.RandomPassword()
				password = made
			}
			return withApp(cmd, func(ctx context.Context, a *app) error {
				err := a.access.SetPassword(ctx, args[0], password, !final, keepTokens)
				if err := a.recordCommand(ctx, "user password", "users", args[0], err); err != nil {
					return err
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), passwordSet(keepTokens))
				return errors.Join(err, printPassword(cmd.OutOrStdout(), args[0], made))
			})
		},
	}
	passwordFlags(c, &fromInput, &final)
	keepTokensFlag(c, &keepTokens)
	return c
}

func keepTokensFlag(c *cobra.Command, keepTokens *bool) {
	c.Flags().BoolVar(keepTokens, "keep-tokens", false, "don't revoke the account's API tokens")
}

// passwordSet says what a new password has ended.
func passwordSet(keepTokens bool) string {
	if keepTokens {
		return "Password changed. The account's sessions have ended."
	}
	return "Password changed. The account's sessions have ended, and its tokens are revoked."
}

func passwordFlags(c *cobra.Command, fromInput, final *bool) {
	c.Flags().BoolVar(fromInput, "stdin", false, "read the password from standard input")
	c.Flags().BoolVar(final, "final", false, "don't require a new password at the next sign-in")
}

// printPassword prints a generated password. An empty one was not generated.
func printPassword(out io.Writer, name, password string) error {
	if password == "" {
		return nil
	}
	_, err := fmt.Fprintf(out, "  user:     %s\n  password: %s\n", name, password)
	return err
}

func newUserLinkCommand() *cobra.Command {
	var issuer string
	c := &cobra.Command{
		Use:   "link NAME SUBJECT",
		Short: "Link an existing account to a user of the sign-in provider",
		Long: "Links an account to a user of the OpenID Connect provider. The provider identifies users by\n" +
			"SUBJECT (claim \"sub\"; the log shows it when a sign-in is refused because the name is taken).",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withApp(cmd, func(ctx context.Context, a *app) error {
				if issuer == "" {
					issuer = a.config.OIDC.Issuer
				}
				if issuer == "" {
					return errors.New("no provider is configured: set oidc-issuer, or use --issuer")
				}
				err := a.access.LinkIdentity(ctx, args[0], issuer, args[1])
				if err := a.recordCommand(ctx, "user link", "users", args[0], err); err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "User %q at %s now signs in as account %s.\n", args[1], issuer, args[0])
				return err
			})
		},
	}
	c.Flags().StringVar(&issuer, "issuer", "", "the provider's URL (default: oidc-issuer)")
	return c
}

func newRecoverCommand() *cobra.Command {
	keepTokens := false
	c := &cobra.Command{
		Use:   "recover-admin",
		Short: "Set a new password for the administrator and print it; two-factor authentication is turned off",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withApp(cmd, func(ctx context.Context, a *app) error {
				name, password, err := a.access.RecoverAdmin(ctx, keepTokens)
				if err := a.recordCommand(ctx, "recover-admin", "users", name, err); err != nil {
					return err
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), passwordSet(keepTokens))
				return errors.Join(err, printPassword(cmd.OutOrStdout(), name, password))
			})
		},
	}
	keepTokensFlag(c, &keepTokens)
	return c
}

// recordCommand adds an operator's command and its result to the audit log, and returns
// that result.
func (a *app) recordCommand(ctx context.Context, action, kind, target string, result error) error {
	actor := "operator"
	if u, err := user.Current(); err == nil {
		actor = u.Username
	}
	err := a.audit.Write(ctx, audit.Entry{Actor: actor, Via: "command", Action: action, TargetKind: kind, TargetID: target, TargetName: target, Code: string(fault.CodeOf(result))})
	return errors.Join(result, err)
}
