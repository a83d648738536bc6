package definition

import (
	"encoding/xml"

	"github.com/google/uuid"
)

// Owner is the owner of a node or a network in the metadata. Only the id is significant; the
// name is for people who read the XML.
type Owner struct {
	ID   string
	Name string
}

// ownerXML is the XML form of an owner.
type ownerXML struct {
	ID   string `xml:"id,attr,omitempty"`
	Name string `xml:",chardata"`
}

// MarshalXML writes the element, or nothing if there is no owner.
func (o Owner) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	if o == (Owner{}) {
		return nil
	}
	return e.EncodeElement(ownerXML(o), start)
}

// UnmarshalXML reads the element. It drops an id that is not a UUID.
func (o *Owner) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	var read ownerXML
	if err := d.DecodeElement(&read, &start); err != nil {
		return err
	}
	if uuid.Validate(read.ID) != nil {
		read.ID = ""
	}
	*o = Owner(read)
	return nil
}
