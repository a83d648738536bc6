package domain

import (
	"context"
	"encoding/xml"
	"strings"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// networkNamespace is the XML namespace of the SandboxLabs element in a network's <metadata>.
const networkNamespace = "https://sandboxlabs.dev/ns/network/1"

// networkMetadata is the SandboxLabs element in a network's <metadata>.
type networkMetadata struct {
	XMLName xml.Name         `xml:"https://sandboxlabs.dev/ns/network/1 network"`
	Owner   definition.Owner `xml:"owner"`
}

// readNetworkMetadata returns the SandboxLabs element of a network, false if there is none.
// It reads the persistent definition, because libvirt does not change the metadata of an
// active network.
func readNetworkMetadata(network *libvirt.Network, active bool, def *libvirtxml.Network) (m networkMetadata, ok bool, err error) {
	if def.Metadata == nil {
		return m, false, nil
	}
	if active {
		text, err := network.GetXMLDesc(libvirt.NETWORK_XML_INACTIVE)
		if err != nil {
			return m, false, err
		}
		next := &libvirtxml.Network{}
		if next.Unmarshal(text) == nil && next.Metadata != nil {
			def = next
		}
	}
	_, _, m, ok = findNetworkMetadata(def.Metadata.XML)
	return m, ok, nil
}

// findNetworkMetadata finds the SandboxLabs element in the content of <metadata>, and returns
// its offsets.
func findNetworkMetadata(inner string) (start, end int64, m networkMetadata, ok bool) {
	d := xml.NewDecoder(strings.NewReader(inner))
	for {
		start = d.InputOffset()
		token, err := d.Token()
		if err != nil {
			return 0, 0, m, false
		}
		element, is := token.(xml.StartElement)
		if !is {
			continue
		}
		if element.Name.Space == networkNamespace && element.Name.Local == "network" {
			// The network stays managed even if another program damaged a part of the
			// element.
			_ = d.DecodeElement(&m, &element)
			return start, d.InputOffset(), m, true
		}
		if d.Skip() != nil {
			return 0, 0, m, false
		}
	}
}

// SetNetworkOwner assigns a network that SandboxLabs created to another account, by id. Nodes
// on the network are not affected.
func (s *Service) SetNetworkOwner(ctx context.Context, v Network, account string) error {
	err := s.o.Hosts.Do(ctx, v.Host, "network.set-owner", func(conn *libvirt.Connect) error {
		network, err := conn.LookupNetworkByUUIDString(v.ID)
		if err != nil {
			return err
		}
		defer func() { _ = network.Free() }()
		text, err := network.GetXMLDesc(libvirt.NETWORK_XML_INACTIVE)
		if err != nil {
			return err
		}
		var def libvirtxml.Network
		if err := def.Unmarshal(text); err != nil {
			return err
		}
		if def.Metadata == nil {
			return fault.New(fault.Unsupported, "Network %q was not created by SandboxLabs.", v.Name)
		}
		start, end, ours, ok := findNetworkMetadata(def.Metadata.XML)
		if !ok {
			return fault.New(fault.Unsupported, "Network %q was not created by SandboxLabs.", v.Name)
		}
		ours.Owner = s.ownerElement(account)
		written, err := xml.Marshal(ours)
		if err != nil {
			return err
		}
		def.Metadata.XML = def.Metadata.XML[:start] + string(written) + def.Metadata.XML[end:]
		if text, err = def.Marshal(); err != nil {
			return err
		}
		changed, err := conn.NetworkDefineXML(text)
		if err != nil {
			return err
		}
		return changed.Free()
	})
	return explainNetwork(err, "change", v.Name)
}
