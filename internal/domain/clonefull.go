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

// CloneFull makes a node with a copy of another one's disks, which has to be off,
// and stays so: changes of it are refused with fault.NodeBusy meanwhile. It may be
// repeated after it was cut off, and is undone by UndoClone.
func (s *Service) CloneFull(ctx context.Context, c Clone, progress Progress) error {
	if err := s.o.Storage.Prepare(ctx, c.Host); err != nil {
		return err
	}
	// After a restart the job may come before the host's domains have been read.
	for _, id := range []string{c.ID, c.Source} {
		if err := s.inv.Sync(ctx, c.Host, id); err != nil && !isGone(err) {
			return explain(err, "read", c.Name)
		}
	}
	if _, err := s.inv.Node(c.ID); err == nil {
		return nil // an attempt before this one came so far
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
			if err := s.o.Storage.DeleteNodeVolume(ctx, c.Host, disk.volume, time.Time{}); err != nil { // of an attempt before
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
	// What the copies lay on is no longer below them.
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

// definitionOff reads a node that is off. done is what would be done to it, for the
// refusal of one that is not.
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

// UndoClone removes what a copy has made that did not come to its end.
func (s *Service) UndoClone(ctx context.Context, c Clone) error {
	volumes, err := s.o.Storage.NodeVolumes(ctx, c.Host, c.ID)
	if err != nil {
		return err
	}
	return s.undoCreate(ctx, c.Host, createData{ID: c.ID, Volumes: slices.Collect(maps.Keys(volumes))})
}
