package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sandboxlabs/sandboxlabs/internal/domain"
)

func newChangeCommand() *cobra.Command {
	change := &cobra.Command{
		Use:   "change",
		Short: "Finish or drop changes that the service could neither complete nor undo",
	}
	list := &cobra.Command{
		Use: "list", Short: "List the unfinished changes", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withApp(cmd, func(ctx context.Context, a *app) error {
				list, err := a.nodes.UnfinishedChanges(ctx)
				if err != nil {
					return err
				}
				return printChanges(cmd.OutOrStdout(), list)
			})
		},
	}
	finish := &cobra.Command{
		Use: "finish ID", Short: "Complete or undo an unfinished change now", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withBackend(cmd, func(ctx context.Context, a *app) error {
				for _, h := range a.hosts.Hosts() {
					if err := h.Settled(ctx); err != nil {
						return err
					}
				}
				err := a.nodes.FinishChange(ctx, args[0])
				return a.recordCommand(ctx, "change finish", "changes", args[0], err)
			})
		},
	}
	drop := &cobra.Command{
		Use: "drop ID", Short: "Forget an unfinished change; what it has made so far stays", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withApp(cmd, func(ctx context.Context, a *app) error {
				err := a.nodes.DropChange(ctx, args[0])
				return a.recordCommand(ctx, "change drop", "changes", args[0], err)
			})
		},
	}
	change.AddCommand(list, finish, drop)
	return change
}

func printChanges(out io.Writer, list []domain.UnfinishedChange) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(out, "No change is unfinished.")
		return err
	}
	for _, c := range list {
		if _, err := fmt.Fprintf(out, "%s  %s\n", c.ID, describeChange(c)); err != nil {
			return err
		}
	}
	return nil
}

// describeChange describes a change: its objects, its age and why it is unfinished.
func describeChange(c domain.UnfinishedChange) string {
	of := ""
	if len(c.Objects) > 0 {
		of = " of " + strings.Join(c.Objects, ", ")
	}
	return fmt.Sprintf("%s%s on host %s, begun %v ago, failed attempts: %d, reason: %s",
		c.Kind, of, c.Host, time.Since(c.Begun).Round(time.Second), c.Attempts, c.Reason)
}
