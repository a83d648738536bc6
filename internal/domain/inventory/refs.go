package inventory

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"
	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/diskref"
	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// syncAtOnce limits the domains that syncAll reads concurrently: each may use a connection.
const syncAtOnce = 8

// refsOf returns the files that a domain refers to in its definitions and in the states that
// it could be reverted to; n is what was read of it so far. Parts that cannot be parsed are
// included as unknown.
func refsOf(d *libvirt.Domain, n Node, defs ...*libvirtxml.Domain) ([]diskref.Ref, error) {
	refs := []diskref.Ref{}
	for _, def := range defs {
		if def != nil {
			refs = diskref.Merge(refs, diskref.OfDomain(def)...)
		}
	}
	kept := []func(*libvirt.Domain) ([]diskref.Ref, error){checkpointRefs}
	if n.Snapshots > 0 { // otherwise n already shows that there are none
		kept = append(kept, snapshotRefs)
	}
	for _, refsOfKept := range kept {
		more, err := refsOfKept(d)
		if err != nil {
			return nil, err
		}
		refs = diskref.Merge(refs, more...)
	}
	if !n.Saved {
		return refs, nil
	}
	return diskref.Merge(refs, savedRefs(d)...), nil
}

func savedRefs(d *libvirt.Domain) []diskref.Ref {
	var def libvirtxml.Domain
	text, err := d.ManagedSaveGetXMLDesc(0)
	if err == nil {
		err = def.Unmarshal(text)
	}
	if err != nil { // if the domain is gone, the next reading shows it
		return []diskref.Ref{{Unknown: "disks of its saved state, which cannot be read"}}
	}
	return diskref.OfDomain(&def)
}

func snapshotRefs(d *libvirt.Domain) (refs []diskref.Ref, err error) {
	list, err := d.ListAllSnapshots(0)
	if err != nil {
		return nil, err
	}
	for i := range list {
		def, err := definition.OfSnapshot(&list[i])
		switch {
		case err == nil:
			refs = diskref.Merge(refs, diskref.OfSnapshot(&def)...)
		case !errors.Is(err, libvirt.ERR_NO_DOMAIN_SNAPSHOT):
			refs = append(refs, diskref.Ref{Unknown: "a snapshot that cannot be read"})
		}
		_ = list[i].Free()
	}
	return refs, nil
}

func checkpointRefs(d *libvirt.Domain) (refs []diskref.Ref, err error) {
	list, err := d.ListAllCheckpoints(0)
	if errors.Is(err, libvirt.ERR_NO_SUPPORT) {
		return nil, nil // before libvirt 5.6
	}
	if err != nil {
		return nil, err
	}
	for i := range list {
		var def libvirtxml.DomainCheckpoint
		text, err := list[i].GetXMLDesc(0)
		if err == nil {
			err = def.Unmarshal(text)
		}
		switch {
		case err == nil:
			refs = diskref.Merge(refs, diskref.OfCheckpoint(&def)...)
		case !errors.Is(err, libvirt.ERR_NO_DOMAIN_CHECKPOINT):
			refs = append(refs, diskref.Ref{Unknown: "a checkpoint that cannot be read"})
		}
		_ = list[i].Free()
	}
	return refs, nil
}

// WithRefs returns the nodes of a host with their Refs, including domains that were defined a
// moment ago. The Refs of a node that libvirt cannot read contain an unknown one. Errors:
// fault.HostNotFound, HostUnreachable.
func (inv *Inventory) WithRefs(ctx context.Context, host string) ([]Node, error) {
	h, err := inv.hosts.Host(host)
	if err != nil {
		return nil, err
	}
	host = h.Name()
	var ids []string
	list := func(conn *libvirt.Connect) (err error) {
		ids, err = listed(conn, 0)
		return err
	}
	if err := inv.hosts.Do(ctx, host, "node.list", list); err != nil {
		return nil, err
	}
	inv.feeds[host].giveWay(ctx) // wait for domains with events
	// Repeat until all domains have been read, because domains are defined and undefined
	// meanwhile.
	read := map[string]bool{}
	for {
		var late []string
		for _, id := range ids {
			if !read[id] && inv.refs(host, id) == nil {
				read[id] = true
				late = append(late, id)
			}
		}
		if len(late) == 0 {
			break
		}
		if err := inv.syncAll(ctx, host, late); err != nil {
			return nil, err
		}
		if err := inv.hosts.Do(ctx, host, "node.list", list); err != nil {
			return nil, err
		}
	}
	var nodes []Node
	for _, id := range ids {
		inv.mu.RLock()
		n, known := inv.nodes[host][id]
		inv.mu.RUnlock()
		if !known {
			n = Node{ID: id, Name: id, Host: host}
		}
		if n.Refs == nil {
			n.Refs = []diskref.Ref{{Unknown: "disks that libvirt does not tell of now"}}
		}
		nodes = append(nodes, n)
	}
	slices.SortFunc(nodes, byName)
	return nodes, nil
}

// syncAll is Sync for several domains. A domain that cannot be read is not an error. Errors:
// fault.HostUnreachable, that of ctx.
func (inv *Inventory) syncAll(ctx context.Context, host string, ids []string) error {
	var all errgroup.Group
	all.SetLimit(syncAtOnce)
	for _, id := range ids {
		all.Go(func() error {
			if err := inv.Sync(ctx, host, id); fault.CodeOf(err) == fault.HostUnreachable {
				return err
			}
			return nil
		})
	}
	return cmp.Or(all.Wait(), ctx.Err())
}

// refs returns the Refs of a node, nil if they were not read.
func (inv *Inventory) refs(host, id string) []diskref.Ref {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	return inv.nodes[host][id].Refs
}
