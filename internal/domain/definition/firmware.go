package definition

import (
	"slices"

	"libvirt.org/go/libvirtxml"
)

// The firmware types of a node.
const (
	BIOS = "bios"
	UEFI = "uefi"
	// SecureBoot is UEFI that boots only signed software, with Microsoft's keys among the
	// trusted ones.
	SecureBoot = "uefi-secure"
)

// HasVariables returns whether a domain's firmware stores variables.
func HasVariables(def *libvirtxml.Domain) bool {
	switch os := def.OS; {
	case os == nil || os.Loader != nil && os.Loader.Stateless == "yes":
		return false
	default:
		return os.Firmware == "efi" || os.NVRam != nil || os.Loader != nil && os.Loader.Type == "pflash"
	}
}

// Firmware returns the firmware type of a domain: BIOS, UEFI or SecureBoot.
func Firmware(def *libvirtxml.Domain) string {
	firmware := BIOS
	if HasVariables(def) || def.OS != nil && def.OS.Loader != nil && def.OS.Loader.Stateless == "yes" {
		firmware = UEFI
		if os := def.OS; os.Loader != nil && os.Loader.Secure == "yes" ||
			os.FirmwareInfo != nil && slices.Contains(os.FirmwareInfo.Features, libvirtxml.DomainOSFirmwareFeature{Enabled: "yes", Name: "secure-boot"}) {
			firmware = SecureBoot
		}
	}
	return firmware
}
