package api

import (
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
)

// Pool is one of the service's storage pools on the wire. Sizes are in bytes.
type Pool struct {
	Role       string     `json:"role" enum:"images,nodes,logs"`
	Name       string     `json:"name"`
	Path       string     `json:"path"`
	Capacity   int64      `json:"capacity" doc:"Bytes; size of the pool's file system."`
	Used       int64      `json:"used" doc:"Bytes used in the file system, by anything."`
	Available  int64      `json:"available" doc:"Bytes free in the file system."`
	Allocation int64      `json:"allocation" doc:"Bytes used by the pool's images and disks."`
	Level      string     `json:"level" enum:"ok,warning,critical" doc:"A critical pool accepts nothing new."`
	Shares     PoolShares `json:"shares"`

	RoomForImages     *int64   `json:"roomForImages,omitempty" doc:"About how many more images of the default size fit."`
	RoomForNodes      *int64   `json:"roomForNodes,omitempty" doc:"About how many more nodes fit, if their disks grow like those of existing nodes."`
	OverlayEfficiency *float64 `json:"overlayEfficiency,omitempty" doc:"Size of full copies of the nodes' disks, divided by the space that the disks use with shared images."`
	FullCopies        int64    `json:"fullCopies,omitempty" doc:"Bytes that full copies of the nodes' disks would use."`
}

// PoolShares is the disk usage of a pool by purpose, in bytes.
type PoolShares struct {
	Images   int64 `json:"images"`
	Overlays int64 `json:"overlays"`
	Uploads  int64 `json:"uploads" doc:"Bytes reserved for uploads in progress."`
}

// levelNumbers are the levels in /metrics.
var levelNumbers = map[storagepool.Level]float64{storagepool.LevelOK: 0, storagepool.LevelWarning: 1, storagepool.LevelCritical: 2}

func poolView(p storagepool.PoolStatus) Pool {
	v := Pool{
		Role: p.Role, Name: p.Name, Path: p.Path, Capacity: p.Capacity, Used: p.Used, Available: p.Available,
		Allocation: p.Images + p.Overlays, Level: string(p.Level), Shares: PoolShares{p.Images, p.Overlays, p.Uploads}, FullCopies: p.FullCopies,
	}
	switch p.Role {
	case "images":
		v.RoomForImages = &p.Room
	case "nodes":
		ratio := efficiency(p)
		v.RoomForNodes, v.OverlayEfficiency = &p.Room, &ratio
	}
	return v
}

// efficiency is 1 where nothing is shared.
func efficiency(p storagepool.PoolStatus) float64 {
	if p.Shared == 0 {
		return 1
	}
	return float64(p.FullCopies) / float64(p.Shared)
}

func (s *Server) registerPools() {
	register(s, huma.Operation{
		OperationID: "refresh-host", Method: http.MethodPost, Path: "/api/hosts/{host}/refresh", Summary: "Refresh a host's storage pools", Tags: []string{"system", "images"},
		Description: "Shows files that other programs put into the pools at once. Without it, they appear within 15 seconds.",
	}, func(ctx context.Context, in *struct {
		Host string `path:"host"`
	}) (*struct{ Body Host }, error) {
		if err := s.o.Pools.Refresh(ctx, in.Host); err != nil {
			return nil, err
		}
		hosts := s.hosts()
		i := slices.IndexFunc(hosts, func(h Host) bool { return h.Name == in.Host })
		if i < 0 {
			return nil, fault.New(fault.HostNotFound, "Host %q not found.", in.Host)
		}
		return &struct{ Body Host }{hosts[i]}, nil
	})
}
