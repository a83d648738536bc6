package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
)

const (
	guacdPort       = 4822 // default port of guacd
	guacdDial       = 300 * time.Millisecond
	guacdDialsLimit = 10 * time.Second
)

// guacd checks that nodes cannot reach a guacd on this machine, because guacd connects any
// client to every screen and server. It connects from the address of each network's
// bridge. This detects a firewall rule that drops these addresses, but not one that
// matches the bridge interface, because the packets never leave the machine.
func (r *report) guacd(ctx context.Context, a *app, h *hypervisor.Host) {
	if _, remote := hypervisor.RemoteHost(h.Status().URI); remote {
		return // a remote host: its addresses are not on this machine
	}
	bridges, err := a.nodes.BridgeAddresses(ctx, h.Name())
	if err != nil {
		r.fail("guacd", h.Name(), explain(err))
		return
	}
	ports := []int{guacdPort}
	for _, g := range a.config.Guacamole.Guacds {
		if !slices.Contains(ports, g.Port) {
			ports = append(ports, g.Port)
		}
	}
	others, err := otherAddresses(bridges)
	if err != nil {
		r.fail("guacd", h.Name(), "can't read the addresses of this machine: "+err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(ctx, guacdDialsLimit)
	defer cancel()
	open := false
	for _, from := range bridges {
		if to := reachable(ctx, from.Address, append([]netip.Addr{from.Address}, others...), ports); to != "" {
			open = true
			r.warn("guacd", h.Name(), fmt.Sprintf("guacd listens at %s, where nodes in network %s can reach it unless a firewall blocks them. It has no authentication, and connects to every screen of the host. "+
				"Start it with -b 127.0.0.1, and run Guacamole on the same host; see docs/guacamole.md.", to, from.Network))
		}
	}
	switch {
	case ctx.Err() != nil:
		r.warn("guacd", h.Name(), fmt.Sprintf("not all networks were checked within %v", guacdDialsLimit))
	case !open:
		r.ok("guacd", h.Name(), fmt.Sprintf("nodes can't reach it, ports %v", ports))
	}
}

// otherAddresses returns this machine's addresses that are neither on the loopback
// interface nor in a libvirt network.
func otherAddresses(bridges []domain.BridgeAddress) (list []netip.Addr, err error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	for _, one := range addresses {
		prefix, err := netip.ParsePrefix(one.String())
		if err != nil {
			continue
		}
		address := prefix.Addr()
		inNetwork := slices.ContainsFunc(bridges, func(b domain.BridgeAddress) bool { return b.Address == address })
		if !address.IsLoopback() && !address.IsLinkLocalUnicast() && !inNetwork {
			list = append(list, address)
		}
	}
	return list, nil
}

// reachable returns the first address and port that accept a connection from the address
// from, or "" if none does.
func reachable(ctx context.Context, from netip.Addr, to []netip.Addr, ports []int) string {
	dialer := net.Dialer{Timeout: guacdDial, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
	for _, address := range to {
		if address.Is4() != from.Is4() {
			continue
		}
		for _, port := range ports {
			target := net.JoinHostPort(address.String(), strconv.Itoa(port))
			if c, err := dialer.DialContext(ctx, "tcp", target); err == nil {
				_ = c.Close()
				return target
			}
		}
	}
	return ""
}
