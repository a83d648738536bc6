package domain

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/uuid"
	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

const (
	networkCreateIntent = "network.create"
	networkDeleteIntent = "network.delete"

	// defaultNetworkName is libvirt's own network.
	defaultNetworkName = "default"
	// UserNetwork asks for user-mode networking.
	UserNetwork = "user"
)

// networkData is what recovery needs to remove a network.
type networkData struct {
	ID string `json:"id"`
}

// Network is one libvirt network of a host.
type Network struct {
	ID, Name, Host string
	Active         bool
	Kind           string // "isolated", or libvirt's mode of forwarding ("nat", "bridge", …)
	Subnet         string // "10.7.3.0/24"; empty when libvirt gives the network no address
	DHCP           bool
	Managed        bool // made here
	// Owner is the id of the account that it belongs to; empty: nobody's. OwnerName is
	// what the account was called when this was written.
	Owner, OwnerName string
	ownerByName      bool   // its metadata has no id
	Nodes            []Node // those that have an interface on it
}

// NetworkSpec is what a user asks for: a network that reaches nothing but the
// nodes on it and, with a subnet, the host.
type NetworkSpec struct {
	ID         string // a UUID that nothing has; empty: a new one
	Name, Host string
	Subnet     string // empty: the nodes choose their addresses themselves
	DHCP       bool   // libvirt hands out the subnet's addresses
	Owner      string // an account's id
}

// Networks returns the networks of all connected hosts, by host and name.
func (s *Service) Networks(ctx context.Context) ([]Network, error) {
	var list []Network
	for _, h := range s.o.Hosts.Hosts() {
		err := h.Do(ctx, func(conn *libvirt.Connect) error {
			networks, err := conn.ListAllNetworks(0)
			if err != nil {
				return err
			}
			for i := range networks {
				v, err := s.readNetwork(&networks[i], h.Name())
				_ = networks[i].Free()
				if err == nil {
					list = append(list, v)
				} else if !errors.Is(err, libvirt.ERR_NO_NETWORK) {
					return err
				}
			}
			return nil
		})
		if err != nil && fault.CodeOf(err) != fault.HostUnreachable {
			return nil, fmt.Errorf("list the networks of host %q: %w", h.Name(), err)
		}
	}
	slices.SortFunc(list, func(a, b Network) int { return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Name, b.Name)) })
	return list, nil
}

func (s *Service) readNetwork(network *libvirt.Network, host string) (Network, error) {
	text, err := network.GetXMLDesc(0)
	if err != nil {
		return Network{}, err
	}
	active, err := network.IsActive()
	if err != nil {
		return Network{}, err
	}
	var def libvirtxml.Network
	if err := def.Unmarshal(text); err != nil {
		return Network{}, fmt.Errorf("parse a network's XML: %w", err)
	}
	v := Network{ID: def.UUID, Name: def.Name, Host: host, Active: active, Kind: "isolated"}
	if def.Forward != nil {
		v.Kind = cmp.Or(def.Forward.Mode, "nat")
	}
	for _, ip := range def.IPs {
		v.Subnet, v.DHCP = cmp.Or(v.Subnet, subnetOf(ip)), v.DHCP || ip.DHCP != nil
	}
	if ours, ok, err := readNetworkMetadata(network, active, &def); err != nil {
		return Network{}, err
	} else if ok {
		v.Managed, v.Owner, v.OwnerName = true, ours.Owner.ID, ours.Owner.Name
		if v.Owner == "" && v.OwnerName != "" {
			v.Owner, v.ownerByName = s.o.Accounts.FormerOwner(v.OwnerName), true
		}
	}
	for _, n := range s.inv.list() {
		if n.Host == host && slices.Contains(n.Networks, v.Name) {
			v.Nodes = append(v.Nodes, n)
		}
	}
	return v, nil
}

