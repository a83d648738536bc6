package domain

import (
	"encoding/xml"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"libvirt.org/go/libvirtxml"
)

// build is the input for a new domain's XML.
type build struct {
	id, name    string
	accelerator string // the libvirt domain type
	ramMiB      int64
	cpus        int
	overlayPath string // empty: no disk
	seedPath    string // empty: no cloud-init seed
	mediaPath   string // an ISO file in the optical drive; empty: none
	basePath    string // empty: no backing file
	baseFormat  string
	logPath     string
	vncPassword string
	card        *libvirtxml.DomainInterface // nil: none
	metadata    definition.Metadata
	firmware    string // BIOS (also if empty), UEFI, SecureBoot
	// variablesPath is the file for the UEFI variables.
	variablesPath string
	tpm           bool
}

// xml renders the domain. Choices that are not obvious:
//
//   - Disks are files with absolute paths, and the whole backing chain has explicit
//     formats: AppArmor's helper does not resolve volumes, and format probing is unsafe.
//   - The screen has no keymap, because that would break AltGr.
//   - The video device is VGA instead of virtio, because every firmware, boot loader and
//     kernel supports it.
//   - The pointer is a USB tablet, whose position matches the viewer's pointer exactly.
func (b build) xml() (string, error) {
	md, err := xml.Marshal(b.metadata)
	if err != nil {
		return "", err
	}
	zero := uint(0)
	cpu := &libvirtxml.DomainCPU{Mode: "host-passthrough"}
	if b.accelerator == "qemu" {
		cpu.Mode = "maximum" // everything that emulation supports; distributions require ever newer CPU levels
	}
	d := libvirtxml.Domain{
		Type:       b.accelerator,
		UUID:       b.id,
		Name:       b.name,
		Metadata:   &libvirtxml.DomainMetadata{XML: string(md)},
		Memory:     &libvirtxml.DomainMemory{Value: uint(b.ramMiB), Unit: "MiB"}, //nolint:gosec // validated: positive
		VCPU:       &libvirtxml.DomainVCPU{Value: uint(b.cpus)},                  // validated: positive
		CPU:        cpu,
		OS:         b.os(),
		Features:   &libvirtxml.DomainFeatureList{ACPI: &libvirtxml.DomainFeature{}, APIC: &libvirtxml.DomainFeatureAPIC{}},
		Clock:      &libvirtxml.DomainClock{Offset: "utc"},
		OnPoweroff: "destroy", OnReboot: "restart", OnCrash: "destroy",
		Devices: &libvirtxml.DomainDeviceList{
			Disks:      b.disks(),
			Interfaces: b.cards(),
			Serials: []libvirtxml.DomainSerial{{
				Source: &libvirtxml.DomainChardevSource{Pty: &libvirtxml.DomainChardevSourcePty{}},
				Log:    &libvirtxml.DomainChardevLog{File: b.logPath, Append: "on"},
				Target: &libvirtxml.DomainSerialTarget{Type: "isa-serial", Port: &zero},
			}},
			Channels: []libvirtxml.DomainChannel{{
				Source: &libvirtxml.DomainChardevSource{UNIX: &libvirtxml.DomainChardevSourceUNIX{}},
				Target: &libvirtxml.DomainChannelTarget{VirtIO: &libvirtxml.DomainChannelTargetVirtIO{Name: definition.AgentChannel}},
			}},
			Controllers: b.controllers(),
			Inputs:      []libvirtxml.DomainInput{{Type: "tablet", Bus: "usb"}},
			Graphics: []libvirtxml.DomainGraphic{{VNC: &libvirtxml.DomainGraphicVNC{
				Port: -1, AutoPort: "yes", Passwd: b.vncPassword,
				Listeners: []libvirtxml.DomainGraphicListener{{Address: &libvirtxml.DomainGraphicListenerAddress{Address: "127.0.0.1"}}},
			}}},
			Videos:     []libvirtxml.DomainVideo{{Model: libvirtxml.DomainVideoModel{Type: "vga"}}},
			TPMs:       b.tpms(),
			MemBalloon: &libvirtxml.DomainMemBalloon{Model: "virtio"},
			RNGs: []libvirtxml.DomainRNG{{
				Model:   "virtio",
				Backend: &libvirtxml.DomainRNGBackend{Random: &libvirtxml.DomainRNGBackendRandom{Device: "/dev/urandom"}},
			}},
		},
	}
	return d.Marshal()
}

func (b build) cards() []libvirtxml.DomainInterface {
	if b.card == nil {
		return nil
	}
	return []libvirtxml.DomainInterface{*b.card}
}

func (b build) disks() []libvirtxml.DomainDisk {
	if b.overlayPath == "" {
		return nil
	}
	disks := []libvirtxml.DomainDisk{{
		Device:       "disk",
		Driver:       &libvirtxml.DomainDiskDriver{Name: "qemu", Type: "qcow2", Discard: "unmap"},
		Source:       fileSource(b.overlayPath),
		BackingStore: below(b.basePath, b.baseFormat),
		Target:       &libvirtxml.DomainDiskTarget{Dev: "vda", Bus: "virtio"},
	}}
	// SATA drives cannot be hot-plugged, so every node has one. It comes before the seed's
	// drive, because firmware boots from the first.
	disks = append(disks, cdrom("sda", b.mediaPath))
	if b.seedPath != "" {
		// On virtio, because kernels of cloud images have no SATA driver.
		seed := cdrom("sdb", b.seedPath)
		seed.Target.Bus = "scsi"
		disks = append(disks, seed)
	}
	return disks
}

// controllers returns the PCI and USB controllers, and the SCSI controller of the seed's
// drive.
func (b build) controllers() []libvirtxml.DomainController {
	list := append(slots(), libvirtxml.DomainController{Type: "usb", Model: "qemu-xhci"})
	if b.seedPath != "" {
		list = append(list, libvirtxml.DomainController{Type: "scsi", Model: "virtio-scsi"})
	}
	return list
}

// pciSlots is the number of PCI slots of a running node: four or five more than it initially
// needs. libvirt adds slots to a node that is off as needed.
const pciSlots = 12

// slots returns the PCIe root and its root ports, each for one device.
func slots() []libvirtxml.DomainController {
	root := uint(0)
	list := []libvirtxml.DomainController{{Type: "pci", Index: &root, Model: "pcie-root"}}
	for i := range uint(pciSlots) {
		index := i + 1
		list = append(list, libvirtxml.DomainController{Type: "pci", Index: &index, Model: "pcie-root-port"})
	}
	return list
}

func fileSource(path string) *libvirtxml.DomainDiskSource {
	return &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: path}}
}
