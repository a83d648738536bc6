package domain

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
)

// addressInterval is how often the leases of running nodes are read: libvirt
// sends no event for them.
const addressInterval = 5 * time.Second

// lookAtAddresses keeps the addresses of a host's running nodes, until ctx ends.
func (s *Service) lookAtAddresses(ctx context.Context, h *hypervisor.Host) {
	tick := time.NewTicker(addressInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, n := range s.inv.list() {
			if n.Host != h.Name() || n.State != Running {
				continue
			}
			// A node that goes off meanwhile, or has no network of libvirt's, has none.
			_ = s.withDomain(ctx, n, func(d *libvirt.Domain) error {
				addresses, err := addressesOf(d)
				if err == nil {
					s.inv.setAddresses(n, addresses)
				}
				return err
			})
		}
	}
}

// addressesOf returns the addresses that libvirt's own DHCP servers gave the
// domain; where they gave none, those that the guest's agent tells, or those that
// the host's ARP table has.
func addressesOf(d *libvirt.Domain) ([]string, error) {
	for _, source := range []libvirt.DomainInterfaceAddressesSource{
		libvirt.DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE, libvirt.DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT, libvirt.DOMAIN_INTERFACE_ADDRESSES_SRC_ARP,
	} {
		interfaces, err := d.ListAllInterfaceAddresses(source)
		if errors.Is(err, libvirt.ERR_NO_DOMAIN) || errors.Is(err, libvirt.ERR_OPERATION_INVALID) {
			return nil, err // it went off
		}
		if err != nil {
			continue // no agent, or no network of libvirt's
		}
		var list []string
		for _, i := range interfaces {
			for _, a := range i.Addrs {
				if ip, err := netip.ParseAddr(a.Addr); err == nil && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
					list = append(list, a.Addr)
				}
			}
		}
		if len(list) > 0 {
			slices.Sort(list)
			return slices.Compact(list), nil
		}
	}
	return nil, nil
}

// setAddresses notes the addresses of a node that still runs.
func (inv *inventory) setAddresses(n Node, addresses []string) {
	inv.mu.Lock()
	now, ok := inv.nodes[n.Host][n.ID]
	changed := ok && now.State == Running && !slices.Equal(now.Addresses, addresses)
	if changed {
		now.Addresses = addresses
		inv.store(now)
	}
	inv.mu.Unlock()
	if changed {
		inv.tell(n.ID)
	}
}
