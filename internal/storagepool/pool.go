package storagepool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"
	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

var poolName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// The roles of the pools.
const (
	imagesRole = "images"
	nodesRole  = "nodes"
	logsRole   = "logs"
)

// place is the name and path of one of the service's pools on one host.
type place struct {
	name string
	path string // of the folder on the host
}

func (s *Service) poolNames() map[string]string {
	return map[string]string{imagesRole: s.o.ImagesPool, nodesRole: s.o.NodesPool, logsRole: s.o.NodesPool + "-logs"}
}

// prepare creates missing pools, starts inactive ones, and records their paths.
func (s *Service) prepare(ctx context.Context, host string) error {
	pools := map[string]place{}
	h, err := s.o.Hosts.Host(host)
	if err != nil {
		return err
	}
	err = s.o.Hosts.Do(ctx, host, "pool.prepare", func(conn *libvirt.Connect) error {
		permissions := folderPermissions(h.Status().Capabilities.QEMUGroup)
		for role, name := range s.poolNames() {
			p, err := preparePool(conn, name, permissions)
			if err != nil {
				return fault.Wrap(err, fault.PoolUnavailable, "Storage pool %q on host %q can't be used: %s. See `virsh pool-info %s`.", name, host, LibvirtText(err), name)
			}
			pools[role] = p
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.libraries[host].pools = pools
	s.mu.Unlock()
	return nil
}

// preparePool starts a pool. If it does not exist, preparePool defines it, with
// permissions for its folder.
func preparePool(conn *libvirt.Connect, name string, permissions *libvirtxml.StoragePoolTargetPermissions) (place, error) {
	p, err := conn.LookupStoragePoolByName(name)
	if errors.Is(err, libvirt.ERR_NO_STORAGE_POOL) {
		p, err = definePool(conn, name, permissions)
	}
	if err != nil {
		return place{}, err
	}
	defer func() { _ = p.Free() }()
	active, err := p.IsActive()
	if err != nil {
		return place{}, err
	}
	if !active {
		// Build creates the folder if it does not exist, and is harmless otherwise.
		if err := p.Build(0); err != nil {
			return place{}, err
		}
		if err := p.Create(0); err != nil {
			// Another process may have started it in the meantime.
			if active, again := p.IsActive(); again != nil || !active {
				return place{}, err
			}
		}
	}
	text, err := p.GetXMLDesc(0)
	if err != nil {
		return place{}, err
	}
	var def libvirtxml.StoragePool
	if err := def.Unmarshal(text); err != nil {
		return place{}, err
	}
	if def.Target == nil || def.Target.Path == "" {
		return place{}, fmt.Errorf("its type %q has no folder; a pool of type dir, fs or netfs is needed", def.Type)
	}
	return place{name: name, path: def.Target.Path}, nil
}

func definePool(conn *libvirt.Connect, name string, permissions *libvirtxml.StoragePoolTargetPermissions) (*libvirt.StoragePool, error) {
	folder, err := imagesFolder(conn)
	if err != nil {
		return nil, err
	}
	def := libvirtxml.StoragePool{
		Type: "dir", Name: name,
		Target: &libvirtxml.StoragePoolTarget{Path: path.Join(folder, name), Permissions: permissions},
	}
	text, err := def.Marshal()
	if err != nil {
		return nil, err
	}
	p, err := conn.StoragePoolDefineXML(text, 0)
	if err != nil {
		// Two services that start at the same time both find it missing.
		if other, again := conn.LookupStoragePoolByName(name); again == nil {
			return other, nil
		}
		return nil, err
	}
	if err := p.SetAutostart(true); err != nil {
		_ = p.Free()
		return nil, err
	}
	return p, nil
}

// imagesFolder returns libvirt's conventional folder for disk images, which QEMU can
// access.
func imagesFolder(conn *libvirt.Connect) (string, error) {
	uri, err := conn.GetURI()
	if err != nil {
		return "", err
	}
	if strings.HasSuffix(strings.SplitN(uri, "?", 2)[0], "/session") {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		return filepath.Join(home, ".local/share/libvirt/images"), nil
	}
	return "/var/lib/libvirt/images", nil
}

// place returns a pool's name and path, or the reason why the pool cannot be used.
func (s *Service) place(host, role string) (place, error) {
	lib, err := s.library(host)
	if err != nil {
		return place{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	p, ok := lib.pools[role]
	if !ok {
		return place{}, lib.problem
	}
	return p, nil
}

// poolFault converts errors which say that the pool was removed or stopped to
// fault.PoolUnavailable.
func poolFault(err error, name string) error {
	switch {
	case errors.Is(err, libvirt.ERR_NO_STORAGE_POOL):
		return fault.Wrap(err, fault.PoolUnavailable, "Storage pool %q was removed. It is recreated within a minute.", name)
	case errors.Is(err, libvirt.ERR_OPERATION_INVALID):
		return fault.Wrap(err, fault.PoolUnavailable, "Storage pool %q can't be used: %s. Start it with `virsh pool-start %s`.", name, LibvirtText(err), name)
	}
	return err
}

// FormatOf returns the format that libvirt detected in a volume; empty if libvirt does not
// report one.
func FormatOf(def libvirtxml.StorageVolume) string {
	if def.Target == nil || def.Target.Format == nil {
		return ""
	}
	return def.Target.Format.Type
}

func dropKnown(lp *libvirt.StoragePool, name string) error {
	vol, err := lp.LookupStorageVolByName(name)
	if err != nil {
		return err
	}
	defer func() { _ = vol.Free() }()
	if err := vol.Delete(libvirt.STORAGE_VOL_DELETE_NORMAL); err != nil {
		return fmt.Errorf("delete volume %s: %w", name, err)
	}
	return nil
}

// Volumes reads the XML of every volume of a pool. It returns an error rather than an
// incomplete list, because callers forget images whose volumes are missing. It skips
// volumes that are deleted while it runs; a volume with invalid XML has only its name.
func Volumes(lp *libvirt.StoragePool) ([]libvirtxml.StorageVolume, error) {
	return volumesBut(lp, func(string) bool { return false })
}

// volumesBut is Volumes without the volumes for whose names leave returns true.
func volumesBut(lp *libvirt.StoragePool, leave func(name string) bool) ([]libvirtxml.StorageVolume, error) {
	vols, err := lp.ListAllStorageVolumes(0)
	if err != nil {
		return nil, err
	}
	var list []libvirtxml.StorageVolume
	var failed error
	for i := range vols {
		if name, err := vols[i].GetName(); err != nil || !leave(name) { // cached in the handle
			def, err := Describe(&vols[i])
			switch {
			case err == nil:
				list = append(list, def)
			case !errors.Is(err, libvirt.ERR_NO_STORAGE_VOL):
				failed = err
			}
		}
		_ = vols[i].Free()
	}
	return list, failed
}

// Describe reads a volume's XML. If the XML is invalid, for example because the name
// contains a character that XML does not allow, it returns only the name.
func Describe(vol *libvirt.StorageVol) (libvirtxml.StorageVolume, error) {
	var def libvirtxml.StorageVolume
	text, err := vol.GetXMLDesc(0)
	if err != nil {
		return def, err
	}
	if def.Unmarshal(text) == nil {
		return def, nil
	}
	name, err := vol.GetName()
	return libvirtxml.StorageVolume{Type: "file", Name: name}, err
}

// LibvirtText returns libvirt's message of an error.
func LibvirtText(err error) string {
	var lv libvirt.Error
	if errors.As(err, &lv) {
		return lv.Message
	}
	return err.Error()
}

// StableVolumes is volumesBut, but retries if a volume cannot be read because libvirt is
// still creating it.
func StableVolumes(ctx context.Context, lp *libvirt.StoragePool, leave func(name string) bool) ([]libvirtxml.StorageVolume, error) {
	for end := time.Now().Add(rescanPatience); ; {
		list, err := volumesBut(lp, leave)
		if err == nil || time.Now().After(end) {
			return list, err
		}
		if err := Pause(ctx, rescanPause); err != nil {
			return nil, err
		}
	}
}

// TryWrite checks that the host's pools are writable by creating and deleting a small
// volume in each of them.
func (s *Service) TryWrite(ctx context.Context, host string) error {
	for _, role := range []string{imagesRole, nodesRole, logsRole} {
		err := Pool{s, host, role}.Do(ctx, func(h *Handle) error {
			if err := isFull(h.StoragePool, h.Name); err != nil {
				return err
			}
			def := libvirtxml.StorageVolume{
				Type: "file", Name: ".sandboxlabs-try-" + uuid.NewString(),
				Capacity: &libvirtxml.StorageVolumeSize{Unit: "bytes", Value: 4096},
				Target:   &libvirtxml.StorageVolumeTarget{Format: &libvirtxml.StorageVolumeTargetFormat{Type: "raw"}},
			}
			text, err := def.Marshal()
			if err != nil {
				return err
			}
			vol, err := h.StorageVolCreateXML(text, 0)
			if err != nil {
				return fault.Wrap(err, fault.PoolUnavailable, "Can't write to storage pool %q: %s.", h.Name, LibvirtText(err))
			}
			defer func() { _ = vol.Free() }()
			return vol.Delete(libvirt.STORAGE_VOL_DELETE_NORMAL)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
