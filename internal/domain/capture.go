package domain

import (
	"context"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// CheckCapture returns an error if a node's disk cannot be read now; otherwise it returns the
// node's host. Errors: fault.NodeNotFound, NodeNotManaged, NodeRunning.
func (s *Service) CheckCapture(id string) (host string, err error) {
	n, err := s.inv.Node(id)
	if err != nil {
		return "", err
	}
	if err := mustBeManaged(n, "made an image of"); err != nil {
		return "", err
	}
	if n.Active() {
		return "", fault.New(fault.NodeRunning, "Node %q is running. Stop it first to create an image from its disk.", n.Name)
	}
	if n.Saved {
		return "", savedFault(n, "made an image of")
	}
	return n.Host, nil
}

// Capture calls f with the file of a node's first disk, which the node's definition declares
// as qcow2. The node is off, and this service does not change it while f runs. Errors: those
// of CheckCapture, fault.Unsupported, NodeBusy, HostUnreachable, and those of f.
func (s *Service) Capture(ctx context.Context, host, id string, f func(file string) error) error {
	if err := s.o.Storage.Prepare(ctx, host); err != nil {
		return err
	}
	if err := s.inv.Sync(ctx, host, id); err != nil && !isGone(err) { // the inventory might not have read it yet
		return explain(err, "read", id)
	}
	n, err := s.inv.Node(id)
	if err != nil {
		return err
	}
	release, err := s.claimFor(ctx, id, "An image is being made of node \""+n.Name+"\". Wait until that job is over, or cancel it.")
	if err != nil {
		return err
	}
	defer release()
	def, err := s.definitionOff(ctx, n, "made an image of", libvirt.DOMAIN_XML_INACTIVE)
	if err != nil {
		return explain(err, "make an image of", n.Name)
	}
	disks, err := s.cloneDisks(n, def, id)
	if err != nil {
		return err
	}
	for _, disk := range disks {
		if !disk.seed {
			return f(disk.file)
		}
	}
	return fault.New(fault.Unsupported, "Node %q has no writable disk.", n.Name)
}
