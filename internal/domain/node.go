// Package domain changes nodes: it defines them, moves them through their life, and undoes
// or completes what was cut off. What there is, package inventory knows.
//
// A node is a domain: its id is the domain's UUID, its name the domain's name,
// and what libvirt has no place for is in the domain's metadata. Nothing about
// a node is stored elsewhere but the intents of changes that are under way.
package domain

import (
	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/domain/inventory"
)

// What the inventory shows, by the names that callers of this package know.
type (
	// Node is a snapshot of one domain.
	Node = inventory.Node
	// State is what a node does.
	State = inventory.State
	// ImageRef says which image a node was made from.
	ImageRef = definition.ImageRef
	// Interface is one network card of a node.
	Interface = definition.Interface
)

// The states of a node.
const (
	Running     = inventory.Running
	Stopped     = inventory.Stopped
	Paused      = inventory.Paused
	Starting    = inventory.Starting
	Stopping    = inventory.Stopping
	Crashed     = inventory.Crashed
	Unreachable = inventory.Unreachable
)
