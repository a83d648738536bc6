package policy

import (
	"context"
	"slices"
	"strings"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
)

// FileUsers is what depends on a file of a pool.
type FileUsers struct {
	Nodes   []domain.Node        // that the user can view
	Others  int                  // number of other nodes
	Volumes []storagepool.Volume // that are backed by the file, directly or indirectly, and belong to no node
}

// None returns whether nothing depends on the file.
func (u FileUsers) None() bool { return len(u.Nodes)+u.Others+len(u.Volumes) == 0 }

// InUseError is fault.ImageInUse, with what uses the image.
type InUseError struct {
	Fault *fault.Error
	Users FileUsers
}

// Error returns the message of the fault.
func (e *InUseError) Error() string { return e.Fault.Error() }

// Unwrap returns the fault.
func (e *InUseError) Unwrap() error { return e.Fault }

// ImageUsers returns what depends on an image, as a user can view it.
func (g *Guard) ImageUsers(ctx context.Context, rights access.Rights, i image.Image) (FileUsers, error) {
	if i.Path == "" {
		return FileUsers{}, nil
	}
	all, err := g.o.Images.Survey(ctx, i.Host)
	return g.fileUsers(rights, all, i.Host, i.Path, ""), err
}

// Unused returns an InUseError if something depends on the image.
func (g *Guard) Unused(ctx context.Context, rights access.Rights, i image.Image) error {
	users, err := g.ImageUsers(ctx, rights, i)
	if err != nil || users.None() {
		return err
	}
	return inUse(i.ID, users)
}

// fileUsers returns what depends on a file, except the node with the id without, and its disks.
func (g *Guard) fileUsers(rights access.Rights, all storagepool.Survey, host, file, without string) FileUsers {
	var users FileUsers
	files := []string{file}
	above := all.Above(file)
	for _, v := range above {
		files = append(files, v.Path)
	}
	owned, wanted := map[string]bool{}, all.Paths(files...)
	for _, n := range g.o.Nodes.Nodes() {
		if n.Host != host {
			continue
		}
		used, _ := all.Uses(n.Refs) // the deletion itself refuses what cannot be resolved
		if !slices.ContainsFunc(used, func(file string) bool { return wanted[file] }) {
			continue
		}
		for _, file := range used {
			owned[file] = true
		}
		switch {
		case n.ID == without:
		case rights.On(NodeObject(n)) == access.None:
			users.Others++
		default:
			users.Nodes = append(users.Nodes, n)
		}
	}
	for _, v := range above {
		if !owned[v.Path] {
			users.Volumes = append(users.Volumes, v)
		}
	}
	return users
}

// inUse returns the error of changing an image that something depends on.
func inUse(id string, users FileUsers) error {
	var names []string
	for _, n := range users.Nodes {
		names = append(names, n.Name)
	}
	for _, v := range users.Volumes {
		names = append(names, v.Path)
	}
	const most = 10
	if len(names) > most {
		names = append(names[:most], "…")
	}
	if users.Others > 0 {
		names = append(names, "nodes of others")
	}
	var by []string
	if n := len(users.Nodes) + users.Others; n > 0 {
		by = append(by, counted(n, "node"))
	}
	if n := len(users.Volumes); n > 0 {
		by = append(by, counted(n, "other disk"))
	}
	return &InUseError{
		fault.New(fault.ImageInUse, "Image %q is used by %s: %s. Delete what uses it first.", id, strings.Join(by, " and "), strings.Join(names, ", ")), users,
	}
}
