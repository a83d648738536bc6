package definition

import (
	"slices"
	"strings"

	"libvirt.org/go/libvirtxml"
)

// Interface is a network interface of a node.
type Interface struct {
	MAC     string
	Model   string
	Network string // a libvirt network; empty for other kinds
	Kind    string // "network", "user", "bridge" or "other"
}

// InterfaceOf returns the description of a network interface.
func InterfaceOf(i *libvirtxml.DomainInterface) Interface {
	v := Interface{Kind: "other"}
	if i.MAC != nil {
		v.MAC = i.MAC.Address
	}
	if i.Model != nil {
		v.Model = i.Model.Type
	}
	switch {
	case i.Source == nil:
	case i.Source.Network != nil:
		v.Kind, v.Network = "network", i.Source.Network.Network
	case i.Source.User != nil:
		v.Kind = "user"
	case i.Source.Bridge != nil:
		v.Kind = "bridge"
	}
	return v
}

// UserCards counts a domain's network interfaces with user-mode networking: QEMU's own (slirp),
// passt, and those in additional QEMU arguments.
func UserCards(def *libvirtxml.Domain) (count int) {
	if def.Devices != nil {
		for _, nic := range def.Devices.Interfaces {
			if nic.Source != nil && nic.Source.User != nil {
				count++
			}
		}
	}
	if def.QEMUCommandline == nil {
		return count
	}
	args := def.QEMUCommandline.Args
	for i, arg := range args {
		backend := strings.HasPrefix(arg.Value, "user") || strings.Contains(arg.Value, "=user") || strings.Contains(arg.Value, `"user"`)
		if i > 0 && slices.Contains([]string{"netdev", "nic", "net"}, strings.TrimLeft(args[i-1].Value, "-")) && backend {
			count++
		}
	}
	return count
}
