package domain

import (
	"context"
	"path"
	"slices"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"
)

// lineage is what the volumes of a node are backed by: by the name of each, the path of
// the file below it, empty where there is none. The files themselves say so: another
// process may be about to say it in the domain's definition. Read it after the
// definition: what is put on top of a disk in between leaves the disk in use.
type lineage map[string]string

// used names the volumes that are in a disk of some definitions of the node's domain, or
// anywhere below one.
func (l lineage) used(defs ...*libvirtxml.Domain) map[string]bool {
	used := map[string]bool{}
	for _, def := range defs {
		if def == nil || def.Devices == nil {
			continue
		}
		for _, file := range append(definition.DiskFiles(def.Devices.Disks), definition.DiskVolumes(def.Devices.Disks)...) {
			for ; file != "" && !used[path.Base(file)]; file = l[path.Base(file)] {
				used[path.Base(file)] = true
			}
		}
	}
	return used
}

// unused names a volume and those above it, the uppermost first, without those that are
// used.
func (l lineage) unused(volume string, used map[string]bool) []string {
	list := []string{volume}
	for i := 0; i < len(list); i++ {
		for above, file := range l {
			if file != "" && path.Base(file) == list[i] && !slices.Contains(list, above) {
				list = append(list, above)
			}
		}
	}
	slices.Reverse(list)
	return slices.DeleteFunc(list, func(v string) bool { return used[v] })
}

// under is what the disk in a volume is backed by, down to what is not the node's.
func (l lineage) under(volume string) *libvirtxml.DomainDiskBackingStore {
	file, own := l[volume]
	switch {
	case !own:
		return nil // libvirt reads it from the file
	case file == "":
		return below("", "")
	}
	on := below(file, "qcow2")
	delete(l, volume) // a chain that somebody bent into a ring has an end too
	on.BackingStore = l.under(path.Base(file))
	return on
}

// dropUnused deletes a volume of a node, and what other processes have put on top of it,
// but for what some definitions of its domain have. since is as in DeleteNodeVolume.
func (s *Service) dropUnused(ctx context.Context, host string, l lineage, volume string, since time.Time, defs ...*libvirtxml.Domain) error {
	for _, v := range l.unused(volume, l.used(defs...)) {
		if err := s.o.Storage.DeleteNodeVolume(ctx, host, v, since); err != nil {
			return err
		}
	}
	return nil
}

// writeDown has a domain's definition say what the disk in a volume of its node is backed
// by, where it does not. libvirt leaves that out of a disk that goes on in a new file and
// lay on nothing before.
func (s *Service) writeDown(ctx context.Context, d *libvirt.Domain, n Node, volume string) error {
	def, err := definition.Of(d, libvirt.DOMAIN_XML_INACTIVE)
	if err != nil {
		return err
	}
	inVolume := func(def *libvirtxml.Domain) *libvirtxml.DomainDisk {
		if def.Devices == nil {
			return nil
		}
		for i := range def.Devices.Disks {
			if disk := &def.Devices.Disks[i]; disk.Source != nil && disk.Source.File != nil && path.Base(disk.Source.File.File) == volume {
				return disk
			}
		}
		return nil
	}
	disk := inVolume(def)
	if disk == nil || disk.BackingStore != nil {
		return nil
	}
	volumes, err := s.o.Storage.NodeVolumes(ctx, n.Host, n.ID)
	if err != nil {
		return err
	}
	return relay(d, inVolume, disk.Source.File.File, lineage(volumes).under(volume))
}
