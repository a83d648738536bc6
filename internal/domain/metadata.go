package domain

import (
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"libvirt.org/go/libvirt"
)

// setMetadata writes the SandboxLabs element into one copy of a domain's definition. libvirt
// adds the namespace declaration, and rejects an element that already declares its prefix.
// GetMetadata returns such an element if it was once written with a namespace.
func setMetadata(d *libvirt.Domain, element string, impact libvirt.DomainModificationImpact) error {
	bare, err := withoutNamespace(element)
	if err != nil {
		return err
	}
	return d.SetMetadata(libvirt.DOMAIN_METADATA_ELEMENT, bare, definition.Prefix, definition.Namespace, impact)
}

// withoutNamespace returns the SandboxLabs element without the namespace declarations that
// libvirt adds or rejects.
func withoutNamespace(text string) (string, error) {
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		before := int(d.InputOffset())
		token, err := d.RawToken()
		if err != nil {
			return "", fmt.Errorf("parse the node's metadata: %w", err)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		root := element{start: before, tagEnd: int(d.InputOffset()), name: writtenName(text[before:])}
		for _, a := range start.Attr {
			name := a.Name
			if a.Value != definition.Namespace || (name != xml.Name{Local: "xmlns"} && name != xml.Name{Space: "xmlns", Local: definition.Prefix}) {
				continue
			}
			if start.Name.Space == definition.Prefix && name.Space != "" {
				continue // prefixed names in the element need this declaration
			}
			written := name.Local
			if name.Space != "" {
				written = name.Space + ":" + name.Local
			}
			shorter := withoutAttribute(text, root, written)
			root.tagEnd -= len(text) - len(shorter)
			text = shorter
		}
		return text, nil
	}
}
