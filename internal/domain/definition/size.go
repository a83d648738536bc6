package definition

import "libvirt.org/go/libvirtxml"

// Size is the number of CPUs and the memory of a node. RAM is in MiB.
type Size struct {
	RAMMiB int64
	CPUs   int
}

// SizeOf returns a domain's current size, which may be less than its maximum.
func SizeOf(def *libvirtxml.Domain) (s Size) {
	if def.Memory != nil {
		s.RAMMiB = mebibytes(def.Memory.Value, def.Memory.Unit)
	}
	if def.CurrentMemory != nil && def.CurrentMemory.Value > 0 {
		s.RAMMiB = mebibytes(def.CurrentMemory.Value, def.CurrentMemory.Unit)
	}
	if def.VCPU != nil {
		s.CPUs = int(def.VCPU.Value) // libvirt limits it to far less
		if def.VCPU.Current > 0 {
			s.CPUs = int(def.VCPU.Current) // as above
		}
	}
	return s
}

// mebibytes converts a value in one of libvirt's memory units to MiB. libvirt itself writes
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
