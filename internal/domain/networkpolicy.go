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

// Words that a node's network may be besides the name of a libvirt network.
const (
	// UserNetwork asks for user-mode networking.
	UserNetwork = "user"
	// NoNetwork asks for a node without a network card.
	NoNetwork = "none"
)

// DefaultNetworkName is the name of libvirt's own network. No user's network may have it.
const DefaultNetworkName = "default"

// NetworkPolicy is what nodes may be connected to, and where networks get their subnets.
type NetworkPolicy struct {
	// Default is the libvirt network of new nodes. It counts only where no user made it.
	Default string
	// UserMode allows user-mode networking, through which a guest reaches every service
	// on its host's loopback address, as QEMU's user.
	UserMode bool
	// LetIn are the users of the service's machine that it lets in without sign-in;
	// empty where everybody signs in. User-mode networking of a QEMU that runs as one of
	// them would let its guest in.
	LetIn []int
	// Subnets are where networks get their subnets.
	Subnets []netip.Prefix
}

// isReserved returns whether no user's network may have a name.
func (p NetworkPolicy) isReserved(name string) bool {
	return slices.ContainsFunc([]string{UserNetwork, NoNetwork, DefaultNetworkName, p.Default}, func(reserved string) bool {
		return strings.EqualFold(name, reserved)
	})
}

// newCard is the first network card of a new node, nil for none. network is what was
// asked for: a libvirt network, UserNetwork, NoNetwork, or empty for the default. What is
// not available is refused.
func (s *Service) newCard(conn *libvirt.Connect, host *hypervisor.Host, network string) (*libvirtxml.DomainInterface, error) {
	card := nicOn(network)
	switch network {
	case NoNetwork:
		return nil, nil // that is what was asked for
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

// checkDefaultNetwork returns fault.NetworkUnavailable where the default network is not
// there, does not run, or is a user's.
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

// checkUserMode refuses user-mode networking where it is off, or would let a guest in.
func (s *Service) checkUserMode(host *hypervisor.Host) error {
	if !s.o.Networks.UserMode {
		err := fault.New(fault.UserNetworkOff, "User-mode networking is off. With it, a guest could reach every service on its host's loopback address. Choose a network, create the node without one (\"network\": %q), or ask the operator to set user-network to on.", NoNetwork)
		err.Field = "network"
		return err
	}
	return s.checkQEMUUser(host, nil)
}

// checkQEMUUser refuses to run QEMU with user-mode networking as a user that is let in
// without sign-in, or as one that is not known. def may be nil.
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

// checkCards refuses to give a domain more cards with user-mode networking than it had.
// had is what it is now; nil for a domain that is new here.
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

// checkStart refuses to start a domain that reads an image that is not what was verified,
// or whose guest would be let in.
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

// Warnings are what is risky about a node, in sentences for its users.
func (s *Service) Warnings(n Node) []string {
	if !n.UserMode || s.o.Networks.UserMode {
		return nil
	}
	return []string{fmt.Sprintf("This node has a network card with user-mode networking, which is off here: its guest reaches every service on the loopback address of host %q. Detach the card and connect the node to a network.", n.Host)}
}

// UserModeNodes names the domains of a host, managed or not, that have a card with
// user-mode networking, now or at their next start.
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

// NetworkMode is what a node that is made now is connected to on a host: the default
// network's name, UserNetwork, or NoNetwork where it would be refused. It is answered
// from memory, at most some seconds old.
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

// UserModeAllowed returns whether nodes of a host may have user-mode networking.
func (s *Service) UserModeAllowed(host string) bool {
	h, err := s.o.Hosts.Host(host)
	return err == nil && s.checkUserMode(h) == nil
}

// LookAtNetwork refreshes what NetworkMode returns. The error is why the default network
// is not available.
func (s *Service) LookAtNetwork(ctx context.Context, host string) error {
	return s.o.Hosts.Do(ctx, host, "network.look-at-default", func(conn *libvirt.Connect) error {
		err := s.checkDefaultNetwork(conn, host)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.networks[host] = err == nil
		return err
	})
}

// checkAdopted refuses to manage a domain with user-mode networking where that is off.
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
