package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/domain"
)

// Snapshot is a saved state of a node.
type Snapshot struct {
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Parent      string            `json:"parent,omitempty" doc:"The snapshot that was current when this one was taken."`
	Created     time.Time         `json:"created"`
	State       string            `json:"state" enum:"running,paused,stopped" doc:"State of the node at that time."`
	Memory      bool              `json:"memory" doc:"Whether it includes the memory."`
	Kind        string            `json:"kind" enum:"internal,external" doc:"Internal snapshots are inside the disks' files. External ones, taken by other programs, add files."`
	Current     bool              `json:"current" doc:"Whether it is the current snapshot."`
	Files       map[string]string `json:"files" doc:"The files that an external snapshot created, by disk."`
	Locked      string            `json:"locked,omitempty" doc:"Why the node can't be reverted to it."`
}

// Chain is the files of a disk.
type Chain struct {
	Target string   `json:"target" example:"vda"`
	Files  []string `json:"files" doc:"The active file first, then the backing chain."`
}

func snapshot(v domain.Snapshot) Snapshot {
	return Snapshot{
		Name: v.Name, Description: v.Description, Parent: v.Parent, Created: v.Created, State: string(v.State),
		Memory: v.Memory, Kind: v.Kind, Current: v.Current, Files: v.Files, Locked: v.Locked,
	}
}

type snapshotList struct {
	Body struct {
		Snapshots []Snapshot `json:"snapshots" doc:"Each snapshot after its parent."`
		Chains    []Chain    `json:"chains" doc:"The node's disks."`
	}
}

func (s *Server) registerSnapshots() {
	const path = "/api/nodes/{id}/snapshots"
	tags := []string{"snapshots"}
	register(s, huma.Operation{
		OperationID: "list-snapshots", Method: http.MethodGet, Path: path, Summary: "List all snapshots of a node", Tags: tags,
	}, func(ctx context.Context, in *NodeID) (*snapshotList, error) {
		list, chains, err := s.o.Nodes.Snapshots(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		out := &snapshotList{}
		out.Body.Snapshots, out.Body.Chains = []Snapshot{}, []Chain{}
		for _, v := range list {
			out.Body.Snapshots = append(out.Body.Snapshots, snapshot(v))
		}
		for _, c := range chains {
			out.Body.Chains = append(out.Body.Chains, Chain(c))
		}
		return out, nil
	})
	register(s, s.makes(huma.Operation{
		OperationID: "take-snapshot", Method: http.MethodPost, Path: path, Summary: "Take a snapshot", Tags: tags,
		Description:   "Saves the disks, and the memory if the node is running. The guest is paused meanwhile.",
		DefaultStatus: http.StatusCreated,
	}), func(ctx context.Context, in *struct {
		NodeID
		Body struct {
			Name        string `json:"name,omitempty" limit:"snapshotName" doc:"Defaults to the date and time."`
			Description string `json:"description,omitempty" limit:"description"`
		}
	}) (*struct {
		Location string `header:"Location"`
		Body     Snapshot
	}, error) {
		release, err := s.o.Quotas.Snapshot(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		defer release()
		v, err := s.o.Nodes.TakeSnapshot(ctx, in.ID, in.Body.Name, in.Body.Description)
		if err != nil {
			return nil, err
		}
		return &struct {
			Location string `header:"Location"`
			Body     Snapshot
		}{"/api/nodes/" + in.ID + "/snapshots/" + url.PathEscape(v.Name), snapshot(v)}, nil
	})
	register(s, huma.Operation{
		OperationID: "revert-snapshot", Method: http.MethodPost, Path: path + "/{name}/revert", Summary: "Revert a node to a snapshot", Tags: tags,
		Description: "Changes since then are lost. The definition is reverted too; owner and tags are kept. Interfaces, media and devices that the node no longer has come back only if you may add them now.",
	}, func(ctx context.Context, in *struct {
		NodeID
		Name string `path:"name"`
		Body *struct {
			Force bool `json:"force,omitempty" doc:"Revert a running node, or discard its saved state."`
		} `required:"false"`
	}) (*nodeAnswer, error) {
		release, err := s.o.Quotas.Revert(ctx, in.ID, in.Name)
		if err != nil {
			return nil, err
		}
		defer release()
		return s.answer(ctx)(s.o.Nodes.RevertSnapshot(ctx, in.ID, in.Name, in.Body != nil && in.Body.Force, func(ctx context.Context, n domain.Node, gain domain.Gain) error {
			return s.o.Guard.Gain(ctx, rightsOf(ctx), n, gain)
		}))
	})
	register(s, huma.Operation{
		OperationID: "delete-snapshot", Method: http.MethodDelete, Path: path + "/{name}", Summary: "Delete a snapshot; the node is not changed", Tags: tags,
		DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *struct {
		NodeID
		Name string `path:"name"`
	}) (*struct{}, error) {
		return nil, s.o.Nodes.DeleteSnapshot(ctx, in.ID, in.Name)
	})
}
