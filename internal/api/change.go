package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/domain"
)

// Change is an unfinished change in the API.
type Change struct {
	ID       string         `json:"id"`
	Kind     string         `json:"kind" example:"node.wipe" doc:"Kind of change."`
	Host     string         `json:"host"`
	Objects  []ChangeObject `json:"objects" doc:"The affected nodes or network."`
	Begun    time.Time      `json:"begun"`
	Attempts int            `json:"attempts" doc:"Number of attempts to complete or undo it."`
	Tried    time.Time      `json:"tried" doc:"Time of the last attempt."`
	Reason   string         `json:"reason" doc:"Why the last attempt failed."`
}

// ChangeObject is an object that a change affects.
type ChangeObject struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty" doc:"Name of the node, if it exists."`
}

type changeList struct {
	Body struct {
		Changes []Change `json:"changes"`
		Next
	}
}

// ChangeID is the path of an unfinished change. It is exported for the same reason as NodeID.
type ChangeID struct {
	ID string `path:"id" doc:"Id of the change."`
}

func (s *Server) registerChanges() {
	register(s, huma.Operation{
		OperationID: "list-unfinished-changes", Method: http.MethodGet, Path: "/api/changes", Summary: "List the unfinished changes, oldest first", Tags: []string{"system"},
		Description: "Changes with several steps that were interrupted by a crash or a lost host, and that the service could neither complete nor undo. It retries every few seconds. Each blocks only the objects it affects.",
	}, func(ctx context.Context, in *Paging) (*changeList, error) {
		list, err := s.o.Nodes.UnfinishedChanges(ctx)
		if err != nil {
			return nil, err
		}
		changes := make([]Change, len(list))
		for i, c := range list {
			changes[i] = s.change(c)
		}
		page, next, err := pageOf(*in, "changes", changes, func(c Change) string { return c.ID }) // ids are ordered by time
		if err != nil {
			return nil, err
		}
		out := &changeList{}
		out.Body.Changes, out.Body.Next = page, next
		return out, nil
	})
	register(s, huma.Operation{
		OperationID: "finish-change", Method: http.MethodPost, Path: "/api/changes/{id}/finish", Summary: "Complete or undo an unfinished change now", Tags: []string{"system"},
		Description: "Fails with the reason if it still cannot be finished.", DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *ChangeID) (*struct{}, error) {
		return nil, s.o.Nodes.FinishChange(ctx, in.ID)
	})
	register(s, huma.Operation{
		OperationID: "drop-change", Method: http.MethodDelete, Path: "/api/changes/{id}", Summary: "Forget an unfinished change", Tags: []string{"system"},
		Description: "The service stops retrying. What the change created so far remains on the host: a disk without a node, or a node without its disk.", DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *ChangeID) (*struct{}, error) {
		return nil, s.o.Nodes.DropChange(ctx, in.ID)
	})
}

func (s *Server) change(c domain.UnfinishedChange) Change {
	v := Change{ID: c.ID, Kind: c.Kind, Host: c.Host, Objects: []ChangeObject{}, Begun: c.Begun, Attempts: c.Attempts, Tried: c.Tried, Reason: c.Reason}
	for _, id := range c.Objects {
		o := ChangeObject{ID: id}
		if n, err := s.o.Nodes.Node(id); err == nil {
			o.Name = n.Name
		}
		v.Objects = append(v.Objects, o)
	}
	return v
}
