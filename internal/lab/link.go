package lab

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// Libvirt gives access to nodes, networks and network interfaces. Nodes and networks are
// identified by libvirt's UUIDs, and errors are faults.
type Libvirt interface {
	// Networks returns the networks of the hosts that answer.
	Networks(ctx context.Context) ([]Net, error)
	// CreateNetwork creates an isolated network and starts it; fault.Invalid if its name
	// is taken. With DHCP it gets a free subnet for its addresses.
	CreateNetwork(ctx context.Context, n Net) (Net, error)
	// DeleteNetwork deletes a network that no node is connected to.
	DeleteNetwork(ctx context.Context, n Net) error
	// Attach gives a node an interface on a network. Detach removes the node's interfaces
	// on the network.
	Attach(ctx context.Context, node, network string) error
	Detach(ctx context.Context, node, network string) error
	// HostOf returns the host of a node; fault.NodeNotFound if the node does not exist.
	HostOf(node string) (string, error)
	// CreateNode creates a node. If it exists, it is not changed.
	CreateNode(ctx context.Context, host, owner string, n PlannedNode) error
	// DeleteNode deletes a node; fault.NodeNotFound if it does not exist.
	DeleteNode(ctx context.Context, node string) error
	// NodeID returns the id of the node that CreateNode creates for a key.
	NodeID(owner, key string) string
	// Settle completes or undoes interrupted operations on a host, and reads the nodes
	// again. It fails if an operation on one of these nodes or networks can be neither
	// completed nor undone.
	Settle(ctx context.Context, host string, nodes, networks []string) error
}

// Net is a network of a host.
type Net struct {
	ID, Name, Host string
	Subnet         string // "10.7.3.0/24"; empty if libvirt gives it no address
	Active, DHCP   bool
	Managed        bool
	Owner          string
	Nodes          []string // the ids of nodes with an interface on it
}

// tries limits how many names are tried for a new network, since another request or
// program may use one at the same moment.
const tries = 8

// Nets returns those networks of a lab that exist.
func (s *Service) Nets(ctx context.Context, l Lab) ([]Net, error) {
	all, err := s.o.Libvirt.Networks(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(n Net) bool { return !l.Has(Network, n.ID) }), nil
}

// AddNetwork creates an isolated network in a lab. An empty host means the first one. With
// addresses, DHCP assigns those of a free subnet.
func (s *Service) AddNetwork(ctx context.Context, id, host, owner string, addresses bool, x, y float64) (Net, error) {
	return s.addNetwork(ctx, id, Net{ID: uuid.NewString(), Host: host, Owner: owner, DHCP: addresses}, x, y)
}

func (s *Service) addNetwork(ctx context.Context, id string, net Net, x, y float64) (Net, error) {
	l, err := s.Lab(ctx, id)
	if err != nil {
		return Net{}, err
	}
	// Stored first, so that no crash leaves a network that no lab shows.
	if _, err := s.Add(ctx, id, Place{Kind: Network, ID: net.ID, X: x, Y: y}); err != nil {
		return Net{}, err
	}
	if err = s.makeNetwork(ctx, l, &net); err == nil {
		_, err = s.changed(ctx, id)
		return net, err
	}
	if _, undo := s.Remove(context.WithoutCancel(ctx), id, Network, net.ID); undo != nil {
		err = fmt.Errorf("%w; and it stays on record: %w", err, undo)
	}
	return Net{}, err
}

func (s *Service) makeNetwork(ctx context.Context, l Lab, net *Net) error {
	var err error
	for range tries {
		all, list := s.o.Libvirt.Networks(ctx)
		if list != nil {
			return list
		}
		net.Name = freeName(l.Name, all)
		var made Net
		if made, err = s.o.Libvirt.CreateNetwork(ctx, *net); err == nil {
			*net = made
			return nil
		}
		if fault.CodeOf(err) != fault.Invalid {
			return err // another name would not help
		}
	}
	return err
}

// freeName returns a network name based on a lab's name that none of the hosts uses.
func freeName(lab string, taken []Net) string {
	base := strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		default:
			return '-'
		}
	}, lab), "-")
	if base == "" {
		base = "lab"
	}
	base = strings.TrimRight(base[:min(len(base), 40)], "-")
	for n := 1; ; n++ {
		name := fmt.Sprintf("%s-net%d", base, n)
		if !slices.ContainsFunc(taken, func(other Net) bool { return other.Name == name }) {
			return name
		}
	}
}

