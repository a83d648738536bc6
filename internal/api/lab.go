package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/lab"
	"github.com/sandboxlabs/sandboxlabs/internal/policy"
)

// LabSummary is a lab in a list.
type LabSummary struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Owner    string    `json:"owner"`
	Access   string    `json:"access" enum:"view,use,manage" doc:"What you may do with it."`
	Created  time.Time `json:"created"`
	Version  string    `json:"version" doc:"Changes with each PATCH. Send it as If-Match to refuse the change if another user made one meanwhile."`
	Nodes    int       `json:"nodes" doc:"Number of its nodes that you can view."`
	Running  int       `json:"running" doc:"Number of running nodes."`
	Networks int       `json:"networks"`
}

// Lab is a lab with its contents.
type Lab struct {
	ID       string       `json:"id"`
	Name     string       `json:"name"`
	Owner    string       `json:"owner"`
	Access   string       `json:"access" enum:"view,use,manage" doc:"What you may do with it."`
	Created  time.Time    `json:"created"`
	Nodes    []LabNode    `json:"nodes"`
	Networks []LabNetwork `json:"networks"`
	Version  string       `json:"version" doc:"Changes with each PATCH. Send it as If-Match to refuse the change if another user made one meanwhile."`
}

// LabNode is a node's position in a lab.
type LabNode struct {
	ID string  `json:"id" doc:"Id of the node."`
	X  float64 `json:"x" limit:"coordinate" doc:"Pixels from the canvas's origin."`
	Y  float64 `json:"y" limit:"coordinate"`
}

// LabNetwork is an isolated network of a lab.
type LabNetwork struct {
	ID     string   `json:"id" doc:"UUID of the libvirt network."`
	Name   string   `json:"name"`
	Host   string   `json:"host"`
	Active bool     `json:"active"`
	Subnet string   `json:"subnet,omitempty" example:"10.142.7.0/24"`
	DHCP   bool     `json:"dhcp" doc:"Whether addresses are assigned by DHCP."`
	Nodes  []string `json:"nodes" doc:"Ids of the lab's nodes that are connected to it."`
	X      float64  `json:"x"`
	Y      float64  `json:"y"`
}

// LabID is the path of a lab. It is exported because huma only reads exported embedded structs.
type LabID struct {
	ID string `path:"id"`
}

type labAnswer struct {
	ETag string `header:"ETag"`
	Body Lab
}

// visibleNodes returns the nodes of a lab that a user can view.
func (s *Server) visibleNodes(rights access.Rights, l lab.Lab) (list []LabNode, running int) {
	list = []LabNode{}
	for _, p := range l.Of(lab.Node) {
		if n, err := s.o.Guard.Node(rights, p.ID, access.View); err == nil {
			list = append(list, LabNode{ID: p.ID, X: p.X, Y: p.Y})
			if n.Active() {
				running++
			}
		}
	}
	return list, running
}

// showLab returns a lab as a user can view it, with the current state from libvirt.
func (s *Server) showLab(ctx context.Context, id string) (*labAnswer, error) {
	rights := rightsOf(ctx)
	l, err := s.o.Labs.Lab(ctx, id)
	if err != nil {
		return nil, err
	}
	nets, err := s.o.Labs.Nets(ctx, l)
	if err != nil {
		return nil, err
	}
	v := Lab{ID: l.ID, Name: l.Name, Owner: policy.OwnerName(s.o.Access, l.Owner, ""), Access: rights.On(policy.LabObject(l)).String(), Created: l.Created, Networks: []LabNetwork{}, Version: labVersion(l)}
	v.Nodes, _ = s.visibleNodes(rights, l)
	places := l.Of(lab.Network)
	for _, n := range nets {
		at := places[slices.IndexFunc(places, func(p lab.Place) bool { return p.ID == n.ID })]
		on := []string{}
		for _, node := range v.Nodes {
			if slices.Contains(n.Nodes, node.ID) {
				on = append(on, node.ID)
			}
		}
		v.Networks = append(v.Networks, LabNetwork{ID: n.ID, Name: n.Name, Host: n.Host, Active: n.Active, Subnet: n.Subnet, DHCP: n.DHCP, Nodes: on, X: at.X, Y: at.Y})
	}
	return &labAnswer{etag(v.Version), v}, nil
}

// shownAfter returns a lab after a change, or the change's error.
func (s *Server) shownAfter(ctx context.Context, id string, err error) (*labAnswer, error) {
	if err != nil {
		return nil, err
	}
	return s.showLab(ctx, id)
}

type labList struct {
	Body struct {
		Labs []LabSummary `json:"labs"`
		Next
	}
}

