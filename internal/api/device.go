package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/domain"
)

// Disk is a disk or a drive of a node.
type Disk struct {
	Target   string `json:"target" example:"vdb"`
	Bus      string `json:"bus"`
	Device   string `json:"device" enum:"disk,cdrom,floppy,lun"`
	File     string `json:"file" doc:"Path on the host; empty for an empty drive, and if it is not a file."`
	Kind     string `json:"kind" enum:"empty,file,block,dir,network,volume,other" doc:"Type of the source. empty is a drive without a medium."`
	Source   string `json:"source" doc:"The source: a path on the host, pool/volume, or for example rbd:pool/image. Empty for an empty drive."`
	Format   string `json:"format"`
	ReadOnly bool   `json:"readOnly"`
	Size     int64  `json:"size" doc:"Virtual size in bytes; 0 if unknown."`
	Extra    bool   `json:"extra" doc:"Whether it was attached in SandboxLabs, and is deleted when detached."`
}

// Interface is a network interface of a node.
type Interface struct {
	MAC     string `json:"mac"`
	Model   string `json:"model"`
	Kind    string `json:"kind" enum:"network,user,bridge,other"`
	Network string `json:"network,omitempty"`
}

func disk(v domain.Disk) Disk {
	return Disk{Target: v.Target, Bus: v.Bus, Device: v.Device, File: v.File, Kind: v.Kind, Source: v.Source, Format: v.Format, ReadOnly: v.ReadOnly, Size: v.Bytes, Extra: v.Extra}
}

func networkCard(v domain.Interface) Interface {
	return Interface{MAC: v.MAC, Model: v.Model, Kind: v.Kind, Network: v.Network}
}

func (s *Server) registerDevices() {
	const node = "/api/nodes/{id}"
	tags := []string{"devices"}
	register(s, huma.Operation{
		OperationID: "list-disks", Method: http.MethodGet, Path: node + "/disks", Summary: "List a node's disks and drives", Tags: tags,
	}, func(ctx context.Context, in *NodeID) (*struct {
		Body struct {
			Disks []Disk `json:"disks"`
		}
	}, error) {
		list, err := s.o.Nodes.Disks(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		out := &struct {
			Body struct {
				Disks []Disk `json:"disks"`
			}
		}{}
		out.Body.Disks = []Disk{}
		for _, v := range list {
			out.Body.Disks = append(out.Body.Disks, disk(v))
		}
		return out, nil
	})
	register(s, s.makes(huma.Operation{
		OperationID: "add-disk", Method: http.MethodPost, Path: node + "/disks", Summary: "Attach an empty disk to a node, also while it runs", Tags: tags,
		DefaultStatus: http.StatusCreated,
	}), func(ctx context.Context, in *struct {
		NodeID
		Body struct {
			Size int64 `json:"size" limit:"emptyDisk" doc:"Bytes"`
		}
	}) (*struct{ Body Disk }, error) {
		release, err := s.o.Quotas.Disk(ctx, in.ID, in.Body.Size)
		if err != nil {
			return nil, err
		}
		defer release()
		v, err := s.o.Nodes.AddDisk(ctx, in.ID, in.Body.Size)
		if err != nil {
			return nil, err
		}
		return &struct{ Body Disk }{disk(v)}, nil
	})
	register(s, huma.Operation{
		OperationID: "remove-disk", Method: http.MethodDelete, Path: node + "/disks/{target}", Summary: "Detach an extra disk, and delete it", Tags: tags,
		DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *struct {
		NodeID
		Target string `path:"target" example:"vdb"`
	}) (*struct{}, error) {
		return nil, s.o.Nodes.RemoveDisk(ctx, in.ID, in.Target)
	})
	register(s, huma.Operation{
		OperationID: "set-media", Method: http.MethodPut, Path: node + "/media", Summary: "Insert an ISO image into a node's optical drive, or eject it", Tags: tags,
	}, func(ctx context.Context, in *struct {
		NodeID
		Body struct {
			Image string `json:"image" doc:"Id of an ISO image; empty to eject."`
		}
	}) (*nodeAnswer, error) {
		if err := s.o.Guard.UseImage(rightsOf(ctx), "", in.Body.Image); err != nil {
			return nil, err
		}
		return s.answer(ctx)(s.o.Nodes.SetMedia(ctx, in.ID, in.Body.Image))
	})
	register(s, huma.Operation{
		OperationID: "list-interfaces", Method: http.MethodGet, Path: node + "/interfaces", Summary: "List a node's network interfaces", Tags: tags,
	}, func(ctx context.Context, in *NodeID) (*struct {
		Body struct {
			Interfaces []Interface `json:"interfaces"`
		}
	}, error) {
		list, err := s.o.Nodes.Interfaces(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		out := &struct {
			Body struct {
				Interfaces []Interface `json:"interfaces"`
			}
		}{}
		out.Body.Interfaces = []Interface{}
		for _, v := range list {
			out.Body.Interfaces = append(out.Body.Interfaces, networkCard(v))
		}
		return out, nil
	})
	register(s, s.makes(huma.Operation{
		OperationID: "add-interface", Method: http.MethodPost, Path: node + "/interfaces", Summary: "Connect a node to a network, also while it runs", Tags: tags,
		DefaultStatus: http.StatusCreated,
	}), func(ctx context.Context, in *struct {
		NodeID
		Body struct {
			Network string `json:"network" doc:"Name of a network of the node's host."`
		}
	}) (*struct{ Body Interface }, error) {
		n, err := s.o.Nodes.Node(in.ID)
		if err != nil {
			return nil, err
		}
		if err := s.o.Guard.Join(ctx, rightsOf(ctx), n.Host, in.Body.Network); err != nil {
			return nil, err
		}
		v, err := s.o.Nodes.AddInterface(ctx, in.ID, in.Body.Network)
		if err != nil {
			return nil, err
		}
		return &struct{ Body Interface }{networkCard(v)}, nil
	})
	register(s, huma.Operation{
		OperationID: "remove-interface", Method: http.MethodDelete, Path: node + "/interfaces/{mac}", Summary: "Remove a network interface", Tags: tags,
		DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *struct {
		NodeID
		MAC string `path:"mac" example:"52:54:00:12:34:56"`
	}) (*struct{}, error) {
		return nil, s.o.Nodes.RemoveInterface(ctx, in.ID, in.MAC)
	})
}
