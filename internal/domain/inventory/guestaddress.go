package inventory

import (
	"net/netip"
	"slices"

	"libvirt.org/go/libvirt"
)

const (
	// maxAddresses bounds the addresses that a node is shown with: a guest's agent may
	// report any number.
	maxAddresses = 32
	// maxAddressLength is that of the longest IPv6 address with a generous zone.
	maxAddressLength = 128
)

// guestAddresses returns the addresses of a guest's interfaces in their parsed form,
// sorted, each once, at most maxAddresses. What a guest reports is untrusted: what is
// not an address is left out, and so are loopback, link-local, multicast and
// unspecified addresses. A zone, which netip takes in any spelling, is dropped.
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
