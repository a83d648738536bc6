package domain

import (
	"fmt"
	"slices"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"
)

// QEMU opens a disk with the backing chain in the definition, regardless of what the file
// itself contains. So a change to a disk's file must also update its backing chain.

// below returns a backing chain with one file, or an empty one if base is empty. The empty
// element ends the chain, so that libvirt does not probe further.
func below(base, format string) *libvirtxml.DomainDiskBackingStore {
	end := &libvirtxml.DomainDiskBackingStore{}
	if base == "" {
		return end
	}
	return &libvirtxml.DomainDiskBackingStore{Format: &libvirtxml.DomainDiskFormat{Type: format}, Source: fileSource(base), BackingStore: end}
}

// relay replaces the file and the backing chain of a disk in the domain's persistent
// definition. It updates only that device, so everything else in the XML is preserved. which
// selects the disk, and returns nil if there is none.
func relay(d *libvirt.Domain, which func(*libvirtxml.Domain) *libvirtxml.DomainDisk, file string, on *libvirtxml.DomainDiskBackingStore) error {
	text, err := d.GetXMLDesc(libvirt.DOMAIN_XML_INACTIVE | libvirt.DOMAIN_XML_SECURE)
	if err != nil {
		return err
	}
	var def libvirtxml.Domain
	if err := def.Unmarshal(text); err != nil {
		return fmt.Errorf("parse the domain's XML: %w", err)
	}
	disk := which(&def)
	if disk == nil {
		return fmt.Errorf("the domain has no such disk that is a file")
	}
	device, err := deviceText(text, "disk", slices.IndexFunc(def.Devices.Disks, func(other libvirtxml.DomainDisk) bool { return other.Target == disk.Target }))
	if err != nil {
		return err
	}
	device, err = withFile(device, file, on)
	if err != nil {
		return err
	}
	return d.UpdateDeviceFlags(device, libvirt.DOMAIN_DEVICE_MODIFY_CONFIG)
}
