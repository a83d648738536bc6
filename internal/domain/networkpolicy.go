package domain

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
)

// Values for a node's network besides the name of a libvirt network.
const (
	// UserNetwork requests user-mode networking.
	UserNetwork = "user"
	// NoNetwork requests a node without a network interface.
	NoNetwork = "none"
)

// DefaultNetworkName is the name of libvirt's default network. Users cannot create a network
// with it.
const DefaultNetworkName = "default"

// NetworkPolicy configures which networks nodes can use, and the subnets of new networks.
type NetworkPolicy struct {
	// Default is the libvirt network for new nodes. It is ignored if a user created that
	// network.
	Default string
	// UserMode allows user-mode networking, through which a guest can reach every service on
	// its host's loopback address, as QEMU's user.
	UserMode bool
	// LetIn are the UIDs on the service's machine that need no sign-in; empty if everyone has
	// to sign in. With user-mode networking, a QEMU that runs as one of them would give its
	// guest access to the service.
	LetIn []int
	// Subnets are the blocks that new networks get their subnets from.
	Subnets []netip.Prefix
}

// isReserved returns whether users cannot create a network with that name.
func (p NetworkPolicy) isReserved(name string) bool {
	return slices.ContainsFunc([]string{UserNetwork, NoNetwork, DefaultNetworkName, p.Default}, func(reserved string) bool {
		return strings.EqualFold(name, reserved)
	})
}

// newCard returns the first network interface of a new node, nil for none. network is the
// requested one: a libvirt network, UserNetwork, NoNetwork, or empty for the default. It
// returns an error if that is not available.
func (s *Service) newCard(conn *libvirt.Connect, host *hypervisor.Host, network string) (*libvirtxml.DomainInterface, error) {
	card := nicOn(network)
	switch network {
	case NoNetwork:
		return nil, nil // NoNetwork was requested
	case UserNetwork:
		card = nicOn("")
		return &card, s.checkUserMode(host)
	case "":
		problem := s.checkDefaultNetwork(conn, host.Name())
		card = nicOn(s.o.Networks.Default)
		if problem != nil && s.checkUserMode(host) == nil {
			card, problem = nicOn(""), nil
		}
		return &card, problem
	default:
		return &card, mustBeNetwork(conn, host.Name(), network)
	}
}

// checkDefaultNetwork returns fault.NetworkUnavailable if the default network does not exist,
// is not active, or was created by a user.
func (s *Service) checkDefaultNetwork(conn *libvirt.Connect, host string) error {
	name := s.o.Networks.Default
	unavailable := func(why, instead string) error {
		err := fault.New(fault.NetworkUnavailable, "The default network %q of host %q %s. %s, choose another network, or create the node without one (\"network\": %q).", name, host, why, instead, NoNetwork)
		err.Field = "network"
		return err
	}
	network, err := conn.LookupNetworkByName(name)
	if errors.Is(err, libvirt.ERR_NO_NETWORK) {
		return unavailable("does not exist", "Set default-network to one that does")
	}
	if err != nil {
		return err
	}
	defer func() { _ = network.Free() }()
	found, err := s.readNetwork(network, host)
	switch {
	case err != nil:
		return err
	case found.Managed:
		return unavailable("was created by a user", "Set default-network to one that was not")
	case !found.Active:
		return unavailable("does not run", fmt.Sprintf("Start it with `virsh net-start %s`", name))
	}
	return nil
}

// checkUserMode returns an error if user-mode networking is disabled, or would give a guest
// access to the service.
func (s *Service) checkUserMode(host *hypervisor.Host) error {
	if !s.o.Networks.UserMode {
		err := fault.New(fault.UserNetworkOff, "User-mode networking is off. With it, a guest could reach every service on its host's loopback address. Choose a network, create the node without one (\"network\": %q), or ask the operator to set user-network to on.", NoNetwork)
		err.Field = "network"
		return err
	}
	return s.checkQEMUUser(host, nil)
}

// checkQEMUUser returns an error if QEMU with user-mode networking would run as a user who
// needs no sign-in, or as an unknown user. def may be nil.
func (s *Service) checkQEMUUser(host *hypervisor.Host, def *libvirtxml.Domain) error {
	if len(s.o.Networks.LetIn) == 0 {
		return nil
	}
	user, known := hypervisor.UserOfLabel(host.Status().Capabilities.QEMUUser)
	if def != nil {
		for _, label := range def.SecLabel {
			if label.Model == "dac" && label.Label != "" {
				user, known = hypervisor.UserOfLabel(label.Label)
			}
		}
	}
	if known && !slices.Contains(s.o.Networks.LetIn, user) {
		return nil
	}
	err := fault.New(fault.UserNetworkOff, "User-mode networking is refused on host %q: sign-in is turned off (auth: off), and QEMU runs there as a user that is let in, or as one that libvirt does not report, so its guests would be let in too. Set auth to on, or choose a network.", host.Name())
	err.Field = "network"
	return err
}

