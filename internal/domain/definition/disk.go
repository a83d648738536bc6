package definition

import (
	"iter"
	"slices"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"
)

// ExtraInfix separates the node's id from the unique part in the volume name of an attached
// disk.
const ExtraInfix = "-disk-"

// FirstDisk returns the first disk whose source is a file, nil if there is none.
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

// sources iterates over the sources of disks and of their backing chains.
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

// DiskFiles returns the files of disks and of their backing chains.
func DiskFiles(disks []libvirtxml.DomainDisk) (files []string) {
	for source := range sources(disks) {
		if source.File != nil && source.File.File != "" {
			files = append(files, source.File.File)
		}
	}
	return files
}

// DiskVolumes returns the names of the volumes that disks and their backing chains refer to
// by pool and volume.
func DiskVolumes(disks []libvirtxml.DomainDisk) (names []string) {
	for source := range sources(disks) {
		if source.Volume != nil && source.Volume.Volume != "" {
			names = append(names, source.Volume.Volume)
		}
	}
	return names
}

// FilesBelow returns the files in the backing chains of disks, without the disks' own.
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

// BackingFile returns the backing file of a disk and its format, empty if there is none.
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

// Written returns the files of a domain's writable disks, sorted.
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

// AllocatedBytes returns the allocated size of a domain's writable files. It fails if a file
// is not in a storage pool.
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
