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

// lineage maps the volumes of a node to the paths of their backing files, empty for none. It
// comes from the files themselves, because another process may be about to update the
// domain's definition. Read it after the definition: an overlay that is added in between
// keeps the disk in use.
type lineage map[string]string

// used returns the volumes that are in a backing chain of a disk in one of the definitions.
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

// unused returns a volume and its overlays, the topmost first, without those in used.
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

// under returns the backing chain of the disk in a volume, down to the first file that is not
// the node's.
func (l lineage) under(volume string) *libvirtxml.DomainDiskBackingStore {
	file, own := l[volume]
	switch {
	case !own:
		return nil // libvirt reads it from the file
	case file == "":
		return below("", "")
	}
	on := below(file, "qcow2")
	delete(l, volume) // terminates on a chain that was made cyclic
	on.BackingStore = l.under(path.Base(file))
	return on
}

// dropUnused deletes a volume of a node and the overlays that other processes have created on
// it, except those that the given definitions use. since is as in DeleteNodeVolume.
func (s *Service) dropUnused(ctx context.Context, host string, l lineage, volume string, since time.Time, defs ...*libvirtxml.Domain) error {
	for _, v := range l.unused(volume, l.used(defs...)) {
		if err := s.o.Storage.DeleteNodeVolume(ctx, host, v, since); err != nil {
			return err
		}
	}
	return nil
}

// writeDown adds the backing chain of a volume's disk to the domain's definition if it is
// missing. libvirt omits it for a disk that had no backing file and got an overlay.
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
