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

// Namespace is the XML namespace of our element in a domain's <metadata>.
const Namespace = "https://sandboxlabs.dev/ns/node/1"

// Prefix is the prefix that libvirt gives the element.
const Prefix = "sandboxlabs"

// Metadata is the element of SandboxLabs. It is written when a node is made, adopted or edited;
// what others add to it, or beside it, is never touched.
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

	// Twice says that the element declares its namespace with and without our prefix,
	// as libvirt writes what was given to it with a namespace.
	Twice bool `xml:"-"`
}

// TagList is the part of the metadata that holds a node's tags.
type TagList struct {
	XMLName xml.Name `xml:"tags"`
	Tags    []string `xml:"tag"`
}

// Sorted are the tags as they are shown: in order, each once.
func (l *TagList) Sorted() []string {
	if l == nil {
		return nil
	}
	tags := slices.Clone(l.Tags)
	slices.Sort(tags)
	return slices.Compact(tags)
}

// ImageRef says which image a node was made from.
type ImageRef struct {
	Type string // "base" or "custom"
	ID   string
	Name string
}

// NewMetadata is the metadata of a node that is created or adopted.
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

// FindMetadata looks for our element among the content of <metadata>.
func FindMetadata(inner string) (Metadata, bool) {
	return decodeMetadata(xml.NewDecoder(strings.NewReader(inner)))
}

// ParseMetadata reads the element as libvirt returns it by itself: without its namespace.
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
		// A part that another program garbled does not make the node a stranger's.
		var m Metadata
		_ = d.DecodeElement(&m, &start)
		declared := func(name xml.Name) bool { return slices.Contains(start.Attr, xml.Attr{Name: name, Value: Namespace}) }
		m.Twice = declared(xml.Name{Local: "xmlns"}) && declared(xml.Name{Space: "xmlns", Local: Prefix})
		return m, true
	}
}

// MaxOSTypeBytes bounds the word for a guest's operating system.
const MaxOSTypeBytes = 64

// CheckOSType returns fault.Invalid for an osType that is not a short word.
func CheckOSType(osType string) error {
	if len(osType) > MaxOSTypeBytes || !fault.IsPlain(osType, "") {
		return fault.Field("osType", "osType must be a short word such as \"debian\".")
	}
	return nil
}
