package inventory

import (
	"context"
	"slices"
	"time"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
)

// askedAtOnce limits the domains whose disks are queried in one call, because a block job may
// begin meanwhile.
const askedAtOnce = 32

// usageReader reads the usage of a host's running domains, without waiting for busy ones.
type usageReader struct {
	at   time.Time
	ask  bool // ask each QEMU for its memory and, unless a block job runs, for its disks
	jobs *hypervisor.BlockJobs

	readings map[string]reading // by domain UUID
}

// read reads all running domains, in one call unless the QEMUs are asked.
func (r *usageReader) read(ctx context.Context, conn *libvirt.Connect) error {
	const groups = libvirt.DOMAIN_STATS_CPU_TOTAL | libvirt.DOMAIN_STATS_INTERFACE
	if !r.ask {
		return r.stats(conn, nil, groups, libvirt.CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE)
	}
	domains, err := conn.ListAllDomains(libvirt.CONNECT_LIST_DOMAINS_ACTIVE)
	if err != nil {
		return err
	}
	defer definition.FreeAll(domains)
	ids := make([]string, len(domains))
	for i := range domains {
		if ids[i], err = domains[i].GetUUIDString(); err != nil { // stored in the handle
			return err
		}
	}
	go r.jobs.Check(ctx, ids)
	for first := 0; first < len(domains); first += askedAtOnce {
		var quiet, busy []*libvirt.Domain
		for i := first; i < min(first+askedAtOnce, len(domains)); i++ {
			if r.jobs.Quiet(ids[i]) {
				quiet = append(quiet, &domains[i])
			} else {
				busy = append(busy, &domains[i])
			}
		}
		if len(quiet) > 0 {
			err = r.stats(conn, quiet, groups|libvirt.DOMAIN_STATS_BALLOON|libvirt.DOMAIN_STATS_BLOCK, 0)
		}
		if err == nil && len(busy) > 0 {
			err = r.stats(conn, busy, groups|libvirt.DOMAIN_STATS_BALLOON, 0)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// stats reads the given domains, or all if which is nil.
func (r *usageReader) stats(conn *libvirt.Connect, which []*libvirt.Domain, groups libvirt.DomainStatsTypes, flags libvirt.ConnectGetAllDomainStatsFlags) error {
	stats, err := conn.GetAllDomainStats(which, groups, flags|libvirt.CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT)
	if err != nil {
		return err
	}
	for i := range stats {
		s := &stats[i]
		// Both are stored in the handle: no call to libvirtd.
		id, err := s.Domain.GetUUIDString()
		run, numbered := s.Domain.GetID()
		_ = s.Domain.Free()
		// libvirt returns no CPU time for a busy domain, which the next reading may include.
		if err == nil && numbered == nil && s.Cpu != nil && s.Cpu.TimeSet {
			r.readings[id] = reading{
				run: run, at: r.at, totals: totals(s), disks: disks(s),
				memory: s.Balloon != nil && s.Balloon.RssSet, asked: groups&libvirt.DOMAIN_STATS_BLOCK != 0 && answered(s),
			}
		}
	}
	return nil
}

func totals(s *libvirt.DomainStats) Totals {
	t := Totals{CPUSeconds: float64(s.Cpu.Time) / 1e9}
	if b := s.Balloon; b != nil {
		t.MemoryBytes = int64(b.Rss) << 10 //nolint:gosec // KiB of real memory fit
		if b.AvailableSet && b.UnusedSet && b.Available > b.Unused {
			free := b.Unused
			if b.UsableSet { // caches count as free memory
				free = min(b.Usable, b.Available)
			}
			t.GuestBytes = int64(b.Available-free) << 10 //nolint:gosec // as above
		}
	}
	for _, d := range s.Block {
		t.DiskRead += d.RdBytes
		t.DiskWritten += d.WrBytes
	}
	for _, n := range s.Net {
		t.NetReceived += n.RxBytes
		t.NetSent += n.TxBytes
	}
	return t
}

// answered returns whether QEMU reported its disk statistics. libvirt does not ask it while
// another call does.
func answered(s *libvirt.DomainStats) bool {
	return !slices.ContainsFunc(s.Block, func(d libvirt.DomainStatsBlock) bool { return d.PathSet && !d.RdBytesSet })
}

// disks returns the virtual sizes of the disks that are files.
func disks(s *libvirt.DomainStats) map[string]int64 {
	sizes := make(map[string]int64, len(s.Block))
	for _, d := range s.Block {
		if d.PathSet && d.CapacitySet {
			sizes[d.Path] = int64(d.Capacity) //nolint:gosec // bytes of a real disk
		}
	}
	return sizes
}
