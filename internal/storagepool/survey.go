package storagepool

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"time"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"
)

// Volume is a file in a storage pool of a host, one of the service's or any other. Sizes
// are in bytes.
type Volume struct {
	Pool, Name, Path string
	Format           string // as libvirt detects it
	CapacityBytes    int64  // the virtual size
	AllocatedBytes   int64  // the space that it uses in the pool
	// Backing is the path of the backing file, and BackingFormat the format recorded for
	// it. Both are empty if there is none. Backing is the path that the pool of the
	// backing file has for it, however the volume's header spells it.
	Backing, BackingFormat string

	backingName string   // as recorded in the volume's header
	backings    []string // Backing, and further files if the backing disk consists of several
	unclear     string   // the part of backingName that cannot be resolved
	print       string   // fingerprint: equal for two names of one file
}

// Survey is a snapshot of what libvirt knew about the files in a host's pools. It is
// immutable.
type Survey struct {
	files   map[string]Volume // by path
	folders map[string]string // folders of the pools whose volumes are files, active or not; by pool name
	places
}

// filePools are the active pools whose volumes are files in a folder.
const filePools = libvirt.CONNECT_LIST_STORAGE_POOLS_ACTIVE | libvirt.CONNECT_LIST_STORAGE_POOLS_DIR |
	libvirt.CONNECT_LIST_STORAGE_POOLS_FS | libvirt.CONNECT_LIST_STORAGE_POOLS_NETFS

// Survey reads all files in the host's pools. It refreshes the service's pools. For other
// pools it uses what libvirt knows, because refreshing them could stop them. It does not
// wait for other operations of libvirt in a pool.
func (s *Service) Survey(ctx context.Context, host string) (Survey, error) {
	begun := time.Now()
	looks := map[string][]libvirtxml.StorageVolume{} // volumes by pool, for pools that libvirt could not refresh
	for _, role := range []string{imagesRole, nodesRole} {
		err := Pool{s, host, role}.Do(ctx, func(h *Handle) error {
			return h.Anew(ctx, func(look *libvirt.StoragePool) (err error) {
				if look != h.StoragePool {
					looks[h.Name], err = Volumes(look)
				}
				return err
			})
		})
		if err != nil {
			return Survey{}, err
		}
	}
	all, err := s.known(ctx, host, Survey{})
	if err != nil {
		return Survey{}, err
	}
	for name, list := range looks {
		seen := Survey{files: map[string]Volume{}}
		seen.add(name, list)
		for file, v := range seen.files {
			// An overlay that is being created may have no header yet.
			if v.Backing != "" || all.files[file].Backing == "" {
				all.files[file] = v
			}
		}
	}
	s.settle(host, &all)
	lib, err := s.library(host)
	if err != nil {
		return Survey{}, err
	}
	s.mu.Lock()
	lib.looked, lib.lookedAt = all, begun
	s.mu.Unlock()
	return all, nil
}

// KnownSince is known, but does not read volumes again that a Survey started after since
// has seen. The zero time makes it read all volumes.
func (s *Service) KnownSince(ctx context.Context, host string, since time.Time) (Survey, error) {
	lib, err := s.library(host)
	if err != nil {
		return Survey{}, err
	}
	s.mu.RLock()
	before, at := lib.looked, lib.lookedAt
	s.mu.RUnlock()
	if since.IsZero() || at.Before(since) {
		before = Survey{}
	}
	return s.known(ctx, host, before)
}

// known is Survey without refreshing any pool: it includes what libvirt's own calls
// created. Volumes that are in before are assumed to be unchanged.
func (s *Service) known(ctx context.Context, host string, before Survey) (Survey, error) {
	ours := s.poolNames()
	for end := time.Now().Add(rescanPatience); ; {
		v := Survey{files: map[string]Volume{}}
		err := s.o.Hosts.Do(ctx, host, "pool.survey", func(conn *libvirt.Connect) error {
			var err error
			if v.folders = before.folders; v.folders == nil {
				if v.folders, err = poolFolders(conn); err != nil {
					return err
				}
			}
			pools, err := conn.ListAllStoragePools(filePools)
			if err != nil {
				return err
			}
			for i := range pools {
				name, nameErr := pools[i].GetName()
				if err == nil && nameErr == nil && !s.onOurs(name) {
					known := before.in(name)
					list, listErr := volumesBut(&pools[i], func(volume string) bool {
						old, is := known[volume]
						if is {
							v.files[old.Path] = old
						}
						return is
					})
					if name == ours[imagesRole] || name == ours[nodesRole] {
						err = listErr // errors of other pools are ignored
					}
					v.add(name, list)
				}
				_ = pools[i].Free()
			}
			return err
		})
		// A volume that is being created cannot be read for a moment.
		if err == nil || time.Now().After(end) {
			s.settle(host, &v)
			return v, err
		}
		if err := Pause(ctx, rescanPause); err != nil {
			return Survey{}, err
		}
	}
}

