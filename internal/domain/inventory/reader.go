package inventory

import (
	"context"
	"errors"
	"maps"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
	"libvirt.org/go/libvirt"
)

// run processes a feed until ctx ends.
func (inv *Inventory) run(ctx context.Context, f *feed) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		}
		b := f.take()
		err := f.host.Do(ctx, "inventory.read", func(conn *libvirt.Connect) error { return inv.readBatch(ctx, conn, f, &b) })
		if err != nil && ctx.Err() == nil {
			inv.log.Warn("the inventory could not be read", "host", f.host.Name(), "error", err)
			if f.tryAgain(b) {
				continue
			}
		}
		for _, list := range b.waiting {
			closeAll(list)
		}
	}
}

func closeAll(waiting []chan struct{}) {
	for _, w := range waiting {
		close(w)
	}
}

// readBatch reads the domains in a batch, and removes those that were read from it.
func (inv *Inventory) readBatch(ctx context.Context, conn *libvirt.Connect, f *feed, b *batch) error {
	if _, err := inv.readDirty(ctx, conn, f, b); err != nil {
		return err
	}
	if b.all {
		if err := inv.readAll(ctx, conn, f, b); err != nil {
			return err
		}
		f.setKnown(f.host.Status().State == hypervisor.Connected)
		return nil
	}
	for id := range b.odd {
		read, err := inv.readDirty(ctx, conn, f, b)
		if err != nil {
			return err
		}
		if !read[id] {
			changed, err := inv.readOne(ctx, conn, f, id, nil)
			if err != nil {
				return err
			}
			if changed {
				f.suspect(id)
			}
		}
		delete(b.odd, id)
	}
	return nil
}

// readDirty reads the domains with events so far, and returns their ids.
func (inv *Inventory) readDirty(ctx context.Context, conn *libvirt.Connect, f *feed, b *batch) (read map[string]bool, err error) {
	f.takeDirty(b)
	if len(b.dirty) == 0 {
		f.calm()
		return nil, nil
	}
	read = map[string]bool{}
	for id := range b.dirty {
		if _, err := inv.readOne(ctx, conn, f, id, b.waiting[id]); err != nil {
			return read, err
		}
		read[id] = true
		delete(b.dirty, id)
		delete(b.waiting, id)
	}
	f.calm()
	return read, nil
}

// readAll reads all domains. Changes that it finds after the first time had no event.
func (inv *Inventory) readAll(ctx context.Context, conn *libvirt.Connect, f *feed, b *batch) error {
	host, again, since := f.host.Name(), f.isKnown(), inv.now()
	domains, err := conn.ListAllDomains(0)
	if err != nil {
		return err
	}
	defer definition.FreeAll(domains)
	seen := map[string]bool{} // or read since the list was made
	var failed error
	for i := range domains {
		read, err := inv.readDirty(ctx, conn, f, b)
		if err != nil {
			return err
		}
		maps.Copy(seen, read)
		id, err := domains[i].GetUUIDString() // stored in the handle
		if err != nil {
			return err
		}
		if seen[id] {
			continue
		}
		changed, err := inv.readDomain(ctx, f, &domains[i], id, nil)
		switch {
		case fault.CodeOf(err) == fault.HostUnreachable:
			return err
		case err == nil:
			seen[id] = true
			if changed && again {
				f.suspect(id)
			}
		case !errors.Is(err, libvirt.ERR_NO_DOMAIN):
			// A failed reading does not mean that it is gone.
			seen[id] = true
			failed = err
		}
	}
	if failed != nil {
		if alive, err := conn.IsAlive(); err != nil || !alive {
			return failed
		}
		inv.log.Warn("some domains could not be read", "host", host, "error", failed)
	}
	inv.mu.RLock()
	var gone []string
	for id := range inv.nodes[host] {
		if !seen[id] {
			gone = append(gone, id)
		}
	}
	inv.mu.RUnlock()
	for _, id := range gone {
		if f.join(id, nil) { // that reading finds out whether it is gone
			continue
		}
		if inv.remove(host, id, since) && again {
			f.suspect(id)
		}
	}
	return nil
}

// readOne reads one domain, and returns whether the inventory changed. The channels in
// waiting are closed when it has been read, which may be later (see readDomain). It fails if
// the connection is lost.
func (inv *Inventory) readOne(ctx context.Context, conn *libvirt.Connect, f *feed, id string, waiting []chan struct{}) (changed bool, err error) {
	if f.join(id, waiting) {
		return false, nil
	}
	since := inv.now()
	d, err := conn.LookupDomainByUUIDString(id)
	if err == nil {
		changed, err = inv.readDomain(ctx, f, d, id, waiting)
		_ = d.Free()
		if err == nil {
			return changed, nil
		}
	}
	switch alive, dead := conn.IsAlive(); {
	case errors.Is(err, libvirt.ERR_NO_DOMAIN):
		changed = inv.remove(f.host.Name(), id, since)
	case dead != nil || !alive || fault.CodeOf(err) == fault.HostUnreachable:
		return false, err
	default:
		inv.log.Warn("a domain could not be read", "host", f.host.Name(), "node", id, "error", err)
	}
	closeAll(waiting)
	return changed, nil
}
