package inventory

import (
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
)

// libvirt sends no event for changes to only the persistent definition (`virsh setvcpus
// --config`, `attach-disk --config`, `autostart`), nor for a snapshot of a domain that is
// off. So the inventory polls the domains, compares hashes of their XML and flags, and
// reloads those that changed.
const (
	// A poll blocks on a domain that is being started, which delays the rest of that poll. So
	// concurrent polls each read a part of the domains.
	lookParts = 3
	// The polls of the lists, and those of the XML, each use at most 1/lookShare of one CPU
	// of the host.
	lookShare   = 20
	minLookWait = 600 * time.Millisecond
	maxLookWait = 10 * time.Second
	// The CPU time, in libvirtd and this service together, to read a domain's XML, and to
	// list a domain. Measured as CPU time, because the duration of a poll depends on the
	// other load of the machine.
	xmlCost  = 280 * time.Microsecond
	flagCost = 15 * time.Microsecond
	// The fastest of this many polls is the estimate of a poll's duration. The others may
	// have waited for domains that were being started.
	looksKept = 5
	// eventPatience is how long after a change its event may arrive.
	eventPatience = 400 * time.Millisecond
)

// glimpse is a hash of a domain's state: equal values mean that the domain did not change.
type glimpse uint64

var glimpseSeed = maphash.MakeSeed()

// look polls some or all domains of a host, and returns their hashes and the CPU time that
// this cost. Before each call to libvirt, it calls giveWay to let urgent readings go first.
type look func(conn *libvirt.Connect, giveWay func()) (seen map[string]glimpse, cost time.Duration, err error)

// looks returns the polls of a host's domains that run concurrently.
func looks() []look {
	list := []look{flagsOfAll}
	for part := range uint64(lookParts) {
		list = append(list, func(conn *libvirt.Connect, giveWay func()) (map[string]glimpse, time.Duration, error) {
			seen, texts, err := glimpses(conn, part, giveWay)
			return seen, lookParts * time.Duration(texts) * xmlCost, err // the other parts cost as much
		})
	}
	return list
}

// compareLoop polls a host's domains until ctx ends.
func (inv *Inventory) compareLoop(ctx context.Context, h *hypervisor.Host, take look) {
	f := inv.feeds[h.Name()]
	wait := minLookWait
	var took []time.Duration
	var seen map[string]glimpse // the previous result
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = minLookWait
		if h.Status().State != hypervisor.Connected || !f.isKnown() {
			continue
		}
		f.settleSuspects()
		began := time.Now()
		var now map[string]glimpse
		var cost time.Duration
		err := h.Do(ctx, "host.compare", func(conn *libvirt.Connect) (err error) {
			now, cost, err = take(conn, func() { f.giveWay(ctx) })
			return err
		})
		if err != nil {
			if ctx.Err() == nil {
				inv.log.Warn("the domains could not be looked at", "host", h.Name(), "error", err)
			}
			continue
		}
		took = append(took, time.Since(began))
		took = took[max(0, len(took)-looksKept):]
		wait = max(minLookWait, lookShare*cost)
		if len(took) == looksKept {
			// If calls are slow, as to a distant host, pause for as long as a poll takes.
			wait = max(wait, slices.Min(took))
		}
		wait = min(wait, maxLookWait)
		// The first time, all of them: they may have changed since they were read.
		f.noteOdd(differing(seen, now))
		seen = now
	}
}

// Differences returns how many times a node on a host differed from the inventory without an
// event from libvirt, since the service started.
func (inv *Inventory) Differences(host string) uint64 {
	f, ok := inv.feeds[host]
	if !ok {
		return 0
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.differences
}

// noteOdd schedules a reading of nodes that changed.
func (f *feed) noteOdd(ids []string) {
	if len(ids) == 0 {
		return
	}
	f.mu.Lock()
	for _, id := range ids {
		f.odd[id] = true
	}
	f.mu.Unlock()
	f.wakeUp()
}

// suspect records that a node differed from the inventory. Its event may still arrive.
func (f *feed) suspect(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.suspects[id]; !known {
		f.suspects[id] = time.Now()
	}
}

// settleSuspects counts the differences for which no event arrived.
func (f *feed) settleSuspects() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, since := range f.suspects {
		if time.Since(since) > eventPatience {
			f.differences++
			delete(f.suspects, id)
		}
	}
}

