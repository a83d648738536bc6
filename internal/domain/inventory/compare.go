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

// libvirt sends no event for what changes the definition alone (`virsh setvcpus
// --config`, `attach-disk --config`, `autostart`), nor for a snapshot of a domain
// that is off. So the domains are looked at from time to time, without being
// understood, and those that look otherwise than before are read.
const (
	// A look waits for a domain that is being started, and so do all others of the
	// same look: each is at a part of the domains.
	lookParts = 3
	// The looks at the lists, and those at the XML, cost a host at most this part of a
	// processor's time each.
	lookShare   = 20
	minLookWait = 600 * time.Millisecond
	maxLookWait = 10 * time.Second
	// What a domain's XML costs libvirtd and the service together, and what a domain does
	// in the lists. Processor time, as it was measured; the time that a look takes depends
	// on what else the machine does.
	xmlCost  = 280 * time.Microsecond
	flagCost = 15 * time.Microsecond
	// Of so many looks the fastest tells how long one takes: others wait for domains that
	// are being started.
	looksKept = 5
	// eventPatience is how late an event may come after what it tells of.
	eventPatience = 400 * time.Millisecond
)

// glimpse is how a domain looks: two that are equal show the same domain.
type glimpse uint64

var glimpseSeed = maphash.MakeSeed()

// look takes glimpses of some of a host's domains, or of all, and tells what
// processor time that costs. Before each call it may give way to what is urgent.
type look func(conn *libvirt.Connect, giveWay func()) (seen map[string]glimpse, cost time.Duration, err error)

// looks are those that are at a host's domains beside each other.
func looks() []look {
	list := []look{flagsOfAll}
	for part := range uint64(lookParts) {
		list = append(list, func(conn *libvirt.Connect, giveWay func()) (map[string]glimpse, time.Duration, error) {
			seen, texts, err := glimpses(conn, part, giveWay)
			return seen, lookParts * time.Duration(texts) * xmlCost, err // the others cost as much
		})
	}
	return list
}

// compareLoop looks at a host's domains again and again until ctx ends.
func (inv *Inventory) compareLoop(ctx context.Context, h *hypervisor.Host, take look) {
	f := inv.feeds[h.Name()]
	wait := minLookWait
	var took []time.Duration
	var seen map[string]glimpse // of the last look
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
			// Where each call takes its time, as to a host that is far, looks pause as long as
			// they last.
			wait = max(wait, slices.Min(took))
		}
		wait = min(wait, maxLookWait)
		// All of them the first time: they may have changed since they were read.
		f.noteOdd(differing(seen, now))
		seen = now
	}
}

// Differences counts the nodes of a host that were found to be otherwise than the
// inventory showed, without an event of libvirt that told so, since the service
// was started.
func (inv *Inventory) Differences(host string) uint64 {
	f, ok := inv.feeds[host]
	if !ok {
		return 0
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.differences
}

// noteOdd asks for nodes to be read that look otherwise than before.
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

// suspect notes that a node was found to be otherwise; an event that tells of it
// may be under way.
func (f *feed) suspect(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.suspects[id]; !known {
		f.suspects[id] = time.Now()
	}
}

// settleSuspects counts the differences that no event came for.
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

// differing lists the domains that look otherwise than before, came or went.
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

// flagsOfAll takes in what lists alone tell of the domains, which costs little.
func flagsOfAll(conn *libvirt.Connect, giveWay func()) (map[string]glimpse, time.Duration, error) {
	all := map[string]glimpse{}
	// The first lists all, and the others few of them, mostly.
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

// listed are the ids of the domains that are in a group.
func listed(conn *libvirt.Connect, group libvirt.ConnectListAllDomainsFlags) ([]string, error) {
	domains, err := conn.ListAllDomains(group)
	if err != nil {
		return nil, err
	}
	var ids []string
	for i := range domains {
		if id, err := domains[i].GetUUIDString(); err == nil { // it is in the handle
			ids = append(ids, id)
		}
		_ = domains[i].Free()
	}
	return ids, nil
}

// glimpses takes one of each domain of a part, and counts the texts that it read. A
// domain that vanishes meanwhile has none, nor has one whose QEMU does not answer.
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

// textsOf are a domain's descriptions: at its next start, and now where it runs. There are
// none while its QEMU does not answer, for which libvirt may wait.
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
