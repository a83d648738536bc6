package storagepool

import (
	"context"
	"fmt"
	"strconv"

	"libvirt.org/go/libvirtxml"
)

// othersBits are what users of the host who are neither owner nor in the group may do.
const othersBits = 0o007

// folderPermissions are those of the folders that we make. QEMU opens a node's disks by
// their paths, as a user that may only pass through; libvirt itself is root. Without a
// group, libvirt runs QEMU as its own user.
func folderPermissions(qemuGroup string) *libvirtxml.StoragePoolTargetPermissions {
	if qemuGroup == "" {
		return &libvirtxml.StoragePoolTargetPermissions{Mode: "0700"}
	}
	return &libvirtxml.StoragePoolTargetPermissions{Mode: "0710", Owner: "0", Group: qemuGroup}
}

// OpenFolder is the folder of a pool that every user of the host can enter.
type OpenFolder struct {
	Pool, Path, Mode string
	QEMUGroup        string // that the folder should have; empty when libvirt does not say
}

// OpenFolders returns the folders of our pools on a host that every user of the host can
// enter, as libvirt has seen them last. The folders above them are not considered.
func (s *Service) OpenFolders(ctx context.Context, host string) ([]OpenFolder, error) {
	on, err := s.o.Hosts.Host(host)
	if err != nil {
		return nil, err
	}
	var open []OpenFolder
	for _, role := range []string{imagesRole, nodesRole, logsRole} {
		err := Pool{s, host, role}.Do(ctx, func(h *Handle) error {
			if err := rescanFor(h.StoragePool, lookPatience); err != nil && !IsBusy(err) {
				return err
			}
			text, err := h.GetXMLDesc(0)
			if err != nil {
				return err
			}
			var def libvirtxml.StoragePool
			if err := def.Unmarshal(text); err != nil {
				return fmt.Errorf("read the definition of pool %s: %w", h.Name, err)
			}
			if def.Target == nil || def.Target.Permissions == nil {
				return nil
			}
			mode, err := strconv.ParseUint(def.Target.Permissions.Mode, 8, 32)
			if err == nil && mode&othersBits != 0 {
				open = append(open, OpenFolder{h.Name, h.Folder, def.Target.Permissions.Mode, on.Status().Capabilities.QEMUGroup})
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return open, nil
}
