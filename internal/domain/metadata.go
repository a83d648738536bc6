package domain

import (
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"libvirt.org/go/libvirt"
)

// setMetadata writes our element into one copy of a domain's definition. libvirt
// declares the namespace itself, and refuses an element that already declares its
// prefix: so does that which GetMetadata returns where it was once written with a namespace.
func setMetadata(d *libvirt.Domain, element string, impact libvirt.DomainModificationImpact) error {
	bare, err := withoutNamespace(element)
	if err != nil {
		return err
	}
	return d.SetMetadata(libvirt.DOMAIN_METADATA_ELEMENT, bare, definition.Prefix, definition.Namespace, impact)
}

// withoutNamespace is our element without the declarations of its namespace that libvirt
// would add, or refuse.
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
				continue // the names in the element need it
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
