package definition

import (
	"iter"
	"slices"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"
)

// ExtraInfix is between a node's id and what is its own in the name of the volume of an
// attached disk.
const ExtraInfix = "-disk-"

// FirstDisk returns the first disk that is a file, nil when there is none.
func FirstDisk(d *libvirtxml.Domain) *libvirtxml.DomainDisk {
	if d.Devices == nil {
		return nil
	}
	for i := range d.Devices.Disks {
		disk := &d.Devices.Disks[i]
		if (disk.Device == "disk" || disk.Device == "") && disk.Source != nil && disk.Source.File != nil {
			return disk
		}
	}
	return nil
}

// sources are those of disks and of their backing chains.
func sources(disks []libvirtxml.DomainDisk) iter.Seq[*libvirtxml.DomainDiskSource] {
	return func(yield func(*libvirtxml.DomainDiskSource) bool) {
		for _, disk := range disks {
			if disk.Source != nil && !yield(disk.Source) {
				return
			}
			for b := disk.BackingStore; b != nil; b = b.BackingStore {
				if b.Source != nil && !yield(b.Source) {
					return
				}
			}
		}
	}
}

// DiskFiles lists the files of disks and of their backing chains.
func DiskFiles(disks []libvirtxml.DomainDisk) (files []string) {
	for source := range sources(disks) {
		if source.File != nil && source.File.File != "" {
			files = append(files, source.File.File)
		}
	}
	return files
}

// DiskVolumes lists the names of the volumes that disks and their backing chains name by
// their pools.
func DiskVolumes(disks []libvirtxml.DomainDisk) (names []string) {
	for source := range sources(disks) {
		if source.Volume != nil && source.Volume.Volume != "" {
			names = append(names, source.Volume.Volume)
		}
	}
	return names
}

// FilesBelow returns the files that disks are overlays of.
func FilesBelow(disks []libvirtxml.DomainDisk) (files []string) {
	for _, disk := range disks {
		for b := disk.BackingStore; b != nil; b = b.BackingStore {
			if b.Source != nil && b.Source.File != nil && b.Source.File.File != "" {
				files = append(files, b.Source.File.File)
			}
		}
	}
	return files
}

// BackingFile returns the backing file of a disk, and its format; empty when it has none.
func BackingFile(disk *libvirtxml.DomainDisk) (path, format string) {
	b := disk.BackingStore
	if b == nil || b.Source == nil || b.Source.File == nil {
		return "", ""
	}
	if b.Format != nil {
		format = b.Format.Type
	}
	return b.Source.File.File, format
}

// Written lists the files that a domain's disks are written to.
func Written(def *libvirtxml.Domain) (files []string) {
	if def.Devices == nil {
		return nil
	}
	for _, disk := range def.Devices.Disks {
		if disk.ReadOnly == nil && disk.Source != nil && disk.Source.File != nil {
			files = append(files, disk.Source.File.File)
		}
	}
	slices.Sort(files)
	return files
}

// AllocatedBytes is the disk space of the files that a domain writes to. It fails for files
// that are in no pool.
func AllocatedBytes(d *libvirt.Domain, def *libvirtxml.Domain) (bytes int64, err error) {
	conn, err := d.DomainGetConnect()
	if err != nil {
		return 0, err
	}
	defer func() { _, _ = conn.Close() }()
	for _, file := range Written(def) {
		v, err := conn.LookupStorageVolByPath(file)
		if err != nil {
			return 0, err
		}
		info, err := v.GetInfo()
		_ = v.Free()
		if err != nil {
			return 0, err
		}
		bytes += int64(info.Allocation) //nolint:gosec // bytes of a real file
	}
	return bytes, nil
}
