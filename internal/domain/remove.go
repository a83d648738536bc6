package domain

import (
	"cmp"
	"context"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/domain/inventory"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

const (
	deleteIntent = "node.delete"
	wipeIntent   = "node.wipe"
	startIntent  = "node.start"
)

// startData is what recovery needs to complete a start.
type startData struct {
	ID string `json:"id"`
}

// deleteData is what recovery needs to complete a deletion.
type deleteData struct {
	ID      string    `json:"id"`
	Volumes []string  `json:"volumes"`
	since   time.Time // see Storage.DeleteNodeVolume; unknown to recovery
}

// wipeData is what recovery needs to complete or undo a wipe.
type wipeData struct {
	ID  string `json:"id"`
	Old string `json:"old"` // volume names
	New string `json:"new"`
	// Below are the node's own volumes in the backing chain of Old, the topmost first.
	Below []string  `json:"below,omitempty"`
	since time.Time // see deleteData
}

// Delete removes a node with its overlay, its saved state and its console log. It powers a
// running node off first, and returns an error if there are snapshots, unless withSnapshots
// is set. Disks that SandboxLabs did not create are kept. A deletion that a crash interrupts
// is completed at the next start of the service. checks get the node immediately before; an
// error of one aborts the deletion.
func (s *Service) Delete(ctx context.Context, id string, withSnapshots bool, checks ...func(Node) error) error {
	release, err := s.claim(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	n, err := s.inv.Node(id)
	if err != nil {
		return err
	}
	if err := s.checkNow(ctx, n, checks); err != nil {
		return err
	}
	if err := mustBeManaged(n, "deleted"); err != nil {
		return err
	}
	data := deleteData{ID: id, since: time.Now()}
	err = s.withDomain(ctx, "node.remove", n, func(d *libvirt.Domain) (err error) {
		if !withSnapshots {
			if err := mustLoseNoSnapshot(d, n, "deleted", "Delete them first, or repeat the request with ?snapshots=true."); err != nil {
				return err
			}
		}
		data.Volumes, err = s.ownVolumes(ctx, d, n)
		return err
	})
	if err != nil && !isGone(err) {
		return explain(err, "delete", n.Name)
	}
	if err := s.mustBearNothing(ctx, n, data.Volumes); err != nil {
		return explain(err, "delete", n.Name)
	}
	failure, unsettled := s.apply(ctx, store.Change{
		Kind: deleteIntent, Host: n.Host, Data: data,
		Settle: func(ctx context.Context, _ error) error {
			err := s.destroy(ctx, n.Host, data)
			s.inv.Await(ctx, n.Host, id)
			return err
		},
	})
	if failure != nil {
		return failure
	}
	return explain(unsettled, "delete", n.Name)
}

// checkNow reloads a claimed node from its host and calls checks with it.
func (s *Service) checkNow(ctx context.Context, n Node, checks []func(Node) error) error {
	if len(checks) == 0 {
		return nil
	}
	// Another service or virsh may have just changed it.
	if err := s.inv.Sync(ctx, n.Host, n.ID); err != nil && !isGone(err) {
		return err
	}
	n, err := s.inv.Node(n.ID)
	for _, check := range checks {
		if err == nil {
			err = check(n)
		}
	}
	return err
}

// mustBearNothing returns an error if other disks are overlays of the given volumes.
func (s *Service) mustBearNothing(ctx context.Context, n Node, volumes []string) error {
	disks, err := s.o.Storage.OverlaysOnNode(ctx, n.Host, n.ID, volumes)
	if err != nil || len(disks) == 0 {
		return err
	}
	var names []string
	for _, disk := range disks[:min(5, len(disks))] {
		for _, user := range s.UsersOf(n.Host, disk) {
			disk += " (node " + strconv.Quote(user.Name) + ")"
		}
		names = append(names, disk)
	}
	return fault.New(fault.NodeBusy, "Other disks are backed by the disk of node %q: %s. Delete those nodes first, or flatten their disks with `virsh blockpull` while they run.", n.Name, strings.Join(names, ", "))
}

// destroy removes the domain, then its volumes and its log. It is idempotent.
func (s *Service) destroy(ctx context.Context, host string, data deleteData) error {
	err := s.withDomain(ctx, "node.destroy", Node{ID: data.ID, Host: host}, func(d *libvirt.Domain) error {
		if err := s.forceOff(ctx, data.ID, d); err != nil {
			return err
		}
		if persistent, err := d.IsPersistent(); err != nil || !persistent {
			return err
		}
		return d.UndefineFlags(libvirt.DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
			libvirt.DOMAIN_UNDEFINE_NVRAM | libvirt.DOMAIN_UNDEFINE_CHECKPOINTS_METADATA)
	})
	if err != nil && !isGone(err) {
		return err
	}
	// Another process may have created more volumes for the node. Now that the domain is
	// gone, no process does.
	more, err := s.o.Storage.NodeVolumes(ctx, host, data.ID)
	if err != nil {
		return err
	}
	for _, v := range slices.Compact(slices.Sorted(slices.Values(slices.AppendSeq(data.Volumes, maps.Keys(more))))) {
		if err := s.o.Storage.DeleteNodeVolume(ctx, host, v, data.since); err != nil {
			return err
		}
	}
	return s.o.Storage.DeleteConsoleLog(ctx, host, data.ID)
}

// ownVolumes returns the volumes in the nodes pool that belong to this node and whose names
// begin with its id: those in the pool, attached or not, and those in the backing chains of
// the domain's disks.
func (s *Service) ownVolumes(ctx context.Context, d *libvirt.Domain, n Node) ([]string, error) {
	volumes, err := s.o.Storage.NodeVolumes(ctx, n.Host, n.ID)
	if err != nil {
		return nil, err
	}
	names := slices.Collect(maps.Keys(volumes))
	def, err := definition.Of(d, 0)
	if err != nil || def.Devices == nil {
		return names, err
	}
	more, err := s.ownAmong(n, definition.DiskFiles(def.Devices.Disks))
	names = append(names, more...)
	slices.Sort(names)
	return slices.Compact(names), err
}

// ownAmong returns the names of the files that are volumes of this node.
func (s *Service) ownAmong(n Node, files []string) ([]string, error) {
	folder, err := s.o.Storage.NodesFolder(n.Host)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, file := range files {
		dir, name := path.Split(file)
		if path.Clean(dir) == path.Clean(folder) && strings.HasPrefix(name, n.ID) {
			names = append(names, name)
		}
	}
	return names, nil
}

// Wipe replaces a node's overlay by a new one, so that the disk equals the image again. It
// returns an error for a running node or one with a saved state, unless force is set, which
// powers the node off and discards the state. It always returns an error for a running
// transient domain, which would no longer exist when powered off. The old overlay is deleted
// only after the domain uses the new one, so that a crash never loses both.
func (s *Service) Wipe(ctx context.Context, id string, force bool) (Node, error) {
	return s.change(ctx, id, "node.wipe", "wipe", func(ctx context.Context, n Node, d *libvirt.Domain) error {
		if err := mustBeManaged(n, "wiped"); err != nil {
			return err
		}
		if persistent, err := d.IsPersistent(); err != nil {
			return err
		} else if !persistent {
			return fault.New(fault.Unsupported, "Domain %q is transient. Define it with `virsh define` first.", n.Name)
		}
		if !force {
			if err := mustBeOff(d, n, "wiped"); err != nil {
				return err
			}
		}
		if err := checkDiscard(d, n, "wiped", force); err != nil {
			return err
		}
		return s.wipe(ctx, n, d)
	})
}

func (s *Service) wipe(ctx context.Context, n Node, d *libvirt.Domain) error {
	def, err := definition.Of(d, 0)
	if err != nil {
		return err
	}
	var own []string
	disk := definition.FirstDisk(def)
	if disk != nil {
		if own, err = s.ownAmong(n, definition.DiskFiles([]libvirtxml.DomainDisk{*disk})); err != nil {
			return err
		}
	}
	if n.Image.ID == "" || len(own) == 0 || own[0] != path.Base(disk.Source.File.File) {
		return fault.New(fault.Unsupported, "Node %q was not created from an image, so it can't be wiped.", n.Name)
	}
	if err := mustLoseNoSnapshot(d, n, "wiped", "Delete them first."); err != nil {
		return err
	}
	since := time.Now()
	if err := s.mustBearNothing(ctx, n, own[:1]); err != nil {
		return err
	}
	below := own[1:]
	if s.mustBearNothing(ctx, n, below) != nil {
		below = nil // they are backing files of linked clones, and are kept until the node is deleted
	}
	image, err := s.o.Storage.Usable(n.Host, n.Image.ID)
	if err != nil {
		return err
	}
	least, usual := image.diskBytes()
	capacity := max(cmp.Or(n.DiskBytes, usual), least) // DiskBytes is 0 if the overlay cannot be read
	if err := s.forceOff(ctx, n.ID, d); err != nil {   // only after all checks have passed
		return err
	}
	if err := discardSavedState(d); err != nil { // it is only valid with the old disk
		return err
	}
	data := wipeData{ID: n.ID, since: since, Old: own[0], Below: below, New: n.ID + "-" + strconv.FormatInt(time.Now().UnixMilli(), 36) + ".qcow2"}
	failure, unsettled := s.apply(ctx, store.Change{
		Kind: wipeIntent, Host: n.Host, Data: data,
		Do: func(ctx context.Context) error {
			overlay, err := s.makeDisk(ctx, n.Host, data.New, image, capacity)
			if err != nil {
				return err
			}
			return relay(d, definition.FirstDisk, overlay, image.under())
		},
		Settle: func(ctx context.Context, failure error) error {
			err := s.settleWipe(ctx, n.Host, data)
			if failure == nil && err == nil { // libvirt recreates the firmware variables at the next start
				err = s.o.Storage.DeleteNodeVolume(ctx, n.Host, n.ID+variablesSuffix, time.Time{})
			}
			return err
		},
	})
	if failure == nil && unsettled != nil {
		s.o.Log.Error("the old overlay could not be removed yet; it is tried again at the next start", "node", n.ID, "error", unsettled)
	}
	return failure
}

// settleWipe removes the overlay, old or new, that the domain does not use. Another process
// may have created an overlay on top of either, so the whole backing chain counts as used. If
// the domain no longer exists, it removes only what the wipe created. It is idempotent.
func (s *Service) settleWipe(ctx context.Context, host string, data wipeData) error {
	var def *libvirtxml.Domain
	err := s.withDomain(ctx, "node.recover-wipe", Node{ID: data.ID, Host: host}, func(d *libvirt.Domain) (err error) {
		def, err = definition.Of(d, libvirt.DOMAIN_XML_INACTIVE)
		return err
	})
	if err != nil && !isGone(err) {
		return err
	}
	volumes, err := s.o.Storage.NodeVolumes(ctx, host, data.ID)
	if err != nil {
		return err
	}
	l, doomed := lineage(volumes), []string{data.New}
	if l.used(def)[data.New] {
		doomed = append([]string{data.Old}, data.Below...)
	}
	for _, v := range doomed {
		if err := s.dropUnused(ctx, host, l, v, data.since, def); err != nil {
			return err
		}
	}
	return nil
}

// undoCreate removes the overlay of a node whose domain was not defined.
func (s *Service) undoCreate(ctx context.Context, host string, data createData) error {
	err := s.withDomain(ctx, "node.recover-create", Node{ID: data.ID, Host: host}, func(*libvirt.Domain) error { return nil })
	if err == nil {
		return nil // it was complete, and only the intent remained
	}
	if !isGone(err) {
		return err
	}
	for _, v := range data.Volumes {
		if err := s.o.Storage.DeleteNodeVolume(ctx, host, v, time.Time{}); err != nil {
			return err
		}
	}
	return nil
}

// finishStart resumes a guest that an interrupted start left paused.
func (s *Service) finishStart(ctx context.Context, host string, data startData) error {
	err := s.withDomain(ctx, "node.recover-start", Node{ID: data.ID, Host: host}, func(d *libvirt.Domain) error {
		if state, err := inventory.StateOf(d); err != nil || state != Paused {
			return err
		}
		return d.Resume()
	})
	if isGone(err) {
		return nil
	}
	return err
}
