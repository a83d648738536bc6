package definition

import "libvirt.org/go/libvirtxml"

// Size is what a node has of its host. RAM is in MiB.
type Size struct {
	RAMMiB int64
	CPUs   int
}

// SizeOf reads what a domain has, which may be less than the most that it can have.
func SizeOf(def *libvirtxml.Domain) (s Size) {
	if def.Memory != nil {
		s.RAMMiB = mebibytes(def.Memory.Value, def.Memory.Unit)
	}
	if def.CurrentMemory != nil && def.CurrentMemory.Value > 0 {
		s.RAMMiB = mebibytes(def.CurrentMemory.Value, def.CurrentMemory.Unit)
	}
	if def.VCPU != nil {
		s.CPUs = int(def.VCPU.Value) // libvirt's own limit is far below
		if def.VCPU.Current > 0 {
			s.CPUs = int(def.VCPU.Current) // likewise
		}
	}
	return s
}

// mebibytes converts libvirt's memory units; the XML that libvirt gives out has
// KiB.
func mebibytes(value uint, unit string) int64 {
	v := int64(value) //nolint:gosec // KiB of real memory fit
	switch unit {
	case "b", "bytes":
		return v >> 20
	case "MiB", "M":
		return v
	case "GiB", "G":
		return v << 10
	case "TiB", "T":
		return v << 20
	default:
		return v >> 10
	}
}