// checkCards returns an error if a domain would get more network interfaces with user-mode
// networking than it has. had is its current definition, nil for a new domain.
func (s *Service) checkCards(host *hypervisor.Host, had, def *libvirtxml.Domain) error {
	before := 0
	if had != nil {
		before = definition.UserCards(had)
	}
	if definition.UserCards(def) <= before {
		return nil
	}
	if err := s.checkUserMode(host); err != nil {
		return err
	}
	return s.checkQEMUUser(host, def)
}

// checkStart returns an error if a domain uses an image that is not the one that was
// verified, or if its guest would have access to the service without sign-in.
func (s *Service) checkStart(ctx context.Context, n Node, d *libvirt.Domain) error {
	def, err := definition.Of(d, libvirt.DOMAIN_XML_INACTIVE)
	if err != nil {
		return err
	}
	if err := s.checkImages(ctx, n, def); err != nil {
		return err
	}
	if len(s.o.Networks.LetIn) == 0 || definition.UserCards(def) == 0 {
		return nil
	}
	host, err := s.o.Hosts.Host(n.Host)
	if err != nil {
		return err
	}
	return s.checkQEMUUser(host, def)
}

// Warnings lists the risks of a node's configuration, in sentences for users.
func (s *Service) Warnings(n Node) []string {
	if !n.UserMode || s.o.Networks.UserMode {
		return nil
	}
	return []string{fmt.Sprintf("This node has a network card with user-mode networking, which is off here: its guest reaches every service on the loopback address of host %q. Detach the card and connect the node to a network.", n.Host)}
}

// UserModeNodes returns the names of the domains of a host, managed or not, that have a
// network interface with user-mode networking, now or after their next start.
func (s *Service) UserModeNodes(ctx context.Context, host string) (names []string, err error) {
	err = s.o.Hosts.Do(ctx, host, "network.user-mode-nodes", func(conn *libvirt.Connect) error {
		domains, err := conn.ListAllDomains(0)
		if err != nil {
			return err
		}
		defer definition.FreeAll(domains)
		for i := range domains {
			for _, flags := range []libvirt.DomainXMLFlags{0, libvirt.DOMAIN_XML_INACTIVE} {
				def, err := definition.Of(&domains[i], flags)
				if errors.Is(err, libvirt.ERR_NO_DOMAIN) {
					break
				}
				if err == nil && definition.UserCards(def) > 0 {
					names = append(names, def.Name)
					break
				}
			}
		}
		return nil
	})
	slices.Sort(names)
	return names, err
}

// NetworkMode returns the network that a new node on a host gets: the default network's name,
// UserNetwork, or NoNetwork if neither is available. It is read from memory and at most some
// seconds old.
func (s *Service) NetworkMode(host string) string {
	s.mu.Lock()
	available := s.networks[host]
	s.mu.Unlock()
	switch {
	case available:
		return s.o.Networks.Default
	case s.UserModeAllowed(host):
		return UserNetwork
	}
	return NoNetwork
}

// UserModeAllowed returns whether nodes on a host may use user-mode networking.
func (s *Service) UserModeAllowed(host string) bool {
	h, err := s.o.Hosts.Host(host)
	return err == nil && s.checkUserMode(h) == nil
}

// LookAtNetwork refreshes what NetworkMode returns. Its error says why the default network is
// not available.
func (s *Service) LookAtNetwork(ctx context.Context, host string) error {
	return s.o.Hosts.Do(ctx, host, "network.look-at-default", func(conn *libvirt.Connect) error {
		err := s.checkDefaultNetwork(conn, host)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.networks[host] = err == nil
		return err
	})
}

// checkAdopted returns an error for a domain with user-mode networking if that is disabled.
func (s *Service) checkAdopted(n Node, d *libvirt.Domain) error {
	host, err := s.o.Hosts.Host(n.Host)
	if err != nil {
		return err
	}
	def, err := definition.Of(d, libvirt.DOMAIN_XML_INACTIVE)
	if err != nil {
		return err
	}
	return s.checkCards(host, nil, def)
}
