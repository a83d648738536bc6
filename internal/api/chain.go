package api

import (
	"context"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
)

// DiskChain is one disk of a node, with all that it consists of.
type DiskChain struct {
	Target string    `json:"target" example:"vda"`
	Device string    `json:"device" enum:"disk,cdrom,floppy,lun"`
	File   ChainFile `json:"file" doc:"The active file."`
}

// ChainFile is one file of a disk, and what it lies on. Sizes are in bytes.
type ChainFile struct {
	Path       string     `json:"path" doc:"On the host."`
	Kind       string     `json:"kind" enum:"overlay,disk,snapshot,image,seed,media,missing,outside" doc:"overlay: active file with a backing file. disk: active file without one. snapshot: read-only, for an external snapshot or clones. missing: no longer in its pool. outside: not in a pool."`
	Format     string     `json:"format,omitempty"`
	Pool       string     `json:"pool,omitempty"`
	Volume     string     `json:"volume,omitempty"`
	Capacity   int64      `json:"capacity" doc:"Virtual size in bytes."`
	Allocation int64      `json:"allocation" doc:"Bytes on disk."`
	ImageID    string     `json:"imageId,omitempty"`
	UsedBy     ImageUsers `json:"usedBy" doc:"What else depends on it."`
	Base       *ChainFile `json:"base,omitempty" doc:"Its backing file."`
}

type nodeChains struct {
	Body struct {
		Disks      []DiskChain `json:"disks"`
		Allocation int64       `json:"allocation" doc:"Bytes of files that no other node uses: about what deleting the node frees."`
	}
}

func (s *Server) registerChains() {
	register(s, huma.Operation{
		OperationID: "get-node-chain", Method: http.MethodGet, Path: "/api/nodes/{id}/chain", Summary: "Read the backing chains of a node's disks", Tags: []string{"nodes"},
		Description: "Each file with its backing file, down to the image, with sizes and other users.",
	}, func(ctx context.Context, in *NodeID) (*nodeChains, error) {
		n, err := s.o.Nodes.Node(in.ID)
		if err != nil {
			return nil, err
		}
		disks, err := s.o.Nodes.Disks(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		_, told, err := s.o.Nodes.Snapshots(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		all, err := s.o.Storage.Survey(ctx, n.Host)
		if err != nil {
			return nil, err
		}
		out := &nodeChains{}
		out.Body.Disks = []DiskChain{}
		for _, d := range disks {
			if d.File == "" {
				continue
			}
			var files []string
			if i := slices.IndexFunc(told, func(c domain.Chain) bool { return c.Target == d.Target }); i >= 0 {
				files = told[i].Files
			}
			chain := s.chain(rightsOf(ctx), n, all, d, files)
			out.Body.Disks = append(out.Body.Disks, DiskChain{Target: d.Target, Device: d.Device, File: chain})
			for f := &chain; f != nil; f = f.Base {
				if f.ImageID == "" && len(f.UsedBy.Nodes)+f.UsedBy.Others+len(f.UsedBy.Volumes) == 0 {
					out.Body.Allocation += f.Allocation
				}
			}
		}
		return out, nil
	})
}

// chain shows a disk. Where the pools know no more of it, it goes on with what the
// domain tells.
func (s *Server) chain(rights access.Rights, n domain.Node, all storagepool.Survey, d domain.Disk, told []string) ChainFile {
	files := all.Chain(d.File)
	for last := files[len(files)-1]; last.Pool == ""; last = files[len(files)-1] {
		i := slices.Index(told, last.Path)
		if i < 0 || i == len(told)-1 {
			break
		}
		told = told[i+1:]
		files = append(files, all.Chain(told[0])...)
	}
	var below *ChainFile
	for i := len(files) - 1; i >= 0; i-- {
		v := files[i]
		f := ChainFile{
			Path: v.Path, Kind: s.chainKind(n, d, v, i), Format: v.Format, Pool: v.Pool, Volume: v.Name,
			Capacity: v.CapacityBytes, Allocation: v.AllocatedBytes, UsedBy: s.usersOf(rights, all, n.Host, v.Path, n.ID), Base: below,
		}
		for _, img := range s.o.Storage.Images() {
			if img.Host == n.Host && img.Path == v.Path {
				f.ImageID = img.ID
			}
		}
		below = &f
	}
	return *below
}

// chainKind says what a file is to a disk; above is how many of the disk's files lie
// on it.
func (s *Server) chainKind(n domain.Node, d domain.Disk, v storagepool.Volume, above int) string {
	isImage := slices.ContainsFunc(s.o.Storage.Images(), func(i storagepool.Image) bool { return i.Host == n.Host && i.Path == v.Path })
	inPool := slices.ContainsFunc(s.o.Storage.Pools(n.Host), func(p storagepool.PoolStatus) bool { return path.Clean(p.Path) == path.Dir(v.Path) })
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
	case above > 0:
		return "snapshot"
	case v.Backing != "":
		return "overlay"
	}
	return "disk"
}
