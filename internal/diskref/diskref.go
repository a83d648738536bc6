// Package diskref finds the files that libvirt domains and disk images refer to, in
// every spelling that libvirt and QEMU understand. It opens nothing: what a reference
// leads to is for package storagepool to say.
package diskref

import (
	"strings"

	"libvirt.org/go/libvirtxml"
)

// Ref is one reference of a domain to a file or a block device of its host, as it is
// written down.
type Ref struct {
	// Path is the file's path, which may go through symbolic links. It is empty for a
	// volume.
	Path string
	// Pool and Volume name a volume of a storage pool; empty for a path.
	Pool, Volume string
	// Probed is true where QEMU also opens the backing files that the file itself names:
	// the definition says nothing of them, and the file's format has such.
	Probed bool
	// Aside is true for what a domain has beside its disks, such as its firmware and its
	// kernel: a path that leads to nothing that is known counts for nothing there.
	Aside bool
	// Unknown says what cannot be understood; all other fields are empty then.
	Unknown string
}

// String returns the reference as a person would write it.
func (r Ref) String() string {
	switch {
	case r.Unknown != "":
		return r.Unknown
	case r.Path == "":
		return "volume " + r.Volume + " of pool " + r.Pool
	}
	return r.Path
}

// OfDomain returns all references of a domain's definition: its disks with the backing
// files that it names, mirrors and data files, file systems, memory devices, and what it
// boots from.
func OfDomain(def *libvirtxml.Domain) []Ref {
	var c collector
	c.addDomain(def)
	return c.refs
}

// OfSnapshot returns the references of a domain's snapshot: those of the definitions that
// it would bring back, and the files that it made.
func OfSnapshot(def *libvirtxml.DomainSnapshot) []Ref {
	var c collector
	c.addDomain(def.Domain)
	if def.InactiveDomain != nil {
		c.addDomain(&def.InactiveDomain.Domain)
	}
	if def.Disks != nil {
		for _, disk := range def.Disks.Disks {
			format := ""
			if disk.Driver != nil {
				format = disk.Driver.Type
			}
			c.addSource(disk.Source, mayHaveBacking(format))
		}
	}
	if def.Memory != nil {
		c.addPath(def.Memory.File)
	}
	return c.refs
}

// OfCheckpoint returns the references of the definition that a checkpoint keeps.
func OfCheckpoint(def *libvirtxml.DomainCheckpoint) []Ref {
	return OfDomain(def.Domain)
}

type collector struct{ refs []Ref }

func (c *collector) addDomain(def *libvirtxml.Domain) {
	if def == nil {
		return
	}
	if def.OS != nil {
		c.addPath(def.OS.Kernel)
		c.addPath(def.OS.Initrd)
		if def.OS.Loader != nil {
			c.addPath(def.OS.Loader.Path)
		}
		if def.OS.NVRam != nil {
			c.addPath(strings.TrimSpace(def.OS.NVRam.NVRam))
			c.addSource(def.OS.NVRam.Source, false)
		}
	}
	if def.Devices == nil {
		return
	}
	for i := range def.Devices.Disks {
		c.addDisk(&def.Devices.Disks[i])
	}
	for _, f := range def.Devices.Filesystems {
		if f.Source == nil {
			continue
		}
		if f.Source.File != nil {
			c.add(Ref{Path: f.Source.File.File})
		}
		if f.Source.Volume != nil {
			c.add(Ref{Pool: f.Source.Volume.Pool, Volume: f.Source.Volume.Volume})
		}
	}
	for _, m := range def.Devices.Memorydevs {
		if m.Source != nil {
			c.addPath(m.Source.Path)
		}
	}
}

func (c *collector) addDisk(disk *libvirtxml.DomainDisk) {
	format := ""
	if disk.Driver != nil {
		format = disk.Driver.Type
	}
	c.addChain(disk.Source, format, disk.BackingStore)
	if m := disk.Mirror; m != nil {
		format := ""
		if m.Format != nil {
			format = m.Format.Type
		}
		c.addChain(m.Source, format, m.BackingStore)
	}
}

// addChain adds a disk and the backing files that the definition names. An element
// without a source ends the chain; without any element, QEMU follows the file itself.
func (c *collector) addChain(source *libvirtxml.DomainDiskSource, format string, backing *libvirtxml.DomainDiskBackingStore) {
	for {
		c.addSource(source, backing == nil && mayHaveBacking(format))
		if backing == nil || backing.Source == nil {
			return
		}
		source, format = backing.Source, ""
		if backing.Format != nil {
			format = backing.Format.Type
		}
		backing = backing.BackingStore
	}
}

// mayHaveBacking returns whether a file of a format can name backing files. An empty
// format is raw to libvirt.
func mayHaveBacking(format string) bool {
	switch format {
	case "", "raw", "iso", "dir", "luks", "vdi", "vhdx", "vpc", "dmg", "bochs", "cloop", "ploop":
		return false
	}
	return true
}

func (c *collector) addSource(source *libvirtxml.DomainDiskSource, probed bool) {
	if source == nil {
		return
	}
	switch {
	case source.File != nil:
		c.add(Ref{Path: source.File.File, Probed: probed})
	case source.Block != nil:
		c.add(Ref{Path: source.Block.Dev, Probed: probed})
	case source.Volume != nil:
		c.add(Ref{Pool: source.Volume.Pool, Volume: source.Volume.Volume, Probed: probed})
	}
	if source.DataStore != nil {
		c.addSource(source.DataStore.Source, false)
	}
}

func (c *collector) addPath(path string) { c.add(Ref{Path: path, Aside: true}) }

// add adds a reference that is not there yet; an empty drive has none.
func (c *collector) add(r Ref) {
	if r.Path == "" && r.Volume == "" && r.Unknown == "" {
		return
	}
	c.refs = Merge(c.refs, r)
}

// Merge appends those of more to list that are not in it yet.
func Merge(list []Ref, more ...Ref) []Ref {
next:
	for _, r := range more {
		for _, old := range list {
			if old == r {
				continue next
			}
		}
		list = append(list, r)
	}
	return list
}
