package domain

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// Edit is what shall be otherwise about a node; nil stays as it is.
type Edit struct {
	Name        *string
	RAMMiB      *int64
	CPUs        *int
	DiskBytes   *int64
	Autostart   *bool
	OSType      *string
	Description *string
	Tags        *[]string
}

// Edit changes a node, by calls of libvirt that each touch one thing: whatever
// else is in the domain's XML stays. The domain must be managed, unless the name
// alone is changed. The steps follow each other, the name first; when one fails,
// those before it hold, and the error says what failed.
//
// check, which may be nil, sees the node right before, while no other change made here runs;
// its error ends the change.
//
// Resized tells of each size that was changed when the guest has it. Errors:
// fault.Invalid, NodeRunning (to rename), NodeNotManaged, NodeNameTaken, Hypervisor.
func (s *Service) Edit(ctx context.Context, id string, e Edit, check func(Node) error) (Node, []Resized, error) {
	if err := e.check(); err != nil {
		return Node{}, nil, err
	}
	var resized []Resized
	n, err := s.change(ctx, id, "node.edit", "change", func(ctx context.Context, n Node, d *libvirt.Domain) (err error) {
		if check != nil {
			// Another service or virsh may have changed it just now.
			if err := s.inv.Sync(ctx, n.Host, id); err != nil && !isGone(err) {
				return err
			}
			if n, err = s.inv.Node(id); err == nil {
				err = check(n)
			}
			if err != nil {
				return err
			}
		}
		if e.more() {
			if err := mustBeManaged(n, "changed"); err != nil {
				return err
			}
		}
		if err := s.checkSize(n, e); err != nil {
			return err
		}
		if e.defines() {
			if err := checkNotSaved(d, n, "changed"); err != nil {
				return err
			}
		}
		if e.Name != nil {
			if err := s.rename(ctx, d, n, *e.Name); err != nil {
				return err
			}
		}
		if resized, err = s.resize(ctx, n, d, e); err != nil {
			return err
		}
		return describeAs(n, d, e)
	})
	return n, resized, err
}

// defines returns whether anything of the domain's definition is changed: that a domain
// starts with its host is kept beside it.
func (e Edit) defines() bool {
	e.Autostart = nil
	return e != Edit{}
}

// more tells whether anything but the name is changed.
func (e Edit) more() bool {
	e.Name = nil
	return e != Edit{}
}

// check answers fault.Invalid with what is wrong whatever the node is.
func (e Edit) check() error {
	if e.Name != nil {
		if err := ValidName(*e.Name); err != nil {
			return err
		}
	}
	if e.OSType != nil {
		if err := definition.CheckOSType(*e.OSType); err != nil {
			return err
		}
	}
	if e.Description != nil {
		if err := fault.CheckDescription(*e.Description); err != nil {
			return err
		}
	}
	if e.Tags != nil {
		return fault.CheckTags(*e.Tags)
	}
	return nil
}

// describeAs writes what is no size and no name.
func describeAs(n Node, d *libvirt.Domain, e Edit) error {
	if e.Autostart != nil {
		if err := d.SetAutostart(*e.Autostart); err != nil {
			return err
		}
	}
	for _, impact := range impacts(n) {
		if e.Description != nil {
			if err := d.SetMetadata(libvirt.DOMAIN_METADATA_DESCRIPTION, *e.Description, "", "", impact); err != nil {
				return err
			}
		}
		if e.OSType == nil && e.Tags == nil {
			continue
		}
		if err := editMetadata(d, impact, e.children); err != nil {
			return err
		}
	}
	return nil
}

// children changes those of our element that the edit is about.
func (e Edit) children(text string) (string, error) {
	var err error
	if e.OSType != nil {
		markup := ""
		if *e.OSType != "" {
			markup = "<osType>" + escaped(*e.OSType) + "</osType>"
		}
		if text, err = replaceChildren(text, "osType", markup); err != nil {
			return "", err
		}
	}
	if e.Tags != nil {
		markup, err := xml.Marshal(definition.TagList{Tags: *e.Tags})
		if err != nil {
			return "", err
		}
		return replaceChildren(text, "tags", string(markup))
	}
	return text, nil
}

// impacts are the copies of a domain's definition: the one that it is started
// with, and that of the running guest.
func impacts(n Node) []libvirt.DomainModificationImpact {
	var list []libvirt.DomainModificationImpact
	if n.Persistent {
		list = append(list, libvirt.DOMAIN_AFFECT_CONFIG)
	}
	if n.Active() {
		list = append(list, libvirt.DOMAIN_AFFECT_LIVE)
	}
	return list
}

// editMetadata changes our element in one copy of the definition, and leaves what
// others put into it.
func editMetadata(d *libvirt.Domain, impact libvirt.DomainModificationImpact, edit func(text string) (string, error)) error {
	text, err := d.GetMetadata(libvirt.DOMAIN_METADATA_ELEMENT, definition.Namespace, impact)
	if errors.Is(err, libvirt.ERR_NO_DOMAIN_METADATA) {
		return nil // this copy was written by others, without it
	}
	if err != nil {
		return err
	}
	if text, err = withoutNamespace(text); err == nil {
		text, err = edit(text)
	}
	if err != nil {
		return err
	}
	return setMetadata(d, text, impact)
}

// rename gives a stopped node another name; its id, its disk and the variables of its
// firmware stay.
func (s *Service) rename(ctx context.Context, d *libvirt.Domain, n Node, name string) error {
	if n.Name == name {
		return nil
	}
	if err := mustBeOff(d, n, "renamed"); err != nil {
		return err
	}
	if n.Snapshots > 0 {
		return fault.New(fault.Unsupported, "Node %q has %d snapshots. Nodes with snapshots can't be renamed. Delete the snapshots first.", n.Name, n.Snapshots)
	}
	free, err := s.reserveName(n.Host, name)
	if err != nil {
		return err
	}
	defer free()
	if err := s.keepVariables(ctx, n, d); err != nil {
		return fmt.Errorf("keep the variables of the firmware: %w", err)
	}
	return d.Rename(name, 0)
}
