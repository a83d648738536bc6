package policy

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
)

// ChainFile is a file in the backing chain of a node's disk.
type ChainFile struct {
	storagepool.Volume
	// Kind is overlay, disk, snapshot, image, seed, media, missing or outside; see the API's description.
	Kind    string
	ImageID string    // of the image that the file is; empty for other files
	Users   FileUsers // other than the node
}

// Chains returns the backing chains of a node's disks as a user can view them, by target. The active
// file comes first. Disks without a file are left out. Files that the pools do not know come from the domain.
func (g *Guard) Chains(ctx context.Context, rights access.Rights, n domain.Node, disks []domain.Disk) (map[string][]ChainFile, error) {
	_, told, err := g.o.Nodes.Snapshots(ctx, n.ID)
	if err != nil {
		return nil, err
	}
	all, err := g.o.Images.Survey(ctx, n.Host)
	if err != nil {
		return nil, err
	}
	images := map[string]string{} // ids by path
	for _, i := range g.o.Images.Images() {
		if i.Host == n.Host {
			images[i.Path] = i.ID
		}
	}
	chains := map[string][]ChainFile{}
	for _, d := range disks {
		if d.File == "" {
			continue
		}
		var files []string
		if i := slices.IndexFunc(told, func(c domain.Chain) bool { return c.Target == d.Target }); i >= 0 {
			files = told[i].Files
		}
		for i, v := range chainOf(all, d.File, files) {
			chains[d.Target] = append(chains[d.Target], ChainFile{
				Volume: v, Kind: g.chainKind(n, d, v, images[v.Path] != "", i > 0), ImageID: images[v.Path],
				Users: g.fileUsers(rights, all, n.Host, v.Path, n.ID),
			})
		}
	}
	return chains, nil
}

// chainOf returns a file with its backing files. Where the pools know no more of them, it continues
// with the domain's.
func chainOf(all storagepool.Survey, file string, told []string) []storagepool.Volume {
	files := all.Chain(file)
	for last := files[len(files)-1]; last.Pool == ""; last = files[len(files)-1] {
		i := slices.Index(told, last.Path)
		if i < 0 || i == len(told)-1 {
			break
		}
		told = told[i+1:]
		files = append(files, all.Chain(told[0])...)
	}
	return files
}

// chainKind returns what a file is to a disk; backing says that other files of the disk are backed by it.
func (g *Guard) chainKind(n domain.Node, d domain.Disk, v storagepool.Volume, isImage, backing bool) string {
	inPool := slices.ContainsFunc(g.o.Images.Pools(n.Host), func(p storagepool.PoolStatus) bool { return path.Clean(p.Path) == path.Dir(v.Path) })
	switch {
	case v.Pool == "" && inPool:
		return "missing"
	case v.Pool == "":
		return "outside"
	case d.ReadOnly && strings.HasPrefix(path.Base(v.Path), n.ID):
		return "seed"
	case d.Device != "disk":
		return "media"
	case isImage:
		return "image"
	case backing:
		return "snapshot"
	case v.Backing != "":
		return "overlay"
	}
	return "disk"
}
