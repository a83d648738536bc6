package domain

import (
	"context"
	"encoding/xml"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// UEFI firmware keeps its variables, including boot entries and keys, in a file (NVRAM).
// libvirt names that file after the domain and does not move it when the domain is renamed:
// the node would start without its boot entries, and the next domain with the old name would
// get them. So nodes store it in a volume named after their id.

const (
	// variablesSuffix follows a node's id in the volume name of its variables.
	variablesSuffix = "-vars.fd"
	// variablesFolder is where libvirt puts the variables of domains that do not specify a
	// path, in the builds of all distributions.
	variablesFolder = "/var/lib/libvirt/qemu/nvram"
)

// variablesFile returns the path of the variables of a domain with that name; empty if they
// are not in a file on the host.
func variablesFile(def *libvirtxml.Domain, name string) string {
	if nvram := def.OS.NVRam; nvram != nil {
		switch {
		case nvram.Source != nil && nvram.Source.File != nil:
			return nvram.Source.File.File
		case nvram.Source != nil:
			return ""
		case strings.TrimSpace(nvram.NVRam) != "":
			return strings.TrimSpace(nvram.NVRam)
		}
	}
	return path.Join(variablesFolder, name+"_VARS.fd")
}

// isNamedAfter returns whether a file is libvirt's default file for the variables of a domain
// with that name.
func isNamedAfter(file, name string) bool {
	return path.Dir(file) == variablesFolder && strings.HasPrefix(path.Base(file), name+"_VARS.")
}

// keepVariables copies the variables of a node that is off into the node's volume if they are
// in a file named after it. It is called before a rename.
func (s *Service) keepVariables(ctx context.Context, n Node, d *libvirt.Domain) error {
	text, err := d.GetXMLDesc(libvirt.DOMAIN_XML_INACTIVE | libvirt.DOMAIN_XML_SECURE)
	if err != nil {
		return err
	}
	var def libvirtxml.Domain
	if err := def.Unmarshal(text); err != nil {
		return err
	}
	if !definition.HasVariables(&def) {
		return nil
	}
	file := variablesFile(&def, n.Name)
	if !isNamedAfter(file, n.Name) {
		return nil
	}
	content, found, err := s.o.Storage.ReadVariables(ctx, n.Host, file)
	if err != nil || !found { // not found: the node was never started
		return err
	}
	own, err := s.putVariables(ctx, n.Host, n.ID, content)
	if err != nil {
		return err
	}
	if text, err = withVariables(text, &def, own); err != nil {
		return err
	}
	conn, err := d.DomainGetConnect()
	if err != nil {
		return err
	}
	defer func() { _, _ = conn.Close() }()
	if err := define(conn, text); err != nil {
		return err
	}
	// The next domain with that name must not use it.
	return s.o.Storage.DeleteVariables(ctx, n.Host, file)
}

// putVariables writes a node's variables into its volume, and returns the volume's path.
func (s *Service) putVariables(ctx context.Context, host, id string, content []byte) (file string, err error) {
	volume := id + variablesSuffix
	if err := s.o.Storage.DeleteNodeVolume(ctx, host, volume, time.Time{}); err != nil { // left by an earlier attempt
		return "", err
	}
	return s.o.Storage.PutNodeVolume(ctx, host, volume, content)
}

// withVariables changes the path of the firmware variables in a domain's XML.
func withVariables(text string, def *libvirtxml.Domain, file string) (string, error) {
	nvram := libvirtxml.DomainNVRam{NVRam: file}
	if old := def.OS.NVRam; old != nil {
		nvram.Template, nvram.TemplateFormat, nvram.Format = old.Template, old.TemplateFormat, old.Format
	}
	markup, err := xml.Marshal(struct {
		XMLName xml.Name `xml:"nvram"`
		libvirtxml.DomainNVRam
	}{DomainNVRam: nvram})
	if err != nil {
		return "", err
	}
	list, err := elements(text, "domain", "os", "nvram")
	if err == nil && len(list) > 0 {
		return text[:list[0].start] + string(markup) + text[list[0].end:], nil
	}
	if list, err = elements(text, "domain", "os"); err != nil || len(list) == 0 {
		return text, err
	}
	at := strings.LastIndex(text[:list[0].end], "</")
	return text[:at] + string(markup) + text[at:], nil
}

// cloneVariables sets the clone's own variables in its definition, which still has the
// source's: a copy of the source's current ones, or the defaults for new nodes.
func (s *Service) cloneVariables(ctx context.Context, n Node, def *libvirtxml.Domain, c Clone) error {
	if !definition.HasVariables(def) {
		return nil
	}
	folder, err := s.o.Storage.NodesFolder(n.Host)
	if err != nil {
		return err
	}
	own := path.Join(folder, c.ID+variablesSuffix)
	source := variablesFile(def, n.Name)
	// Files elsewhere were configured by an operator, and may be any file on the host.
	if isNamedAfter(source, n.Name) || path.Dir(source) == path.Clean(folder) && strings.HasPrefix(path.Base(source), n.ID) {
		content, found, err := s.o.Storage.ReadVariables(ctx, n.Host, source)
		if err == nil && found {
			own, err = s.putVariables(ctx, n.Host, c.ID, content)
		}
		if err != nil {
			return err
		}
	}
	if def.OS.NVRam == nil {
		def.OS.NVRam = &libvirtxml.DomainNVRam{}
	}
	def.OS.NVRam.NVRam, def.OS.NVRam.Source = own, nil
	return nil
}

// variablesVolume returns the name of the volume with the firmware variables of a snapshot,
// because no current release of libvirt saves them with it. The time distinguishes it from a
// later snapshot with the same name that virsh takes.
func variablesVolume(n Node, v Snapshot) string {
	return fmt.Sprintf("%s-vars.%s.%d.fd", n.ID, v.Name, v.Created.Unix())
}

// copyVariables copies a node's variables into a volume, if they exist and are in the node's
// own volume.
func (s *Service) copyVariables(ctx context.Context, n Node, def *libvirtxml.Domain, volume string) error {
	folder, err := s.o.Storage.NodesFolder(n.Host)
	if err != nil || !definition.HasVariables(def) {
		return err
	}
	own := path.Join(folder, n.ID+variablesSuffix)
	if path.Clean(variablesFile(def, n.Name)) != own {
		return nil
	}
	content, found, err := s.o.Storage.ReadVariables(ctx, n.Host, own)
	if err == nil && found {
		_, err = s.o.Storage.PutNodeVolume(ctx, n.Host, volume, content)
	}
	return err
}

// restoreVariables restores the firmware variables of the snapshot that a node was reverted
// to.
func (s *Service) restoreVariables(ctx context.Context, host string, data revertData) error {
	folder, err := s.o.Storage.NodesFolder(host)
	if err != nil {
		return err
	}
	content, found, err := s.o.Storage.ReadVariables(ctx, host, path.Join(folder, data.Variables))
	if err == nil && found {
		_, err = s.putVariables(ctx, host, data.ID, content)
	}
	return err
}

// memoryWithUEFI is the first release of libvirt that can snapshot the memory of guests with
// UEFI firmware.
const memoryWithUEFI = 10_010_000

// checkMemoryKept returns fault.Unsupported if libvirt cannot snapshot the memory of a
// running node. It is checked in advance, because libvirt sometimes reports it only in the
// middle of the snapshot.
func checkMemoryKept(n Node, def *libvirtxml.Domain, libvirtVersion string) error {
	const instead = "Stop it first: what is on its disks is kept then."
	if definition.HasVariables(def) {
		isQcow2 := def.OS.NVRam != nil && def.OS.NVRam.Format == "qcow2"
		if !isQcow2 || versionNumber(libvirtVersion) < memoryWithUEFI {
			return fault.New(fault.Unsupported, "Node %q runs with UEFI firmware, and libvirt %s can't save the memory of such a guest. This requires libvirt 10.10 and variables in qcow2 format. %s", n.Name, libvirtVersion, instead)
		}
	}
	if def.Devices == nil {
		return nil
	}
	for _, fs := range def.Devices.Filesystems {
		if fs.Driver != nil && fs.Driver.Type == "virtiofs" {
			return fault.New(fault.Unsupported, "Node %q uses a folder of the host (virtiofs), whose state libvirt can't save with the guest's memory. %s", n.Name, instead)
		}
	}
	for _, v := range def.Devices.Hostdevs {
		if v.SubsysPCI != nil || v.SubsysMDev != nil {
			return fault.New(fault.Unsupported, "Node %q uses a device of the host, whose state libvirt can't save with the guest's memory. %s", n.Name, instead)
		}
	}
	return nil
}

// versionNumber converts a version to libvirt's number: "10.10.0" is 10,010,000.
func versionNumber(version string) (number int) {
	for part := range strings.SplitSeq(version, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return 0
		}
		number = number*1000 + n
	}
	return number
}
