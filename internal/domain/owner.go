package domain

import (
	"context"
	"encoding/xml"
	"errors"
	"strings"

	"github.com/google/uuid"
	"libvirt.org/go/libvirt"
)

// Accounts knows who owns nodes and networks.
type Accounts interface {
	// OwnerName returns what an account is called, by its id; an id that is unknown is
	// returned as it is.
	OwnerName(id string) string
	// FormerOwner returns the id of the account that a name alone stood for, in what
	// was written before owners were recorded by their ids; empty: nobody.
	FormerOwner(name string) (id string)
}

// owner is who a node or a network belongs to, in the metadata: the name is for
// people who read the XML, the id decides.
type owner struct {
	ID   string
	Name string
}

// ownerXML is an owner as it is written.
type ownerXML struct {
	ID   string `xml:"id,attr,omitempty"`
	Name string `xml:",chardata"`
}

// MarshalXML writes the element, or nothing where nobody owns.
func (o owner) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	if o == (owner{}) {
		return nil
	}
	return e.EncodeElement(ownerXML(o), start)
}

// UnmarshalXML reads the element. An id that is not one counts as none.
func (o *owner) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	var read ownerXML
	if err := d.DecodeElement(&read, &start); err != nil {
		return err
	}
	if uuid.Validate(read.ID) != nil {
		read.ID = ""
	}
	*o = owner(read)
	return nil
}

// ownerElement returns how an account is written as an owner, by its id. Without
// sign-in there are no accounts, and the name alone is written.
func (s *Service) ownerElement(id string) owner {
	if uuid.Validate(id) != nil {
		return owner{Name: id}
	}
	return owner{ID: id, Name: s.o.Accounts.OwnerName(id)}
}

// SetOwner gives a node to another account, by its id. Errors: fault.NodeNotManaged,
// HostUnreachable, Hypervisor.
func (s *Service) SetOwner(ctx context.Context, id, account string) (Node, error) {
	return s.change(ctx, id, "node.set-owner", "change", func(_ context.Context, n Node, d *libvirt.Domain) error {
		if err := mustBeManaged(n, "changed"); err != nil {
			return err
		}
		var markup strings.Builder
		e := xml.NewEncoder(&markup)
		err := e.EncodeElement(s.ownerElement(account), xml.StartElement{Name: xml.Name{Local: "owner"}})
		if err := errors.Join(err, e.Close()); err != nil {
			return err
		}
		for _, impact := range impacts(n) {
			err := editMetadata(d, impact, func(text string) (string, error) { return replaceChildren(text, "owner", markup.String()) })
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// rewriteMetadata writes a node's metadata as libvirt writes it now: earlier versions
// adopted domains with an element that libvirt returns and then refuses, from everybody.
func (s *Service) rewriteMetadata(ctx context.Context, id string) error {
	_, err := s.change(ctx, id, "node.rewrite-metadata", "change", func(_ context.Context, n Node, d *libvirt.Domain) error {
		for _, impact := range impacts(n) {
			if err := editMetadata(d, impact, func(text string) (string, error) { return text, nil }); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// recordOwners rewrites metadata that libvirt would refuse, and writes the ids of owners beside names that stand alone, in what was
// made before owners were recorded by their ids. It returns whether all were written.
func (s *Service) recordOwners(ctx context.Context, host string) bool {
	failed := func(err error) bool {
		if err != nil && ctx.Err() == nil {
			s.o.Log.Warn("the metadata of a node or a network could not be brought up to date yet", "host", host, "error", err)
		}
		return err != nil
	}
	all := true
	for _, n := range s.inv.list() {
		if n.Host == host && n.Managed && n.declaredTwice && failed(s.rewriteMetadata(ctx, n.ID)) {
			all = false
		}
		if n.Host == host && n.Managed && n.ownerByName && n.Owner != "" {
			if _, err := s.SetOwner(ctx, n.ID, n.Owner); failed(err) {
				all = false
			}
		}
	}
	networks, err := s.Networks(ctx)
	if failed(err) {
		return false
	}
	for _, v := range networks {
		if v.Host == host && v.ownerByName && v.Owner != "" && failed(s.SetNetworkOwner(ctx, v, v.Owner)) {
			all = false
		}
	}
	return all
}
