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
	// pickedBits is the size of the subnets that are picked.
	pickedBits = 24
	// picks bounds how many subnets are tried for a network: libvirt may refuse one for
	// a reason that cannot be seen here.
	picks = 8
)

// claim is a block of addresses that a host has a use for.
type claim struct {
	block netip.Prefix
	by    string // who has it, for a sentence
}

// claims lists the blocks of a host that no new network may overlap: those of all of its
// libvirt networks but one, active and not, and those that it has routes to, as far as
// they can be read.
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

// networkClaims lists the blocks of a host's libvirt networks, as they run and as they
// are defined, without those of the network with that UUID.
func networkClaims(conn *libvirt.Connect, but string) (list []claim, err error) {
	networks, err := conn.ListAllNetworks(0)
	if err != nil {
		return nil, err
	}
	defer definition.FreeAll(networks)
	for i := range networks {
		for _, flags := range []libvirt.NetworkXMLFlags{0, libvirt.NETWORK_XML_INACTIVE} {
			text, err := networks[i].GetXMLDesc(flags)
			if errors.Is(err, libvirt.ERR_NO_NETWORK) || errors.Is(err, libvirt.ERR_OPERATION_INVALID) { // gone, or transient
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

// blocksOf lists the blocks that a network's bridge and its routes have.
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

// checkSubnet refuses a subnet that others may not name, or that something has.
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

// overlap refuses a subnet that something has.
func overlap(subnet netip.Prefix, taken []claim) error {
	i := slices.IndexFunc(taken, func(c claim) bool { return c.block.Overlaps(subnet) })
	if i < 0 {
		return nil
	}
	err := fault.New(fault.SubnetTaken, "Subnet %s overlaps with %s, used by %s. Choose another one, or leave it empty with dhcp to get a free one.", subnet, taken[i].block, taken[i].by)
	err.Field = "subnet"
	return err
}

// pickSubnet finds a subnet that nothing has. Where it looks first is drawn, so that two
// services that do not know each other rarely pick the same.
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

// nthSubnet is one of the equal parts of a block of IPv4.
func nthSubnet(block netip.Prefix, bits, n int) netip.Prefix {
	a := block.Addr().As4()
	at := binary.BigEndian.Uint32(a[:]) + uint32(n)<<(32-bits) //nolint:gosec // n parts fit into the block
	binary.BigEndian.PutUint32(a[:], at)
	return netip.PrefixFrom(netip.AddrFrom4(a), bits)
}

// subnetBlocks names the blocks that subnets are picked from.
func (s *Service) subnetBlocks() string {
	var names []string
	for _, block := range s.o.Networks.Subnets {
		names = append(names, block.String())
	}
	return strings.Join(names, ", ")
}

// parseSubnet reads a subnet as a user names it.
func parseSubnet(text string) (netip.Prefix, error) {
	subnet, err := netip.ParsePrefix(text)
	if err != nil || !subnet.Addr().Is4() || !subnet.Addr().IsPrivate() || subnet.Masked() != subnet || subnet.Bits() < 16 || subnet.Bits() > 29 {
		return netip.Prefix{}, fault.Field("subnet", "The subnet must be a private IPv4 subnet with 16 to 29 bits, such as \"10.7.3.0/24\".")
	}
	return subnet, nil
}

// lockNetworks keeps other requests, processes and replicas from making networks on a
// host, however they name it.
func (s *Service) lockNetworks(ctx context.Context, host *hypervisor.Host) (unlock func(), err error) {
	// Until the host answers, its UUID is not known.
	if err := host.Do(ctx, "host.reach", func(*libvirt.Connect) error { return nil }); err != nil {
		return nil, err
	}
	return s.o.Lease.Lock(ctx, "networks/"+host.Status().Capabilities.HostUUID)
}
