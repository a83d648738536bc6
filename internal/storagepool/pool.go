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

// place is where one of our pools is on one host.
type place struct {
	name string
	path string // the folder, on the host
}

func (s *Service) poolNames() map[string]string {
	return map[string]string{imagesRole: s.o.ImagesPool, nodesRole: s.o.NodesPool, logsRole: s.o.NodesPool + "-logs"}
}

// prepare makes the pools that are absent, starts those that are not running,
// and notes where they are.
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

// preparePool starts a pool, and defines it first if it is absent, with permissions for
// its folder.
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
		// Build makes the folder when it is not there, and is harmless when it is.
		if err := p.Build(0); err != nil {
			return place{}, err
		}
		if err := p.Create(0); err != nil {
			// Somebody else may have been faster.
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
		// Two services that start at once both find it absent.
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

// imagesFolder is where libvirt keeps disks by its own convention: a folder
// that QEMU may traverse.
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

// place returns where a pool is, or why it cannot be used.
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

// poolFault names the pool in the errors that say that it is gone or stopped.
func poolFault(err error, name string) error {
	switch {
	case errors.Is(err, libvirt.ERR_NO_STORAGE_POOL):
		return fault.Wrap(err, fault.PoolUnavailable, "Storage pool %q was removed. It is recreated within a minute.", name)
	case errors.Is(err, libvirt.ERR_OPERATION_INVALID):
		return fault.Wrap(err, fault.PoolUnavailable, "Storage pool %q can't be used: %s. Start it with `virsh pool-start %s`.", name, LibvirtText(err), name)
	}
	return err
}

// FormatOf is what libvirt takes a volume for; empty where it does not say.
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

// Volumes reads the XML of every volume of a pool. It is all of them or an error:
// who finds a volume missing forgets its image. One that vanishes in between is
// left out; one whose XML is odd has its name alone.
func Volumes(lp *libvirt.StoragePool) ([]libvirtxml.StorageVolume, error) {
	return volumesBut(lp, func(string) bool { return false })
}

// volumesBut is Volumes without those that are to be left out by their name.
func volumesBut(lp *libvirt.StoragePool, leave func(name string) bool) ([]libvirtxml.StorageVolume, error) {
	vols, err := lp.ListAllStorageVolumes(0)
	if err != nil {
		return nil, err
	}
	var list []libvirtxml.StorageVolume
	var failed error
	for i := range vols {
		if name, err := vols[i].GetName(); err != nil || !leave(name) { // it is in the handle
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

// Describe reads a volume's XML. Of a volume whose XML is not valid, such as one whose name holds
// a character that XML cannot, it returns the name alone.
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

// LibvirtText is libvirt's own sentence of an error.
func LibvirtText(err error) string {
	var lv libvirt.Error
	if errors.As(err, &lv) {
		return lv.Message
	}
	return err.Error()
}

// StableVolumes is volumesBut. It waits for a volume that is being made, which cannot be
// read for a moment.
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

// TryWrite makes and removes a small volume in each of the host's pools.
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