// poolFolders returns the folders of all pools of a host whose volumes are files, by pool
// name.
func poolFolders(conn *libvirt.Connect) (map[string]string, error) {
	pools, err := conn.ListAllStoragePools(filePools &^ libvirt.CONNECT_LIST_STORAGE_POOLS_ACTIVE)
	if err != nil {
		return nil, err
	}
	folders := map[string]string{}
	for i := range pools {
		var def libvirtxml.StoragePool
		text, err := pools[i].GetXMLDesc(0) // fails if the pool was removed in the meantime
		if err == nil && def.Unmarshal(text) == nil && def.Target != nil && def.Target.Path != "" {
			folders[def.Name] = path.Clean(def.Target.Path)
		}
		_ = pools[i].Free()
	}
	return folders, nil
}

// onOurs returns whether a pool is one that the service creates on the folder of another
// of its pools. Its volumes are those of the other pool.
func (s *Service) onOurs(name string) bool {
	for role, pool := range s.poolNames() {
		if name == s.workName(role) || name == lookName(pool) || name == lookName(pool+filesSuffix) {
			return true
		}
	}
	return false
}

func (v Survey) add(pool string, list []libvirtxml.StorageVolume) {
	for _, def := range list {
		if def.Type != "file" || def.Target == nil || def.Target.Path == "" {
			continue
		}
		file := Volume{Pool: pool, Name: def.Name, Path: path.Clean(def.Target.Path), Format: FormatOf(def)}
		if def.Capacity != nil {
			file.CapacityBytes = int64(def.Capacity.Value) //nolint:gosec // bytes of a real volume
		}
		if def.Allocation != nil {
			file.AllocatedBytes = int64(def.Allocation.Value) //nolint:gosec // as above
		}
		if t := def.Target.Timestamps; t != nil && def.Physical != nil {
			file.print = fmt.Sprint(def.Physical.Value, " ", t.Mtime, " ", t.Ctime)
		}
		if b := def.BackingStore; b != nil && b.Path != "" {
			file.backingName, file.Backing = b.Path, b.Path // see settle
			if b.Format != nil {
				file.BackingFormat = b.Format.Type
			}
		}
		v.files[file.Path] = file
	}
}

// in returns the volumes of a pool, by name.
func (v Survey) in(pool string) map[string]Volume {
	list := map[string]Volume{}
	for _, file := range v.files {
		if file.Pool == pool {
			list[file.Name] = file
		}
	}
	return list
}

// File returns the volume at a path, or false if no pool has it.
func (v Survey) File(file string) (Volume, bool) {
	at, _ := v.locate(file)
	found, ok := v.files[at]
	return found, ok
}

// On returns the volumes that are directly backed by one of files, sorted by pool and
// name.
func (v Survey) On(files ...string) []Volume {
	bases := v.Paths(files...)
	var list []Volume
	for _, file := range v.files {
		if v.one(file.Path) != file.Path { // listed under its other name
			continue
		}
		if slices.ContainsFunc(file.backings, func(base string) bool { return bases[v.one(base)] }) {
			list = append(list, file)
		}
	}
	slices.SortFunc(list, func(a, b Volume) int { return cmp.Or(cmp.Compare(a.Pool, b.Pool), cmp.Compare(a.Name, b.Name)) })
	return list
}

// Above returns the volumes that have one of files anywhere in their backing chains.
func (v Survey) Above(files ...string) []Volume {
	var all []Volume
	seen := map[string]bool{}
	for next := files; len(next) > 0; {
		list := v.On(next...)
		next = nil
		for _, file := range list {
			if !seen[file.Path] { // ends also if a chain contains a cycle
				seen[file.Path] = true
				all, next = append(all, file), append(next, file.Path)
			}
		}
	}
	return all
}

// Chain returns a file and its backing chain, the base last. A file that is in no pool has
// only its path, and ends the list: libvirt knows nothing else about it.
func (v Survey) Chain(file string) []Volume {
	var chain []Volume
	for at, _ := v.locate(file); ; {
		found, ok := v.files[at]
		if !ok {
			return append(chain, Volume{Path: at})
		}
		chain = append(chain, found)
		if at = found.Backing; at == "" || slices.ContainsFunc(chain, func(o Volume) bool { return o.Path == at }) {
			return chain
		}
	}
}
