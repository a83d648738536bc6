package inventory

import (
	"errors"
	"slices"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/diskref"
	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// readState returns what libvirt knows about a domain without waiting for QEMU.
func (inv *Inventory) readState(d *libvirt.Domain, host string) (Node, error) {
	id, err := d.GetUUIDString()
	if err != nil {
		return Node{}, err
	}
	n := Node{ID: id, Host: host}
	if n.Name, err = d.GetName(); err != nil {
		return Node{}, err
	}
	state, reason, err := d.GetState()
	if err != nil {
		return Node{}, err
	}
	n.State = nodeState(state, reason)
	if n.State == Paused && inv.isStarting(id) {
		n.State = Starting
	}
	if n.State == Crashed {
		if n.kept, err = d.IsActive(); err != nil {
			return Node{}, err
		}
	}
	if n.Persistent, err = d.IsPersistent(); err != nil {
		return Node{}, err
	}
	if n.Persistent {
		n.Autostart, _ = d.GetAutostart()
		if n.Saved, err = definition.HasSavedState(d); err != nil {
			return Node{}, err
		}
	}
	return n, nil
}

// read reads a domain. If its XML cannot be parsed, the node contains only what libvirt
// reports outside of the XML.
func (inv *Inventory) read(d *libvirt.Domain, host string) (Node, error) {
	n, err := inv.readState(d, host)
	if err != nil {
		return Node{}, err
	}
	text, err := d.GetXMLDesc(0)
	if err != nil {
		return Node{}, err
	}
	var def libvirtxml.Domain
	if err := def.Unmarshal(text); err != nil {
		n.Problem = "Its XML cannot be understood here; use virsh for it."
		n.Refs = []diskref.Ref{{Unknown: "disks that cannot be understood here"}}
		inv.log.Warn("a domain's XML cannot be parsed", "host", host, "node", n.ID, "error", err)
		return n, nil
	}
	n.Describe(&def)
	inv.nameOwner(&n)
	snapshots, current, err := definition.SnapshotNames(d)
	if err != nil {
		return Node{}, err
	}
	n.Snapshots, n.CurrentSnapshot = len(snapshots), current
	var next *libvirtxml.Domain // for the next start of a running domain
	if n.Persistent && n.Active() {
		if next, err = definition.Of(d, libvirt.DOMAIN_XML_INACTIVE); err != nil {
			return Node{}, err
		}
		n.Next = nextSize(next, n)
	}
	if n.Refs, err = refsOf(d, n, &def, next); err != nil {
		return Node{}, err
	}
	n.ExtraBytes = inv.extraBytes(d, &def, n)
	if disk := definition.FirstDisk(&def); disk != nil && disk.Target != nil {
		n.OverlayPath, n.DiskTarget = disk.Source.File.File, disk.Target.Dev
		n.BackingPath, _ = definition.BackingFile(disk)
		if n.DiskBytes, err = inv.DiskBytes(d, disk, n); err != nil {
			n.Problem = "Its disk " + n.OverlayPath + " cannot be read."
		}
	}
	inv.measureKept(d, &def, &n)
	read := ""
	if n.DiskBytes > 0 {
		read = n.OverlayPath
	}
	var lack *fault.Error
	if errors.As(inv.lack(d, &def, host, read, lookLife), &lack) {
		n.Problem = lack.Message
	}
	return n, nil
}

// nameOwner resolves the owner of a node whose metadata has only a name.
func (inv *Inventory) nameOwner(n *Node) {
	if n.Owner == "" && n.OwnerName != "" {
		n.Owner, n.OwnerByName = inv.accounts.FormerOwner(n.OwnerName), true
	}
}

// describeMetadata sets the fields that come from the SandboxLabs metadata.
func (n *Node) describeMetadata(m definition.Metadata) {
	n.Managed, n.Owner, n.OwnerName, n.OSType, n.Created, n.Tags = true, m.Owner.ID, m.Owner.Name, m.OSType, m.Created.UTC(), m.Tags.Sorted()
	n.DeclaredTwice = m.Twice
	if m.Image != nil {
		n.Image = ImageRef{Type: m.Image.Type, ID: m.Image.ID, Name: m.Image.Name}
	}
}

// Describe sets the fields that come from the XML.
func (n *Node) Describe(def *libvirtxml.Domain) {
	n.Accelerator = def.Type
	n.Firmware, n.TPM = definition.Firmware(def), def.Devices != nil && len(def.Devices.TPMs) > 0
	if def.Metadata != nil {
		if m, ok := definition.FindMetadata(def.Metadata.XML); ok {
			n.describeMetadata(m)
		}
		if n.OSType == "" {
			n.OSType = definition.OSInfoType(def.Metadata.XML)
		}
	}
	n.Description = def.Description
	n.UserMode = definition.UserCards(def) > 0
	size := definition.SizeOf(def)
	n.RAMMiB, n.CPUs = size.RAMMiB, size.CPUs
	if def.Devices == nil {
		return
	}
	for i := range def.Devices.Interfaces {
		if v := definition.InterfaceOf(&def.Devices.Interfaces[i]); v.Network != "" {
			n.Networks = append(n.Networks, v.Network)
		}
	}
	n.agent = slices.ContainsFunc(def.Devices.Channels, func(c libvirtxml.DomainChannel) bool {
		return c.Target != nil && c.Target.VirtIO != nil && c.Target.VirtIO.Name == definition.AgentChannel && c.Target.VirtIO.State == "connected"
	})
	n.Ports = serialPorts(def.Devices)
	n.Files = definition.DiskFiles(def.Devices.Disks)
	n.Below = definition.FilesBelow(def.Devices.Disks)
	for _, g := range def.Devices.Graphics {
		if g.VNC == nil || !n.Active() {
			continue
		}
		if g.VNC.Port > 0 {
			n.VNCPort = g.VNC.Port
		} else {
			n.VNCSocket = vncSocket(g.VNC)
		}
	}
}

// vncSocket returns the socket that a screen listens on; empty for none.
func vncSocket(g *libvirtxml.DomainGraphicVNC) string {
	for _, l := range g.Listeners {
		if l.Socket != nil && l.Socket.Socket != "" {
			return l.Socket.Socket
		}
	}
	return g.Socket
}

// nextSize returns the size of a running domain after its next start, nil if that is its
// current size.
func nextSize(def *libvirtxml.Domain, n Node) *Size {
	next := definition.SizeOf(def)
	if next == (Size{RAMMiB: n.RAMMiB, CPUs: n.CPUs}) {
		return nil
	}
	return &next
}

func nodeState(state libvirt.DomainState, reason int) State {
	switch state {
	case libvirt.DOMAIN_RUNNING, libvirt.DOMAIN_BLOCKED:
		return Running
	case libvirt.DOMAIN_PAUSED:
		if libvirt.DomainPausedReason(reason) == libvirt.DOMAIN_PAUSED_STARTING_UP {
			return Starting
		}
		if libvirt.DomainPausedReason(reason) == libvirt.DOMAIN_PAUSED_CRASHED {
			return Crashed
		}
		return Paused
	case libvirt.DOMAIN_PMSUSPENDED:
		return Paused
	case libvirt.DOMAIN_SHUTDOWN:
		return Stopping
	case libvirt.DOMAIN_CRASHED:
		return Crashed
	default:
		if libvirt.DomainShutoffReason(reason) == libvirt.DOMAIN_SHUTOFF_CRASHED {
			return Crashed
		}
		return Stopped
	}
}

// StateOf reads the state of a domain from libvirt.
func StateOf(d *libvirt.Domain) (State, error) {
	state, reason, err := d.GetState()
	return nodeState(state, reason), err
}
