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
	Capacity   int64      `json:"capacity" doc:"Of the file system that the pool is in."`
	Used       int64      `json:"used" doc:"Of the file system, by whatever is in it."`
	Available  int64      `json:"available" doc:"Of the file system."`
	Allocation int64      `json:"allocation" doc:"What the pool's own images and disks take."`
	Level      string     `json:"level" enum:"ok,warning,critical" doc:"In a critical pool nothing more is made."`
	Shares     PoolShares `json:"shares"`

	RoomForImages     *int64   `json:"roomForImages,omitempty" doc:"How many more images of the usual size fit, about."`
	RoomForNodes      *int64   `json:"roomForNodes,omitempty" doc:"How many more nodes fit, about, whose disks grow as those that are there."`
	OverlayEfficiency *float64 `json:"overlayEfficiency,omitempty" doc:"What full copies of the nodes' disks would take, by what they take over shared images."`
	FullCopies        int64    `json:"fullCopies,omitempty" doc:"What full copies of the nodes' disks would take."`
}

// PoolShares is what takes a pool's room, in bytes.
type PoolShares struct {
	Images   int64 `json:"images"`
	Overlays int64 `json:"overlays"`
	Uploads  int64 `json:"uploads" doc:"What uploads under way were promised, come or not."`
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
		OperationID: "refresh-host", Method: http.MethodPost, Path: "/api/hosts/{host}/refresh", Summary: "Read a host's storage pools anew", Tags: []string{"system", "images"},
		Description: "What others put into the pools is shown then, and not only at the next look, which comes within 15 seconds.",
	}, func(ctx context.Context, in *struct {
		Host string `path:"host"`
	}) (*struct{ Body Host }, error) {
		if err := s.o.Storage.Refresh(ctx, in.Host); err != nil {
			return nil, err
		}
		hosts := s.hosts()
		i := slices.IndexFunc(hosts, func(h Host) bool { return h.Name == in.Host })
		if i < 0 {
			return nil, fault.New(fault.HostNotFound, "There is no host %q.", in.Host)
		}
		return &struct{ Body Host }{hosts[i]}, nil
	})
}
