package definition

import (
	"encoding/xml"

	"github.com/google/uuid"
)

// Owner is who a node or a network belongs to, in the metadata: the name is for
// people who read the XML, the id decides.
type Owner struct {
	ID   string
	Name string
}

// ownerXML is an owner as it is written.
type ownerXML struct {
	ID   string `xml:"id,attr,omitempty"`
	Name string `xml:",chardata"`
}

// MarshalXML writes the element, or nothing where nobody owns.
func (o Owner) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	if o == (Owner{}) {
		return nil
	}
	return e.EncodeElement(ownerXML(o), start)
}

// UnmarshalXML reads the element. An id that is not one counts as none.
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
