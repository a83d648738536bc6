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

const (
	// addressInterval is how often the addresses of running nodes are read: libvirt
	// sends no event for them.
	addressInterval = 5 * time.Second
	// arpPause is how long a host is not asked for its ARP table after it could not read
	// it: libvirtd logs each failure, and those of some versions, on some kernels, always
	// fail.
	arpPause = 10 * time.Minute
)

// lookAtAddresses keeps the addresses of a host's running nodes, until ctx ends.
func (s *Service) lookAtAddresses(ctx context.Context, h *hypervisor.Host) {
	tick := time.NewTicker(addressInterval)
	defer tick.Stop()
	var arpFrom time.Time
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
			sources := []libvirt.DomainInterfaceAddressesSource{libvirt.DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE}
			if n.agent {
				sources = append(sources, libvirt.DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)
			}
			if time.Now().After(arpFrom) {
				sources = append(sources, libvirt.DOMAIN_INTERFACE_ADDRESSES_SRC_ARP)
			}
			// A node that goes off meanwhile, or has no network of libvirt's, has none.
			_ = s.withDomain(ctx, n, func(d *libvirt.Domain) error {
				addresses, arpFailed, err := addressesOf(d, sources)
				if err == nil {
					s.inv.setAddresses(n, addresses)
				}
				if arpFailed {
					arpFrom = time.Now().Add(arpPause)
				}
				return err
			})
		}
	}
}

// addressesOf returns the addresses that the first of some sources tells which tells
// any: libvirt's own DHCP servers, the guest's agent, the host's ARP table. arpFailed
// tells that the last could not be read.
func addressesOf(d *libvirt.Domain, sources []libvirt.DomainInterfaceAddressesSource) (addresses []string, arpFailed bool, err error) {
	for _, source := range sources {
		interfaces, err := d.ListAllInterfaceAddresses(source)
		if errors.Is(err, libvirt.ERR_NO_DOMAIN) || errors.Is(err, libvirt.ERR_OPERATION_INVALID) {
			return nil, arpFailed, err // it went off
		}
		if err != nil {
			arpFailed = arpFailed || source == libvirt.DOMAIN_INTERFACE_ADDRESSES_SRC_ARP
			continue
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
			return slices.Compact(list), arpFailed, nil
		}
	}
	return nil, arpFailed, nil
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
