package api

import (
	"context"
	"math"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/domain/inventory"
	"github.com/sandboxlabs/sandboxlabs/internal/policy"
)

// Figures holds the average usage of a node since the previous sample.
type Figures struct {
	Time        time.Time `json:"time"`
	CPU         float64   `json:"cpu" doc:"CPU usage: 1 is one fully used CPU of the host."`
	Memory      int64     `json:"memory" doc:"Bytes of the host's memory that the node uses."`
	GuestMemory int64     `json:"guestMemory,omitempty" doc:"Bytes used in the guest, if it reports them."`
	DiskRead    int64     `json:"diskRead" doc:"Bytes per second, over all disks."`
	DiskWritten int64     `json:"diskWritten" doc:"Bytes per second, over all disks."`
	NetReceived int64     `json:"netReceived" doc:"Bytes per second, over all network interfaces."`
	NetSent     int64     `json:"netSent" doc:"Bytes per second, over all network interfaces."`
}

func figures(list []inventory.Usage) []Figures {
	points := make([]Figures, len(list))
	for i, u := range list {
		points[i] = Figures{
			Time: u.Time, CPU: math.Round(u.CPUs*1000) / 1000, Memory: u.MemoryBytes, GuestMemory: u.GuestBytes,
			DiskRead: int64(u.DiskRead), DiskWritten: int64(u.DiskWritten), NetReceived: int64(u.NetReceived), NetSent: int64(u.NetSent),
		}
	}
	return points
}

// NodeFigures are the latest usage samples of a node.
type NodeFigures struct {
	ID     string    `json:"id" doc:"The node's id."`
	Points []Figures `json:"points" doc:"Oldest first."`
}

type figuresAnswer struct {
	Body struct {
		Interval float64       `json:"interval" doc:"Seconds between two points."`
		Nodes    []NodeFigures `json:"nodes"`
	}
}

type seriesAnswer struct {
	Body struct {
		Interval float64   `json:"interval" doc:"Seconds between two points. Longer intervals are gaps, while the node was stopped or its host unreachable."`
		Points   []Figures `json:"points" doc:"Oldest first. The time of a step is its end."`
	}
}

func (s *Server) registerFigures() {
	register(s, huma.Operation{
		OperationID: "list-figures", Method: http.MethodGet, Path: "/api/figures", Summary: "Read the current usage of running nodes", Tags: []string{"nodes"},
		Description: "CPU, memory, disk and network usage of all running nodes, sorted by name. Served from memory, so it can be polled at every interval.",
	}, func(ctx context.Context, in *struct {
		Points int `query:"points" minimum:"1" maximum:"120" default:"1" doc:"Maximum number of points per node; the latest ones."`
	}) (*figuresAnswer, error) {
		out := &figuresAnswer{}
		out.Body.Interval, out.Body.Nodes = s.o.Nodes.UsageInterval().Seconds(), []NodeFigures{}
		recent, rights := s.o.Nodes.RecentUsage(in.Points), rightsOf(ctx)
		for _, n := range s.o.Nodes.Nodes() {
			if points, ok := recent[n.ID]; ok && rights.On(policy.NodeObject(n)) >= access.View {
				out.Body.Nodes = append(out.Body.Nodes, NodeFigures{ID: n.ID, Points: figures(points)})
				delete(recent, n.ID) // two hosts have a node while it migrates
			}
		}
		return out, nil
	})
	register(s, huma.Operation{
		OperationID: "get-node-figures", Method: http.MethodGet, Path: "/api/nodes/{id}/figures", Summary: "Read the usage of a node in the last hour", Tags: []string{"nodes"},
	}, func(_ context.Context, in *struct {
		NodeID
		Since time.Time `query:"since" doc:"Only points after this time (RFC 3339). Defaults to the last hour."`
		Step  int       `query:"step" minimum:"0" maximum:"3600" doc:"Seconds averaged into each point. Defaults to the interval, which is also the minimum."`
	}) (*seriesAnswer, error) {
		n, err := s.o.Nodes.Node(in.ID)
		if err != nil {
			return nil, err
		}
		out := &seriesAnswer{}
		step := max(time.Duration(in.Step)*time.Second, s.o.Nodes.UsageInterval())
		out.Body.Interval = step.Seconds()
		out.Body.Points = figures(s.o.Nodes.Usage(n.ID, in.Since, step))
		return out, nil
	})
}
