package inventory

import (
	"cmp"
	"slices"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// Nodes returns all nodes from memory, sorted by name and id.
func (inv *Inventory) Nodes() []Node {
	inv.mu.RLock()
	var list []Node
	for _, nodes := range inv.nodes {
		for _, n := range nodes {
			list = append(list, n)
		}
	}
	inv.mu.RUnlock()
	slices.SortFunc(list, byName)
	return list
}

func byName(a, b Node) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Host, b.Host))
}

// All returns all nodes sorted by name, and the hosts whose nodes may be incomplete, both at
// the same moment. Calling Nodes and then Known instead would show a host that is read in
// between as having no nodes.
func (inv *Inventory) All() (nodes []Node, unknown map[string]bool) {
	unknown = map[string]bool{}
	note := func() {
		for host, f := range inv.feeds {
			if !f.isKnown() {
				unknown[host] = true
			}
		}
	}
	note()
	nodes = inv.Nodes()
	note() // the nodes of a host that was lost meanwhile are marked as unreachable
	return nodes, unknown
}

// Node returns a node from memory, or fault.NodeNotFound. Two hosts may have the node, during
// or after a migration. Then it returns the one that runs, otherwise one that may be running,
// otherwise the one on the host that is configured first.
func (inv *Inventory) Node(id string) (Node, error) {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	n, ok := inv.find(id)
	if !ok {
		return Node{}, NotFound(id)
	}
	return n, nil
}

// find is Node for callers that hold mu.
func (inv *Inventory) find(id string) (found Node, ok bool) {
	best := 0
	for _, host := range inv.order {
		n, there := inv.nodes[host][id]
		if rank := rankOf(n); there && rank > best {
			found, best = n, rank
		}
	}
	return found, best > 0
}

// rankOf is the higher, the more likely a host's copy of a node is the one in use.
func rankOf(n Node) int {
	switch {
	case n.Active():
		return 3
	case n.State == Unreachable:
		return 2
	default:
		return 1
	}
}

// NotFound returns the error for a node that does not exist.
func NotFound(id string) error {
	return fault.New(fault.NodeNotFound, "Node %q not found. It may have been deleted.", id)
}

// Known returns whether Nodes contains all domains of a host. It is false until they have
// been read and while the host is not connected. It is true for a host that is not
// configured, because that has no nodes.
func (inv *Inventory) Known(host string) bool {
	f, ok := inv.feeds[host]
	return !ok || f.isKnown()
}

// Place returns a node's host and name, and whether it has a QEMU process, from memory.
func (inv *Inventory) Place(id string) (host, name string, active, ok bool) {
	n, err := inv.Node(id)
	return n.Host, n.Name, n.Active(), err == nil
}

// UsersOf returns the nodes of a host that have one of files as a disk or in a backing chain,
// sorted by name. It compares paths as written in the definitions.
func (inv *Inventory) UsersOf(host string, files ...string) []Node {
	return slices.DeleteFunc(inv.Nodes(), func(n Node) bool {
		return n.Host != host || !slices.ContainsFunc(n.Files, func(file string) bool { return slices.Contains(files, file) })
	})
}

// has returns whether a host has a node.
func (inv *Inventory) has(host, id string) bool {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	_, there := inv.nodes[host][id]
	return there
}

// anyRuns returns whether any of a host's nodes has a QEMU process.
func (inv *Inventory) anyRuns(host string) bool {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	for _, n := range inv.nodes[host] {
		if n.Active() {
			return true
		}
	}
	return false
}
