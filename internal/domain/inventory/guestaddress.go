package inventory

import (
	"net/netip"
	"slices"

	"libvirt.org/go/libvirt"
)

const (
	// maxAddresses limits the addresses of a node, because a guest agent may report any
	// number.
	maxAddresses = 32
	// maxAddressLength is the length of the longest IPv6 address plus a long zone.
	maxAddressLength = 128
)

// guestAddresses returns the addresses of a guest's interfaces in canonical form, sorted and
// without duplicates, at most maxAddresses. Reports of guests are untrusted: it skips
// invalid, loopback, link-local, multicast and unspecified addresses, and drops the zone,
// which netip does not validate.
func guestAddresses(interfaces []libvirt.DomainInterface) []string {
	var parsed []netip.Addr
	for _, i := range interfaces {
		for _, a := range i.Addrs {
			if len(a.Addr) > maxAddressLength {
				continue
			}
			ip, err := netip.ParseAddr(a.Addr)
			ip = ip.Unmap().WithZone("")
			if err != nil || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() {
				continue
			}
			parsed = append(parsed, ip)
		}
	}
	slices.SortFunc(parsed, netip.Addr.Compare)
	parsed = slices.Compact(parsed)
	var list []string
	for _, ip := range parsed[:min(len(parsed), maxAddresses)] {
		list = append(list, ip.String())
	}
	return list
}
