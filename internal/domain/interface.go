package domain

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"
)

// Interfaces returns a node's network interfaces, read from libvirt.
func (s *Service) Interfaces(ctx context.Context, id string) ([]Interface, error) {
	n, err := s.inv.Node(id)
	if err != nil {
		return nil, err
	}
	var list []Interface
	err = s.withDomain(ctx, "interface.list", n, func(d *libvirt.Domain) error {
		def, err := definition.Of(d, 0)
		if err != nil || def.Devices == nil {
			return err
		}
		for i := range def.Devices.Interfaces {
			list = append(list, definition.InterfaceOf(&def.Devices.Interfaces[i]))
		}
		return nil
	})
	return list, explain(err, "read the interfaces of", n.Name)
}

// AddInterface connects a node to a network of its host, without a restart if it runs.
func (s *Service) AddInterface(ctx context.Context, id, network string) (Interface, error) {
	var added Interface
	_, err := s.change(ctx, id, "interface.attach", "attach an interface to", func(_ context.Context, n Node, d *libvirt.Domain) error {
		if err := mustBeManaged(n, "changed"); err != nil {
			return err
		}
		if err := checkNotSaved(d, n, "given a network card"); err != nil {
			return err
		}
		conn, err := d.DomainGetConnect()
		if err != nil {
			return err
		}
		defer func() { _, _ = conn.Close() }()
		if err := mustBeNetwork(conn, n.Host, network); err != nil {
			return err
		}
		def, err := definition.Of(d, libvirt.DOMAIN_XML_INACTIVE)
		if err != nil {
			return err
		}
		if def.Devices != nil && len(def.Devices.Interfaces) >= maxInterfaces {
			return fault.New(fault.Unsupported, "Node %q has %d interfaces, which is the limit.", n.Name, len(def.Devices.Interfaces))
		}
		nic := nicOn(network)
		nic.MAC = &libvirtxml.DomainInterfaceMAC{Address: newMAC()} // the same in both copies of the definition
		added = definition.InterfaceOf(&nic)
		return attach(n, d, &nic)
	})
	return added, err
}

// RemoveInterface removes the network interface with the given MAC address from a node.
func (s *Service) RemoveInterface(ctx context.Context, id, mac string) error {
	address, err := net.ParseMAC(mac)
	if err != nil {
		return fault.New(fault.NotFound, "There is no interface %q.", mac)
	}
	_, err = s.change(ctx, id, "interface.detach", "detach an interface of", func(_ context.Context, n Node, d *libvirt.Domain) error {
		if err := mustBeManaged(n, "changed"); err != nil {
			return err
		}
		if err := checkNotSaved(d, n, "relieved of a network card"); err != nil {
			return err
		}
		def, err := definition.Of(d, 0)
		if err != nil {
			return err
		}
		if def.Devices != nil {
			for i := range def.Devices.Interfaces {
				if nic := &def.Devices.Interfaces[i]; nic.MAC != nil && strings.EqualFold(nic.MAC.Address, address.String()) {
					return detach(n, d, &libvirtxml.DomainInterface{MAC: nic.MAC, Source: nic.Source}, func(devices *libvirtxml.DomainDeviceList) bool {
						return !slices.ContainsFunc(devices.Interfaces, func(other libvirtxml.DomainInterface) bool {
							return other.MAC != nil && other.MAC.Address == nic.MAC.Address
						})
					})
				}
			}
		}
		return fault.New(fault.NotFound, "Interface %[2]q of node %[1]q not found.", n.Name, mac)
	})
	return err
}

// nicOn returns a network interface on a libvirt network, or with user-mode networking if network
// is empty.
func nicOn(network string) libvirtxml.DomainInterface {
	nic := libvirtxml.DomainInterface{
		Model:  &libvirtxml.DomainInterfaceModel{Type: "virtio"},
		Source: &libvirtxml.DomainInterfaceSource{User: &libvirtxml.DomainInterfaceSourceUser{}},
	}
	if network != "" {
		nic.Source = &libvirtxml.DomainInterfaceSource{Network: &libvirtxml.DomainInterfaceSourceNetwork{Network: network}}
	}
	return nic
}

// newMAC returns a random MAC address in QEMU's range.
func newMAC() string {
	b := make([]byte, 3)
	_, _ = rand.Read(b) // never fails
	return fmt.Sprintf("52:54:00:%02x:%02x:%02x", b[0], b[1], b[2])
}