// differing returns the ids of the domains that changed, were added or were removed.
func differing(before, now map[string]glimpse) []string {
	var ids []string
	for id, g := range now {
		if old, known := before[id]; !known || old != g {
			ids = append(ids, id)
		}
	}
	for id := range before {
		if _, there := now[id]; !there {
			ids = append(ids, id)
		}
	}
	return ids
}

// flagsOfAll reads the state that only lists of domains return, which is cheap.
func flagsOfAll(conn *libvirt.Connect, giveWay func()) (map[string]glimpse, time.Duration, error) {
	all := map[string]glimpse{}
	// The first list contains all domains, the others usually only a few.
	for bit, group := range []libvirt.ConnectListAllDomainsFlags{
		0, libvirt.CONNECT_LIST_DOMAINS_AUTOSTART, libvirt.CONNECT_LIST_DOMAINS_RUNNING, libvirt.CONNECT_LIST_DOMAINS_PAUSED,
		libvirt.CONNECT_LIST_DOMAINS_HAS_SNAPSHOT, libvirt.CONNECT_LIST_DOMAINS_TRANSIENT, libvirt.CONNECT_LIST_DOMAINS_MANAGEDSAVE,
		libvirt.CONNECT_LIST_DOMAINS_HAS_CHECKPOINT,
	} {
		giveWay()
		ids, err := listed(conn, group)
		if err != nil {
			return nil, 0, err
		}
		for _, id := range ids {
			all[id] |= 1 << bit
		}
	}
	return all, time.Duration(len(all)) * flagCost, nil
}

// listed returns the ids of the domains in a group.
func listed(conn *libvirt.Connect, group libvirt.ConnectListAllDomainsFlags) ([]string, error) {
	domains, err := conn.ListAllDomains(group)
	if err != nil {
		return nil, err
	}
	var ids []string
	for i := range domains {
		if id, err := domains[i].GetUUIDString(); err == nil { // stored in the handle
			ids = append(ids, id)
		}
		_ = domains[i].Free()
	}
	return ids, nil
}

// glimpses hashes each domain in a part, and counts the XML texts that it read. It skips a
// domain that is removed meanwhile, or whose QEMU does not respond.
func glimpses(conn *libvirt.Connect, part uint64, giveWay func()) (seen map[string]glimpse, texts int, err error) {
	withSnapshots, err := listed(conn, libvirt.CONNECT_LIST_DOMAINS_HAS_SNAPSHOT)
	if err != nil {
		return nil, 0, err
	}
	domains, err := conn.ListAllDomains(0)
	if err != nil {
		return nil, 0, err
	}
	all := map[string]glimpse{}
	var failed error
	for i := range domains {
		id, err := domains[i].GetUUIDString()
		if err == nil && maphash.String(glimpseSeed, id)%lookParts == part {
			giveWay()
			if which := textsOf(&domains[i]); len(which) > 0 {
				texts += len(which)
				all[id], err = glimpseOf(&domains[i], which, slices.Contains(withSnapshots, id))
			}
		}
		if errors.Is(err, libvirt.ERR_NO_DOMAIN) {
			delete(all, id)
		} else if err != nil {
			failed = err
		}
		_ = domains[i].Free()
	}
	return all, texts, failed
}

// textsOf returns the flags to read a domain's XML: for its next start and, if it runs, the
// live one. It returns none while QEMU does not respond, because libvirt may wait for it.
func textsOf(d *libvirt.Domain) []libvirt.DomainXMLFlags {
	if definition.HasQEMU(d) {
		if isSilent(d) {
			return nil
		}
		return []libvirt.DomainXMLFlags{libvirt.DOMAIN_XML_INACTIVE, 0}
	}
	return []libvirt.DomainXMLFlags{libvirt.DOMAIN_XML_INACTIVE}
}

func glimpseOf(d *libvirt.Domain, texts []libvirt.DomainXMLFlags, hasSnapshots bool) (glimpse, error) {
	var h maphash.Hash
	h.SetSeed(glimpseSeed)
	for _, which := range texts {
		text, err := d.GetXMLDesc(which)
		if err != nil {
			return 0, err
		}
		_, _ = h.WriteString(text) // never fails
	}
	if hasSnapshots {
		names, current, err := definition.SnapshotNames(d)
		if err != nil {
			return 0, err
		}
		_, _ = h.WriteString(strings.Join(append(names, current), "\x00"))
	}
	return glimpse(h.Sum64()), nil
}
