package domain

import (
	"errors"

	"libvirt.org/go/libvirt"
)

// hasSavedState returns whether libvirt keeps a domain's memory for its next start.
func hasSavedState(d *libvirt.Domain) (bool, error) {
	saved, err := d.HasManagedSaveImage(0)
	if errors.Is(err, libvirt.ERR_NO_SUPPORT) { // by libvirt's driver for tests
		return false, nil
	}
	return saved, err
}
