package hypervisor

import (
	"net/netip"
	"net/url"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// minRouteBits is the shortest prefix of a specific route. Shorter ones are parts of the
// default route, which VPNs split into halves.
const minRouteBits = 8

// Routes returns the IPv4 blocks that the host has routes to, including its own addresses,
// without the default route. known is false for a host on another machine, whose routes
// cannot be read.
func (h *Host) Routes() (blocks []netip.Prefix, known bool, err error) {
	if !isLocal(h.uri) {
		return nil, false, nil
	}
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return nil, false, err
	}
	for _, r := range routes {
		if r.Dst == nil {
			continue
		}
		address, ok := netip.AddrFromSlice(r.Dst.IP.To4())
		bits, _ := r.Dst.Mask.Size()
		if ok && bits >= minRouteBits {
			blocks = append(blocks, netip.PrefixFrom(address, bits).Masked())
		}
	}
	return blocks, true, nil
}

// Local returns whether libvirt is reached through a socket on this machine. The service
// may still see other files than libvirt does, for example in a container.
func (h *Host) Local() bool { return isLocal(h.uri) }

// isLocal returns whether a libvirt URI leads to a socket on this machine.
func isLocal(uri string) bool {
	u, err := url.Parse(uri)
	if err != nil {
		return false
	}
	_, transport, _ := strings.Cut(u.Scheme, "+")
	return u.Host == "" && (transport == "" || transport == "unix")
}
