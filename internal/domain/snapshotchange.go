package domain

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/domain/inventory"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

const revertIntent = "snapshot.revert"

// revertData is what recovery needs to complete a revert: the SandboxLabs metadata, which
// belongs to the node and is not reverted.
type revertData struct {
	ID       string `json:"id"`
	Metadata string `json:"metadata"`
	// Variables is the volume with the firmware variables of the snapshot; empty if there are
	// none.
	Variables string `json:"variables,omitempty"`
	Snapshot  string `json:"snapshot,omitempty"` // the one that the variables belong to
}

// TakeSnapshot saves the state of a node's disks, and of its memory if it runs. The name may
// be empty. A running guest is paused meanwhile.
//
// Errors: fault.Invalid, NodeNotManaged, Unsupported if the node could not be reverted to the
// snapshot, StorageFull, Hypervisor.
func (s *Service) TakeSnapshot(ctx context.Context, id, name, description string) (Snapshot, error) {
	if name == "" {
		name = "snapshot-" + time.Now().UTC().Format("20060102-150405.000")
	}
	if len(name) > MaxNameLength || !nodeName.MatchString(name) {
		return Snapshot{}, fault.Field("name", "Use at most %d letters, digits, dots, hyphens and underscores. Start with a letter or digit.", MaxNameLength)
	}
	if err := (Edit{Description: &description}).check(); err != nil {
		return Snapshot{}, err
	}
	var taken Snapshot
	_, err := s.change(ctx, id, "snapshot.create", "take a snapshot of", func(ctx context.Context, n Node, d *libvirt.Domain) error {
		if err := mustBeManaged(n, "given snapshots"); err != nil {
			return err
		}
		if !n.Persistent {
			return fault.New(fault.Unsupported, "Domain %q is transient. Define it with `virsh define` first.", n.Name)
		}
		list, err := listSnapshots(d)
		if err != nil {
			return err
		}
		for _, other := range list {
			switch {
			case other.Name == name:
				return fault.Field("name", "Node %q already has a snapshot %q. Choose another name.", n.Name, name)
			case other.Kind == External:
				return fault.New(fault.Unsupported, "Node %q has the external snapshot %q, and could not go back to an internal one beside it without losing that. Delete it first. Beside internal ones: %s", n.Name, other.Name, mergeHint)
			}
		}
		def, err := definition.Of(d, 0)
		if err != nil {
			return err
		}
		state, err := inventory.StateOf(d)
		if err != nil {
			return err
		}
		memory := state == Running || state == Paused
		if memory {
			host, err := s.o.Hosts.Host(n.Host)
			if err != nil {
				return err
			}
			if err := checkMemoryKept(n, def, host.Status().Capabilities.LibvirtVersion); err != nil {
				return err
			}
		}
		order, err := snapshotOrder(n, def, name, description, memory)
		if err != nil {
			return err
		}
		var bytes int64 // space for the snapshot itself; the guest's later writes need more
		if memory {
			bytes = n.RAMMiB << 20
		}
		if err := s.o.Storage.RoomForDisk(ctx, n.Host, bytes); err != nil {
			return err
		}
		text, err := order.Marshal()
		if err != nil {
			return err
		}
		release, err := s.holdBlockJobs(ctx, n, d)
		if err != nil {
			return err
		}
		defer release()
		h, err := d.CreateSnapshotXML(text, libvirt.DOMAIN_SNAPSHOT_CREATE_VALIDATE)
		if err != nil {
			return snapshotFault(n, err)
		}
		_ = h.Free()
		if taken, err = findSnapshot(d, n, name); err != nil || memory {
			return err
		}
		if err := s.copyVariables(ctx, n, def, variablesVolume(n, taken)); err != nil {
			return fmt.Errorf("keep the variables of the firmware with the snapshot: %w", errors.Join(err, deleteSnapshot(d, n, name)))
		}
		return nil
	})
	return taken, err
}

// snapshotFault explains why libvirt failed to take a snapshot.
func snapshotFault(n Node, err error) error {
	var lv libvirt.Error
	if errors.As(err, &lv) && (lv.Code == libvirt.ERR_OPERATION_UNSUPPORTED || lv.Code == libvirt.ERR_CONFIG_UNSUPPORTED) {
		return fault.Wrap(err, fault.Unsupported, "Could not take a snapshot of node %q: %s. Stop it and try again.", n.Name, lv.Message)
	}
	return err
}