// listLabs returns a page of the labs that the caller can view, by name.
func (s *Server) listLabs(ctx context.Context, paging Paging) (*labList, error) {
	list, err := s.o.Labs.List(ctx)
	if err != nil {
		return nil, err
	}
	rights := rightsOf(ctx)
	list = slices.DeleteFunc(list, func(l lab.Lab) bool { return rights.On(policy.LabObject(l)) == access.None })
	page, next, err := pageOf(paging, "labs", list, func(l lab.Lab) string { return sortKey(l.Name, l.ID) })
	if err != nil {
		return nil, err
	}
	out := &labList{}
	out.Body.Labs, out.Body.Next = []LabSummary{}, next
	for _, l := range page {
		nodes, running := s.visibleNodes(rights, l)
		out.Body.Labs = append(out.Body.Labs, LabSummary{
			ID: l.ID, Name: l.Name, Owner: policy.OwnerName(s.o.Access, l.Owner, ""), Access: rights.On(policy.LabObject(l)).String(), Created: l.Created, Version: labVersion(l),
			Nodes: len(nodes), Running: running, Networks: len(l.Of(lab.Network)),
		})
	}
	return out, nil
}

func (s *Server) registerLabs() {
	const path = "/api/labs"
	tags := []string{"labs"}
	register(s, huma.Operation{
		OperationID: "list-labs", Method: http.MethodGet, Path: path, Summary: "List the labs by name", Tags: tags,
	}, func(ctx context.Context, in *Paging) (*labList, error) { return s.listLabs(ctx, *in) })
	register(s, s.makes(huma.Operation{
		OperationID: "create-lab", Method: http.MethodPost, Path: path, Summary: "Create an empty lab", Tags: tags,
		Description:   "A lab consists of nodes and the isolated networks between them. Sharing a lab also shares its nodes.",
		DefaultStatus: http.StatusCreated,
	}), func(ctx context.Context, in *struct {
		Body struct {
			Name string `json:"name" limit:"labName"`
		}
	}) (*struct {
		Location string `header:"Location"`
		Body     Lab
	}, error) {
		release, err := s.o.Quotas.Lab(ctx, rightsOf(ctx).OwnerID(), "")
		if err != nil {
			return nil, err
		}
		defer release()
		l, err := s.o.Labs.Create(ctx, in.Body.Name, rightsOf(ctx).OwnerID())
		shown, err := s.shownAfter(ctx, l.ID, err)
		if err != nil {
			return nil, err
		}
		return &struct {
			Location string `header:"Location"`
			Body     Lab
		}{path + "/" + l.ID, shown.Body}, nil
	})
	register(s, huma.Operation{
		OperationID: "get-lab", Method: http.MethodGet, Path: path + "/{id}", Summary: "Show a lab", Tags: tags,
	}, func(ctx context.Context, in *LabID) (*labAnswer, error) { return s.showLab(ctx, in.ID) })
	register(s, huma.Operation{
		OperationID: "rename-lab", Method: http.MethodPatch, Path: path + "/{id}", Summary: "Rename a lab", Tags: tags,
	}, func(ctx context.Context, in *struct {
		LabID
		IfMatch
		Body struct {
			Name string `json:"name" limit:"labName"`
		}
	}) (*labAnswer, error) {
		_, err := s.o.Labs.Rename(ctx, in.ID, in.Body.Name, expect(in.IfMatch, labVersion))
		return s.shownAfter(ctx, in.ID, err)
	})
	register(s, huma.Operation{
		OperationID: "delete-lab", Method: http.MethodDelete, Path: path + "/{id}", Summary: "Delete a lab, but not its nodes and networks", Tags: tags,
		Description:   "To delete its nodes and networks too, delete them first.",
		DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *struct {
		LabID
		IfMatch
	}) (*struct{}, error) {
		return nil, s.o.Removals.Lab(ctx, in.ID, expectAll(in.IfMatch, labVersion)...)
	})
	s.registerImport(path, tags)
	s.registerLabContents(path+"/{id}", tags)
}

// LabPosition is a position on a lab's canvas. It is exported because huma only reads exported
// embedded structs.
type LabPosition struct {
	X float64 `json:"x" limit:"coordinate" doc:"Pixels from the canvas's origin."`
	Y float64 `json:"y" limit:"coordinate"`
}

// LabNodeID is the path of a node in a lab; exported as above.
type LabNodeID struct {
	LabID
	Node string `path:"node" doc:"The node's id."`
}

// LabNetworkID is the path of a network in a lab; exported as above.
type LabNetworkID struct {
	LabID
	Network string `path:"network" doc:"The network's id."`
}

