package domain

import (
	"context"
	"encoding/xml"
	"path"
	"slices"
	"strings"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// Gain is the access that a new definition gives a node and that it does not have now.
type Gain struct {
	Networks []string `json:"networks"` // libvirt networks that it gets a network interface on
	Files    []string `json:"files"`    // media and read-only disks: paths on the host
	// Devices are other devices with access to the host, as text that can be compared.
	Devices []string `json:"devices"`
}

// May returns an error if the caller must not give a node what g contains.
type May func(ctx context.Context, n Node, g Gain) error

// within returns whether g is a subset of other.
func (g Gain) within(other Gain) bool {
	return len(more(other.Networks, g.Networks)) == 0 && len(more(other.Files, g.Files)) == 0 && len(more(other.Devices, g.Devices)) == 0
}

// gainOf compares two definitions; had is nil for a new node. It omits writable disks,
// because a revert with different disks is refused and a clone gets its own, and the seed of
// the node with that id.
func gainOf(had, def *libvirtxml.Domain, id string) Gain {
	if had == nil {
		had = &libvirtxml.Domain{}
	}
	return Gain{
		Networks: more(networksOf(had), networksOf(def)),
		Files:    more(readFiles(had, id), readFiles(def, id)),
		Devices:  more(hostDevices(had, id), hostDevices(def, id)),
	}
}

// more lists the elements of has that had does not contain, or contains fewer times.
func more(had, has []string) (list []string) {
	left := slices.Clone(had)
	for _, v := range has {
		if i := slices.Index(left, v); i >= 0 {
			left = slices.Delete(left, i, i+1)
			continue
		}
		list = append(list, v)
	}
	return list
}

func networksOf(def *libvirtxml.Domain) (list []string) {
	if def.Devices == nil {
		return nil
	}
	for i := range def.Devices.Interfaces {
		if v := definition.InterfaceOf(&def.Devices.Interfaces[i]); v.Network != "" {
			list = append(list, v.Network)
		}
	}
	return list
}

// readFiles lists the files that a guest can read but not write.
func readFiles(def *libvirtxml.Domain, id string) (list []string) {
	if def.Devices == nil {
		return nil
	}
	own := definition.Written(def)
	for _, disk := range def.Devices.Disks {
		if disk.Source == nil || disk.Source.File == nil || disk.Source.File.File == "" || isSeed(disk, id) {
			continue
		}
		if file := disk.Source.File.File; !slices.Contains(own, file) {
			list = append(list, file)
		}
	}
	return list
}

// hostDevices describes the other parts of a definition with access to the host or its
// network, which only administrators can add, through the domain's XML. It omits what every
// node has, such as its console log and a screen on the loopback address.
func hostDevices(def *libvirtxml.Domain, id string) (list []string) {
	add := func(kind string, parts ...string) {
		if text := strings.Join(parts, " "); text != "" {
			list = append(list, kind+" "+text)
		}
	}
	addUnusual := func(kind, file string) {
		if !strings.HasPrefix(path.Clean(file), "/usr/") {
			add(kind, file)
		}
	}
	if os := def.OS; os != nil {
		add("kernel", strings.Join([]string{os.Kernel, os.Initrd, os.DTB}, ""))
		if os.Loader != nil {
			addUnusual("loader", os.Loader.Path)
		}
	}
	if def.QEMUCommandline != nil {
		for _, arg := range def.QEMUCommandline.Args {
			add("argument", arg.Value)
		}
	}
	for _, label := range def.SecLabel {
		if label.Type == "static" || label.Type == "none" {
			add("label", label.Model+" "+label.Type+" "+label.Label)
		}
	}
	if def.Devices == nil {
		return list
	}
	addUnusual("emulator", def.Devices.Emulator)
	for _, v := range def.Devices.Disks {
		if v.Source != nil && v.Source.File == nil {
			add("disk", marshalled(&libvirtxml.DomainDisk{Source: v.Source}))
		}
	}
	for _, v := range def.Devices.Interfaces {
		if v.Source != nil && v.Source.Network == nil && v.Source.User == nil {
			add("card", marshalled(&libvirtxml.DomainInterface{Source: v.Source}))
		}
	}
	for _, v := range def.Devices.Hostdevs {
		v.Alias, v.Address = nil, nil
		add("host device", marshalled(&v))
	}
	for _, v := range def.Devices.Filesystems {
		v.Alias, v.Address = nil, nil
		add("file system", marshalled(&v))
	}
	for _, v := range def.Devices.TPMs {
		if b := v.Backend; b != nil && b.Emulator == nil {
			add("TPM", marshalled(&v))
		}
	}
	for _, v := range def.Devices.Shmems {
		add("shared memory", v.Name)
	}
	for _, v := range def.Devices.Graphics {
		if v.VNC != nil {
			for _, l := range v.VNC.Listeners {
				if l.Address != nil && l.Address.Address != "127.0.0.1" {
					add("screen", l.Address.Address)
				}
			}
		}
	}
	for _, c := range chardevs(def.Devices) {
		add("serial port", chardevTarget(c.source))
		if c.log != nil && path.Base(c.log.File) != id+".log" {
			add("log", c.log.File)
		}
	}
	return list
}

type chardev struct {
	source *libvirtxml.DomainChardevSource
	log    *libvirtxml.DomainChardevLog
}

func chardevs(devices *libvirtxml.DomainDeviceList) (list []chardev) {
	for _, v := range devices.Serials {
		list = append(list, chardev{v.Source, v.Log})
	}
	for _, v := range devices.Parallels {
		list = append(list, chardev{v.Source, v.Log})
	}
	for i, v := range devices.Consoles {
		if i > 0 || len(devices.Serials) == 0 { // the first console repeats the first serial port
			list = append(list, chardev{v.Source, v.Log})
		}
	}
	for _, v := range devices.Channels {
		list = append(list, chardev{v.Source, v.Log})
	}
	for _, v := range devices.RedirDevs {
		list = append(list, chardev{v.Source, nil})
	}
	return list
}

// chardevTarget returns the host resource that a character device is connected to. It is
// empty for a pseudo-terminal, and for a socket in libvirt's own directories, whose path
// libvirt chooses at each start.
func chardevTarget(source *libvirtxml.DomainChardevSource) string {
	switch {
	case source == nil, source.Pty != nil, source.Null != nil, source.SpiceVMC != nil:
		return ""
	case source.UNIX != nil && (source.UNIX.Path == "" || slices.ContainsFunc([]string{"/var/lib/libvirt/qemu", "/run/libvirt/qemu"}, func(folder string) bool {
		return strings.HasPrefix(path.Clean(source.UNIX.Path), folder+"/")
	})):
		return ""
	}
	return marshalled(&libvirtxml.DomainSerial{Source: source})
}

// marshalled returns a device as text. A device that cannot be marshalled equals no other.
func marshalled(v any) string {
	text, err := xml.Marshal(v)
	if err != nil {
		return "unknown: " + err.Error()
	}
	return string(text)
}

// checkReverted returns an error if reverting to a snapshot would restore access that the
// node must not have now, or that the caller must not give it.
func (s *Service) checkReverted(ctx context.Context, n Node, d *libvirt.Domain, h *libvirt.DomainSnapshot, may May) error {
	now, err := definition.Of(d, libvirt.DOMAIN_XML_INACTIVE)
	if err != nil {
		return err
	}
	then, err := definition.OfSnapshot(h)
	if err != nil {
		return err
	}
	host, err := s.o.Hosts.Host(n.Host)
	if err != nil {
		return err
	}
	var definitions []*libvirtxml.Domain
	if then.Domain != nil {
		definitions = append(definitions, then.Domain)
	}
	if then.InactiveDomain != nil {
		definitions = append(definitions, &then.InactiveDomain.Domain)
	}
	for _, def := range definitions {
		if err := s.checkCards(host, now, def); err != nil {
			return err
		}
		if err := may(ctx, n, gainOf(now, def, n.ID)); err != nil {
			return err
		}
	}
	return nil
}

// CloneGain returns the access that a clone of a node would have. It returns an error for
// user-mode networking if that is disabled.
func (s *Service) CloneGain(ctx context.Context, id string) (g Gain, err error) {
	n, err := s.inv.Node(id)
	if err != nil {
		return Gain{}, err
	}
	host, err := s.o.Hosts.Host(n.Host)
	if err != nil {
		return Gain{}, err
	}
	err = s.withDomain(ctx, "node.clone-gain", n, func(d *libvirt.Domain) error {
		def, err := definition.Of(d, libvirt.DOMAIN_XML_INACTIVE)
		if err != nil {
			return err
		}
		g = gainOf(nil, def, n.ID)
		return s.checkCards(host, nil, def)
	})
	return g, explain(err, "clone", n.Name)
}

// checkCloned returns an error if a clone would have more access than was granted when it was
// requested, or user-mode networking although that is disabled.
func (s *Service) checkCloned(n Node, def *libvirtxml.Domain, c Clone) error {
	host, err := s.o.Hosts.Host(n.Host)
	if err != nil {
		return err
	}
	if err := s.checkCards(host, nil, def); err != nil {
		return err
	}
	if !gainOf(nil, def, n.ID).within(c.Granted) {
		return fault.New(fault.NodeBusy, "The interfaces, media or devices of node %q have changed since the clone was requested. Try again.", n.Name)
	}
	return nil
}
