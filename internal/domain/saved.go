package domain

import (
	"context"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/domain/inventory"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// A node that is suspended to disk is off, and libvirt keeps its memory together with a copy
// of its definition (virsh managedsave). The next start resumes from there, with the devices
// and disks of that definition. Changes to them would have no effect, or corrupt the guest's
// file systems, so they are refused until the saved state is used or discarded.

// Suspend saves the memory of a running or paused node to its host's disk and turns the node
// off; its next start resumes from there. It returns when the state is saved, which takes
// some seconds per GiB that the guest uses. It does nothing if the node is suspended.
//
// Errors: fault.NodeNotRunning, NodeBusy, Unsupported for a transient domain, Hypervisor if
// libvirt cannot save it, such as a node with a host device.
func (s *Service) Suspend(ctx context.Context, id string) (Node, error) {
	return s.change(ctx, id, "node.suspend", "suspend", func(ctx context.Context, n Node, d *libvirt.Domain) error {
		if saved, err := definition.HasSavedState(d); err != nil || saved {
			return err
		}
		state, err := inventory.StateOf(d)
		switch {
		case err != nil:
			return err
		case !n.Persistent:
			return fault.New(fault.Unsupported, "Domain %q is transient: it is gone when it stops. Define it with `virsh define` first.", n.Name)
		case state != Running && state != Paused:
			return fault.New(fault.NodeNotRunning, "Cannot suspend node %q: it is %s. Only a running or paused node has a state to save.", n.Name, state)
		}
		release, err := s.holdBlockJobs(ctx, n, d)
		if err != nil {
			return err
		}
		defer release()
		return s.withoutConsoles(ctx, id, d, true, func() error { return d.ManagedSave(0) })
	})
}

// DiscardSavedState removes the saved state of a managed node: its next start boots as after
// a power failure. Without a saved state it does nothing.
//
// Errors: fault.NodeNotManaged, Hypervisor.
func (s *Service) DiscardSavedState(ctx context.Context, id string) (Node, error) {
	return s.change(ctx, id, "node.discard-saved-state", "discard the saved state of", func(_ context.Context, n Node, d *libvirt.Domain) error {
		if err := mustBeManaged(n, "changed"); err != nil {
			return err
		}
		return discardSavedState(d)
	})
}

// discardSavedState removes a domain's saved state, if there is one.
func discardSavedState(d *libvirt.Domain) error {
	saved, err := definition.HasSavedState(d)
	if err != nil || !saved {
		return err
	}
	return d.ManagedSaveRemove(0)
}

// checkNotSaved returns an error if the node has a saved state, for changes that its next
// start would revert, or that would change its disks. done completes the message.
func checkNotSaved(d *libvirt.Domain, n Node, done string) error {
	saved, err := definition.HasSavedState(d)
	if err != nil || !saved {
		return err
	}
	return savedFault(n, done)
}

func savedFault(n Node, done string) error {
	return fault.New(fault.NodeSaved, "Node %q is suspended to disk, so it cannot be %s: its saved state continues with the devices and disks that it had. Run the node and shut it down, or discard the saved state (POST /api/nodes/%s/discard-saved-state) first.", n.Name, done, n.ID)
}

// checkDiscard returns an error if the node has a saved state that would be lost, unless
// force is set.
func checkDiscard(d *libvirt.Domain, n Node, done string, force bool) error {
	if force {
		return nil
	}
	saved, err := definition.HasSavedState(d)
	if err != nil || !saved {
		return err
	}
	return fault.New(fault.NodeSaved, "Node %q is suspended to disk, and its saved state is lost when it is %s. Repeat the request with {\"force\":true} to discard the state, or run the node and shut it down first.", n.Name, done)
}
