// Package definition understands what libvirt says of a domain: its XML, what SandboxLabs
// wrote into its metadata, and what its handle knows. It changes nothing, and asks no QEMU.
package definition

import (
	"errors"
	"fmt"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"
)

// Of reads a domain's XML.
func Of(d *libvirt.Domain, flags libvirt.DomainXMLFlags) (*libvirtxml.Domain, error) {
	text, err := d.GetXMLDesc(flags)
	if err != nil {
		return nil, err
	}
	var def libvirtxml.Domain
	if err := def.Unmarshal(text); err != nil {
		return nil, fmt.Errorf("parse the domain's XML: %w", err)
	}
	return &def, nil
}

// OfSnapshot reads a snapshot's XML.
func OfSnapshot(h *libvirt.DomainSnapshot) (libvirtxml.DomainSnapshot, error) {
	var def libvirtxml.DomainSnapshot
	text, err := h.GetXMLDesc(0)
	if err != nil {
		return def, err
	}
	if err := def.Unmarshal(text); err != nil {
		return def, fmt.Errorf("parse a snapshot's XML: %w", err)
	}
	return def, nil
}

// SnapshotNames returns the names of a domain's snapshots, and of the current one; empty
// when there is none.
func SnapshotNames(d *libvirt.Domain) (names []string, current string, err error) {
	if names, err = d.SnapshotListNames(0); err != nil || len(names) == 0 {
		return nil, "", err
	}
	snapshot, err := d.SnapshotCurrent(0)
	if errors.Is(err, libvirt.ERR_NO_DOMAIN_SNAPSHOT) {
		return names, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = snapshot.Free() }()
	current, err = snapshot.GetName()
	return names, current, err
}

// HasQEMU returns whether the domain ran when it was looked up: the handle knows.
func HasQEMU(d *libvirt.Domain) bool {
	id, err := d.GetID()
	return err == nil && int32(id) > 0 //nolint:gosec // -1 when it is off
}

// HasSavedState returns whether libvirt keeps a domain's memory for its next start.
func HasSavedState(d *libvirt.Domain) (bool, error) {
	saved, err := d.HasManagedSaveImage(0)
	if errors.Is(err, libvirt.ERR_NO_SUPPORT) { // by libvirt's driver for tests
		return false, nil
	}
	return saved, err
}

// handle is a pointer to what libvirt gave, which has to be freed.
type handle[T any] interface {
	*T
	Free() error
}

// FreeAll frees the handles of a list. A handle that cannot be freed has no connection
// left, and nothing to free.
func FreeAll[T any, P handle[T]](handles []T) {
	for i := range handles {
		_ = P(&handles[i]).Free()
	}
}

// AgentChannel is the name of the channel to the QEMU guest agent.
const AgentChannel = "org.qemu.guest_agent.0"
