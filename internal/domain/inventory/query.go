package inventory

import (
	"cmp"
	"slices"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// Nodes returns all nodes, by name and id, from memory.
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

// All returns all nodes by name, and the hosts of which they may not be all, as of
// one moment: asking Known after Nodes would take a host that was read in between for
// one without nodes.
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
	note() // a host that went away meanwhile shows its nodes as unreachable
	return nodes, unknown
}

// Node finds a node, from memory; fault.NodeNotFound when there is none. Two hosts may have
// it, while it migrates or from then on: the one where it runs is meant, else one where it
// may run, else the first that is configured.
func (inv *Inventory) Node(id string) (Node, error) {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	n, ok := inv.find(id)
	if !ok {
		return Node{}, NotFound(id)
	}
	return n, nil
}

// find is get for who holds mu.
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

// rankOf is higher the more likely it is that a host's copy of a node is the one in use.
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

// NotFound is the error for a node that does not exist.
func NotFound(id string) error {
	return fault.New(fault.NodeNotFound, "Node %q not found. It may have been deleted.", id)
}

// Known returns whether Nodes shows all domains of a host. It is false before they
// were first read and while the host is away, and true for a host that is not
// configured: it has none.
func (inv *Inventory) Known(host string) bool {
	f, ok := inv.feeds[host]
	return !ok || f.isKnown()
}

// Place returns where a node is, its name, and whether it has a QEMU
// process, from memory.
func (inv *Inventory) Place(id string) (host, name string, active, ok bool) {
	n, err := inv.Node(id)
	return n.Host, n.Name, n.Active(), err == nil
}

// UsersOf returns the nodes of a host that have one of some files for a disk, or
// under one, by name, as their definitions spell them.
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