// Connect draws a link from a node of a lab to another node or a network of it. Between
// two nodes it creates an isolated network, placed half-way between them. Each node gets a
// network interface, at once if it runs. A node that is already on the network keeps its
// interface. If Connect fails half-way, what has been created stays.
func (s *Service) Connect(ctx context.Context, id, from, to, owner string) error {
	l, err := s.Lab(ctx, id)
	if err != nil {
		return err
	}
	host, err := s.hostIn(l, "from", from)
	if err != nil {
		return err
	}
	if from == to {
		return fault.Field("to", "Connect the node to another node or to a network.")
	}
	net, ends := Net{}, []string{from}
	if l.Has(Network, to) {
		if net, err = s.netIn(ctx, l, "to", to); err != nil {
			return err
		}
		if net.Host != host {
			return fault.Field("to", "The network is on host %q and the node on host %q. Links can't connect hosts.", net.Host, host)
		}
	} else {
		other, err := s.hostIn(l, "to", to)
		if err != nil {
			return err
		}
		if other != host {
			return fault.Field("to", "The nodes are on hosts %q and %q. Links can't connect hosts.", host, other)
		}
		x, y := l.between(from, to)
		if net, err = s.AddNetwork(ctx, id, host, owner, true, x, y); err != nil {
			return err
		}
		ends = append(ends, to)
	}
	for _, node := range ends {
		if slices.Contains(net.Nodes, node) {
			continue
		}
		if err := s.o.Libvirt.Attach(ctx, node, net.Name); err != nil {
			return err
		}
	}
	return nil
}

// Disconnect removes a node's interfaces on a network of the lab. The network stays.
func (s *Service) Disconnect(ctx context.Context, id, node, network string) error {
	l, err := s.Lab(ctx, id)
	if err != nil {
		return err
	}
	if err := l.mustHave(Node, node); err != nil {
		return err
	}
	if err := l.mustHave(Network, network); err != nil {
		return err
	}
	net, err := s.netIn(ctx, l, "network", network)
	if err != nil {
		return err
	}
	if !slices.Contains(net.Nodes, node) {
		return fault.New(fault.NotFound, "Node %q is not connected to network %q.", node, net.Name)
	}
	return s.o.Libvirt.Detach(ctx, node, net.Name)
}

// DeleteNetwork deletes a network of the lab, and the interfaces that the lab's nodes have
// on it. It may be repeated. It fails if other nodes are connected to the network.
func (s *Service) DeleteNetwork(ctx context.Context, id, network string) error {
	l, err := s.Lab(ctx, id)
	if err != nil {
		return err
	}
	if err := l.mustHave(Network, network); err != nil {
		return err
	}
	net, err := s.netIn(ctx, l, "network", network)
	if err != nil {
		return err
	}
	for _, node := range net.Nodes {
		if l.Has(Node, node) {
			if err := s.o.Libvirt.Detach(ctx, node, net.Name); err != nil {
				return err
			}
		}
	}
	if err := s.o.Libvirt.DeleteNetwork(ctx, net); err != nil {
		return err
	}
	_, err = s.remove(ctx, id, Network, network)
	return err
}

// mustHave returns fault.NotFound if an object is not in the lab.
func (l Lab) mustHave(kind Kind, id string) error {
	if l.Has(kind, id) {
		return nil
	}
	return fault.New(fault.NotFound, "Lab %q has no %s %q.", l.Name, kind, id)
}

// hostIn returns the host of a node of the lab.
func (s *Service) hostIn(l Lab, field, node string) (string, error) {
	if !l.Has(Node, node) {
		return "", fault.Field(field, "Node %q is not in the lab. Add it first.", node)
	}
	return s.o.Libvirt.HostOf(node)
}

func (s *Service) netIn(ctx context.Context, l Lab, field, id string) (Net, error) {
	nets, err := s.Nets(ctx, l)
	if err != nil {
		return Net{}, err
	}
	i := slices.IndexFunc(nets, func(n Net) bool { return n.ID == id })
	if i < 0 {
		return Net{}, fault.Field(field, "Network %q is not in the lab, or its host is unreachable.", id)
	}
	return nets[i], nil
}

// between returns the midpoint of two places.
func (l Lab) between(a, b string) (x, y float64) {
	for _, p := range l.Places {
		if p.Kind == Node && (p.ID == a || p.ID == b) {
			x, y = x+p.X/2, y+p.Y/2
		}
	}
	return x, y
}
