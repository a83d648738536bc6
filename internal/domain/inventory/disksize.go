package inventory

import (
	"errors"
	"path"
	"strings"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"
)

var errAskQEMU = errors.New("only QEMU tells the size of the disk")

// diskBytes returns the virtual size of a disk that is a file. It never waits for QEMU.
func diskBytes(d *libvirt.Domain, disk *libvirtxml.DomainDisk) (int64, error) {
	if !definition.HasQEMU(d) {
		info, err := d.GetBlockInfo(disk.Target.Dev, 0)
		if err != nil {
			return 0, err
		}
		return int64(info.Capacity), nil //nolint:gosec // bytes of a real disk
	}
	if disk.Driver == nil {
		return 0, errAskQEMU
	}
	conn, err := d.DomainGetConnect()
	if err != nil {
		return 0, err
	}
	defer func() { _, _ = conn.Close() }()
	v, err := conn.LookupStorageVolByPath(disk.Source.File.File)
	if err != nil {
		return 0, err
	}
	defer v.Free()
	// libvirt's pools probe the format of a file, but the guest controls the content of a raw
	// disk.
	switch disk.Driver.Type {
	case "qcow2":
		info, err := v.GetInfo()
		if err != nil {
			return 0, err
		}
		return int64(info.Capacity), nil //nolint:gosec // bytes of a real disk
	case "raw":
		info, err := v.GetInfoFlags(libvirt.STORAGE_VOL_GET_PHYSICAL)
		if err != nil {
			return 0, err
		}
		return int64(info.Allocation), nil //nolint:gosec // the length of the file
	}
	return 0, errAskQEMU
}

// DiskBytes returns the virtual size of a node's disk that is a file. For a running node
// whose size is not known yet it returns 0; for a node that is off it returns an error.
func (inv *Inventory) DiskBytes(d *libvirt.Domain, disk *libvirtxml.DomainDisk, n Node) (int64, error) {
	bytes, err := diskBytes(d, disk)
	if err == nil || !definition.HasQEMU(d) {
		return bytes, err
	}
	file := disk.Source.File.File
	if bytes := inv.meter.diskBytes(n.Host, n.ID, file); bytes > 0 {
		return bytes, nil
	}
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	if old := inv.nodes[n.Host][n.ID]; old.OverlayPath == file {
		return old.DiskBytes, nil
	}
	return 0, nil
}

// extraBytes returns the total virtual size of a domain's extra disks, as far as they can be
// read.
func (inv *Inventory) extraBytes(d *libvirt.Domain, def *libvirtxml.Domain, n Node) (sum int64) {
	if def.Devices == nil {
		return 0
	}
	for i := range def.Devices.Disks {
		disk := &def.Devices.Disks[i]
		if disk.Target == nil || disk.Source == nil || disk.Source.File == nil || !strings.HasPrefix(path.Base(disk.Source.File.File), n.ID+definition.ExtraInfix) {
			continue
		}
		if bytes, err := inv.DiskBytes(d, disk, n); err == nil {
			sum += bytes
		}
	}
	return sum
}
