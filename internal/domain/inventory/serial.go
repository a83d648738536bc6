package inventory

import (
	"fmt"
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// SerialPort is a serial port of a domain, or a console of another type.
type SerialPort struct {
	// Alias is its name in libvirt: "serial0", "console1".
	Alias string
	// Device is its device file in a Linux guest: "/dev/ttyS0". It is empty if unknown.
	Device string
	// Usable is true if it can be opened, which means that it is a pseudo-terminal on the
	// host and not a file or a network socket.
	Usable bool
	// LogPath is its log file on the host; empty for none.
	LogPath string
}

// Port returns the node's serial port with the given alias or index in Ports; an empty name
// selects the first one. Errors: fault.NotFound, which lists the existing ports, and
// fault.Unsupported if the node has none.
func (n Node) Port(name string) (SerialPort, error) {
	if len(n.Ports) == 0 {
		return SerialPort{}, fault.New(fault.Unsupported, "Node %q has no serial console. Add <serial type='pty'/> to it with `virsh edit`.", n.Name)
	}
	var aliases []string
	for i, p := range n.Ports {
		if name == "" || name == p.Alias || name == strconv.Itoa(i) {
			return p, nil
		}
		aliases = append(aliases, p.Alias)
	}
	return SerialPort{}, fault.New(fault.NotFound, "Serial port %[2]q of node %[1]q not found. Its ports are: %[3]s.", n.Name, name, strings.Join(aliases, ", "))
}

// UsablePort is Port, but returns fault.Unsupported for a port that cannot be opened.
func (n Node) UsablePort(name string) (SerialPort, error) {
	p, err := n.Port(name)
	if err == nil && !p.Usable {
		err = fault.New(fault.Unsupported, "Port %s of node %q is not of type pty, so it cannot be opened. Change it with `virsh edit`.", p.Alias, n.Name)
	}
	return p, err
}

// serialPorts returns a domain's ports, with the one that `virsh console` opens first. A
// domain that is off has no aliases yet, so they are the ones that libvirt will assign.
func serialPorts(devices *libvirtxml.DomainDeviceList) []SerialPort {
	var ports []SerialPort
	for i, s := range devices.Serials {
		p := newPort("serial", i, s.Alias, s.Source, s.Log)
		kind, line := "", uint(i) // a list index
		if s.Target != nil {
			kind = s.Target.Type
			if s.Target.Port != nil {
				line = *s.Target.Port
			}
		}
		switch kind {
		case "", "isa-serial", "pci-serial":
			p.Device = fmt.Sprintf("/dev/ttyS%d", line)
		case "usb-serial":
			p.Device = "/dev/ttyUSB0"
		}
		ports = append(ports, p)
	}
	virtio := 0
	for i, c := range devices.Consoles {
		// libvirt lists the first serial port as a console too.
		if c.Target == nil || c.Target.Type == "serial" || c.Target.Type == "" {
			continue
		}
		p := newPort("console", i, c.Alias, c.Source, c.Log)
		if c.Target.Type == "virtio" {
			p.Device = fmt.Sprintf("/dev/hvc%d", virtio)
			virtio++
		}
		if i == 0 {
			ports = append([]SerialPort{p}, ports...)
		} else {
			ports = append(ports, p)
		}
	}
	return ports
}

func newPort(kind string, index int, alias *libvirtxml.DomainAlias, source *libvirtxml.DomainChardevSource, log *libvirtxml.DomainChardevLog) SerialPort {
	p := SerialPort{Alias: kind + strconv.Itoa(index), Usable: source == nil || source.Pty != nil}
	if alias != nil && alias.Name != "" {
		p.Alias = alias.Name
	}
	if log != nil {
		p.LogPath = log.File
	}
	return p
}
