package storagepool

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/diskimage"
	"github.com/sandboxlabs/sandboxlabs/internal/event"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// How much of a pool's file system may be used, in percent, before it gets the level
// warning, and before the service stops creating volumes in it.
const (
	DefaultWarningPercent  = 85
	DefaultCriticalPercent = 95
)

// Level describes how full a pool is.
type Level string

// The levels. The service does not create volumes in a critical pool.
const (
	LevelOK       Level = "ok"
	LevelWarning  Level = "warning"
	LevelCritical Level = "critical"
)

// PoolStatus describes how full a pool is. All sizes are in bytes.
type PoolStatus struct {
	Role, Name, Path string
	// Capacity, Used and Available are those of the pool's file system.
	Capacity, Used, Available int64
	Level                     Level

	// Images and Overlays are the space that these use. Uploads is the space reserved for
	// the uploads in progress, whether or not the data has arrived.
	Images, Overlays, Uploads int64
	// Room is how many more images, or nodes, of average size fit into the pool; -1 if the
	// pool holds neither.
	Room int64
	// FullCopies is how much space the nodes' disks would use if they did not share their
	// images, and Shared how much the disks and their images use.
	FullCopies, Shared int64
}

// PoolLevelChanged is the data of event.PoolLevel.
type PoolLevelChanged struct {
	Host      string `json:"host"`
	Role      string `json:"role"`
	Pool      string `json:"pool"`
	Level     Level  `json:"level"`
	Capacity  int64  `json:"capacity"`
	Available int64  `json:"available"`
}

const (
	// surveyInterval is how often the files of all pools are added up.
	surveyInterval = time.Minute
	// usualBytes is the assumed average size of an image or a disk while there is none,
	// and leastBytes the minimum average: a small disk grows.
	usualBytes = 1 << 30
	leastBytes = 64 << 20
)

