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
	// addressInterval is how often the addresses of running nodes are read. libvirt sends no
	// event for them.
	addressInterval = 5 * time.Second
	// knownInterval is how often to check whether a host's nodes have been read.
	knownInterval = 200 * time.Millisecond
	// arpPause is how long a host's ARP table is not read after a failure. libvirtd logs each
	// failure, and with some versions and kernels it always fails.
	arpPause = 10 * time.Minute
)

// addressScan reads the addresses of a host's running nodes. It reads what libvirt knows node
// by node, and asks guest agents, which may be slow, in separate goroutines, so that they do
// not delay the addresses of other nodes.
type addressScan struct {
	inv  *Inventory
	host *hypervisor.Host

	mu      sync.Mutex
	arpFrom time.Time       // the ARP table is not read before this time
	asking  map[string]bool // nodes whose agent is being asked
}

// lookAtAddresses updates the addresses of a host's running nodes until ctx ends. It does not
// wait for agents that have not replied yet.
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

// read reads the addresses of all running nodes once, each from the first source that has
// any: libvirt's DHCP servers, the guest agent, the host's ARP table.
func (a *addressScan) read(ctx context.Context) {
	for _, n := range a.inv.Nodes() {
		if n.Host != a.host.Name() || n.State != Running {
			continue
		}
		addresses, err := a.fromLibvirt(ctx, n, libvirt.DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE)
		switch {
		case err != nil: // it stopped, or the host is unreachable
		case len(addresses) > 0 || !n.agent:
			a.show(ctx, n, addresses)
		case a.beginAsking(n.ID):
			go func() {
				defer a.endAsking(n.ID)
				a.show(ctx, n, a.fromAgent(ctx, n))
			}()
		case !a.isAsked(n.ID): // only if its agent is not asked
			a.show(ctx, n, nil)
		}
	}
}

// show sets the addresses of a node in the inventory. If there are none, it uses the host's
// ARP table.
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

// fromLibvirt returns the addresses that libvirt knows without asking the guest. It fails if
// the node no longer runs.
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
	// The node is on no libvirt network, or the source cannot be read.
	if source == libvirt.DOMAIN_INTERFACE_ADDRESSES_SRC_ARP {
		a.mu.Lock()
		a.arpFrom = time.Now().Add(arpPause)
		a.mu.Unlock()
	}
	return nil, nil
}

// beginAsking returns whether to ask a node's agent now.
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

// fromAgent reads the addresses from a node's guest agent.
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

// setAddresses stores the addresses of a node if it still runs.
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
