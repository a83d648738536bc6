package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
)

func newTokenCommand() *cobra.Command {
	token := &cobra.Command{Use: "token", Short: "Manage API tokens"}
	var name, account, expires string
	var scopes []string
	create := &cobra.Command{
		Use:   "create",
		Short: "Create an API token and print it once",
		Long: "Creates a token for an account in the service's database. Scripts and\n" +
			"`sandboxlabs console` send it as `Authorization: Bearer …`.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			end, err := parseExpiry(expires, time.Now())
			if err != nil {
				return err
			}
			return withApp(cmd, func(ctx context.Context, a *app) error {
				p, err := accountNamed(ctx, a.access, account)
				if err != nil {
					return err
				}
				var good []access.Scope
				for _, scope := range scopes {
					good = append(good, access.Scope(scope))
				}
				t, secret, err := a.access.CreateToken(ctx, p, name, end, good...)
				if err := a.recordCommand(ctx, "token create", "tokens", t.ID, err); err != nil {
					return err
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), secret)
				return err
			})
		},
	}
	create.Flags().StringVar(&name, "name", "", "what the token is for")
	create.Flags().StringVar(&account, "user", "", "the account that it belongs to (default: the first administrator)")
	create.Flags().StringVar(&expires, "expires", "", "when it expires: in 720h, or on 2030-01-31 (default: never)")
	create.Flags().StringSliceVar(&scopes, "scopes", nil, "what it may do: read, nodes, images, admin (default: everything that the account can do)")
	_ = create.MarkFlagRequired("name")
	token.AddCommand(create, newTokenListCommand(), newTokenRevokeCommand())
	return token
}

func newTokenListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the API tokens, without their secrets",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withApp(cmd, func(ctx context.Context, a *app) error {
				list, err := a.access.Tokens(ctx, access.Open())
				if err != nil {
					return err
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				_, _ = fmt.Fprintln(w, "ID\tUSER\tNAME\tSCOPES\tEXPIRES\tLAST USED") // Flush returns its errors
				for _, t := range list {
					_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", t.ID, t.UserName, t.Name, cmp.Or(string(t.Scopes), "all"), dayOf(t.Expires), dayOf(t.LastUsed))
				}
				return w.Flush()
			})
		},
	}
}

func newTokenRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID",
		Short: "Revoke an API token; its open consoles and streams end within seconds",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withApp(cmd, func(ctx context.Context, a *app) error {
				err := a.access.DeleteToken(ctx, access.Open(), args[0])
				if err := a.recordCommand(ctx, "token revoke", "tokens", args[0], err); err != nil {
					return err
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), "Token revoked.")
				return err
			})
		},
	}
}

// dayOf formats t as a day, or as never if it is zero.
func dayOf(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Format(time.DateOnly)
}

// parseExpiry reads a duration from now, a date, or an RFC 3339 time. The empty string is
// the zero time.
func parseExpiry(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(d), nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if end, err := time.Parse(layout, text); err == nil {
			return end, nil
		}
	}
	return time.Time{}, fmt.Errorf("expires: %q is neither a duration such as 720h nor a date such as 2030-01-31", text)
}

// accountNamed finds an account by name. The empty name stands for the first
// administrator.
func accountNamed(ctx context.Context, s *access.Service, name string) (access.Principal, error) {
	accounts, err := s.Users(ctx)
	if err != nil {
		return access.Principal{}, err
	}
	i := slices.IndexFunc(accounts, func(a access.Account) bool {
		return a.Name == name || (name == "" && a.Role == access.RoleAdmin)
	})
	if i < 0 {
		if name == "" {
			return access.Principal{}, errors.New("no accounts exist; create the first with `sandboxlabs user init`")
		}
		return access.Principal{}, fmt.Errorf("account %q not found", name)
	}
	return access.Principal{UserID: accounts[i].ID, Name: accounts[i].Name, Role: accounts[i].Role}, nil
}
