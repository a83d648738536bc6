package domain

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"
)

// CloneFull creates a node with a full copy of another node's disks. The source must be off,
// and changes to it fail with fault.NodeBusy until the copy ends. It can be repeated after an
// interruption, and UndoClone undoes it.
func (s *Service) CloneFull(ctx context.Context, c Clone, progress Progress) error {
	if err := s.o.Storage.Prepare(ctx, c.Host); err != nil {
		return err
	}
	// After a restart the job may run before the inventory has read the host's domains.
	for _, id := range []string{c.ID, c.Source} {
		if err := s.inv.Sync(ctx, c.Host, id); err != nil && !isGone(err) {
			return explain(err, "read", c.Name)
		}
	}
	if _, err := s.inv.Node(c.ID); err == nil {
		return nil // an earlier attempt defined it
	}
	n, err := s.inv.Node(c.Source)
	if err != nil {
		return err
	}
	release, err := s.claimFor(ctx, c.Source, "Node \""+n.Name+"\" is being copied to \""+c.Name+"\". Wait until that job is over, or cancel it.")
	if err != nil {
		return err
	}
	defer release()
	freeName, err := s.reserveName(c.Host, c.Name)
	if err != nil {
		return err
	}
	defer freeName()
	def, err := s.definitionOff(ctx, n, "copied", libvirt.DOMAIN_XML_INACTIVE|libvirt.DOMAIN_XML_SECURE)
	if err != nil {
		return explain(err, "clone", n.Name)
	}
	if err := s.checkCloned(n, def, c); err != nil {
		return err
	}
	disks, err := s.cloneDisks(n, def, c.ID)
	if err != nil {
		return err
	}
	files := map[string]string{}
	for _, disk := range disks {
		if disk.seed {
			if err := s.o.Storage.DeleteNodeVolume(ctx, c.Host, disk.volume, time.Time{}); err != nil { // left by an earlier attempt
				return err
			}
			files[disk.target], err = s.cloneSeed(ctx, n, c)
		} else {
			progress.Begin("copying " + disk.target)
			files[disk.target], err = s.o.Storage.CopyDisk(ctx, c.Host, disk.file, disk.volume, progress.Progress)
		}
		if err != nil {
			return explain(err, "clone", n.Name)
		}
	}
	// A full copy has no backing file.
	for i := range def.Devices.Disks {
		if disk := &def.Devices.Disks[i]; disk.Target != nil && files[disk.Target.Dev] != "" && disk.ReadOnly == nil {
			disk.BackingStore = &libvirtxml.DomainDiskBackingStore{}
		}
	}
	if err := s.defineClone(ctx, n, def, files, c); err != nil {
		return explain(err, "clone", n.Name)
	}
	_, err = s.shown(ctx, c.Host, c.ID)
	return err
}

// definitionOff reads the definition of a node that is off. done completes the error message
// for a node that is not off.
func (s *Service) definitionOff(ctx context.Context, n Node, done string, flags libvirt.DomainXMLFlags) (def *libvirtxml.Domain, err error) {
	err = s.withDomain(ctx, "node.definition", n, func(d *libvirt.Domain) (err error) {
		if err := mustBeOff(d, n, done); err != nil {
			return err
		}
		if err := checkNotSaved(d, n, done); err != nil {
			return err
		}
		def, err = definition.Of(d, flags)
		return err
	})
	return def, err
}

// UndoClone removes what an unfinished full clone has created.
func (s *Service) UndoClone(ctx context.Context, c Clone) error {
	volumes, err := s.o.Storage.NodeVolumes(ctx, c.Host, c.ID)
	if err != nil {
		return err
	}
	return s.undoCreate(ctx, c.Host, createData{ID: c.ID, Volumes: slices.Collect(maps.Keys(volumes))})
}
