package inventory

import (
	"context"
	"slices"
	"time"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
)

// askedAtOnce bounds the domains that one call asks about their disks: a block job may
// begin meanwhile.
const askedAtOnce = 32

// usageReader reads what the running domains of a host used, and waits for none that is
// busy.
type usageReader struct {
	at   time.Time
	ask  bool // each QEMU for its memory and, where it may be, for its disks
	jobs *hypervisor.BlockJobs

	readings map[string]reading // by the domain's UUID
}

// read reads all running domains, in one call unless QEMUs are asked.
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
		if ids[i], err = domains[i].GetUUIDString(); err != nil { // it is in the handle
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

// stats reads some domains, or all.
func (r *usageReader) stats(conn *libvirt.Connect, which []*libvirt.Domain, groups libvirt.DomainStatsTypes, flags libvirt.ConnectGetAllDomainStatsFlags) error {
	stats, err := conn.GetAllDomainStats(which, groups, flags|libvirt.CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT)
	if err != nil {
		return err
	}
	for i := range stats {
		s := &stats[i]
		// Both are in the handle: no call to libvirtd.
		id, err := s.Domain.GetUUIDString()
		run, numbered := s.Domain.GetID()
		_ = s.Domain.Free()
		// Of a domain that is busy there is no CPU time: its next reading tells.
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
			if b.UsableSet { // what caches hold counts as free
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

// answered returns whether QEMU said what its disks did; it is not asked while another
// asks it.
func answered(s *libvirt.DomainStats) bool {
	return !slices.ContainsFunc(s.Block, func(d libvirt.DomainStatsBlock) bool { return d.PathSet && !d.RdBytesSet })
}

// disks are the virtual sizes of those that are files.
func disks(s *libvirt.DomainStats) map[string]int64 {
	sizes := make(map[string]int64, len(s.Block))
	for _, d := range s.Block {
		if d.PathSet && d.CapacitySet {
			sizes[d.Path] = int64(d.Capacity) //nolint:gosec // bytes of a real disk
		}
	}
	return sizes
}
