package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/policy"
)

// Network is a libvirt network of a host.
type Network struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Host    string `json:"host"`
	Active  bool   `json:"active"`
	Kind    string `json:"kind" doc:"isolated, or the type of connection to other networks: nat, route, bridge, …"`
	Subnet  string `json:"subnet,omitempty" example:"10.7.3.0/24"`
	DHCP    bool   `json:"dhcp"`
	Managed bool   `json:"managed" doc:"Whether it was created in SandboxLabs and can be deleted here."`
	Owner   string `json:"owner,omitempty"`
	Nodes   int    `json:"nodes" doc:"Number of nodes connected to it."`
}

func (s *Server) network(v domain.Network) Network {
	return Network{
		ID: v.ID, Name: v.Name, Host: v.Host, Active: v.Active, Kind: v.Kind, Subnet: v.Subnet, DHCP: v.DHCP,
		Managed: v.Managed, Owner: policy.OwnerName(s.o.Access, v.Owner, v.OwnerName), Nodes: len(v.Nodes),
	}
}

type networkList struct {
	Body struct {
		Networks []Network `json:"networks"`
		Next
	}
}

func (s *Server) registerNetworks() {
	const path = "/api/networks"
	tags := []string{"networks"}
	register(s, huma.Operation{
		OperationID: "list-networks", Method: http.MethodGet, Path: path, Summary: "List the networks of the hosts", Tags: tags,
	}, func(ctx context.Context, in *Paging) (*networkList, error) {
		list, err := s.o.Nodes.Networks(ctx)
		if err != nil {
			return nil, err
		}
		page, next, err := pageOf(*in, "networks", list, func(v domain.Network) string { return sortKey(v.Host, v.Name) })
		if err != nil {
			return nil, err
		}
		out := &networkList{}
		out.Body.Networks, out.Body.Next = []Network{}, next
		for _, v := range page {
			out.Body.Networks = append(out.Body.Networks, s.network(v))
		}
		return out, nil
	})
	register(s, s.makes(huma.Operation{
		OperationID: "create-network", Method: http.MethodPost, Path: path, Summary: "Create an isolated network", Tags: tags,
		Description:   "Its nodes reach each other, and with a subnet also the host, but nothing else.",
		DefaultStatus: http.StatusCreated,
	}), func(ctx context.Context, in *struct {
		Body struct {
			Name   string `json:"name" limit:"networkName"`
			Host   string `json:"host,omitempty" doc:"Defaults to the first host."`
			Subnet string `json:"subnet,omitempty" doc:"A private IPv4 subnet that is free on the host. Only administrators may use one outside the blocks that the operator sets (lab-subnets). If left out, a free one is used with dhcp; without dhcp, nodes choose their addresses." example:"10.7.3.0/24"`
			DHCP   bool   `json:"dhcp,omitempty" doc:"Assign addresses of the subnet by DHCP."`
		}
	}) (*struct{ Body Network }, error) {
		owner, id := rightsOf(ctx).OwnerID(), uuid.NewString()
		release, err := s.o.Quotas.Network(ctx, owner, id)
		if err != nil {
			return nil, err
		}
		defer release()
		v, err := s.o.Nodes.CreateNetwork(ctx, domain.NetworkSpec{
			ID: id, Name: in.Body.Name, Host: in.Body.Host, Subnet: in.Body.Subnet, AnySubnet: rightsOf(ctx).Role.AtLeast(access.RoleAdmin), DHCP: in.Body.DHCP, Owner: owner,
		})
		if err != nil {
			return nil, err
		}
		return &struct{ Body Network }{s.network(v)}, nil
	})
	register(s, huma.Operation{
		OperationID: "delete-network", Method: http.MethodDelete, Path: path + "/{name}", Summary: "Delete a network that was created in SandboxLabs and has no nodes", Tags: tags,
		DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *struct {
		Name string `path:"name"`
		Host string `query:"host" doc:"Defaults to the first host."`
	}) (*struct{}, error) {
		rights := rightsOf(ctx)
		return nil, s.o.Nodes.DeleteNetwork(ctx, in.Host, in.Name, func(v domain.Network) error {
			return s.o.Guard.DeleteNetwork(rights, v)
		})
	})
}
