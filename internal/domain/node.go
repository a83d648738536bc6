// Package domain changes nodes: it creates, starts, stops and deletes them, and completes or
// undoes interrupted changes. Package inventory knows their current state.
//
// A node is a libvirt domain: its id is the domain's UUID, its name the domain's name, and
// the domain's metadata holds what libvirt has no element for. Nothing else about a node is
// stored, except the intents of changes in progress.
package domain

import (
	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/domain/inventory"
)

// Types of package inventory, for callers of this package.
type (
	// Node is a copy of a domain's state.
	Node = inventory.Node
	// State is the state of a node, such as running.
	State = inventory.State
	// ImageRef is a reference to the image that a node was created from.
	ImageRef = definition.ImageRef
	// Interface is a network interface of a node.
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