func subnetOf(ip libvirtxml.NetworkIP) string {
	address, err := netip.ParseAddr(ip.Address)
	if err != nil {
		return ""
	}
	bits := int(ip.Prefix) //nolint:gosec // at most 128
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

// CreateNetwork makes an isolated network, which starts with its host. It fails
// as a whole, and a crash is undone.
func (s *Service) CreateNetwork(ctx context.Context, spec NetworkSpec) (Network, error) {
	def, err := spec.definition(cmp.Or(spec.ID, uuid.NewString()), s.ownerElement(spec.Owner))
	if err != nil {
		return Network{}, err
	}
	host, err := s.o.Hosts.Host(spec.Host)
	if err != nil {
		return Network{}, err
	}
	text, err := def.Marshal()
	if err != nil {
		return Network{}, err
	}
	data := networkData{ID: def.UUID}
	done, err := s.begin(ctx, networkCreateIntent, host.Name(), data)
	if err != nil {
		return Network{}, err
	}
	var made Network
	err = host.Do(ctx, func(conn *libvirt.Connect) error {
		if other, lookup := conn.LookupNetworkByName(def.Name); lookup == nil {
			_ = other.Free()
			return fault.Field("name", "There is already a network %q on host %q. Choose another name.", def.Name, host.Name())
		}
		network, err := conn.NetworkDefineXMLFlags(text, libvirt.NETWORK_DEFINE_VALIDATE)
		if err != nil {
			return err
		}
		defer func() { _ = network.Free() }()
		if err := network.Create(); err != nil {
			return err
		}
		if err := network.SetAutostart(true); err != nil {
			return err
		}
		made, err = s.readNetwork(network, host.Name())
		return err
	})
	if err == nil {
		done(true)
		return made, nil
	}
	work, cancel := cleanup(ctx)
	defer cancel()
	done(s.removeNetwork(work, host.Name(), data) == nil)
	return Network{}, explainNetwork(err, "make", spec.Name)
}

// definition checks what is asked for, and renders it.
func (spec NetworkSpec) definition(id string, by owner) (*libvirtxml.Network, error) {
	if len(spec.Name) > MaxNameLength || !nodeName.MatchString(spec.Name) || spec.Name == UserNetwork {
		return nil, fault.Field("name", "A network's name may have at most %d letters, digits, dots, dashes and underscores, begins with a letter or a digit, and is not %q.", MaxNameLength, UserNetwork)
	}
	ours, err := xml.Marshal(networkMetadata{Owner: by})
	if err != nil {
		return nil, err
	}
	def := &libvirtxml.Network{Name: spec.Name, UUID: id, Metadata: &libvirtxml.NetworkMetadata{XML: string(ours)}}
	if spec.Subnet == "" {
		if spec.DHCP {
			return nil, fault.Field("dhcp", "DHCP needs a subnet to hand out, such as \"10.7.3.0/24\".")
		}
		return def, nil
	}
	subnet, err := netip.ParsePrefix(spec.Subnet)
	if err != nil || !subnet.Addr().Is4() || !subnet.Addr().IsPrivate() || subnet.Masked() != subnet || subnet.Bits() < 16 || subnet.Bits() > 29 {
		return nil, fault.Field("subnet", "The subnet is a private one of IPv4 with 16 to 29 bits, such as \"10.7.3.0/24\".")
	}
	first := subnet.Addr().Next()
	ip := libvirtxml.NetworkIP{Address: first.String(), Prefix: uint(subnet.Bits())} //nolint:gosec // 16 to 29
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
	return def, nil
}

// Network reads one network, on the first host for the empty name. It answers
// fault.NotFound.
func (s *Service) Network(ctx context.Context, host, name string) (Network, error) {
	h, err := s.o.Hosts.Host(host)
	if err != nil {
		return Network{}, err
	}
	var found Network
	err = h.Do(ctx, func(conn *libvirt.Connect) error {
		network, err := conn.LookupNetworkByName(name)
		if err != nil {
			return err
		}
		defer func() { _ = network.Free() }()
		found, err = s.readNetwork(network, h.Name())
		return err
	})
	return found, explainNetwork(err, "find", name)
}

// DeleteNetwork removes a network that was made here and that no node is on. may
// tells why whoever asks may not.
func (s *Service) DeleteNetwork(ctx context.Context, host, name string, may func(Network) error) error {
	found, err := s.Network(ctx, host, name)
	if err != nil {
		return err
	}
	if !found.Managed {
		return fault.New(fault.Unsupported, "Network %q was not made here. Use `virsh net-undefine`.", name)
	}
	if err := may(found); err != nil {
		return err
	}
	if len(found.Nodes) > 0 {
		return fault.New(fault.NodeBusy, "Network %q has cards of %d nodes on it. Delete them, or detach their interfaces, first.", name, len(found.Nodes))
	}
	done, err := s.begin(ctx, networkDeleteIntent, found.Host, networkData{ID: found.ID})
	if err != nil {
		return err
	}
	work, cancel := cleanup(ctx)
	defer cancel()
	err = s.removeNetwork(work, found.Host, networkData{ID: found.ID})
	done(err == nil)
	return explainNetwork(err, "delete", name)
}

// removeNetwork ends and undefines a network. It may be repeated.
func (s *Service) removeNetwork(ctx context.Context, host string, data networkData) error {
	return s.o.Hosts.Do(ctx, host, func(conn *libvirt.Connect) error {
		network, err := conn.LookupNetworkByUUIDString(data.ID)
		if errors.Is(err, libvirt.ERR_NO_NETWORK) {
			return nil
		}
		if err != nil {
			return err
		}
		defer func() { _ = network.Free() }()
		if active, err := network.IsActive(); err != nil {
			return err
		} else if active {
			if err := network.Destroy(); err != nil {
				return err
			}
		}
		if err := network.Undefine(); err != nil && !errors.Is(err, libvirt.ERR_NO_NETWORK) {
			return err
		}
		return nil
	})
}

// mustBeNetwork refuses a network that is not there, or does not run.
func mustBeNetwork(conn *libvirt.Connect, host, name string) error {
	network, err := conn.LookupNetworkByName(name)
	if errors.Is(err, libvirt.ERR_NO_NETWORK) {
		return fault.Field("network", "There is no network %q on host %q. `GET /api/networks` lists those that are there.", name, host)
	}
	if err != nil {
		return err
	}
	defer func() { _ = network.Free() }()
	active, err := network.IsActive()
	if err == nil && !active {
		err = fault.Field("network", "Network %q on host %q does not run. Start it with `virsh net-start %s`.", name, host, name)
	}
	return err
}

func explainNetwork(err error, verb, name string) error {
	var lv libvirt.Error
	switch {
	case err == nil, fault.CodeOf(err) != fault.Internal:
		return err
	case errors.Is(err, libvirt.ERR_NO_NETWORK):
		return fault.Wrap(err, fault.NotFound, "There is no network %q.", name)
	case errors.As(err, &lv):
		return fault.Wrap(err, fault.Hypervisor, "libvirt could not %s network %q: %s.", verb, name, lv.Message)
	}
	return err
}
