package domain

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
)

const (
	// pickedBits is the prefix length of selected subnets.
	pickedBits = 24
	// picks is how many subnets are tried for a network: libvirt may reject one for a reason
	// that this service cannot see.
	picks = 8
)

// claim is an address block that is in use on a host.
type claim struct {
	block netip.Prefix
	by    string // the user of the block, as part of a sentence
}

// claims returns the blocks on a host that a new network must not overlap: those of all
// libvirt networks, active or not, except the one with the UUID but, and those of the host's
// routes, as far as they can be read.
func (s *Service) claims(conn *libvirt.Connect, host *hypervisor.Host, but string) ([]claim, error) {
	list, err := networkClaims(conn, but)
	if err != nil {
		return nil, err
	}
	routes, _, err := host.Routes()
	if err != nil {
		return nil, fmt.Errorf("read the routes of host %q: %w", host.Name(), err)
	}
	for _, block := range routes {
		list = append(list, claim{block, "a route of the host"})
	}
	return list, nil
}

// networkClaims returns the blocks of a host's libvirt networks, from their live and
// persistent definitions, except those of the network with the UUID but.
func networkClaims(conn *libvirt.Connect, but string) (list []claim, err error) {
	networks, err := conn.ListAllNetworks(0)
	if err != nil {
		return nil, err
	}
	defer definition.FreeAll(networks)
	for i := range networks {
		for _, flags := range []libvirt.NetworkXMLFlags{0, libvirt.NETWORK_XML_INACTIVE} {
			text, err := networks[i].GetXMLDesc(flags)
			if errors.Is(err, libvirt.ERR_NO_NETWORK) || errors.Is(err, libvirt.ERR_OPERATION_INVALID) { // deleted, or transient
				continue
			}
			if err != nil {
				return nil, err
			}
			var def libvirtxml.Network
			if err := def.Unmarshal(text); err != nil {
				return nil, fmt.Errorf("parse a network's XML: %w", err)
			}
			if def.UUID == but {
				continue
			}
			for _, block := range blocksOf(def) {
				list = append(list, claim{block, fmt.Sprintf("network %q", def.Name)})
			}
		}
	}
	return list, nil
}

// blocksOf returns the blocks of a network's bridge and routes.
func blocksOf(def libvirtxml.Network) (blocks []netip.Prefix) {
	ips := def.IPs
	for _, r := range def.Routes {
		ips = append(ips, libvirtxml.NetworkIP{Address: r.Address, Netmask: r.Netmask, Prefix: r.Prefix})
	}
	for _, ip := range ips {
		if block, err := netip.ParsePrefix(subnetOf(ip)); err == nil {
			blocks = append(blocks, block)
		}
	}
	return blocks
}

// checkSubnet returns an error if the user must not choose a subnet, or if it is in use.
func (s *Service) checkSubnet(spec NetworkSpec, taken []claim) error {
	subnet, err := parseSubnet(spec.Subnet)
	if err != nil {
		return err
	}
	inside := slices.ContainsFunc(s.o.Networks.Subnets, func(block netip.Prefix) bool {
		return block.Bits() <= subnet.Bits() && block.Contains(subnet.Addr())
	})
	if !inside && !spec.AnySubnet {
		return fault.Field("subnet", "Subnet %s is outside of %s, from which subnets are given here. Leave it empty with dhcp to get a free one, name one inside, or ask an administrator.", subnet, s.subnetBlocks())
	}
	return overlap(subnet, taken)
}

// overlap returns an error if a subnet is in use.
func overlap(subnet netip.Prefix, taken []claim) error {
	i := slices.IndexFunc(taken, func(c claim) bool { return c.block.Overlaps(subnet) })
	if i < 0 {
		return nil
	}
	err := fault.New(fault.SubnetTaken, "Subnet %s overlaps with %s, used by %s. Choose another one, or leave it empty with dhcp to get a free one.", subnet, taken[i].block, taken[i].by)
	err.Field = "subnet"
	return err
}

// pickSubnet returns an unused subnet. The search starts at a random one, so that two
// independent services rarely select the same.
func (s *Service) pickSubnet(taken []claim) (string, error) {
	for _, block := range s.o.Networks.Subnets {
		bits := max(block.Bits(), pickedBits)
		count := 1 << (bits - block.Bits())
		first := rand.IntN(count) //nolint:gosec // a place, not a secret
		for i := range count {
			subnet := nthSubnet(block, bits, (first+i)%count)
			if overlap(subnet, taken) == nil {
				return subnet.String(), nil
			}
		}
	}
	return "", fault.New(fault.SubnetTaken, "No free subnet is left in %s. Create the network without addresses, delete unused networks, or ask the operator to extend lab-subnets.", s.subnetBlocks())
}

// nthSubnet returns the nth subnet with the given prefix length in an IPv4 block.
func nthSubnet(block netip.Prefix, bits, n int) netip.Prefix {
	a := block.Addr().As4()
	at := binary.BigEndian.Uint32(a[:]) + uint32(n)<<(32-bits) //nolint:gosec // n parts fit into the block
	binary.BigEndian.PutUint32(a[:], at)
	return netip.PrefixFrom(netip.AddrFrom4(a), bits)
}

// subnetBlocks returns the blocks that subnets are selected from, as text.
func (s *Service) subnetBlocks() string {
	var names []string
	for _, block := range s.o.Networks.Subnets {
		names = append(names, block.String())
	}
	return strings.Join(names, ", ")
}

// parseSubnet parses a subnet from a user.
func parseSubnet(text string) (netip.Prefix, error) {
	subnet, err := netip.ParsePrefix(text)
	if err != nil || !subnet.Addr().Is4() || !subnet.Addr().IsPrivate() || subnet.Masked() != subnet || subnet.Bits() < 16 || subnet.Bits() > 29 {
		return netip.Prefix{}, fault.Field("subnet", "The subnet must be a private IPv4 subnet with 16 to 29 bits, such as \"10.7.3.0/24\".")
	}
	return subnet, nil
}

// lockNetworks prevents other requests, processes and replicas from creating networks on a
// host, whatever name they have for it.
func (s *Service) lockNetworks(ctx context.Context, host *hypervisor.Host) (unlock func(), err error) {
	// The host's UUID is unknown until it has answered once.
	if err := host.Do(ctx, "host.reach", func(*libvirt.Connect) error { return nil }); err != nil {
		return nil, err
	}
	return s.o.Lease.Lock(ctx, "networks/"+host.Status().Capabilities.HostUUID)
}