// Pools returns the cached status of the host's pools.
func (s *Service) Pools(host string) []PoolStatus {
	lib, err := s.library(host)
	if err != nil {
		return nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(lib.status)
}

// NodeFileBytes returns how much space a file in the host's nodes pool uses, as of the
// last survey, at most a minute ago. inPool is false for files elsewhere. known is false
// for files that did not exist at the time of the survey.
func (s *Service) NodeFileBytes(host, file string) (bytes int64, known, inPool bool) {
	lib, err := s.library(host)
	if err != nil {
		return 0, false, false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if path.Dir(file) != path.Clean(lib.pools[nodesRole].path) {
		return 0, false, false
	}
	v, known := lib.survey.File(file)
	return v.AllocatedBytes, known, true
}

// Refresh refreshes the host's pools and reads all of them. Errors: fault.HostNotFound,
// HostUnreachable, PoolUnavailable.
func (s *Service) Refresh(ctx context.Context, host string) error {
	h, err := s.o.Hosts.Host(host)
	if err != nil {
		return err
	}
	host = h.Name()
	if err := s.read(ctx, host); err != nil {
		return err
	}
	all, err := s.Survey(ctx, host)
	if err != nil {
		return err
	}
	return s.measure(ctx, host, &all)
}

// measure reads how full the host's pools are. libvirt updates these numbers only when it
// refreshes a pool, so measure refreshes the pools: with 1,000 overlays in one this takes
// 50 ms. If all is nil, measure uses the last survey unless it is too old.
func (s *Service) measure(ctx context.Context, host string, all *Survey) error {
	lib := s.libraries[host]
	s.mu.RLock()
	last, surveyed := lib.survey, lib.surveyed
	s.mu.RUnlock()
	switch {
	case all != nil:
		surveyed = time.Now()
	case time.Since(surveyed) < surveyInterval:
		all = &last
	default:
		surveyed = time.Now()
		known, err := s.known(ctx, host, Survey{})
		if err != nil {
			return err
		}
		all = &known
	}
	var uploads []Coming
	for _, f := range s.followers {
		if f.Coming == nil {
			continue
		}
		more, err := f.Coming(ctx, host)
		if err != nil {
			return err
		}
		uploads = append(uploads, more...)
	}
	var list []PoolStatus
	for _, role := range []string{imagesRole, nodesRole, logsRole} {
		err := Pool{s, host, role}.Do(ctx, func(h *Handle) error {
			var info *libvirt.StoragePoolInfo
			err := h.Anew(ctx, func(lp *libvirt.StoragePool) (err error) {
				info, err = lp.GetInfo()
				return err
			})
			if err != nil {
				return err
			}
			st := PoolStatus{
				Role: role, Name: h.Name, Path: h.Folder, Room: -1,
				Capacity: int64(info.Capacity), Used: int64(info.Allocation), Available: int64(info.Available), //nolint:gosec // bytes of a real disk
			}
			st.Level = s.level(st)
			st.share(all, uploads, s.kept(st.Capacity))
			list = append(list, st)
			return nil
		})
		if err != nil {
			return err
		}
	}
	s.mu.Lock()
	before := lib.status
	lib.status, lib.survey, lib.surveyed = list, *all, surveyed
	s.mu.Unlock()
	s.tellLevels(host, before, list)
	return nil
}

// share adds up what uses the pool's space.
func (st *PoolStatus) share(all *Survey, uploads []Coming, kept int64) {
	coming := map[string]bool{}
	if st.Role == imagesRole {
		for _, u := range uploads {
			st.Uploads += max(u.SizeBytes, u.StoredBytes)
			coming[u.Volume] = true
		}
	}
	var count, waiting int64
	for _, u := range uploads {
		waiting += max(u.SizeBytes-u.StoredBytes, 0)
	}
	shared := map[string]bool{}
	for _, v := range all.files {
		switch {
		case v.Pool != st.Name || coming[v.Name] || strings.HasPrefix(v.Name, "."): // temporary volumes, also of uploads
		case st.Role == imagesRole:
			st.Images += v.AllocatedBytes
			count++
		case st.Role == nodesRole:
			st.Overlays += v.AllocatedBytes
			if v.Format != diskimage.QCOW2 {
				continue // a cloud-init seed
			}
			count++
			for _, below := range all.Chain(v.Path) {
				st.FullCopies += below.AllocatedBytes
				if !shared[below.Path] {
					shared[below.Path] = true
					st.Shared += below.AllocatedBytes
				}
			}
		}
	}
	switch st.Role {
	case imagesRole:
		st.Room = max(st.Available-kept-waiting, 0) / usual(st.Images, count)
	case nodesRole:
		st.Room = max(st.Available-kept, 0) / usual(st.Overlays, count)
	}
}

func usual(sum, count int64) int64 {
	if count == 0 {
		return usualBytes
	}
	return max(sum/count, leastBytes)
}

// tellLevels logs and publishes the pools whose level has changed.
func (s *Service) tellLevels(host string, before, now []PoolStatus) {
	for _, st := range now {
		was := LevelOK
		if i := slices.IndexFunc(before, func(o PoolStatus) bool { return o.Role == st.Role }); i >= 0 {
			was = before[i].Level
		}
		if was == st.Level {
			continue
		}
		s.o.Log.Warn("a storage pool has another level", "host", host, "pool", st.Name, "level", st.Level, "available", st.Available, "capacity", st.Capacity)
		s.o.Events.Publish(event.PoolLevel, PoolLevelChanged{Host: host, Role: st.Role, Pool: st.Name, Level: st.Level, Capacity: st.Capacity, Available: st.Available})
		s.o.Events.Publish(event.HostChanged, map[string]string{"host": host})
	}
}

// reserveBytes is the minimum free space of a pool.
const reserveBytes = 64 << 20

// kept returns how much of a pool must stay free: an overlay is small when it is created,
// and QEMU pauses a node whose disk cannot grow.
func (s *Service) kept(capacity int64) int64 {
	return max(reserveBytes, capacity/100*int64(100-s.o.CriticalPercent))
}

func (s *Service) level(st PoolStatus) Level {
	switch {
	case st.Available < s.kept(st.Capacity):
		return LevelCritical
	case st.Available < max(2*reserveBytes, st.Capacity/100*int64(100-s.o.WarningPercent)):
		return LevelWarning
	}
	return LevelOK
}

// Left returns how many bytes of the pool are free, and how many of them must stay free.
func (h *Handle) Left(ctx context.Context) (available, kept int64, err error) {
	err = h.Anew(ctx, func(lp *libvirt.StoragePool) error {
		info, err := lp.GetInfo()
		if err == nil {
			available, kept = int64(info.Available), h.s.kept(int64(info.Capacity)) //nolint:gosec // bytes of a real disk
		}
		return err
	})
	return available, kept, err
}

// CheckRoom returns fault.StorageFull if a new volume of the given size does not fit into
// the pool, or would leave less free space than must stay free.
func (h *Handle) CheckRoom(bytes int64) error {
	info, err := h.GetInfo()
	if err != nil {
		return err
	}
	available, kept := int64(info.Available), h.s.kept(int64(info.Capacity)) //nolint:gosec // bytes of a real disk
	if available >= bytes+kept {
		return nil
	}
	text := fmt.Sprintf("Storage pool %q has %d MiB left, of which %d MiB are kept free for disks that grow", h.Name, available>>20, kept>>20)
	if bytes > 0 {
		text += fmt.Sprintf("; this takes %d MiB", bytes>>20)
	}
	return fault.New(fault.StorageFull, "%s. Delete unused nodes or images, or enlarge the pool.", text)
}

// isFull returns fault.StorageFull if nothing can be written to the pool.
func isFull(lp *libvirt.StoragePool, name string) error {
	if err := lp.Refresh(0); err != nil && !IsBusy(err) { // if it is busy, the numbers of the last refresh are used
		return err
	}
	info, err := lp.GetInfo()
	if err != nil {
		return err
	}
	if available := int64(info.Available); available < reserveBytes { //nolint:gosec // bytes of a real disk
		return fault.New(fault.StorageFull, "Not enough space in storage pool %q: %d MiB are free. Delete unused nodes or images, or enlarge the pool.", name, available>>20)
	}
	return nil
}
