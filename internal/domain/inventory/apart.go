package inventory

import (
	"context"
	"sync"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"libvirt.org/go/libvirt"
)

// While QEMU does not respond, the libvirt call that waits for it holds the domain's job
// lock. libvirt 11.3 waits up to 30 s for that lock before it returns the domain's XML (9.0
// does not wait). So a goroutine with its own connection reads each running domain, and the
// feed continues without slow ones.
const (
	// readLimit is how long a feed waits while one domain is read.
	readLimit = time.Second
	// silentAtOnce limits the concurrent readings of domains whose QEMU does not respond:
	// each may block one of libvirtd's few workers.
	silentAtOnce = 4
)

const silentProblem = "Its QEMU does not answer libvirt; what is not known of it yet follows when libvirt tells."

// apart is the state of reading one running domain in its own goroutine.
type apart struct {
	silent chan struct{} // closed when its QEMU does not respond
	done   chan struct{} // closed when the reading has finished
	// The results, valid after done is closed.
	changed bool
	err     error

	// Guarded by the feed's mu.
	left    bool            // the feed no longer waits for it
	waiting []chan struct{} // closed when it has finished
	again   bool            // read the domain again afterwards
	next    []chan struct{} // closed when the domain was read again

	mu   sync.Mutex // locked while the inventory is updated
	read bool       // the inventory contains the result
}

// join returns whether a domain is being read, and if so schedules another reading, because
// the current one may miss the latest change.
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

// readDomain reads a domain, and returns whether the inventory changed. It closes the
// channels in waiting when the domain has been read, which is after it returns for a slow
// domain. On an error, the caller has to close them.
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

// leave stops waiting for a reading, which continues in the background. It returns false if
// the reading has finished.
func (f *feed) leave(id string, r *apart, waiting []chan struct{}) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.apart[id] != r {
		return false
	}
	r.left, r.waiting = true, waiting
	return true
}

// readApart reads a running domain.
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

// isSilent returns whether libvirt has waited too long for a reply from a domain's QEMU.
func isSilent(d *libvirt.Domain) bool {
	info, err := d.GetControlInfo(0)
	return err == nil && info.State == libvirt.DOMAIN_CONTROL_OCCUPIED && info.StateTime >= uint64(readLimit.Milliseconds()) //nolint:gosec // a positive constant
}

// end finishes a reading. If it failed after the feed stopped waiting for it, end repeats it,
// because no caller sees the error.
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

// showOutline stores what libvirt knows about a domain without asking QEMU, unless the
// reading has finished meanwhile. It returns whether the inventory changed.
func (inv *Inventory) showOutline(d *libvirt.Domain, host string, r *apart) (changed bool) {
	since := inv.now()
	n, err := inv.outline(d, host)
	if err != nil { // the reading reports the error
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.read && inv.putOutline(n, since)
}

// outline returns the parts of a node that are known while libvirt does not return its XML.
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
	n.RAMMiB, n.CPUs = int64(info.Memory>>10), int(info.NrVirtCpu) // KiB of physical memory fit
	// Each call fails if the domain has none.
	n.Description, _ = d.GetMetadata(libvirt.DOMAIN_METADATA_DESCRIPTION, "", libvirt.DOMAIN_AFFECT_CURRENT)
	element, _ := d.GetMetadata(libvirt.DOMAIN_METADATA_ELEMENT, definition.Namespace, libvirt.DOMAIN_AFFECT_CURRENT)
	if m, ok := definition.ParseMetadata(element); ok {
		n.describeMetadata(m)
		inv.nameOwner(&n)
	}
	n.Problem = silentProblem
	return n, nil
}
