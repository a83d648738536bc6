package domain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

const (
	networkCreateIntent = "network.create"
	networkDeleteIntent = "network.delete"
)

// networkData is what recovery needs to remove a network.
type networkData struct {
	ID string `json:"id"`
}

// Network is a libvirt network of a host.
type Network struct {
	ID, Name, Host string
	Active         bool
	Kind           string // "isolated", or libvirt's forward mode ("nat", "bridge", …)
	Subnet         string // "10.7.3.0/24"; empty if libvirt assigns no address
	DHCP           bool
	Managed        bool // created by SandboxLabs
	// Owner is the account id of the network's owner, empty for none. OwnerName is the
	// account's name when the owner was recorded.
	Owner, OwnerName string
	ownerByName      bool   // its metadata has only the owner's name
	Nodes            []Node // nodes with an interface on it
}

// Networks returns the networks of all connected hosts, sorted by host and name.
func (s *Service) Networks(ctx context.Context) ([]Network, error) {
	var list []Network
	for _, h := range s.o.Hosts.Hosts() {
		err := h.Do(ctx, "network.list", func(conn *libvirt.Connect) error {
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
	for _, n := range s.inv.Nodes() {
		if n.Host == host && slices.Contains(n.Networks, v.Name) {
			v.Nodes = append(v.Nodes, n)
		}
	}
	return v, nil
}

// CreateNetwork creates an isolated network with autostart. With DHCP and without a subnet,
// it selects a free one from NetworkPolicy.Subnets. If it fails, nothing remains; a crash is
// undone. Errors: fault.Invalid, SubnetTaken, HostUnreachable, Hypervisor.
func (s *Service) CreateNetwork(ctx context.Context, spec NetworkSpec) (Network, error) {
	if err := s.checkNetwork(spec); err != nil {
		return Network{}, err
	}
	host, err := s.o.Hosts.Host(spec.Host)
	if err != nil {
		return Network{}, err
	}
	unlock, err := s.lockNetworks(ctx, host)
	if err != nil {
		return Network{}, err
	}
	defer unlock()
	spec.ID = cmp.Or(spec.ID, uuid.NewString())
	if !spec.DHCP || spec.Subnet != "" {
		made, err := s.makeNetwork(ctx, host, spec, nil)
		return made, explainNetwork(err, "make", spec.Name)
	}
	var refused []claim // subnets that libvirt rejected as in use
	for range picks {
		var made Network
		if made, err = s.makeNetwork(ctx, host, spec, &refused); err == nil {
			return made, nil
		}
		if code := fault.CodeOf(err); code != fault.SubnetTaken && !errors.Is(err, libvirt.ERR_INTERNAL_ERROR) {
			break
		}
	}
	return Network{}, explainNetwork(err, "make", spec.Name)
}

// makeNetwork creates a network, or leaves nothing. If refused is not nil, it selects the
// subnet, and adds that to refused if libvirt rejects it.
func (s *Service) makeNetwork(ctx context.Context, host *hypervisor.Host, spec NetworkSpec, refused *[]claim) (Network, error) {
	var made Network
	data := networkData{ID: spec.ID}
	err := host.Do(ctx, "network.create", func(conn *libvirt.Connect) error {
		if other, lookup := conn.LookupNetworkByName(spec.Name); lookup == nil {
			_ = other.Free()
			return fault.Field("name", "Network %q already exists on host %q. Choose another name.", spec.Name, host.Name())
		}
		taken, err := s.claims(conn, host, spec.ID)
		if err != nil {
			return err
		}
		if refused != nil {
			if spec.Subnet, err = s.pickSubnet(append(taken, *refused...)); err != nil {
				return err
			}
		} else if spec.Subnet != "" {
			if err := s.checkSubnet(spec, taken); err != nil {
				return err
			}
		}
		text, err := spec.definition(s.ownerElement(spec.Owner))
		if err != nil {
			return err
		}
		failure, _ := s.apply(ctx, store.Change{
			Kind: networkCreateIntent, Host: host.Name(), Data: data,
			Do: func(context.Context) (err error) {
				made, err = s.startNetwork(conn, host.Name(), text, spec)
				return err
			},
			Settle: func(ctx context.Context, failure error) error {
				if failure == nil {
					return nil
				}
				return s.removeNetwork(ctx, host.Name(), data)
			},
		})
		if subnet, parse := parseSubnet(spec.Subnet); failure != nil && refused != nil && parse == nil {
			*refused = append(*refused, claim{subnet, "libvirt"})
		}
		return failure
	})
	return made, err
}

// startNetwork defines and starts a network. It returns an error if a service with another
// database has concurrently defined one with the same subnet.
func (s *Service) startNetwork(conn *libvirt.Connect, host, text string, spec NetworkSpec) (Network, error) {
	network, err := conn.NetworkDefineXMLFlags(text, libvirt.NETWORK_DEFINE_VALIDATE)
	if err != nil {
		return Network{}, err
	}
	defer func() { _ = network.Free() }()
	if spec.Subnet != "" {
		subnet, err := parseSubnet(spec.Subnet)
		if err != nil {
			return Network{}, err
		}
		others, err := networkClaims(conn, spec.ID)
		if err == nil {
			err = overlap(subnet, others)
		}
		if err != nil {
			return Network{}, err
		}
	}
	if err := network.Create(); err != nil {
		return Network{}, err
	}
	if err := network.SetAutostart(true); err != nil {
		return Network{}, err
	}
	return s.readNetwork(network, host)
}

// Network reads one network; an empty host is the first host. Errors: fault.NotFound.
func (s *Service) Network(ctx context.Context, host, name string) (Network, error) {
	h, err := s.o.Hosts.Host(host)
	if err != nil {
		return Network{}, err
	}
	var found Network
	err = h.Do(ctx, "network.get", func(conn *libvirt.Connect) error {
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

// DeleteNetwork deletes a network that SandboxLabs created and that no node is connected to.
// may returns an error if the caller must not delete it.
func (s *Service) DeleteNetwork(ctx context.Context, host, name string, may func(Network) error) error {
	found, err := s.Network(ctx, host, name)
	if err != nil {
		return err
	}
	if !found.Managed {
		return fault.New(fault.Unsupported, "Network %q was not created by SandboxLabs. Use `virsh net-undefine`.", name)
	}
	if err := may(found); err != nil {
		return err
	}
	if len(found.Nodes) > 0 {
		return fault.New(fault.NodeBusy, "%[2]d nodes are connected to network %[1]q. Delete them, or detach their interfaces, first.", name, len(found.Nodes))
	}
	data := networkData{ID: found.ID}
	failure, unsettled := s.apply(ctx, store.Change{
		Kind: networkDeleteIntent, Host: found.Host, Data: data,
		Settle: func(ctx context.Context, _ error) error { return s.removeNetwork(ctx, found.Host, data) },
	})
	if failure != nil {
		return failure
	}
	return explainNetwork(unsettled, "delete", name)
}

// removeNetwork stops and undefines a network. It is idempotent.
func (s *Service) removeNetwork(ctx context.Context, host string, data networkData) error {
	return s.o.Hosts.Do(ctx, host, "network.delete", func(conn *libvirt.Connect) error {
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

// mustBeNetwork returns an error if a network does not exist or is not active.
func mustBeNetwork(conn *libvirt.Connect, host, name string) error {
	network, err := conn.LookupNetworkByName(name)
	if errors.Is(err, libvirt.ERR_NO_NETWORK) {
		return fault.Field("network", "Network %q not found on host %q.", name, host)
	}
	if err != nil {
		return err
	}
	defer func() { _ = network.Free() }()
	active, err := network.IsActive()
	if err == nil && !active {
		err = fault.Field("network", "Network %q on host %q is inactive. Start it with `virsh net-start %s`.", name, host, name)
	}
	return err
}

func explainNetwork(err error, verb, name string) error {
	var lv libvirt.Error
	switch {
	case err == nil, fault.CodeOf(err) != fault.Internal:
		return err
	case errors.Is(err, libvirt.ERR_NO_NETWORK):
		return fault.Wrap(err, fault.NotFound, "Network %q not found.", name)
	case errors.As(err, &lv):
		return fault.Wrap(err, fault.Hypervisor, "Could not %s network %q: %s.", verb, name, lv.Message)
	}
	return err
}
