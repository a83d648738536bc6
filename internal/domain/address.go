package domain

import (
	"context"
	"errors"
	"maps"
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
	// agentSeconds is what a guest's agent has for an answer, and as much before that to
	// show that it listens. An agent is the guest's, and may do as it likes: the other
	// nodes wait for it. One that took longer than agentPatience to fail is left alone
	// for agentPause.
	agentSeconds  = 3
	agentPatience = time.Second
	agentPause    = 10 * time.Minute
)

// lookAtAddresses keeps the addresses of a host's running nodes, until ctx ends.
func (s *Service) lookAtAddresses(ctx context.Context, h *hypervisor.Host) {
	tick := time.NewTicker(addressInterval)
	defer tick.Stop()
	var arpFrom time.Time
	agentFrom := map[string]time.Time{} // by node: of agents that did not answer
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, n := range s.inv.list() {
			if n.Host != h.Name() {
				continue
			}
			if n.State != Running || !n.agent {
				delete(agentFrom, n.ID) // the next agent is another one
			}
			if n.State != Running {
				continue
			}
			sources := []libvirt.DomainInterfaceAddressesSource{libvirt.DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE}
			if n.agent && time.Now().After(agentFrom[n.ID]) {
				sources = append(sources, libvirt.DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)
			}
			if time.Now().After(arpFrom) {
				sources = append(sources, libvirt.DOMAIN_INTERFACE_ADDRESSES_SRC_ARP)
			}
			// A node that goes off meanwhile, or has no network of libvirt's, has none.
			_ = s.withDomain(ctx, n, func(d *libvirt.Domain) error {
				addresses, failed, err := addressesOf(d, sources)
				if err == nil {
					s.inv.setAddresses(n, addresses)
				}
				if failed.arp {
					arpFrom = time.Now().Add(arpPause)
				}
				if failed.agent {
					agentFrom[n.ID] = time.Now().Add(agentPause)
				}
				return err
			})
		}
		maps.DeleteFunc(agentFrom, func(id string, _ time.Time) bool { return !s.inv.has(h.Name(), id) })
	}
}

// failures are the sources that are not to be asked again for a while.
type failures struct {
	arp   bool // it could not be read
	agent bool // it did not answer
}

// addressesOf returns the addresses that the first of some sources tells which tells
// any: libvirt's own DHCP servers, the guest's agent, the host's ARP table.
func addressesOf(d *libvirt.Domain, sources []libvirt.DomainInterfaceAddressesSource) (addresses []string, failed failures, err error) {
	for _, source := range sources {
		var interfaces []libvirt.DomainInterface
		switch source {
		case libvirt.DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT:
			begun := time.Now()
			interfaces, err = agentInterfaces(d)
			failed.agent = err != nil && time.Since(begun) > agentPatience
		default:
			interfaces, err = d.ListAllInterfaceAddresses(source)
			if errors.Is(err, libvirt.ERR_NO_DOMAIN) || errors.Is(err, libvirt.ERR_OPERATION_INVALID) {
				return nil, failed, err // it went off
			}
			failed.arp = err != nil && source == libvirt.DOMAIN_INTERFACE_ADDRESSES_SRC_ARP
		}
		if err != nil {
			continue
		}
		if list := guestAddresses(interfaces); len(list) > 0 {
			return list, failed, nil
		}
	}
	return nil, failed, nil
}

// agentInterfaces asks the guest's agent. libvirt waits for it without end unless it is
// told otherwise, which holds for all who ask that agent: so only meanwhile.
func agentInterfaces(d *libvirt.Domain) ([]libvirt.DomainInterface, error) {
	if err := d.AgentSetResponseTimeout(agentSeconds, 0); err != nil {
		return nil, err
	}
	defer func() { _ = d.AgentSetResponseTimeout(int(libvirt.DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK), 0) }()
	return d.ListAllInterfaceAddresses(libvirt.DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)
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
