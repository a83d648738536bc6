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

// Edit is the set of changes to a node; nil fields keep their value.
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

// Edit changes a node with libvirt calls that each change one setting, so the rest of the
// domain's XML is preserved. The domain must be managed, unless only the name changes. The
// steps run in order, the name first. If one fails, the earlier ones remain in effect, and
// the error says which step failed.
//
// check, which may be nil, gets the node immediately before the change, while this service
// makes no other change to it; its error aborts the edit.
//
// Resized says for each changed size when it takes effect. Errors: fault.Invalid, NodeRunning
// (to rename), NodeNotManaged, NodeNameTaken, Hypervisor.
func (s *Service) Edit(ctx context.Context, id string, e Edit, check func(Node) error) (Node, []Resized, error) {
	if err := e.check(); err != nil {
		return Node{}, nil, err
	}
	var resized []Resized
	n, err := s.change(ctx, id, "node.edit", "change", func(ctx context.Context, n Node, d *libvirt.Domain) (err error) {
		if check != nil {
			// Another service or virsh may have just changed it.
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

// defines returns whether the edit changes the domain's definition. Autostart is not part of
// it.
func (e Edit) defines() bool {
	e.Autostart = nil
	return e != Edit{}
}

// more returns whether the edit changes anything besides the name.
func (e Edit) more() bool {
	e.Name = nil
	return e != Edit{}
}

// check returns fault.Invalid for values that no node can have.
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

// describeAs applies all changes except the sizes and the name.
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

// children applies the edit to the child elements of the SandboxLabs metadata.
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

// impacts lists the copies of a domain's definition: the persistent one and, if the domain
// runs, the live one.
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

// editMetadata changes the SandboxLabs metadata in one copy of the definition, and preserves
// what others added to it.
func editMetadata(d *libvirt.Domain, impact libvirt.DomainModificationImpact, edit func(text string) (string, error)) error {
	text, err := d.GetMetadata(libvirt.DOMAIN_METADATA_ELEMENT, definition.Namespace, impact)
	if errors.Is(err, libvirt.ERR_NO_DOMAIN_METADATA) {
		return nil // another program wrote this copy without the element
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

// rename renames a stopped node. Its id, its disk and its firmware variables stay the same.
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
