package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/job"
	"github.com/sandboxlabs/sandboxlabs/internal/policy"
)

// jobLook is how often a command polls the job that it waits for.
const jobLook = 500 * time.Millisecond

func newUserDeleteCommand() *cobra.Command {
	var heir string
	var deleteOwned bool
	c := &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete an account, and transfer or delete what it owns",
		Long: "Deletes an account that owns nothing. With --transfer-to, another account gets its nodes,\n" +
			"images, labs and networks; with --delete-owned they are deleted, with all data.\n" +
			"The service does this as a job. The command waits for it and shows the progress.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withApp(cmd, func(ctx context.Context, a *app) error {
				j, err := a.startRemoval(ctx, args[0], heir, deleteOwned)
				if err := a.recordCommand(ctx, "user delete", "users", args[0], err); err != nil {
					return err
				}
				return a.awaitJob(ctx, cmd.OutOrStdout(), j)
			})
		},
	}
	c.Flags().StringVar(&heir, "transfer-to", "", "the account that gets everything")
	c.Flags().BoolVar(&deleteOwned, "delete-owned", false, "delete everything that the account owns")
	c.MarkFlagsMutuallyExclusive("transfer-to", "delete-owned")
	return c
}

// startRemoval starts the job that deletes an account.
func (a *app) startRemoval(ctx context.Context, name, heir string, deleteOwned bool) (job.Job, error) {
	account, err := a.access.User(ctx, name)
	if err != nil {
		return job.Job{}, err
	}
	r := policy.AccountRemoval{UserID: account.ID, Name: account.Name, Refuse: heir == "" && !deleteOwned}
	if heir != "" {
		to, err := a.access.User(ctx, heir)
		if err != nil {
			return job.Job{}, fmt.Errorf("transfer-to: %w", err)
		}
		if r.To = to.ID; to.ID == account.ID || to.Disabled {
			return job.Job{}, errors.New("transfer-to: choose another account, which is not disabled")
		}
	}
	if !r.Refuse {
		off := true
		if _, err := a.access.ChangeUser(ctx, account.Name, access.UserChange{Disabled: &off}); err != nil {
			return job.Job{}, err
		}
	}
	return a.jobs.Start(ctx, job.Request{Kind: policy.RemoveAccountJob, Owner: "operator", Target: job.Target{Type: "user", ID: account.ID}, Args: r, Single: true})
}

// awaitJob prints the progress of a job until it has ended, and returns the job's error.
func (a *app) awaitJob(ctx context.Context, out io.Writer, j job.Job) error {
	tick := time.NewTicker(jobLook)
	defer tick.Stop()
	if _, err := fmt.Fprintf(out, "Job %s is queued until the service runs.\n", j.ID); err != nil {
		return err
	}
	for shown := ""; !j.State.IsFinal(); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		var err error
		if j, err = a.jobs.Job(ctx, j.ID); err != nil {
			return err
		}
		if j.Step != "" && j.Step != shown {
			shown = j.Step
			if _, err := fmt.Fprintf(out, "%d of %d: %s\n", j.DoneBytes, j.TotalBytes, j.Step); err != nil {
				return err
			}
		}
	}
	if j.State != job.Succeeded {
		return fmt.Errorf("the job has %s: %s", j.State, j.Error)
	}
	_, err := fmt.Fprintln(out, "Account deleted.")
	return err
}
