package domain

import (
	"context"
	"log/slog"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// Screen describes how to connect to a running node's VNC screen.
type Screen struct {
	NodeID   string
	NodeName string
	Host     string
	// Index is the index of the screen in the domain's graphics devices, for
	// virDomainOpenGraphicsFD.
	Index uint
	// Listen is the address on the host, empty if the screen has only a socket.
	Listen string
	Port   int // TCP port; 0 for none
	// Password is the VNC password, empty for none. It must never reach a client or a log.
	Password string
}

// LogValue keeps the password out of logs.
func (s Screen) LogValue() slog.Value {
	return slog.GroupValue(slog.String("node", s.NodeID), slog.String("host", s.Host), slog.Int("port", s.Port))
}

// Screen returns the node's VNC screen, read from libvirt. Errors: fault.NodeNotRunning while
// the node is off, fault.NoScreen if it has no VNC screen.
func (s *Service) Screen(ctx context.Context, id string) (Screen, error) {
	n, err := s.inv.Node(id)
	if err != nil {
		return Screen{}, err
	}
	var def libvirtxml.Domain
	err = s.withDomain(ctx, "node.screen", n, func(d *libvirt.Domain) error {
		active, err := d.IsActive()
		if err != nil {
			return err
		}
		if !active {
			return fault.New(fault.NodeNotRunning, "Node %q is not running, so it has no screen. Start it first.", n.Name)
		}
		text, err := d.GetXMLDesc(libvirt.DOMAIN_XML_SECURE)
		if err != nil {
			return err
		}
		return def.Unmarshal(text)
	})
	if err != nil {
		return Screen{}, explain(err, "read the screen of", n.Name)
	}
	screen, other := findScreen(&def)
	if screen == nil {
		if other != "" {
			return Screen{}, fault.New(fault.NoScreen, "The screen of node %q is %s; VNC is shown here. Add <graphics type='vnc' listen='127.0.0.1'/> to it with `virsh edit`.", n.Name, other)
		}
		return Screen{}, fault.New(fault.NoScreen, "Node %q has no screen. Add <graphics type='vnc' listen='127.0.0.1'/> to it with `virsh edit`.", n.Name)
	}
	screen.NodeID, screen.NodeName, screen.Host = n.ID, n.Name, n.Host
	return *screen, nil
}

// findScreen returns the first VNC screen of a domain, or else the type of another screen.
func findScreen(def *libvirtxml.Domain) (screen *Screen, other string) {
	if def.Devices == nil {
		return nil, ""
	}
	for i, g := range def.Devices.Graphics {
		switch {
		case g.VNC != nil:
			v := &Screen{Index: uint(i), Port: max(g.VNC.Port, 0), Listen: g.VNC.Listen, Password: g.VNC.Passwd} // a list index
			for _, l := range g.VNC.Listeners {
				if l.Address != nil && v.Listen == "" {
					v.Listen = l.Address.Address
				}
			}
			return v, ""
		case g.Spice != nil:
			other = "SPICE"
		case g.SDL != nil, g.Desktop != nil, g.EGLHeadless != nil, g.DBus != nil:
			other = "local to the host"
		}
	}
	return nil, other
}