// snapshotOrder describes the snapshot for libvirt: an internal one of every disk that the
// guest writes to.
func snapshotOrder(n Node, def *libvirtxml.Domain, name, description string, memory bool) (*libvirtxml.DomainSnapshot, error) {
	order := &libvirtxml.DomainSnapshot{Name: name, Description: description, Disks: &libvirtxml.DomainSnapshotDisks{}}
	if memory {
		order.Memory = &libvirtxml.DomainSnapshotMemory{Snapshot: Internal}
	}
	if def.Devices == nil {
		return order, nil
	}
	kept := 0
	for _, disk := range def.Devices.Disks {
		if disk.Target == nil {
			continue
		}
		how := "no"
		if disk.ReadOnly == nil && (disk.Device == "" || disk.Device == "disk") {
			if disk.Driver == nil || disk.Driver.Type != "qcow2" {
				return nil, fault.New(fault.Unsupported, "Disk %s of node %q is not in qcow2 format, so it can't have snapshots. Detach it first.", disk.Target.Dev, n.Name)
			}
			how = Internal
			kept++
		}
		order.Disks.Disks = append(order.Disks.Disks, libvirtxml.DomainSnapshotDisk{Name: disk.Target.Dev, Snapshot: how})
	}
	if kept == 0 {
		return nil, fault.New(fault.Unsupported, "Node %q has no writable disk, so it can't have snapshots.", n.Name)
	}
	return order, nil
}

// RevertSnapshot reverts a node to a snapshot: its disks, its definition, and its memory if
// the snapshot has it. Later changes in the guest are lost, so it returns an error for a node
// that runs or has a saved state, unless force is set. may decides about access that the
// snapshot's definition has and the current one does not.
//
// Errors: fault.NotFound, NodeRunning, NodeNotManaged, NodeBusy if the node's disk is the
// backing file of clones, Unsupported if more than the node's state would be lost.
func (s *Service) RevertSnapshot(ctx context.Context, id, name string, force bool, may May) (Node, error) {
	return s.change(ctx, id, "snapshot.revert", "revert", func(ctx context.Context, n Node, d *libvirt.Domain) error {
		if err := mustBeManaged(n, "reverted"); err != nil {
			return err
		}
		snapshot, err := findSnapshot(d, n, name)
		if err != nil {
			return err
		}
		if snapshot.Locked != "" {
			return fault.New(fault.Unsupported, "Node %q can't be reverted to snapshot %q. %s", n.Name, name, snapshot.Locked)
		}
		if !force {
			if err := mustBeOff(d, n, "reverted"); err != nil {
				return err
			}
		}
		if err := checkDiscard(d, n, "reverted", force); err != nil {
			return err
		}
		now, err := definition.Of(d, 0)
		if err != nil {
			return err
		}
		own, err := s.ownAmong(n, definition.Written(now)) // backing files stay unchanged
		if err != nil {
			return err
		}
		if err := s.mustBearNothing(ctx, n, own); err != nil {
			return err
		}
		return withSnapshot(d, n, name, func(h *libvirt.DomainSnapshot) error {
			if err := mustHaveSameDisks(n, d, h); err != nil {
				return err
			}
			if err := s.checkReverted(ctx, n, d, h, may); err != nil {
				return err
			}
			if snapshot.Memory { // the node runs afterwards
				if err := s.checkImages(ctx, n, now); err != nil {
					return err
				}
			}
			return s.revert(ctx, n, d, h, snapshot, force)
		})
	})
}

// mustHaveSameDisks returns an error if a revert would remove disks, or restore deleted ones:
// libvirt restores the snapshot's definition together with the state.
func mustHaveSameDisks(n Node, d *libvirt.Domain, h *libvirt.DomainSnapshot) error {
	now, err := definition.Of(d, libvirt.DOMAIN_XML_INACTIVE)
	if err != nil {
		return err
	}
	then, err := definition.OfSnapshot(h)
	if err != nil || then.Domain == nil || then.Domain.Devices == nil || now.Devices == nil {
		return err
	}
	if a, b := definition.Written(now), definition.Written(then.Domain); !slices.Equal(a, b) {
		return fault.New(fault.Unsupported, "The disks of node %q differ from those of snapshot %q: %s now, %s then. Attach or detach disks to match.",
			n.Name, then.Name, strings.Join(a, ", "), strings.Join(b, ", "))
	}
	return nil
}

