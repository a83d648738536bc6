package domain

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"
)

// BridgeAddress is the address of a host on one of its libvirt networks. Nodes on that
// network reach the host at it.
type BridgeAddress struct {
	Network string
	Address netip.Addr
}

// BridgeAddresses lists the addresses of a host in its active libvirt networks.
func (s *Service) BridgeAddresses(ctx context.Context, host string) (list []BridgeAddress, err error) {
	err = s.o.Hosts.Do(ctx, host, "network.bridge-addresses", func(conn *libvirt.Connect) error {
		list = nil
		networks, err := conn.ListAllNetworks(libvirt.CONNECT_LIST_NETWORKS_ACTIVE)
		if err != nil {
			return err
		}
		defer definition.FreeAll(networks)
		for i := range networks {
			text, err := networks[i].GetXMLDesc(0)
			if errors.Is(err, libvirt.ERR_NO_NETWORK) { // undefined or stopped since it was listed
				continue
			}
			if err != nil {
				return err
			}
			var def libvirtxml.Network
			if err := def.Unmarshal(text); err != nil {
				return fmt.Errorf("parse a network's XML: %w", err)
			}
			for _, ip := range def.IPs {
				if address, err := netip.ParseAddr(ip.Address); err == nil {
					list = append(list, BridgeAddress{def.Name, address})
				}
			}
		}
		return nil
	})
	return list, err
}
