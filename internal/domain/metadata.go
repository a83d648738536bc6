package domain

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"libvirt.org/go/libvirt"
)

// Namespace is the XML namespace of our element in a domain's <metadata>.
const Namespace = "https://sandboxlabs.dev/ns/node/1"

// metadataPrefix is the prefix that libvirt gives the element.
const metadataPrefix = "sandboxlabs"

// metadata is our element. It is written when a node is made, adopted or edited;
// what others add to it, or beside it, is never touched.
type metadata struct {
	XMLName xml.Name  `xml:"https://sandboxlabs.dev/ns/node/1 node"`
	Owner   owner     `xml:"owner"`
	Created time.Time `xml:"created"`
	OSType  string    `xml:"osType,omitempty"`
	Tags    *tagList  `xml:"tags"`
	Image   *struct {
		Type string `xml:"type,attr"`
		ID   string `xml:"id,attr"`
		Name string `xml:"name,attr,omitempty"`
	} `xml:"image"`

	// twice says that the element declares its namespace with and without our prefix,
	// as libvirt writes what was given to it with a namespace.
	twice bool
}

// setMetadata writes our element into one copy of a domain's definition. libvirt
// declares the namespace itself, and refuses an element that already declares its
// prefix: so does that which GetMetadata returns where it was once written with a namespace.
func setMetadata(d *libvirt.Domain, element string, impact libvirt.DomainModificationImpact) error {
	bare, err := withoutNamespace(element)
	if err != nil {
		return err
	}
	return d.SetMetadata(libvirt.DOMAIN_METADATA_ELEMENT, bare, metadataPrefix, Namespace, impact)
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
			if a.Value != Namespace || (name != xml.Name{Local: "xmlns"} && name != xml.Name{Space: "xmlns", Local: metadataPrefix}) {
				continue
			}
			if start.Name.Space == metadataPrefix && name.Space != "" {
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

// tagList is the part of our metadata that holds a node's tags.
type tagList struct {
	XMLName xml.Name `xml:"tags"`
	Tags    []string `xml:"tag"`
}

// sorted are the tags as they are shown: in order, each once.
func (l *tagList) sorted() []string {
	if l == nil {
		return nil
	}
	tags := slices.Clone(l.Tags)
	slices.Sort(tags)
	return slices.Compact(tags)
}

func newMetadata(by owner, osType string, image ImageRef, created time.Time) metadata {
	m := metadata{Owner: by, OSType: osType, Created: created.UTC().Truncate(time.Second)}
	if image.ID != "" {
		m.Image = &struct {
			Type string `xml:"type,attr"`
			ID   string `xml:"id,attr"`
			Name string `xml:"name,attr,omitempty"`
		}{image.Type, image.ID, image.Name}
	}
	return m
}

// findMetadata looks for our element among the content of <metadata>.
func findMetadata(inner string) (metadata, bool) {
	return decodeMetadata(xml.NewDecoder(strings.NewReader(inner)))
}

// parseMetadata understands our element as libvirt returns it by itself: without its
// name space.
func parseMetadata(element string) (metadata, bool) {
	d := xml.NewDecoder(strings.NewReader(element))
	d.DefaultSpace = Namespace
	return decodeMetadata(d)
}

func decodeMetadata(d *xml.Decoder) (metadata, bool) {
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) || err != nil {
			return metadata{}, false
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if start.Name.Space != Namespace || start.Name.Local != "node" {
			if d.Skip() != nil {
				return metadata{}, false
			}
			continue
		}
		// A part that another program garbled does not make the node a stranger's.
		var m metadata
		_ = d.DecodeElement(&m, &start)
		declared := func(name xml.Name) bool { return slices.Contains(start.Attr, xml.Attr{Name: name, Value: Namespace}) }
		m.twice = declared(xml.Name{Local: "xmlns"}) && declared(xml.Name{Space: "xmlns", Local: metadataPrefix})
		return m, true
	}
}
