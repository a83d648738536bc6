package inventory

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
)

const (
	// addressInterval is how often the addresses of running nodes are read: libvirt
	// sends no event for them.
	addressInterval = 5 * time.Second
	// knownInterval is how often a host is polled for its nodes to be known.
	knownInterval = 200 * time.Millisecond
	// arpPause is how long a host is not asked for its ARP table after it could not read
	// it: libvirtd logs each failure, and those of some versions, on some kernels, always
	// fail.
	arpPause = 10 * time.Minute
)

// addressScan reads the addresses of a host's running nodes. What libvirt itself knows is
// read at once, node by node; the agents of guests, which may take their time, are asked
// beside that, and hold up nobody else's addresses.
type addressScan struct {
	inv  *Inventory
	host *hypervisor.Host

	mu      sync.Mutex
	arpFrom time.Time       // the ARP table is not read before
	asking  map[string]bool // nodes whose agent is being asked
}

// lookAtAddresses keeps the addresses of a host's running nodes, until ctx ends. It leaves
// agents behind that have not answered yet.
func (inv *Inventory) lookAtAddresses(ctx context.Context, h *hypervisor.Host) {
	scan := &addressScan{inv: inv, host: h, asking: map[string]bool{}}
	for {
		wait := knownInterval
		if inv.feeds[h.Name()].isKnown() {
			scan.read(ctx)
			wait = addressInterval
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// read reads the addresses of all running nodes once, by the first source that has any:
// libvirt's own DHCP servers, the guest's agent, the host's ARP table.
func (a *addressScan) read(ctx context.Context) {
	for _, n := range a.inv.Nodes() {
		if n.Host != a.host.Name() || n.State != Running {
			continue
		}
		addresses, err := a.fromLibvirt(ctx, n, libvirt.DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE)
		switch {
		case err != nil: // it went off, or the host is away
		case len(addresses) > 0 || !n.agent:
			a.show(ctx, n, addresses)
		case a.beginAsking(n.ID):
			go func() {
				defer a.endAsking(n.ID)
				a.show(ctx, n, a.fromAgent(ctx, n))
			}()
		case !a.isAsked(n.ID): // its agent is left alone
			a.show(ctx, n, nil)
		}
	}
}

// show has the inventory show the addresses of a node, where there are none those of the
// host's ARP table.
func (a *addressScan) show(ctx context.Context, n Node, addresses []string) {
	if len(addresses) == 0 && a.readsARP() {
		var err error
		if addresses, err = a.fromLibvirt(ctx, n, libvirt.DOMAIN_INTERFACE_ADDRESSES_SRC_ARP); err != nil {
			return
		}
	}
	a.inv.setAddresses(n, addresses)
}

func (a *addressScan) readsARP() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Now().After(a.arpFrom)
}

// fromLibvirt returns the addresses that libvirt knows without asking the guest. It fails
// when the node does not run any more.
func (a *addressScan) fromLibvirt(ctx context.Context, n Node, source libvirt.DomainInterfaceAddressesSource) (addresses []string, err error) {
	err = a.inv.withDomain(ctx, "node.addresses", n, func(d *libvirt.Domain) error {
		interfaces, err := d.ListAllInterfaceAddresses(source)
		addresses = guestAddresses(interfaces)
		return err
	})
	switch {
	case err == nil, ctx.Err() != nil, errors.Is(err, libvirt.ERR_NO_DOMAIN), errors.Is(err, libvirt.ERR_OPERATION_INVALID), fault.CodeOf(err) == fault.HostUnreachable:
		return addresses, err
	}
	// The node has no network of libvirt's, or the source cannot be read.
	if source == libvirt.DOMAIN_INTERFACE_ADDRESSES_SRC_ARP {
		a.mu.Lock()
		a.arpFrom = time.Now().Add(arpPause)
		a.mu.Unlock()
	}
	return nil, nil
}

// beginAsking returns whether a node's agent is to be asked now.
func (a *addressScan) beginAsking(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.asking[id] || !a.host.Agents().Due(id) {
		return false
	}
	a.asking[id] = true
	return true
}

func (a *addressScan) endAsking(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.asking, id)
}

func (a *addressScan) isAsked(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asking[id]
}

// fromAgent asks a node's guest.
func (a *addressScan) fromAgent(ctx context.Context, n Node) (addresses []string) {
	_ = a.host.Agents().Ask(ctx, n.ID, "node.agent-addresses", func(agent *hypervisor.Agent) error {
		var answer []struct {
			Addresses []struct {
				Address string `json:"ip-address"`
			} `json:"ip-addresses"`
		}
		if err := agent.Command("guest-network-get-interfaces", nil, &answer); err != nil {
			return err
		}
		var interfaces []libvirt.DomainInterface
		for _, i := range answer {
			var one libvirt.DomainInterface
			for _, address := range i.Addresses {
				one.Addrs = append(one.Addrs, libvirt.DomainIPAddress{Addr: address.Address})
			}
			interfaces = append(interfaces, one)
		}
		addresses = guestAddresses(interfaces)
		return nil
	})
	return addresses
}

// setAddresses notes the addresses of a node that still runs.
func (inv *Inventory) setAddresses(n Node, addresses []string) {
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
