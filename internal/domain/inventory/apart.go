package inventory

import (
	"context"
	"sync"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"libvirt.org/go/libvirt"
)

// While a QEMU does not answer, libvirt's call that waits for it holds the domain's job.
// libvirt 11.3 returns the domain's XML only after it waited 30 s for that job (9.0 does
// not wait). So each domain that runs is read by a goroutine with its own connection, and
// the feed continues without those that take long.
const (
	// readLimit is how long a feed waits for the reading of one domain.
	readLimit = time.Second
	// silentAtOnce bounds the readings of domains whose QEMU is known not to answer: each
	// may keep one of libvirtd's few workers waiting.
	silentAtOnce = 4
)

const silentProblem = "Its QEMU does not answer libvirt; what is not known of it yet follows when libvirt tells."

// apart is the reading of one domain that runs.
type apart struct {
	silent chan struct{} // closed when its QEMU is known not to answer
	done   chan struct{} // closed when the reading has ended
	// Of a reading that has ended:
	changed bool
	err     error

	// The feed's mu guards these.
	left    bool            // the feed does not wait for it
	waiting []chan struct{} // closed when it has ended
	again   bool            // the domain is to be read again after it
	next    []chan struct{} // closed when it was read again

	mu   sync.Mutex // held while the inventory is written
	read bool       // the inventory shows what was read
}

// join returns whether a domain is being read, and has it read again after that: what is
// read may be older than what asks for it.
func (f *feed) join(id string, waiting []chan struct{}) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.apart[id]
	if r == nil {
		return false
	}
	r.again = true
	r.next = append(r.next, waiting...)
	return true
}

// readDomain reads a domain, and returns whether the inventory changed. It closes waiting
// when the domain was read, which is later for one that takes long; with an error it
// leaves them to the caller.
func (inv *Inventory) readDomain(ctx context.Context, f *feed, d *libvirt.Domain, id string, waiting []chan struct{}) (changed bool, err error) {
	if f.join(id, waiting) {
		return false, nil
	}
	if !definition.HasQEMU(d) {
		since := inv.now()
		n, err := inv.read(d, f.host.Name())
		if err != nil {
			return false, err
		}
		changed = inv.put(n, since)
		closeAll(waiting)
		return changed, nil
	}
	r := &apart{silent: make(chan struct{}), done: make(chan struct{})}
	f.mu.Lock()
	f.apart[id] = r
	f.mu.Unlock()
	go inv.readApart(ctx, f, id, r)
	limit := time.NewTimer(readLimit)
	defer limit.Stop()
	select {
	case <-r.done:
	case <-r.silent:
	case <-limit.C:
	}
	if f.leave(id, r, waiting) {
		return inv.showOutline(d, f.host.Name(), r), nil
	}
	<-r.done
	if r.err == nil {
		closeAll(waiting)
	}
	return r.changed, r.err
}

// leave has a reading end by itself, and returns false when it has ended.
func (f *feed) leave(id string, r *apart, waiting []chan struct{}) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.apart[id] != r {
		return false
	}
	r.left, r.waiting = true, waiting
	return true
}

// readApart is a reading.
func (inv *Inventory) readApart(ctx context.Context, f *feed, id string, r *apart) {
	r.err = f.host.Do(ctx, "inventory.read", func(conn *libvirt.Connect) error {
		d, err := conn.LookupDomainByUUIDString(id)
		if err != nil {
			return err
		}
		defer func() { _ = d.Free() }()
		if isSilent(d) {
			close(r.silent)
			select {
			case f.slots <- struct{}{}:
				defer func() { <-f.slots }()
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		since := inv.now()
		n, err := inv.read(d, f.host.Name())
		if err != nil {
			return err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.changed, r.read = inv.put(n, since), true
		return nil
	})
	f.end(ctx, id, r)
	close(r.done)
}

// isSilent returns whether libvirt has waited for long for an answer of a domain's QEMU.
func isSilent(d *libvirt.Domain) bool {
	info, err := d.GetControlInfo(0)
	return err == nil && info.State == libvirt.DOMAIN_CONTROL_OCCUPIED && info.StateTime >= uint64(readLimit.Milliseconds()) //nolint:gosec // a positive constant
}

// end is called when a reading has ended. One that the feed left and that failed is
// repeated, since nobody else learns of it.
func (f *feed) end(ctx context.Context, id string, r *apart) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.apart, id)
	if !r.left {
		return
	}
	pause := time.Duration(0)
	if r.err == nil || ctx.Err() != nil {
		closeAll(r.waiting)
	} else {
		r.again, r.next, pause = true, append(r.next, r.waiting...), readPause
	}
	if r.again {
		f.dirty[id] = true
		f.await(map[string][]chan struct{}{id: r.next})
		time.AfterFunc(pause, f.wakeUp)
	}
}

// showOutline shows what libvirt says of a domain without its QEMU, unless the reading
// has ended meanwhile. It returns whether the inventory changed.
func (inv *Inventory) showOutline(d *libvirt.Domain, host string, r *apart) (changed bool) {
	since := inv.now()
	n, err := inv.outline(d, host)
	if err != nil { // the reading reports it
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.read && inv.putOutline(n, since)
}

// outline is what is known of a node while libvirt does not return its XML.
func (inv *Inventory) outline(d *libvirt.Domain, host string) (Node, error) {
	n, err := inv.readState(d, host)
	if err != nil {
		return Node{}, err
	}
	inv.mu.RLock()
	known, there := inv.nodes[host][n.ID]
	inv.mu.RUnlock()
	if there {
		known.Name, known.State, known.kept, known.Persistent, known.Autostart, known.Saved = n.Name, n.State, n.kept, n.Persistent, n.Autostart, n.Saved
		return known, nil
	}
	info, err := d.GetInfo()
	if err != nil {
		return Node{}, err
	}
	n.RAMMiB, n.CPUs = int64(info.Memory>>10), int(info.NrVirtCpu) // KiB of real memory fit
	// Either fails where there is none.
	n.Description, _ = d.GetMetadata(libvirt.DOMAIN_METADATA_DESCRIPTION, "", libvirt.DOMAIN_AFFECT_CURRENT)
	element, _ := d.GetMetadata(libvirt.DOMAIN_METADATA_ELEMENT, definition.Namespace, libvirt.DOMAIN_AFFECT_CURRENT)
	if m, ok := definition.ParseMetadata(element); ok {
		n.describeMetadata(m)
		inv.nameOwner(&n)
	}
	n.Problem = silentProblem
	return n, nil
}
