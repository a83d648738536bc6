package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/domain"
)

// Snapshot is a state of a node that was kept.
type Snapshot struct {
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Parent      string            `json:"parent,omitempty" doc:"The snapshot that the node went on from when this was taken."`
	Created     time.Time         `json:"created"`
	State       string            `json:"state" enum:"running,paused,stopped" doc:"What the node did then."`
	Memory      bool              `json:"memory" doc:"Its memory was kept too."`
	Kind        string            `json:"kind" enum:"internal,external" doc:"Internal ones are inside of the disks' files; external ones, which others took, froze the files."`
	Current     bool              `json:"current" doc:"The node goes on from it."`
	Files       map[string]string `json:"files" doc:"The files that an external snapshot had made, by disk."`
	Locked      string            `json:"locked,omitempty" doc:"Why the node cannot go back to it."`
}

// Chain is the files of a disk.
type Chain struct {
	Target string   `json:"target" example:"vda"`
	Files  []string `json:"files" doc:"The one that is written to first, then what each lies on."`
}

func snapshot(v domain.Snapshot) Snapshot {
	return Snapshot{
		Name: v.Name, Description: v.Description, Parent: v.Parent, Created: v.Created, State: string(v.State),
		Memory: v.Memory, Kind: v.Kind, Current: v.Current, Files: v.Files, Locked: v.Locked,
	}
}

type snapshotList struct {
	Body struct {
		Snapshots []Snapshot `json:"snapshots" doc:"Each after its parent."`
		Chains    []Chain    `json:"chains" doc:"The node's disks."`
	}
}

func (s *Server) registerSnapshots() {
	const path = "/api/nodes/{id}/snapshots"
	tags := []string{"snapshots"}
	register(s, huma.Operation{
		OperationID: "list-snapshots", Method: http.MethodGet, Path: path, Summary: "List a node's snapshots, whoever took them", Tags: tags,
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
		OperationID: "take-snapshot", Method: http.MethodPost, Path: path, Summary: "Keep the state of a node", Tags: tags,
		Description:   "The disks of a node that is off; those of a running one together with its memory, while the guest stands still.",
		DefaultStatus: http.StatusCreated,
	}), func(ctx context.Context, in *struct {
		NodeID
		Body struct {
			Name        string `json:"name,omitempty" doc:"Named after the time when left out."`
			Description string `json:"description,omitempty"`
		}
	}) (*struct {
		Location string `header:"Location"`
		Body     Snapshot
	}, error) {
		release, err := s.reserveSnapshot(ctx, in.ID)
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
		OperationID: "revert-snapshot", Method: http.MethodPost, Path: path + "/{name}/revert", Summary: "Take a node back to a snapshot", Tags: tags,
		Description: "What the guest did since is lost. Its definition is that of then; owner and tags stay those of now. Cards, media and devices that it does not have now come back only if you could give them to it now.",
	}, func(ctx context.Context, in *struct {
		NodeID
		Name string `path:"name"`
		Body *struct {
			Force bool `json:"force,omitempty" doc:"Revert a node that runs, or discard its saved state."`
		} `required:"false"`
	}) (*nodeAnswer, error) {
		release, err := s.reserveRevert(ctx, in.ID, in.Name)
		if err != nil {
			return nil, err
		}
		defer release()
		return s.answer(ctx)(s.o.Nodes.RevertSnapshot(ctx, in.ID, in.Name, in.Body != nil && in.Body.Force, s.mayGain))
	})
	register(s, huma.Operation{
		OperationID: "delete-snapshot", Method: http.MethodDelete, Path: path + "/{name}", Summary: "Delete a snapshot; the node stays as it is", Tags: tags,
		DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *struct {
		NodeID
		Name string `path:"name"`
	}) (*struct{}, error) {
		return nil, s.o.Nodes.DeleteSnapshot(ctx, in.ID, in.Name)
	})
}
