// Package definition reads what libvirt knows about a domain: its XML, the SandboxLabs
// metadata in it, and its state in the handle. It never changes a domain, and never waits for
// QEMU.
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

// SnapshotNames returns the names of a domain's snapshots, and the name of the current one,
// empty if there is none.
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

// HasQEMU returns whether the domain was running when it was looked up. It makes no call to
// libvirtd, because the handle contains the answer.
func HasQEMU(d *libvirt.Domain) bool {
	id, err := d.GetID()
	return err == nil && int32(id) > 0 //nolint:gosec // -1 when it is off
}

// HasSavedState returns whether a domain has a managed save image, from which its next start
// resumes.
func HasSavedState(d *libvirt.Domain) (bool, error) {
	saved, err := d.HasManagedSaveImage(0)
	if errors.Is(err, libvirt.ERR_NO_SUPPORT) { // libvirt's test driver
		return false, nil
	}
	return saved, err
}

// handle is a pointer to a libvirt object that must be freed.
type handle[T any] interface {
	*T
	Free() error
}

// FreeAll frees a list of handles. It ignores errors: a handle that cannot be freed has lost
// its connection, and needs no freeing.
func FreeAll[T any, P handle[T]](handles []T) {
	for i := range handles {
		_ = P(&handles[i]).Free()
	}
}

// AgentChannel is the name of the channel to the QEMU guest agent.
const AgentChannel = "org.qemu.guest_agent.0"