// revert reverts the domain, and writes the current SandboxLabs metadata into the restored
// definition.
func (s *Service) revert(ctx context.Context, n Node, d *libvirt.Domain, h *libvirt.DomainSnapshot, snapshot Snapshot, force bool) error {
	text, err := d.GetMetadata(libvirt.DOMAIN_METADATA_ELEMENT, definition.Namespace, libvirt.DOMAIN_AFFECT_CONFIG)
	if err != nil {
		return err
	}
	data := revertData{ID: n.ID, Metadata: text, Variables: variablesVolume(n, snapshot), Snapshot: snapshot.Name}
	var flags libvirt.DomainSnapshotRevertFlags
	if force {
		flags |= libvirt.DOMAIN_SNAPSHOT_REVERT_FORCE // QEMU may have to be restarted
	}
	begun := false
	failure, unsettled := s.apply(ctx, store.Change{
		Kind: revertIntent, Host: n.Host, Data: data,
		Do: func(ctx context.Context) error {
			if err := discardSavedState(d); err != nil { // libvirt would keep it and resume from it
				return err
			}
			begun = true
			return s.withoutConsoles(ctx, n.ID, d, false, func() error { return h.RevertToSnapshot(flags) })
		},
		Settle: func(ctx context.Context, failure error) error {
			if !begun {
				return nil
			}
			if failure != nil {
				data.Variables = ""
			}
			return s.settleRevert(ctx, n.Host, data)
		},
	})
	return errors.Join(failure, unsettled)
}

// settleRevert writes the SandboxLabs metadata into a domain, and restores the snapshot's
// firmware variables. It is idempotent.
func (s *Service) settleRevert(ctx context.Context, host string, data revertData) error {
	err := s.withDomain(ctx, "snapshot.recover", Node{ID: data.ID, Host: host}, func(d *libvirt.Domain) error {
		active, err := d.IsActive()
		if err != nil {
			return err
		}
		impact := libvirt.DOMAIN_AFFECT_CONFIG
		if active {
			impact |= libvirt.DOMAIN_AFFECT_LIVE
		}
		if err := setMetadata(d, data.Metadata, impact); err != nil || active || data.Variables == "" {
			return err
		}
		_, current, err := definition.SnapshotNames(d)
		if err != nil || current != data.Snapshot { // interrupted before libvirt reverted the domain
			return err
		}
		return s.restoreVariables(ctx, host, data)
	})
	if isGone(err) {
		return nil
	}
	return err
}

// DeleteSnapshot deletes a snapshot. The node and later snapshots are not changed. It
// returns an error if libvirt cannot delete it without losing others.
func (s *Service) DeleteSnapshot(ctx context.Context, id, name string) error {
	_, err := s.change(ctx, id, "snapshot.delete", "delete a snapshot of", func(ctx context.Context, n Node, d *libvirt.Domain) error {
		if err := mustBeManaged(n, "changed"); err != nil {
			return err
		}
		release, err := s.holdBlockJobs(ctx, n, d) // for an external snapshot, libvirt runs a block commit
		if err != nil {
			return err
		}
		defer release()
		snapshot, err := findSnapshot(d, n, name)
		if err != nil {
			return err
		}
		if err := deleteSnapshot(d, n, name); err != nil {
			return err
		}
		return s.o.Storage.DeleteNodeVolume(ctx, n.Host, variablesVolume(n, snapshot), time.Time{})
	})
	return err
}

// deleteSnapshot deletes a snapshot through libvirt.
func deleteSnapshot(d *libvirt.Domain, n Node, name string) error {
	return withSnapshot(d, n, name, func(h *libvirt.DomainSnapshot) error {
		err := h.Delete(0)
		var lv libvirt.Error
		if errors.As(err, &lv) && lv.Code == libvirt.ERR_OPERATION_UNSUPPORTED {
			return fault.Wrap(err, fault.Unsupported, "Could not delete snapshot %q: %s. %s", name, lv.Message, mergeHint)
		}
		return err
	})
}
