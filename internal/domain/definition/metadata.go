package definition

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// Namespace is the XML namespace of the SandboxLabs element in a domain's <metadata>.
const Namespace = "https://sandboxlabs.dev/ns/node/1"

// Prefix is the namespace prefix of the element in libvirt's XML.
const Prefix = "sandboxlabs"

// Metadata is the SandboxLabs element. It is written when a node is created, adopted or
// edited. What other programs add inside or next to it is preserved.
type Metadata struct {
	XMLName xml.Name  `xml:"https://sandboxlabs.dev/ns/node/1 node"`
	Owner   Owner     `xml:"owner"`
	Created time.Time `xml:"created"`
	OSType  string    `xml:"osType,omitempty"`
	Tags    *TagList  `xml:"tags"`
	Image   *struct {
		Type string `xml:"type,attr"`
		ID   string `xml:"id,attr"`
		Name string `xml:"name,attr,omitempty"`
	} `xml:"image"`

	// Twice is true if the element declares its namespace both with and without the prefix,
	// as libvirt returns an element that was written with a namespace.
	Twice bool `xml:"-"`
}

// TagList is the element with a node's tags.
type TagList struct {
	XMLName xml.Name `xml:"tags"`
	Tags    []string `xml:"tag"`
}

// Sorted returns the tags sorted and without duplicates.
func (l *TagList) Sorted() []string {
	if l == nil {
		return nil
	}
	tags := slices.Clone(l.Tags)
	slices.Sort(tags)
	return slices.Compact(tags)
}

// ImageRef is a reference to the image that a node was created from.
type ImageRef struct {
	Type string // "base" or "custom"
	ID   string
	Name string
}

// NewMetadata returns the metadata for a node that is created or adopted.
func NewMetadata(by Owner, osType string, image ImageRef, created time.Time) Metadata {
	m := Metadata{Owner: by, OSType: osType, Created: created.UTC().Truncate(time.Second)}
	if image.ID != "" {
		m.Image = &struct {
			Type string `xml:"type,attr"`
			ID   string `xml:"id,attr"`
			Name string `xml:"name,attr,omitempty"`
		}{image.Type, image.ID, image.Name}
	}
	return m
}

// FindMetadata finds the SandboxLabs element in the content of <metadata>.
func FindMetadata(inner string) (Metadata, bool) {
	return decodeMetadata(xml.NewDecoder(strings.NewReader(inner)))
}

// ParseMetadata parses the element as libvirt returns it separately, without its namespace.
func ParseMetadata(element string) (Metadata, bool) {
	d := xml.NewDecoder(strings.NewReader(element))
	d.DefaultSpace = Namespace
	return decodeMetadata(d)
}

func decodeMetadata(d *xml.Decoder) (Metadata, bool) {
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) || err != nil {
			return Metadata{}, false
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if start.Name.Space != Namespace || start.Name.Local != "node" {
			if d.Skip() != nil {
				return Metadata{}, false
			}
			continue
		}
		// The node stays managed even if another program damaged a part of the element.
		var m Metadata
		_ = d.DecodeElement(&m, &start)
		declared := func(name xml.Name) bool { return slices.Contains(start.Attr, xml.Attr{Name: name, Value: Namespace}) }
		m.Twice = declared(xml.Name{Local: "xmlns"}) && declared(xml.Name{Space: "xmlns", Local: Prefix})
		return m, true
	}
}

// MaxOSTypeBytes limits the length of an osType.
const MaxOSTypeBytes = 64

// CheckOSType returns fault.Invalid for an osType that is not a short word.
func CheckOSType(osType string) error {
	if len(osType) > MaxOSTypeBytes || !fault.IsPlain(osType, "") {
		return fault.Field("osType", "osType must be a short word such as \"debian\".")
	}
	return nil
}
