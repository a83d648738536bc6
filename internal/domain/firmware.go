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

// Firmwares are all of them.
var Firmwares = []string{definition.BIOS, definition.UEFI, definition.SecureBoot}

// CheckFirmware returns fault.Invalid about a field for firmware that there is not; the
// empty text stands for the default.
func CheckFirmware(field, firmware string) error {
	if firmware != "" && !slices.Contains(Firmwares, firmware) {
		return fault.Field(field, "The firmware must be %s, %s or %s.", definition.BIOS, definition.UEFI, definition.SecureBoot)
	}
	return nil
}

// os is what a node boots with.
func (b build) os() *libvirtxml.DomainOS {
	os := &libvirtxml.DomainOS{
		Type:        &libvirtxml.DomainOSType{Arch: hypervisor.GuestArch, Machine: guestMachine, Type: "hvm"},
		BootDevices: []libvirtxml.DomainBootDevice{{Dev: "hd"}, {Dev: "cdrom"}}, // a disk that nothing was installed on boots nothing
	}
	if b.firmware != definition.UEFI && b.firmware != definition.SecureBoot {
		return os
	}
	// libvirt chooses the host's files for it, and makes the variables at the first start.
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

// tpms is the TPM 2.0 of a node that has one. Its state is libvirt's, by the node's id.
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

// checkFirmware returns fault.Unsupported when a host has not what a node is to boot with:
// libvirt would say so at the first start only.
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

// offers returns whether one of the lists of a host's report has a value; a list that is
// not there, as older releases have some not, is no reason to refuse.
func offers(enums []libvirtxml.DomainCapsEnum, name, value string) bool {
	for _, e := range enums {
		if e.Name == name {
			return slices.Contains(e.Values, value)
		}
	}
	return true
}

// variablesOf is where a new node on a host keeps the variables of its firmware.
func (s *Service) variablesOf(host, id string) (string, error) {
	folder, err := s.o.Storage.NodesFolder(host)
	return path.Join(folder, id+variablesSuffix), err
}
