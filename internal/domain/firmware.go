package domain

import (
	"context"
	"fmt"
	"path"
	"slices"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
)

// Firmwares lists all supported firmware types.
var Firmwares = []string{definition.BIOS, definition.UEFI, definition.SecureBoot}

// CheckFirmware returns fault.Invalid for the given field if firmware is not supported. An
// empty string selects the default.
func CheckFirmware(field, firmware string) error {
	if firmware != "" && !slices.Contains(Firmwares, firmware) {
		return fault.Field(field, "The firmware must be %s, %s or %s.", definition.BIOS, definition.UEFI, definition.SecureBoot)
	}
	return nil
}

// os returns the boot configuration of a node.
func (b build) os() *libvirtxml.DomainOS {
	os := &libvirtxml.DomainOS{
		Type:        &libvirtxml.DomainOSType{Arch: hypervisor.GuestArch, Machine: guestMachine, Type: "hvm"},
		BootDevices: []libvirtxml.DomainBootDevice{{Dev: "hd"}, {Dev: "cdrom"}}, // an empty disk does not boot, so the firmware continues with the drive
	}
	if b.firmware != definition.UEFI && b.firmware != definition.SecureBoot {
		return os
	}
	// libvirt selects the host's firmware files, and creates the variables at the first
	// start.
	features := []libvirtxml.DomainOSFirmwareFeature{{Enabled: "no", Name: "secure-boot"}}
	if b.firmware == definition.SecureBoot {
		features = []libvirtxml.DomainOSFirmwareFeature{{Enabled: "yes", Name: "enrolled-keys"}, {Enabled: "yes", Name: "secure-boot"}}
	}
	os.Firmware, os.FirmwareInfo = "efi", &libvirtxml.DomainOSFirmwareInfo{Features: features}
	os.NVRam = &libvirtxml.DomainNVRam{NVRam: b.variablesPath}
	return os
}

// guestMachine is the machine type of new nodes.
const guestMachine = "q35"

// tpms returns the TPM 2.0 of a node that has one. libvirt stores its state by the node's
// UUID.
func (b build) tpms() []libvirtxml.DomainTPM {
	if !b.tpm {
		return nil
	}
	return []libvirtxml.DomainTPM{{
		Model:   "tpm-crb",
		Backend: &libvirtxml.DomainTPMBackend{Emulator: &libvirtxml.DomainTPMBackendEmulator{Version: tpmVersion}},
	}}
}

const tpmVersion = "2.0"

// checkFirmware returns fault.Unsupported if a host does not support the firmware or TPM of a
// node: libvirt would report that only at the first start.
func checkFirmware(ctx context.Context, host *hypervisor.Host, spec Spec) error {
	if spec.Firmware == definition.BIOS && !*spec.TPM {
		return nil
	}
	var caps libvirtxml.DomainCaps
	err := host.Do(ctx, "host.domain-capabilities", func(conn *libvirt.Connect) error {
		text, err := conn.GetDomainCapabilities("", hypervisor.GuestArch, guestMachine, host.Status().Capabilities.Accelerator, 0)
		if err != nil {
			return fmt.Errorf("read what host %s offers guests: %w", host.Name(), err)
		}
		return caps.Unmarshal(text)
	})
	if err != nil {
		return err
	}
	switch {
	case caps.OS == nil || caps.Devices == nil:
		return fault.New(fault.Hypervisor, "Host %q does not say what it offers guests.", host.Name())
	case spec.Firmware != definition.BIOS && !offers(caps.OS.Enums, "firmware", "efi"):
		return unsupportedField("firmware", "Host %q has no UEFI firmware. Install it there (Debian, Ubuntu: ovmf; Fedora: edk2-ovmf), and restart libvirtd.", host.Name())
	case spec.Firmware == definition.SecureBoot && (caps.OS.Loader == nil || !offers(caps.OS.Loader.Enums, "secure", "yes")):
		return unsupportedField("firmware", "Host %q has no UEFI firmware with Secure Boot. Install it there (Debian, Ubuntu: ovmf; Fedora: edk2-ovmf), and restart libvirtd.", host.Name())
	case !*spec.TPM:
		return nil
	case caps.Devices.TPM == nil || caps.Devices.TPM.Supported != "yes" || !offers(caps.Devices.TPM.Enums, "backendModel", "emulator") || !offers(caps.Devices.TPM.Enums, "backendVersion", tpmVersion):
		return unsupportedField("tpm", "Host %q cannot emulate a TPM 2.0. Install swtpm and swtpm-tools there, and restart libvirtd.", host.Name())
	}
	return nil
}

func unsupportedField(field, format string, args ...any) error {
	err := fault.New(fault.Unsupported, format, args...)
	err.Field = field
	return err
}

// offers returns whether an enum in the host's domain capabilities contains a value. It
// returns true for an enum that is missing, because older releases of libvirt do not report
// all of them.
func offers(enums []libvirtxml.DomainCapsEnum, name, value string) bool {
	for _, e := range enums {
		if e.Name == name {
			return slices.Contains(e.Values, value)
		}
	}
	return true
}

// variablesOf returns the path of the firmware variables of a new node on a host.
func (s *Service) variablesOf(host, id string) (string, error) {
	folder, err := s.o.Storage.NodesFolder(host)
	return path.Join(folder, id+variablesSuffix), err
}
