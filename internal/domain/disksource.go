package domain

import (
	"strings"

	"libvirt.org/go/libvirtxml"
)

// The types of a disk's source, as in libvirt's type attribute.
const (
	EmptySource   = "empty" // a drive without a medium
	FileSource    = "file"
	BlockSource   = "block"
	DirSource     = "dir"
	NetworkSource = "network"
	VolumeSource  = "volume"
	OtherSource   = "other"
)

// sourceOf describes the source of a disk: its type, and a text such as "/dev/sdb",
// "rbd:pool/image", "iscsi://server:3260/iqn.2026-01.org.example:disk/1" or "pool/volume".
func sourceOf(src *libvirtxml.DomainDiskSource) (kind, text string) {
	switch {
	case src == nil:
		return EmptySource, ""
	case src.File != nil:
		return named(FileSource, src.File.File)
	case src.Block != nil:
		return named(BlockSource, src.Block.Dev)
	case src.Dir != nil:
		return named(DirSource, src.Dir.Dir)
	case src.Volume != nil:
		return named(VolumeSource, strings.Trim(src.Volume.Pool+"/"+src.Volume.Volume, "/"))
	case src.Network != nil:
		return named(NetworkSource, networkSource(src.Network))
	case src.NVME != nil, src.VHostUser != nil, src.VHostVDPA != nil:
		return OtherSource, ""
	}
	return EmptySource, ""
}

// named returns EmptySource for a source without a name.
func named(kind, text string) (string, string) {
	if text == "" {
		return EmptySource, ""
	}
	return kind, text
}

// networkSource describes a disk on a server. It omits what follows a question mark, where
// some protocols have passwords.
func networkSource(n *libvirtxml.DomainDiskSourceNetwork) string {
	if len(n.Hosts) == 0 || n.Protocol == "rbd" || n.Protocol == "gluster" { // several servers share one name
		return n.Protocol + ":" + n.Name
	}
	h := n.Hosts[0]
	address := h.Name
	if address == "" {
		address = h.Socket
	}
	if strings.Contains(address, ":") {
		address = "[" + address + "]"
	}
	if h.Port != "" {
		address += ":" + h.Port
	}
	return strings.TrimSuffix(n.Protocol+"://"+address+"/"+n.Name, "/")
}
