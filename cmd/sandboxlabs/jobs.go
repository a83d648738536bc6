package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sandboxlabs/sandboxlabs/images"
	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/api"
	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/job"
	labs "github.com/sandboxlabs/sandboxlabs/internal/lab"
	"github.com/sandboxlabs/sandboxlabs/internal/policy"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/upload"
)

// handleJobs registers the handlers of the jobs that the API starts.
func (a *app) handleJobs() {
	a.jobs.Handle(api.PullJob, heavy("", kindOf(a.uploads.Pull, a.uploads.UndoPull)))
	a.jobs.Handle(domain.CloneJob, heavy(converting, kindOf(func(ctx context.Context, c domain.Clone, p storagepool.Progress) error {
		return a.nodes.CloneFull(ctx, c, p)
	}, a.nodes.UndoClone)))
	a.jobs.Handle(api.VerifyJob, heavy("", kindOf(a.images.Jobs().Verify, nil)))
	a.jobs.Handle(api.CompactJob, heavy(converting, kindOf(a.images.Jobs().Compact, a.images.Jobs().UndoCompact)))
	a.jobs.Handle(api.GrowJob, kindOf(a.images.Jobs().Grow, nil))
	a.jobs.Handle(api.CaptureJob, heavy(converting, kindOf(func(ctx context.Context, w image.Work, p storagepool.Progress) error {
		return a.nodes.Capture(ctx, w.Host, w.Node, func(file string) error { return a.images.Jobs().Capture(ctx, w, file, p) })
	}, a.images.Jobs().UndoCapture)))
	a.jobs.Handle(api.ConvertJob, heavy(converting, kindOf(a.uploads.Convert, a.uploads.UndoConversion)))
	a.jobs.Handle(labs.ImportJob, heavy("", kindWith(func(ctx context.Context, p labs.Plan, t *job.Task) error { return a.labs.Import(ctx, p, t) }, a.labs.UndoImport)))
	a.jobs.Handle(policy.RemoveAccountJob, kindWith(a.removals.Account, nil))
	a.uploads.ConvertBy(func(ctx context.Context, c upload.Conversion) error {
		_, err := a.jobs.Start(ctx, job.Request{
			Kind: api.ConvertJob, Owner: c.Owner, Target: job.Target{Type: string(access.Image), ID: c.ID, Host: c.Host}, Args: c, Single: true,
		})
		if fault.CodeOf(err) == fault.JobExists {
			err = nil
		}
		return err
	})
}

// converting is the slot of jobs in which libvirt writes a whole disk. Each host runs one
// of them at a time.
const converting = "convert"

// heavy marks jobs of a kind as heavy, so that owners take turns, and makes them wait for
// slot unless it is empty.
func heavy(slot string, k job.Kind) job.Kind {
	k.Heavy, k.Slot = true, slot
	return k
}

// kindOf returns a job kind for a function that takes arguments of type A and reports
// progress in bytes. undo is nil if there is nothing to undo.
func kindOf[A any](run func(context.Context, A, storagepool.Progress) error, undo func(context.Context, A) error) job.Kind {
	return kindWith(func(ctx context.Context, args A, t *job.Task) error { return run(ctx, args, t) }, undo)
}

// kindWith returns a job kind for a function that takes arguments of type A and the job's
// task.
func kindWith[A any](run func(context.Context, A, *job.Task) error, undo func(context.Context, A) error) job.Kind {
	argsOf := func(j job.Job) (args A, err error) {
		if err := j.Args(&args); err != nil {
			return args, fmt.Errorf("read the arguments of job %s: %w", j.ID, err)
		}
		return args, nil
	}
	k := job.Kind{Run: func(ctx context.Context, t *job.Task) error {
		args, err := argsOf(t.Job)
		if err != nil {
			return err
		}
		return run(ctx, args, t)
	}}
	if undo != nil {
		k.Undo = func(ctx context.Context, j job.Job) error {
			args, err := argsOf(j)
			if err != nil {
				return err
			}
			return undo(ctx, args)
		}
	}
	return k
}

// readCatalog reads the operator's catalog files, followed by the built-in ones. If two
// entries have the same ID, the first wins. For a folder, it reads the .yaml and .yml
// files in it.
func readCatalog(paths []string) ([]image.CatalogEntry, error) {
	var list []image.CatalogEntry
	add := func(name string, text []byte, read func(string) ([]byte, error)) error {
		entries, err := image.ParseCatalog(text, read)
		if err != nil {
			return fmt.Errorf("catalog: %s: %w", name, err)
		}
		for _, e := range entries {
			if !slices.ContainsFunc(list, func(o image.CatalogEntry) bool { return o.ID == e.ID }) {
				list = append(list, e)
			}
		}
		return nil
	}
	for _, path := range paths {
		files := []string{path}
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			files, _ = filepath.Glob(filepath.Join(path, "*.y*ml")) // the pattern is valid, so Glob returns no error
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("catalog: %w; name YAML files, or folders of them", err)
			}
			beside := func(name string) ([]byte, error) {
				if !filepath.IsAbs(name) {
					name = filepath.Join(filepath.Dir(file), name)
				}
				return os.ReadFile(name)
			}
			if err := add(file, text, beside); err != nil {
				return nil, err
			}
		}
	}
	return list, add("the built-in one", images.Catalog, images.Keys.ReadFile)
}

// catalogPaths parses the option catalog, which is a list or a comma-separated string.
func catalogPaths(texts []string) []string {
	var paths []string
	for _, text := range texts {
		for path := range strings.SplitSeq(text, ",") {
			if path = strings.TrimSpace(path); path != "" {
				paths = append(paths, path)
			}
		}
	}
	return paths
}
