package inventory

import (
	"cmp"
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// lookLife is how long the result of checking a network or a file is cached: many nodes share
// them, and all nodes are read together.
const lookLife = 2 * time.Second

// rescanLife is the minimum time between two refreshes of a pool for a file that it does not
// contain.
const rescanLife = 15 * time.Second

// sightings caches the results of checks on a host, by "network NAME" or "file PATH".
type sightings map[string]sighting

type sighting struct {
	lack error // nil: it exists
	at   time.Time
}

// recall returns the cached result for what, if it is not older than age.
func (f *feed) recall(what string, age time.Duration) (sighting, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.sightings[what]
	return s, ok && time.Since(s.at) <= age
}

func (f *feed) remember(what string, lack error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, s := range f.sightings {
		if time.Since(s.at) > rescanLife {
			delete(f.sightings, key)
		}
	}
	f.sightings[what] = sighting{lack, time.Now()}
}

// Lack returns an error if the host currently lacks something that a domain needs for its
// next start. It returns nil if the domain runs or nothing is known to be missing. Errors:
// fault.DiskMissing, BaseMissing, NetworkUnavailable, MemoryUnavailable.
func (inv *Inventory) Lack(d *libvirt.Domain, def *libvirtxml.Domain, host string) error {
	return inv.lack(d, def, host, "", 0)
}

// lack is Lack, but skips the disk file read, which the caller has just read, and uses cached
// results up to age for resources that nodes share.
func (inv *Inventory) lack(d *libvirt.Domain, def *libvirtxml.Domain, host, read string, age time.Duration) error {
	f := inv.feeds[host]
	if f == nil || definition.HasQEMU(d) {
		return nil
	}
	conn, err := d.DomainGetConnect()
	if err != nil {
		return nil // unknown
	}
	defer func() { _, _ = conn.Close() }()
	if def.Devices != nil {
		for i := range def.Devices.Disks {
			if err := lackOfDisk(d, &def.Devices.Disks[i], read); err != nil {
				return err
			}
		}
		for _, file := range definition.FilesBelow(def.Devices.Disks) {
			if err := f.see("file "+file, age, func() error { return f.lackOfBase(conn, file) }); err != nil {
				return err
			}
		}
		for _, nic := range def.Devices.Interfaces {
			if nic.Source == nil || nic.Source.Network == nil {
				continue
			}
			name := nic.Source.Network.Network
			if err := f.see("network "+name, age, func() error { return lackOfNetwork(conn, host, name) }); err != nil {
				return err
			}
		}
	}
	return f.lackOfMemory(def)
}

// see returns the cached result for what if it is not older than age, otherwise that of look.
func (f *feed) see(what string, age time.Duration, look func() error) error {
	if s, ok := f.recall(what, age); ok {
		return s.lack
	}
	lack := look()
	f.remember(what, lack)
	return lack
}

func lackOfDisk(d *libvirt.Domain, disk *libvirtxml.DomainDisk, read string) error {
	if disk.Target == nil || disk.Source == nil || disk.Source.File == nil || disk.Source.StartupPolicy == "optional" {
		return nil
	}
	if file := disk.Source.File.File; file == "" || file == read {
		return nil
	}
	if _, err := d.GetBlockInfo(disk.Target.Dev, 0); err == nil || !errors.As(err, &libvirt.Error{}) {
		return nil
	}
	return fault.New(fault.DiskMissing, "The file %s of disk %s is missing or cannot be read. Restore the file, or detach or wipe the disk.", disk.Source.File.File, disk.Target.Dev)
}

// lackOfBase checks whether a backing file exists. It assumes that a file outside of all
// pools does.
func (f *feed) lackOfBase(conn *libvirt.Connect, file string) error {
	if v, err := conn.LookupStorageVolByPath(file); err == nil {
		_, err = v.GetInfo() // this opens the file
		_ = v.Free()
		if err == nil {
			return nil
		}
	} else if !errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) {
		return nil
	}
	pool, err := conn.LookupStoragePoolByTargetPath(path.Dir(file))
	if err != nil {
		return nil // in no pool
	}
	defer func() { _ = pool.Free() }()
	name, _ := pool.GetName()
	if _, ok := f.recall("pool "+name, rescanLife); !ok {
		f.remember("pool "+name, nil)
		_ = pool.Refresh(0) // on an error the pool keeps its last state
	}
	v, err := conn.LookupStorageVolByPath(file)
	if err == nil {
		_, err = v.GetInfo()
		_ = v.Free()
	}
	if err == nil {
		return nil
	}
	return fault.New(fault.BaseMissing, "The file %s that a disk is an overlay of is missing in pool %q. Put the same file back; without it, the data on the disk is lost.", file, name)
}

func lackOfNetwork(conn *libvirt.Connect, host, name string) error {
	network, err := conn.LookupNetworkByName(name)
	if errors.Is(err, libvirt.ERR_NO_NETWORK) {
		return fault.New(fault.NetworkUnavailable, "Network %q of an interface is not there on host %q. Create the network, or detach the interface.", name, host)
	}
	if err != nil {
		return nil // unknown
	}
	defer func() { _ = network.Free() }()
	if active, err := network.IsActive(); err == nil && !active {
		return fault.New(fault.NetworkUnavailable, "Network %q of an interface is not active on host %q. Start it with `virsh net-start %s`, or detach the interface.", name, host, name)
	}
	return nil
}

// lackOfMemory checks that the NUMA nodes a domain is bound to exist on the host.
func (f *feed) lackOfMemory(def *libvirtxml.Domain) error {
	nodes := f.host.Status().Capabilities.NUMANodes
	if def.NUMATune == nil || len(nodes) == 0 {
		return nil
	}
	var sets []string
	if m := def.NUMATune.Memory; m != nil && (m.Mode == "" || m.Mode == "strict") {
		sets = append(sets, m.Nodeset)
	}
	for _, m := range def.NUMATune.MemNodes {
		if cmp.Or(m.Mode, "strict") == "strict" {
			sets = append(sets, m.Nodeset)
		}
	}
	for _, set := range sets {
		for part := range strings.SplitSeq(set, ",") {
			first, last, isRange := strings.Cut(part, "-")
			if !isRange {
				last = first
			}
			a, errA := strconv.Atoi(first)
			b, errB := strconv.Atoi(last)
			if errA != nil || errB != nil { // "^3" excludes a node
				continue
			}
			for _, n := range []int{a, b} {
				if !slices.Contains(nodes, n) {
					return fault.New(fault.MemoryUnavailable, "Memory is bound to NUMA node %d, which the host does not have. Change <numatune> with `virsh edit`.", n)
				}
			}
		}
	}
	return nil
}
