package storagepool

import (
	"context"
	"fmt"
	"strconv"

	"libvirt.org/go/libvirtxml"
)

// othersBits are the permission bits for users who are neither the owner nor in the group.
const othersBits = 0o007

// folderPermissions returns the permissions of the folders that the service creates. QEMU
// opens a node's disks by path, as a user that only needs to traverse the folder; libvirt
// itself runs as root. Without a group, libvirt runs QEMU as its own user.
func folderPermissions(qemuGroup string) *libvirtxml.StoragePoolTargetPermissions {
	if qemuGroup == "" {
		return &libvirtxml.StoragePoolTargetPermissions{Mode: "0700"}
	}
	return &libvirtxml.StoragePoolTargetPermissions{Mode: "0710", Owner: "0", Group: qemuGroup}
}

// OpenFolder is a pool's folder that all users of the host can enter.
type OpenFolder struct {
	Pool, Path, Mode string
	QEMUGroup        string // the group that the folder should have; empty if libvirt does not report it
}

// OpenFolders returns the folders of the service's pools on a host that all users of the
// host can enter, as of the last refresh. It does not check their parent folders.
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
