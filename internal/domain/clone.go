package domain

import (
	"context"
	"crypto/rand"
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

// CloneJob is the kind of the jobs that copy nodes; their arguments are a Clone.
const CloneJob = "node.clone"

const cloneIntent = "node.clone"

// cloneData is what recovery needs to complete or undo a linked clone.
type cloneData struct {
	Source  string   `json:"source"`
	ID      string   `json:"id"`
	Volumes []string `json:"volumes"` // of the clone
	Fresh   []string `json:"fresh"`   // the source's new overlays
}

// Clone describes a clone to be created.
type Clone struct {
	Source string `json:"source"`
	ID     string `json:"id"` // chosen by NewClone
	Name   string `json:"name"`
	Host   string `json:"host"`
	Owner  string `json:"owner"`
	// DiskBytes is the total virtual size of its disks.
	DiskBytes int64 `json:"diskBytes"`
	// Granted is what the caller may copy of the source's network interfaces, media and devices:
	// see CloneGain.
	Granted Gain `json:"granted"`
}

// Progress reports how far a long task has come; see job.Task.
type Progress interface {
	Begin(step string)
	Progress(doneBytes, totalBytes int64)
}

// NewClone checks whether a node can be cloned under that name, without reading its disks.
// full selects a full copy. Errors: fault.Invalid, NodeNotFound, NodeNotManaged,
// NodeNameTaken, NodeRunning (full), Unsupported.
func (s *Service) NewClone(source, name, owner string, full bool) (Clone, error) {
	n, err := s.inv.Node(source)
	if err != nil {
		return Clone{}, err
	}
	if err := ValidName(name); err != nil {
		return Clone{}, err
	}
	if err := mustBeManaged(n, "cloned"); err != nil {
		return Clone{}, err
	}
	switch {
	case !n.Persistent:
		return Clone{}, fault.New(fault.Unsupported, "Domain %q is transient. Define it with `virsh define` first.", n.Name)
	case n.Saved:
		return Clone{}, savedFault(n, "cloned")
	case full && n.Active():
		return Clone{}, fault.New(fault.NodeRunning, "Node %q is running. Stop it first, or create a linked clone.", n.Name)
	}
	free, err := s.reserveName(n.Host, name)
	if err != nil {
		return Clone{}, err
	}
	free()
	return Clone{Source: n.ID, ID: uuid.NewString(), Name: name, Host: n.Host, Owner: owner, DiskBytes: n.DiskBytes + n.ExtraBytes}, nil
}

// cloneDisk is a disk that the clone does not share with its source.
type cloneDisk struct {
	target string
	file   string // the source's
	volume string // the clone's
	seed   bool
}

// CloneLinked creates a node whose disks are overlays of another node's disks. The source's
// current files become shared, read-only backing files, and the source continues in new
// overlays, without a restart if it runs. The clone sees the disks as if the source had lost
// power at that moment. If the source has written nothing since it was created or cloned,
// both use its backing file instead.
//
// The clone has its own MAC addresses, UUID and cloud-init instance id. A crash leaves either
// a complete clone or none, and the source never loses data.
//
// Errors: those of NewClone, fault.NodeHasSnapshots, NodeBusy, StorageFull, HostUnreachable,
// Hypervisor.
func (s *Service) CloneLinked(ctx context.Context, c Clone) (Node, error) {
	freeName, err := s.reserveName(c.Host, c.Name)
	if err != nil {
		return Node{}, err
	}
	defer freeName()
	_, err = s.change(ctx, c.Source, "node.clone", "clone", func(ctx context.Context, n Node, d *libvirt.Domain) error {
		if err := mustBeManaged(n, "cloned"); err != nil {
			return err
		}
		if err := mustLoseNoSnapshot(d, n, "cloned so", "Their states are in the disk, which is not written to any more. Delete them first, or make a full clone."); err != nil {
			return err
		}
		if err := checkNotSaved(d, n, "cloned"); err != nil {
			return err
		}
		return s.cloneLinked(ctx, n, d, c)
	})
	if err != nil {
		return Node{}, err
	}
	return s.shown(ctx, c.Host, c.ID)
}

func (s *Service) cloneLinked(ctx context.Context, n Node, d *libvirt.Domain, c Clone) error {
	def, err := definition.Of(d, libvirt.DOMAIN_XML_INACTIVE|libvirt.DOMAIN_XML_SECURE)
	if err != nil {
		return err
	}
	if err := s.checkCloned(n, def, c); err != nil {
		return err
	}
	disks, err := s.cloneDisks(n, def, c.ID)
	if err != nil {
		return err
	}
	active, err := d.IsActive()
	if err != nil {
		return err
	}
	if active {
		if err := mustBeDefined(d, n, def); err != nil {
			return err
		}
	}
	data := cloneData{Source: n.ID, ID: c.ID}
	if definition.HasVariables(def) {
		data.Volumes = append(data.Volumes, c.ID+variablesSuffix)
	}
	fresh := map[string]string{} // by target
	bases := map[string]string{} // existing backing files of disks without data
	for _, disk := range disks {
		data.Volumes = append(data.Volumes, disk.volume)
		if disk.seed {
			continue
		}
		own, err := s.ownAmong(n, []string{disk.file})
		if err != nil {
			return err
		}
		if len(own) == 0 {
			return fault.New(fault.Unsupported, "The disk %s of node %q was not created by SandboxLabs. Create a full clone.", disk.file, n.Name)
		}
		if !active {
			if bases[disk.target], err = s.o.Storage.BlankOver(ctx, n.Host, disk.file); err != nil {
				return err
			}
		}
		if bases[disk.target] == "" {
			fresh[disk.target] = freshVolume(n.ID, disk.file)
			data.Fresh = append(data.Fresh, fresh[disk.target])
		}
	}
	failure, unsettled := s.apply(ctx, store.Change{
		Kind: cloneIntent, Host: n.Host, Data: data,
		Do: func(ctx context.Context) error {
			if err := s.freeze(ctx, n, d, def, fresh); err != nil {
				return err
			}
			return s.layClone(ctx, n, d, disks, bases, c)
		},
		Settle: func(ctx context.Context, failure error) error {
			if failure == nil {
				return nil
			}
			return s.settleClone(ctx, n.Host, data)
		},
	})
	return errors.Join(failure, unsettled)
}

// freshVolume returns the name of the overlay that replaces file as a node's disk.
func freshVolume(id, file string) string {
	if strings.HasPrefix(path.Base(file), id+definition.ExtraInfix) {
		return id + definition.ExtraInfix + strings.ToLower(rand.Text()[:8]) + ".qcow2"
	}
	return id + "-" + strconv.FormatInt(time.Now().UnixMilli(), 36) + ".qcow2"
}

// mustBeDefined returns an error if the disks of a running node differ from those in its
// persistent definition: the clone is built from the definition, but the running disks would
// be frozen.
func mustBeDefined(d *libvirt.Domain, n Node, def *libvirtxml.Domain) error {
	live, err := definition.Of(d, 0)
	if err != nil {
		return err
	}
	if a, b := definition.Written(live), definition.Written(def); !slices.Equal(a, b) {
		return fault.New(fault.NodeBusy, "The disks of node %q change at its next start: %s now, %s then. Stop it first.", n.Name, strings.Join(a, ", "), strings.Join(b, ", "))
	}
	return nil
}

// cloneDisks selects the disks that the clone does not share: the writable ones and the seed.
// Everything else, such as media in a drive, is shared.
func (s *Service) cloneDisks(n Node, def *libvirtxml.Domain, id string) ([]cloneDisk, error) {
	var list []cloneDisk
	if def.Devices == nil {
		return nil, nil
	}
	for _, disk := range def.Devices.Disks {
		if disk.Target == nil {
			continue
		}
		file := ""
		if disk.Source != nil && disk.Source.File != nil {
			file = disk.Source.File.File
		}
		own, err := s.ownAmong(n, []string{file})
		switch {
		case err != nil:
			return nil, err
		case slices.Equal(own, []string{n.ID + seedSuffix}):
			list = append(list, cloneDisk{target: disk.Target.Dev, file: file, volume: id + seedSuffix, seed: true})
			continue
		case disk.ReadOnly != nil || (disk.Device != "" && disk.Device != "disk"):
			continue
		}
		if file == "" || disk.Driver == nil || disk.Driver.Type != "qcow2" {
			return nil, fault.New(fault.Unsupported, "Disk %s of node %q is no qcow2 file, so the node cannot be cloned. Detach it first.", disk.Target.Dev, n.Name)
		}
		volume := id + ".qcow2"
		if slices.ContainsFunc(list, func(o cloneDisk) bool { return o.volume == volume }) {
			volume = id + definition.ExtraInfix + strings.ToLower(rand.Text()[:8]) + ".qcow2"
		}
		list = append(list, cloneDisk{target: disk.Target.Dev, file: file, volume: volume})
	}
	return list, nil
}

// freeze switches a node's disks to new overlays, by target, in one atomic operation.
func (s *Service) freeze(ctx context.Context, n Node, d *libvirt.Domain, def *libvirtxml.Domain, fresh map[string]string) error {
	if len(fresh) == 0 {
		return nil
	}
	if err := s.o.Storage.RoomForDisk(ctx, n.Host, 0); err != nil {
		return err
	}
	folder, err := s.o.Storage.NodesFolder(n.Host)
	if err != nil {
		return err
	}
	order := libvirtxml.DomainSnapshot{Disks: &libvirtxml.DomainSnapshotDisks{}}
	for _, disk := range def.Devices.Disks {
		if disk.Target == nil {
			continue
		}
		v := libvirtxml.DomainSnapshotDisk{Name: disk.Target.Dev, Snapshot: "no"}
		if volume, ok := fresh[disk.Target.Dev]; ok {
			v.Snapshot, v.Driver, v.Source = External, &libvirtxml.DomainDiskDriver{Type: "qcow2"}, fileSource(path.Join(folder, volume))
		}
		order.Disks.Disks = append(order.Disks.Disks, v)
	}
	text, err := order.Marshal()
	if err != nil {
		return err
	}
	release, err := s.holdBlockJobs(ctx, n, d)
	if err != nil {
		return err
	}
	defer release()
	// No metadata, because nobody can revert to this snapshot.
	h, err := d.CreateSnapshotXML(text, libvirt.DOMAIN_SNAPSHOT_CREATE_DISK_ONLY|libvirt.DOMAIN_SNAPSHOT_CREATE_NO_METADATA|libvirt.DOMAIN_SNAPSHOT_CREATE_ATOMIC)
	if err != nil {
		return err
	}
	_ = h.Free()
	for _, volume := range fresh {
		if err := s.writeDown(ctx, d, n, volume); err != nil {
			return err
		}
	}
	return nil
}

// layClone creates the clone's disks as overlays of the source's backing files, and defines
// the clone.
func (s *Service) layClone(ctx context.Context, n Node, d *libvirt.Domain, disks []cloneDisk, bases map[string]string, c Clone) error {
	def, err := definition.Of(d, libvirt.DOMAIN_XML_INACTIVE|libvirt.DOMAIN_XML_SECURE)
	if err != nil {
		return err
	}
	files := map[string]string{} // of the clone, by target
	under := map[string]string{} // their backing files
	for _, disk := range disks {
		if disk.seed {
			if files[disk.target], err = s.cloneSeed(ctx, n, c); err != nil {
				return err
			}
			continue
		}
		base := bases[disk.target]
		if base == "" {
			base = disk.file // it is frozen now
		}
		// Read from the file, because the domain may be running: see hypervisor.BlockJobs.
		bytes, err := s.o.Storage.DiskBytes(ctx, n.Host, disk.file)
		if err != nil {
			return err
		}
		if files[disk.target], err = s.o.Storage.LayDisk(ctx, n.Host, disk.volume, base, bytes); err != nil {
			return err
		}
		under[disk.target] = base
	}
	tops := definition.Written(def) // before def becomes the clone's definition
	for i := range def.Devices.Disks {
		// libvirt does not record the backing chain of every disk.
		disk := &def.Devices.Disks[i]
		if disk.Target == nil || under[disk.Target.Dev] == "" {
			continue
		}
		if disk.BackingStore == nil {
			disk.BackingStore = &libvirtxml.DomainDiskBackingStore{Format: &libvirtxml.DomainDiskFormat{Type: "qcow2"}, Source: fileSource(under[disk.Target.Dev])}
		}
		if file, _ := definition.BackingFile(disk); file != under[disk.Target.Dev] {
			return changedMeanwhile(n) // another process has frozen it too
		}
	}
	if err := s.defineClone(ctx, n, def, files, c); err != nil {
		return err
	}
	// Another process may have deleted or wiped the source: see DeleteNodeVolume. It does not
	// delete the disks while the clone's exist.
	now, err := definition.Of(d, libvirt.DOMAIN_XML_INACTIVE)
	if err == nil && !slices.Equal(definition.Written(now), tops) {
		err = changedMeanwhile(n)
	}
	if err != nil {
		err = errors.Join(err, s.dropClone(ctx, n.Host, c.ID))
	}
	return err
}

func changedMeanwhile(n Node) error {
	return fault.New(fault.NodeBusy, "Node %q was changed meanwhile. Try again.", n.Name)
}
