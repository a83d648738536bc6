package display

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
)

// dial connects to a node's screen and performs the client's part of the handshake, up to
// but excluding ClientInit.
func (s *Service) dial(ctx context.Context, id string) (net.Conn, error) {
	screen, err := s.o.Nodes.Screen(ctx, id)
	if err != nil {
		return nil, err
	}
	conn, remote, err := s.connect(ctx, screen)
	if err != nil {
		return nil, s.explain(ctx, screen, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	err = greetScreen(conn, screen.Password)
	if err == nil && remote {
		// The port may belong to another node by now.
		var now Screen
		if now, err = s.o.Nodes.Screen(ctx, id); err == nil && now != screen {
			err = errors.New("the screen moved while it was opened")
		}
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		return nil, s.explain(ctx, screen, err)
	}
	return conn, nil
}

// connect connects to the screen. On this machine it uses libvirt, in which case QEMU
// requires no password; otherwise the network, or ssh if libvirt uses ssh.
func (s *Service) connect(ctx context.Context, screen Screen) (conn net.Conn, remote bool, err error) {
	var address string
	var tunnel *url.URL
	err = s.o.Hosts.Do(ctx, screen.Host, "screen.open", func(c *libvirt.Connect) error {
		uri, err := c.GetURI()
		if err != nil {
			return err
		}
		// libvirt passes the socket of a screen only to a program on the same machine.
		if hostname, isRemote := hypervisor.RemoteHost(uri); isRemote {
			if tunnel = sshHost(uri); tunnel != nil {
				hostname = "localhost" // as seen from the host
			}
			address, err = screen.address(hostname)
			return err
		}
		d, err := c.LookupDomainByUUIDString(screen.NodeID)
		if err != nil {
			return err
		}
		defer func() { _ = d.Free() }()
		file, err := d.OpenGraphicsFD(screen.Index, libvirt.DOMAIN_OPEN_GRAPHICS_SKIPAUTH)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		conn, err = net.FileConn(file)
		return err
	})
	if err != nil || address == "" {
		return conn, false, err
	}
	if tunnel != nil {
		conn, err = dialSSH(tunnel, address)
		return conn, true, err
	}
	dialer := net.Dialer{KeepAlive: 15 * time.Second}
	conn, err = dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		err = fault.Wrap(err, fault.HostUnreachable,
			"The screen of node %q doesn't respond at %s. Allow this service in the firewall of host %q.", screen.NodeName, address, screen.Host)
	}
	return conn, true, err
}

// sshHost returns the address of a host that libvirt reaches with the ssh program; nil for
// any other.
func sshHost(uri string) *url.URL {
	u, err := url.Parse(uri)
	if err != nil || !strings.HasSuffix(u.Scheme, "+ssh") {
		return nil
	}
	return u
}

// address returns the address of the screen of a node on the machine hostname.
func (s Screen) address(hostname string) (string, error) {
	const advice = "Let it listen where this service can reach it (`virsh edit`: <graphics type='vnc' listen='…'>), and restart the node."
	if s.Port == 0 {
		return "", fault.New(fault.Unsupported, "The screen of node %q has no network address on host %q. %s", s.NodeName, s.Host, advice)
	}
	listen, err := netip.ParseAddr(s.Listen)
	switch {
	case err != nil || listen.IsUnspecified():
		if hostname == "" {
			return "", fault.New(fault.Unsupported, "The URI of host %q has no host name, so the screen of node %q can't be reached.", s.Host, s.NodeName)
		}
		return net.JoinHostPort(hostname, strconv.Itoa(s.Port)), nil
	case listen.IsLoopback() && !isLoopback(hostname):
		return "", fault.New(fault.Unsupported, "The screen of node %q listens on %s, which is reachable only on host %q. %s", s.NodeName, s.Listen, s.Host, advice)
	}
	return net.JoinHostPort(s.Listen, strconv.Itoa(s.Port)), nil
}

func isLoopback(hostname string) bool {
	ip, err := netip.ParseAddr(hostname)
	return hostname == "localhost" || (err == nil && ip.IsLoopback())
}

// explain turns an error of opening a screen into one for users. If the node stopped
// meanwhile, the error says so.
func (s *Service) explain(ctx context.Context, screen Screen, err error) error {
	switch fault.CodeOf(err) {
	case fault.Internal:
	default:
		return err
	}
	if _, now := s.o.Nodes.Screen(ctx, screen.NodeID); now != nil && fault.CodeOf(now) != fault.Internal {
		return now
	}
	var tunnel *sshError
	if errors.As(err, &tunnel) {
		return fault.Wrap(err, fault.HostUnreachable, "Couldn't reach the screen of node %q through ssh to host %q. See the service's log.", screen.NodeName, screen.Host)
	}
	reason := "it does not answer as a VNC screen"
	var lv libvirt.Error
	if errors.As(err, &lv) {
		reason = lv.Message
	}
	return fault.Wrap(err, fault.Hypervisor, "Couldn't open the screen of node %q: %s. Try again.", screen.NodeName, strings.TrimSuffix(reason, "."))
}
