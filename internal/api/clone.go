package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/job"
)

// CloneRequest is the request to clone a node.
type CloneRequest struct {
	Name string `json:"name" limit:"nodeName" doc:"Name of the new node."`
	Mode string `json:"mode,omitempty" enum:"linked,full" default:"linked" doc:"linked: instant; its disks share the source's. full: an independent copy, created by a job while the source is stopped."`
}

// Cloned is the response to it: 201 with the node, or 202 with the job that creates the node.
type Cloned struct {
	Status   int
	Location string `header:"Location"`
	Body     any
}

func (s *Server) registerClones() {
	op := huma.Operation{
		OperationID: "clone-node", Method: http.MethodPost, Path: "/api/nodes/{id}/clone", Summary: "Clone a node", Tags: []string{"nodes", "jobs"},
		DefaultStatus: http.StatusCreated,
		Description: "The clone has a new UUID, MAC addresses and cloud-init instance. A linked clone shares what the source has written so far, which becomes read-only; the source continues in a new overlay. " +
			"A linked clone of a running source has the disk of that moment, as after a power failure. The source can't be deleted before its linked clones.",
		Responses: map[string]*huma.Response{
			"201": {Description: "A linked clone", Content: map[string]*huma.MediaType{"application/json": {Schema: schemaOf[Node](s.huma, "Node")}}},
			"202": {Description: "The job that creates a full clone", Content: map[string]*huma.MediaType{"application/json": {Schema: schemaOf[Job](s.huma, "Job")}}},
		},
	}
	register(s, s.makes(op), func(ctx context.Context, in *struct {
		NodeID
		Body CloneRequest
	}) (*Cloned, error) {
		rights := rightsOf(ctx)
		full := in.Body.Mode == "full"
		c, err := s.o.Nodes.NewClone(in.ID, in.Body.Name, rights.OwnerID(), full)
		if err != nil {
			return nil, err
		}
		if c.Granted, err = s.o.Nodes.CloneGain(ctx, c.Source); err != nil {
			return nil, err
		}
		source, err := s.o.Nodes.Node(c.Source)
		if err != nil {
			return nil, err
		}
		if err := s.o.Guard.Gain(ctx, rightsOf(ctx), source, c.Granted); err != nil {
			return nil, err
		}
		release, err := s.o.Quotas.Clone(ctx, c, full)
		if err != nil {
			return nil, err
		}
		defer release()
		if !full {
			n, err := s.o.Nodes.CloneLinked(ctx, c)
			if err != nil {
				return nil, err
			}
			return &Cloned{http.StatusCreated, "/api/nodes/" + n.ID, s.node(rights, n)}, nil
		}
		started, err := s.start(ctx, domain.CloneJob, job.Target{Type: string(access.Node), ID: c.ID, Host: c.Host}, c)
		if err != nil {
			return nil, err
		}
		return &Cloned{http.StatusAccepted, started.Location, started.Body}, nil
	})
}
