package domain

import (
	"encoding/xml"
	"net/netip"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"libvirt.org/go/libvirtxml"
)

// NetworkSpec describes a network to be created. Its nodes can only reach each other and, if
// there is a subnet, the host.
type NetworkSpec struct {
	ID         string // an unused UUID; empty for a new one
	Name, Host string
	// Subnet may be empty: with DHCP, a free one is selected; without DHCP, the nodes choose
	// their own addresses.
	Subnet    string
	AnySubnet bool   // allows a subnet outside of NetworkPolicy.Subnets
	DHCP      bool   // libvirt assigns the subnet's addresses
	Owner     string // account id
}

// checkNetwork validates a spec without asking the host.
func (s *Service) checkNetwork(spec NetworkSpec) error {
	if len(spec.Name) > MaxNameLength || !nodeName.MatchString(spec.Name) {
		return fault.Field("name", "Use at most %d letters, digits, dots, hyphens and underscores. Start with a letter or digit.", MaxNameLength)
	}
	if s.o.Networks.isReserved(spec.Name) {
		return fault.Field("name", "The name %q is reserved for the default network. Choose another name.", spec.Name)
	}
	if spec.Subnet == "" {
		return nil
	}
	_, err := parseSubnet(spec.Subnet)
	return err
}

// definition returns the XML of a network whose subnet has been selected.
func (spec NetworkSpec) definition(by definition.Owner) (string, error) {
	ours, err := xml.Marshal(networkMetadata{Owner: by})
	if err != nil {
		return "", err
	}
	def := &libvirtxml.Network{Name: spec.Name, UUID: spec.ID, Metadata: &libvirtxml.NetworkMetadata{XML: string(ours)}}
	if spec.Subnet == "" {
		return def.Marshal()
	}
	subnet, err := parseSubnet(spec.Subnet)
	if err != nil {
		return "", err
	}
	first := subnet.Addr().Next()
	ip := libvirtxml.NetworkIP{Address: first.String(), Prefix: uint(subnet.Bits())} // 16 to 29
	if spec.DHCP {
		last := subnet.Addr().As4()
		for bit := subnet.Bits(); bit < 32; bit++ {
			last[bit/8] |= 0x80 >> (bit % 8)
		}
		ip.DHCP = &libvirtxml.NetworkDHCP{Ranges: []libvirtxml.NetworkDHCPRange{{
			Start: first.Next().String(), End: netip.AddrFrom4(last).Prev().String(), // the last one is the broadcast address
		}}}
	}
	def.IPs = []libvirtxml.NetworkIP{ip}
	return def.Marshal()
}

func subnetOf(ip libvirtxml.NetworkIP) string {
	address, err := netip.ParseAddr(ip.Address)
	if err != nil {
		return ""
	}
	bits := int(ip.Prefix) // at most 128
	if mask, err := netip.ParseAddr(ip.Netmask); err == nil && bits == 0 {
		for _, b := range mask.AsSlice() {
			for ; b != 0; b <<= 1 {
				bits++
			}
		}
	}
	prefix, err := address.Prefix(bits)
	if err != nil {
		return ""
	}
	return prefix.String()
}