// registerLabContents registers the operations on a lab's nodes, networks and links.
func (s *Server) registerLabContents(path string, tags []string) {
	register(s, huma.Operation{
		OperationID: "add-lab-node", Method: http.MethodPut, Path: path + "/nodes/{node}", Summary: "Add a node to a lab, or move it there", Tags: tags,
		Description: "Requires manage permission on the node, because users of the lab can use it from then on.",
	}, func(ctx context.Context, in *struct {
		LabNodeID
		Body LabPosition
	}) (*labAnswer, error) {
		if _, err := s.o.Guard.Node(rightsOf(ctx), in.Node, access.Manage); err != nil {
			return nil, err
		}
		defer s.rightsChanged()
		_, err := s.o.Labs.Add(ctx, in.ID, lab.Place{Kind: lab.Node, ID: in.Node, X: in.Body.X, Y: in.Body.Y})
		return s.shownAfter(ctx, in.ID, err)
	})
	register(s, huma.Operation{
		OperationID: "remove-lab-node", Method: http.MethodDelete, Path: path + "/nodes/{node}", Summary: "Remove a node from a lab; the node is not deleted", Tags: tags,
	}, func(ctx context.Context, in *LabNodeID) (*labAnswer, error) {
		defer s.rightsChanged()
		_, err := s.o.Labs.Remove(ctx, in.ID, lab.Node, in.Node)
		return s.shownAfter(ctx, in.ID, err)
	})
	register(s, s.makes(huma.Operation{
		OperationID: "add-lab-network", Method: http.MethodPost, Path: path + "/networks", Summary: "Create an isolated network in a lab", Tags: tags,
		DefaultStatus: http.StatusCreated,
	}), func(ctx context.Context, in *struct {
		LabID
		Body struct {
			LabPosition
			Host      string `json:"host,omitempty" doc:"Defaults to the first host."`
			Addresses *bool  `json:"addresses,omitempty" doc:"Assign addresses of a free subnet by DHCP (the default). Otherwise nodes choose their addresses."`
		}
	}) (*struct{ Body LabNetwork }, error) {
		release, err := s.o.Quotas.Network(ctx, rightsOf(ctx).OwnerID(), "")
		if err != nil {
			return nil, err
		}
		defer release()
		n, err := s.o.Labs.AddNetwork(ctx, in.ID, in.Body.Host, rightsOf(ctx).OwnerID(), in.Body.Addresses == nil || *in.Body.Addresses, in.Body.X, in.Body.Y)
		if err != nil {
			return nil, err
		}
		return &struct{ Body LabNetwork }{LabNetwork{
			ID: n.ID, Name: n.Name, Host: n.Host, Active: n.Active, Subnet: n.Subnet, DHCP: n.DHCP, Nodes: []string{}, X: in.Body.X, Y: in.Body.Y,
		}}, nil
	})
	register(s, huma.Operation{
		OperationID: "delete-lab-network", Method: http.MethodDelete, Path: path + "/networks/{network}", Summary: "Delete a network of a lab, with its nodes' interfaces on it", Tags: tags,
	}, func(ctx context.Context, in *LabNetworkID) (*labAnswer, error) {
		if err := s.o.Guard.LabNetwork(ctx, rightsOf(ctx), in.ID, in.Network); err != nil {
			return nil, err
		}
		return s.shownAfter(ctx, in.ID, s.o.Labs.DeleteNetwork(ctx, in.ID, in.Network))
	})
	register(s, s.makes(huma.Operation{
		OperationID: "add-lab-link", Method: http.MethodPost, Path: path + "/links", Summary: "Connect a node to another one, or to a network", Tags: tags,
		Description: "Between two nodes, creates an isolated network with DHCP, and an interface in both nodes, also while they run.",
	}), func(ctx context.Context, in *struct {
		LabID
		Body struct {
			From string `json:"from" doc:"A node's id."`
			To   string `json:"to" doc:"The id of a node or a network of the lab."`
		}
	}) (*labAnswer, error) {
		rights := rightsOf(ctx)
		if err := s.o.Guard.LabNodes(ctx, rightsOf(ctx), in.ID, in.Body.From, in.Body.To); err != nil {
			return nil, err
		}
		l, err := s.o.Labs.Lab(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		if l.Has(lab.Node, in.Body.To) { // creates a network between the two nodes
			release, err := s.o.Quotas.Network(ctx, rights.OwnerID(), "")
			if err != nil {
				return nil, err
			}
			defer release()
		}
		return s.shownAfter(ctx, in.ID, s.o.Labs.Connect(ctx, in.ID, in.Body.From, in.Body.To, rights.OwnerID()))
	})
	register(s, huma.Operation{
		OperationID: "remove-lab-link", Method: http.MethodDelete, Path: path + "/links/{node}/{network}", Summary: "Disconnect a node from a network", Tags: tags,
	}, func(ctx context.Context, in *struct {
		LabNodeID
		Network string `path:"network" doc:"The network's id."`
	}) (*labAnswer, error) {
		if err := s.o.Guard.LabNodes(ctx, rightsOf(ctx), in.ID, in.Node); err != nil {
			return nil, err
		}
		return s.shownAfter(ctx, in.ID, s.o.Labs.Disconnect(ctx, in.ID, in.Node, in.Network))
	})
	register(s, huma.Operation{
		OperationID: "move-in-lab", Method: http.MethodPut, Path: path + "/positions", Summary: "Move nodes and networks on a lab's canvas", Tags: tags,
		DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *struct {
		LabID
		Body struct {
			Positions []struct {
				ID string `json:"id" doc:"Id of a node or a network."`
				LabPosition
			} `json:"positions" maxItems:"200"`
		}
	}) (*struct{}, error) {
		places := make([]lab.Place, len(in.Body.Positions))
		for i, p := range in.Body.Positions {
			places[i] = lab.Place{ID: p.ID, X: p.X, Y: p.Y}
		}
		_, err := s.o.Labs.Move(ctx, in.ID, places)
		return nil, err
	})
}
