package domain

import (
	"fmt"
	"slices"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"
)

// QEMU opens a disk with what the definition says that it lies on, whatever the file
// itself says. So whoever puts another file under a disk says what is below it.

// below is what a disk lies on, nothing with an empty path. The empty element ends
// the chain: libvirt looks no further.
func below(base, format string) *libvirtxml.DomainDiskBackingStore {
	end := &libvirtxml.DomainDiskBackingStore{}
	if base == "" {
		return end
	}
	return &libvirtxml.DomainDiskBackingStore{Format: &libvirtxml.DomainDiskFormat{Type: format}, Source: fileSource(base), BackingStore: end}
}

// relay puts a file under a disk of the domain's definition, and says what it lies
// on. libvirt changes that one device, and of it nothing else is otherwise: what more
// is in the XML stays. which picks the disk, and gives nil where there is none.
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
