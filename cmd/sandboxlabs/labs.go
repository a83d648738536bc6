package main

import (
	"context"

	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/domain/inventory"
	labs "github.com/sandboxlabs/sandboxlabs/internal/lab"
)

// labParts gives package lab access to the nodes and networks of the hosts.
type labParts struct {
	inventory *inventory.Inventory
	nodes     *domain.Service
}

var _ labs.Libvirt = labParts{}

// Networks returns the networks of the hosts that answer.
func (p labParts) Networks(ctx context.Context) ([]labs.Net, error) {
	networks, err := p.nodes.Networks(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]labs.Net, len(networks))
	for i, v := range networks {
		list[i] = labNet(v)
	}
	return list, nil
}

func labNet(v domain.Network) labs.Net {
	net := labs.Net{ID: v.ID, Name: v.Name, Host: v.Host, Subnet: v.Subnet, Active: v.Active, DHCP: v.DHCP, Managed: v.Managed, Owner: v.Owner}
	for _, n := range v.Nodes {
		net.Nodes = append(net.Nodes, n.ID)
	}
	return net
}

// CreateNetwork creates an isolated network.
func (p labParts) CreateNetwork(ctx context.Context, n labs.Net) (labs.Net, error) {
	made, err := p.nodes.CreateNetwork(ctx, domain.NetworkSpec{ID: n.ID, Name: n.Name, Host: n.Host, DHCP: n.DHCP, Owner: n.Owner})
	return labNet(made), err
}

// DeleteNetwork deletes a network. Users who may manage its lab may delete it.
func (p labParts) DeleteNetwork(ctx context.Context, n labs.Net) error {
	return p.nodes.DeleteNetwork(ctx, n.Host, n.Name, func(domain.Network) error { return nil })
}

// Attach gives a node a network interface on a network.
func (p labParts) Attach(ctx context.Context, node, network string) error {
	_, err := p.nodes.AddInterface(ctx, node, network)
	return err
}

// Detach removes a node's interfaces on a network.
func (p labParts) Detach(ctx context.Context, node, network string) error {
	cards, err := p.nodes.Interfaces(ctx, node)
	if err != nil {
		return err
	}
	for _, card := range cards {
		if card.Network == network {
			if err := p.nodes.RemoveInterface(ctx, node, card.MAC); err != nil {
				return err
			}
		}
	}
	return nil
}

// HostOf returns the host of a node.
func (p labParts) HostOf(node string) (string, error) {
	n, err := p.inventory.Node(node)
	return n.Host, err
}

// CreateNode creates a node by its key, unless it exists.
func (p labParts) CreateNode(ctx context.Context, host, owner string, n labs.PlannedNode) error {
	if _, err := p.inventory.Node(n.ID); err == nil {
		return nil
	}
	_, _, err := p.nodes.Create(ctx, domain.Spec{
		Name: n.Name, Host: host, ImageID: n.Image, OSType: n.OSType, RAMMiB: n.RAMMiB, CPUs: n.CPUs, DiskBytes: n.DiskBytes,
		Firmware: n.Firmware, TPM: n.TPM,
		Owner: owner, ID: n.ID, IdempotencyKey: n.Key,
	})
	return err
}

// DeleteNode deletes a node and all of its snapshots.
func (p labParts) DeleteNode(ctx context.Context, node string) error {
	return p.nodes.Delete(ctx, node, true)
}

// NodeID returns the id of the node that CreateNode creates.
func (labParts) NodeID(owner, key string) string { return domain.KeyedID(owner, key) }

// Settle completes or undoes the operations that were interrupted on a host.
func (p labParts) Settle(ctx context.Context, host string, nodes, networks []string) error {
	return p.nodes.Settle(ctx, host, nodes, networks)
}
