// Package hypervisor is the only package that connects to libvirt. It keeps one managed
// connection to each named host, with keep-alive, reconnect and events, and knows what the
// host can do.
package hypervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// Address names a libvirt URI.
type Address struct {
	Name string // as users write it: "local"
	URI  string // a libvirt connection URI: "qemu:///system"
}

// ParseAddresses parses the notation of the configuration:
// "local=qemu:///system,lab2=qemu+ssh://lab2/system".
func ParseAddresses(text string) ([]Address, error) {
	var list []Address
	for part := range strings.SplitSeq(text, ",") {
		name, uri, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok || name == "" || uri == "" {
			return nil, fmt.Errorf("hosts: %q is not of the form name=libvirt-uri", part)
		}
		if slices.ContainsFunc(list, func(a Address) bool { return a.Name == name }) {
			return nil, fmt.Errorf("hosts: the name %q is there twice", name)
		}
		list = append(list, Address{Name: name, URI: uri})
	}
	return list, nil
}

// Listener is notified of what happens on the hosts.
type Listener interface {
	// HostUp is called after each successful connect, when the event callbacks are
	// registered: what the listener reads from now on, together with DomainChanged, is
	// complete. It is called on the host's own goroutine and may call libvirt.
	HostUp(ctx context.Context, h *Host)
	// HostDown is called after the loss of a connection. It must not block.
	HostDown(h *Host)
	// DomainChanged is called on libvirt's event loop for every event of a domain. It must
	// only enqueue: a libvirt call here would deadlock.
	DomainChanged(h *Host, uuid string)
}

// Options configures a Set.
type Options struct {
	Addresses   []Address
	Accelerator string // "auto", "kvm" or "qemu"; empty is "auto"
	Log         *slog.Logger
}

// Set is the hosts of this installation. Its methods may be called from any goroutine,
// except Listen, which must be called before Run.
type Set struct {
	hosts []*Host
	calls *callMetrics
}

// New creates a Set. It does not connect to the hosts: Run does.
func New(o Options) (*Set, error) {
	if len(o.Addresses) == 0 {
		return nil, errors.New("hosts: no host is configured; the default is local=qemu:///system")
	}
	if o.Accelerator == "" {
		o.Accelerator = "auto"
	}
	if !slices.Contains([]string{"auto", "kvm", "qemu"}, o.Accelerator) {
		return nil, fmt.Errorf("accelerator: %q is none of auto, kvm, qemu", o.Accelerator)
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	s := &Set{calls: newCallMetrics()}
	for _, a := range o.Addresses {
		s.hosts = append(s.hosts, newHost(a, o.Accelerator, s.calls, o.Log.With("host", a.Name)))
	}
	return s, nil
}

// Listen adds a listener to every host. Call it before Run.
func (s *Set) Listen(l Listener) {
	for _, h := range s.hosts {
		h.listeners = append(h.listeners, l)
	}
}

// Run connects to the hosts and keeps them connected until ctx is done. An unreachable
// host delays neither the others nor Run.
func (s *Set) Run(ctx context.Context) error {
	startEventLoop()
	var g errgroup.Group
	for _, h := range s.hosts {
		g.Go(func() error {
			h.run(ctx)
			return nil
		})
	}
	return g.Wait()
}

// Hosts returns the hosts in the order of the configuration.
func (s *Set) Hosts() []*Host { return slices.Clone(s.hosts) }

// Host returns the host with a name, or the first one for the empty name. It fails with
// fault.HostNotFound for an unknown name.
func (s *Set) Host(name string) (*Host, error) {
	if name == "" {
		return s.hosts[0], nil
	}
	for _, h := range s.hosts {
		if h.name == name {
			return h, nil
		}
	}
	var names []string
	for _, h := range s.hosts {
		names = append(names, h.name)
	}
	return nil, fault.New(fault.HostNotFound, "Host %q not found. The hosts are: %s.", name, strings.Join(names, ", "))
}

// Do is Host followed by Host.Do.
func (s *Set) Do(ctx context.Context, host, op string, f Call) error {
	h, err := s.Host(host)
	if err != nil {
		return err
	}
	return h.Do(ctx, op, f)
}

// Dial is Host followed by Host.Dial.
func (s *Set) Dial(ctx context.Context, host string, f Call) error {
	h, err := s.Host(host)
	if err != nil {
		return err
	}
	return h.Dial(ctx, f)
}

// DialBriefly is Host followed by Host.DialBriefly.
func (s *Set) DialBriefly(ctx context.Context, host string, f Call) error {
	h, err := s.Host(host)
	if err != nil {
		return err
	}
	return h.DialBriefly(ctx, f)
}

// AskAgent is Host followed by Agents.Ask.
func (s *Set) AskAgent(ctx context.Context, host, id, op string, f func(*Agent) error) error {
	h, err := s.Host(host)
	if err != nil {
		return err
	}
	return h.agents.Ask(ctx, id, op, f)
}
