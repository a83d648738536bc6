package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/domain"
)

// NodeEdit has the properties of a node to change.
type NodeEdit struct {
	Name      *string `json:"name,omitempty" limit:"nodeName" doc:"Only while the node is stopped."`
	Resources *struct {
		RAM  *int64 `json:"ram,omitempty" limit:"ram" doc:"MiB"`
		CPUs *int   `json:"cpus,omitempty" limit:"cpus"`
		Disk *int64 `json:"disk,omitempty" limit:"disk" doc:"Bytes; a disk can't be reduced."`
	} `json:"resources,omitempty"`
	Autostart   *bool     `json:"autostart,omitempty" doc:"Start the node when its host boots."`
	OSType      *string   `json:"osType,omitempty" limit:"osType"`
	Description *string   `json:"description,omitempty" limit:"description"`
	Tags        *[]string `json:"tags,omitempty" limit:"tags" doc:"All tags of the node."`
}

// Resized describes a changed size.
type Resized struct {
	What string `json:"what" enum:"ram,cpus,disk"`
	When string `json:"when" enum:"live,nextBoot" doc:"Whether it takes effect now or at the next start."`
}

// EditedNode is a node after it was changed.
type EditedNode struct {
	Node
	Resize []Resized `json:"resize" doc:"One entry per changed size."`
}

func (e NodeEdit) edit() domain.Edit {
	out := domain.Edit{Name: e.Name, Autostart: e.Autostart, OSType: e.OSType, Description: e.Description, Tags: e.Tags}
	if r := e.Resources; r != nil {
		out.RAMMiB, out.CPUs, out.DiskBytes = r.RAM, r.CPUs, r.Disk
	}
	return out
}

func (s *Server) registerEdit() {
	register(s, huma.Operation{
		OperationID: "change-node", Method: http.MethodPatch, Path: "/api/nodes/{id}", Summary: "Rename, resize or describe a node", Tags: []string{"nodes"},
		Description: "Fields that are left out are not changed. RAM and CPUs of a running node change immediately if libvirt and the guest support it, otherwise at its next start; `resize` says which. Other parts of the domain's XML are kept.",
	}, func(ctx context.Context, in *struct {
		NodeID
		IfMatch
		Body NodeEdit
	}) (*struct {
		ETag string `header:"ETag"`
		Body EditedNode
	}, error) {
		edit := in.Body.edit()
		release, err := s.o.Quotas.Edit(ctx, in.ID, edit)
		if err != nil {
			return nil, err
		}
		defer release()
		n, resized, err := s.o.Nodes.Edit(ctx, in.ID, edit, expect(in.IfMatch, nodeVersion))
		if err != nil {
			return nil, err
		}
		out := &struct {
			ETag string `header:"ETag"`
			Body EditedNode
		}{etag(nodeVersion(n)), EditedNode{Node: s.node(rightsOf(ctx), n), Resize: []Resized{}}}
		for _, r := range resized {
			out.Body.Resize = append(out.Body.Resize, Resized{What: r.What, When: string(r.When)})
		}
		return out, nil
	})
	register(s, huma.Operation{
		OperationID: "redefine-node", Method: http.MethodPut, Path: "/api/nodes/{id}/xml", Summary: "Replace the domain's XML", Tags: []string{"nodes"},
		Description: "libvirt validates it. UUID and name must not change; the screen's password and the service's metadata are kept if they are left out. A running node uses it from its next start. Start from `GET …/xml?inactive=true`, and send its ETag as `If-Match`, so that the request is refused if the definition was changed meanwhile.",
	}, func(ctx context.Context, in *struct {
		NodeID
		IfMatch string `header:"If-Match" doc:"ETag of the definition to replace. Without it, any definition is replaced."`
		RawBody []byte `contentType:"application/xml"`
	}) (*nodeAnswer, error) {
		return s.answer(ctx)(s.o.Nodes.Redefine(ctx, in.ID, string(in.RawBody), versionsIn(in.IfMatch)...))
	})
}

// versionsIn lists the versions in an If-Match header; empty if any version is accepted. Proxies
// that compress responses may have made the versions weak.
func versionsIn(ifMatch string) (list []string) {
	if ifMatch == "" || strings.TrimSpace(ifMatch) == "*" {
		return nil
	}
	for part := range strings.SplitSeq(ifMatch, ",") {
		list = append(list, strings.Trim(strings.TrimPrefix(strings.TrimSpace(part), "W/"), `"`))
	}
	return list
}
