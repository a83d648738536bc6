package domain

import (
	"context"
	"encoding/xml"
	"errors"
	"strings"

	"github.com/google/uuid"
	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"libvirt.org/go/libvirt"
)

// Accounts resolves the owners of nodes and networks.
type Accounts interface {
	// OwnerName returns the name of the account with an id. It returns an unknown id
	// unchanged.
	OwnerName(id string) string
	// FormerOwner returns the id of the account that a name referred to before owners were
	// recorded by id; empty for none.
	FormerOwner(name string) (id string)
}

// ownerElement returns the metadata for an owner with that account id. If sign-in is off, it
// contains only the name, because accounts do not exist.
func (s *Service) ownerElement(id string) definition.Owner {
	if uuid.Validate(id) != nil {
		return definition.Owner{Name: id}
	}
	return definition.Owner{ID: id, Name: s.o.Accounts.OwnerName(id)}
}

// SetOwner assigns a node to another account, by id. Errors: fault.NodeNotManaged,
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

// rewriteMetadata rewrites a node's metadata in the form that libvirt accepts. Earlier
// versions adopted domains with an element that libvirt returns but rejects when it is
// written back, by any client.
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

// recordOwners rewrites metadata that libvirt would reject, and adds owner ids to metadata
// with only a name, from before owners were recorded by id. It returns whether it updated all
// of them.
func (s *Service) recordOwners(ctx context.Context, host string) bool {
	failed := func(err error) bool {
		if err != nil && ctx.Err() == nil {
			s.o.Log.Warn("the metadata of a node or a network could not be brought up to date yet", "host", host, "error", err)
		}
		return err != nil
	}
	all := true
	for _, n := range s.inv.Nodes() {
		if n.Host == host && n.Managed && n.DeclaredTwice && failed(s.rewriteMetadata(ctx, n.ID)) {
			all = false
		}
		if n.Host == host && n.Managed && n.OwnerByName && n.Owner != "" {
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
