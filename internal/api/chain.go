package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/policy"
)

// DiskChain is a disk of a node with its backing chain.
type DiskChain struct {
	Target string    `json:"target" example:"vda"`
	Device string    `json:"device" enum:"disk,cdrom,floppy,lun"`
	File   ChainFile `json:"file" doc:"The active file."`
}

// ChainFile is a file of a disk and its backing file. Sizes are in bytes.
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
		chains, err := s.o.Guard.Chains(ctx, rightsOf(ctx), n, disks)
		if err != nil {
			return nil, err
		}
		out := &nodeChains{}
		out.Body.Disks = []DiskChain{}
		for _, d := range disks {
			files := chains[d.Target]
			if len(files) == 0 {
				continue
			}
			out.Body.Disks = append(out.Body.Disks, DiskChain{Target: d.Target, Device: d.Device, File: *chainOf(files)})
			for _, f := range files {
				if f.ImageID == "" && f.Users.None() {
					out.Body.Allocation += f.AllocatedBytes
				}
			}
		}
		return out, nil
	})
}

// chainOf converts a backing chain for the API; nil at its end.
func chainOf(files []policy.ChainFile) *ChainFile {
	if len(files) == 0 {
		return nil
	}
	f := files[0]
	return &ChainFile{
		Path: f.Path, Kind: f.Kind, Format: f.Format, Pool: f.Pool, Volume: f.Name, Capacity: f.CapacityBytes, Allocation: f.AllocatedBytes,
		ImageID: f.ImageID, UsedBy: usersOf(f.Users), Base: chainOf(files[1:]),
	}
}
