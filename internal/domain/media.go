package domain

import (
	"context"
	"fmt"
	"path"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// ISO is the format of installation media.
const ISO = "iso"

// DefaultDiskBytes is the size of the empty disk of a node that boots from an ISO.
const DefaultDiskBytes = 10 << 30

// cdrom returns an optical drive on SATA, which every operating system can install from. The
// drive is empty if the path is.
func cdrom(target, file string) libvirtxml.DomainDisk {
	disk := libvirtxml.DomainDisk{
		Device: "cdrom", Driver: &libvirtxml.DomainDiskDriver{Name: "qemu", Type: "raw"},
		Target: &libvirtxml.DomainDiskTarget{Dev: target, Bus: "sata"}, ReadOnly: &libvirtxml.DomainDiskReadOnly{},
	}
	if file != "" {
		disk.Source = fileSource(file)
	}
	return disk
}

// isSeed returns whether a drive contains the cloud-init seed of the node with that id.
func isSeed(disk libvirtxml.DomainDisk, id string) bool {
	return disk.Source != nil && disk.Source.File != nil && path.Base(disk.Source.File.File) == id+seedSuffix
}

// SetMedia inserts an ISO image into a node's first optical drive that has no cloud-init
// seed, or ejects the medium if imageID is empty; without a restart if it runs. A node
// without such a drive gets one if it is off. Errors: those of Storage.Usable,
// fault.Unsupported, NodeRunning.
func (s *Service) SetMedia(ctx context.Context, id, imageID string) (Node, error) {
	return s.change(ctx, id, "node.set-media", "change the media of", func(ctx context.Context, n Node, d *libvirt.Domain) error {
		if err := mustBeManaged(n, "changed"); err != nil {
			return err
		}
		if err := checkNotSaved(d, n, "given other media"); err != nil {
			return err
		}
		file := ""
		if imageID != "" {
			image, err := s.o.Storage.Usable(n.Host, imageID)
			if err != nil {
				return err
			}
			if image.Format != ISO {
				return fault.Field("image", "Image %q is a disk in %s format; an ISO image is needed.", imageID, image.Format)
			}
			if err := s.o.Storage.CheckUnchanged(ctx, n.Host, imageID); err != nil {
				return err
			}
			file = image.Path
		}
		text, err := d.GetXMLDesc(libvirt.DOMAIN_XML_INACTIVE)
		if err != nil {
			return err
		}
		var def libvirtxml.Domain
		if err := def.Unmarshal(text); err != nil {
			return fmt.Errorf("parse the domain's XML: %w", err)
		}
		if def.Devices != nil {
			for i, disk := range def.Devices.Disks {
				if disk.Device != "cdrom" || isSeed(disk, n.ID) {
					continue
				}
				drive, err := deviceText(text, "disk", i)
				if err == nil {
					drive, err = withMedia(drive, file)
				}
				if err != nil {
					return err
				}
				return d.UpdateDeviceFlags(drive, deviceFlags(n))
			}
		}
		if file == "" {
			return nil
		}
		if err := mustBeOff(d, n, "given an optical drive"); err != nil {
			return err
		}
		target, err := freeTarget(d, "sd")
		if err != nil {
			return err
		}
		drive := cdrom(target, file)
		return attach(n, d, &drive)
	})
}
