package domain

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// The kinds of snapshots. An internal snapshot is stored inside the disks' qcow2 files. An
// external one froze the files, and the node continues in new overlays.
const (
	Internal = "internal"
	External = "external"
)

// mergeHint explains how to remove an external snapshot of a node that also has internal
// ones, which libvirt does not do on its own.
const mergeHint = "Merge it into the file below while the node runs (`virsh blockcommit NODE DISK --active --shallow --pivot`), then forget it (`virsh snapshot-delete NODE NAME --metadata`)."

// Snapshot is a saved state of a node.
type Snapshot struct {
	Name, Description string
	Parent            string // empty for none
	Created           time.Time
	State             State // of the node when the snapshot was taken
	Memory            bool  // with the node's memory
	Kind              string
	Size              definition.Size // of the node when the snapshot was taken
	Current           bool            // the node's state descends from it
	// Files are the overlays that an external snapshot created, by the disk's target.
	Files map[string]string
	// Locked says why the node cannot be reverted to it; empty if it can.
	Locked string
}

// Chain is the backing chain of a disk, the active file first.
type Chain struct {
	Target string // "vda"
	Files  []string
}

// Snapshots returns a node's snapshots, whoever took them, and the backing chains of its
// disks as far as libvirt reports them. Snapshots follow their parents, and siblings are
// sorted by age.
func (s *Service) Snapshots(ctx context.Context, id string) ([]Snapshot, []Chain, error) {
	n, err := s.inv.Node(id)
	if err != nil {
		return nil, nil, err
	}
	var list []Snapshot
	var chains []Chain
	err = s.withDomain(ctx, "snapshot.list", n, func(d *libvirt.Domain) (err error) {
		if list, err = listSnapshots(d); err != nil {
			return err
		}
		chains, err = chainsOf(d)
		return err
	})
	return list, chains, explain(err, "read the snapshots of", n.Name)
}

func listSnapshots(d *libvirt.Domain) ([]Snapshot, error) {
	handles, err := d.ListAllSnapshots(0)
	if err != nil {
		return nil, err
	}
	byParent := map[string][]Snapshot{}
	external := ""
	for i := range handles {
		def, err := definition.OfSnapshot(&handles[i])
		current, _ := handles[i].IsCurrent(0)
		_ = handles[i].Free()
		if errors.Is(err, libvirt.ERR_NO_DOMAIN_SNAPSHOT) {
			continue
		}
		if err != nil {
			return nil, err
		}
		v := describeSnapshot(def)
		v.Current = current
		if v.Kind == External {
			external = v.Name
		}
		byParent[v.Parent] = append(byParent[v.Parent], v)
	}
	var tree []Snapshot
	var add func(parent string)
	add = func(parent string) {
		children := byParent[parent]
		delete(byParent, parent)
		slices.SortStableFunc(children, func(a, b Snapshot) int { return a.Created.Compare(b.Created) })
		for _, c := range children {
			c.Locked = lockedBy(c, external)
			tree = append(tree, c)
			add(c.Name)
		}
	}
	add("")
	return tree, nil
}

// lockedBy returns why a node cannot be reverted to a snapshot, empty if it can.
func lockedBy(v Snapshot, external string) string {
	switch {
	case v.Kind == External:
		return "It is external, and libvirt reverts to internal snapshots alone. Its frozen files are whole: attach one to another machine, or copy it with `qemu-img convert`."
	case external != "":
		return fmt.Sprintf("The external snapshot %q is there: it lies on the file that this would change, and would be lost. %s", external, mergeHint)
	}
	return ""
}

func describeSnapshot(def libvirtxml.DomainSnapshot) Snapshot {
	v := Snapshot{Name: def.Name, Description: def.Description, Kind: Internal, Files: map[string]string{}}
	if seconds, err := strconv.ParseInt(def.CreationTime, 10, 64); err == nil {
		v.Created = time.Unix(seconds, 0).UTC()
	}
	if def.Domain != nil {
		v.Size = definition.SizeOf(def.Domain)
	}
	if def.Parent != nil {
		v.Parent = def.Parent.Name
	}
	switch def.State {
	case "running", "disk-snapshot": // disk-snapshot: taken while the node ran, without its memory
		v.State = Running
	case "paused":
		v.State = Paused
	default:
		v.State = Stopped
	}
	if m := def.Memory; m != nil && m.Snapshot != "" && m.Snapshot != "no" {
		v.Memory = true
		if m.Snapshot == External {
			v.Kind = External
		}
	}
	if def.Disks != nil {
		for _, disk := range def.Disks.Disks {
			if disk.Snapshot != External {
				continue
			}
			v.Kind = External
			if disk.Source != nil && disk.Source.File != nil {
				v.Files[disk.Name] = disk.Source.File.File
			}
		}
	}
	return v
}

// chainsOf reads the backing chains of a domain's disks.
func chainsOf(d *libvirt.Domain) ([]Chain, error) {
	def, err := definition.Of(d, 0)
	if err != nil || def.Devices == nil {
		return nil, err
	}
	var chains []Chain
	for _, disk := range def.Devices.Disks {
		files := definition.DiskFiles([]libvirtxml.DomainDisk{disk})
		if disk.Target != nil && len(files) > 0 {
			chains = append(chains, Chain{disk.Target.Dev, files})
		}
	}
	return chains, nil
}

// withSnapshot looks up a snapshot by name and calls f with it.
func withSnapshot(d *libvirt.Domain, n Node, name string, f func(*libvirt.DomainSnapshot) error) error {
	h, err := d.SnapshotLookupByName(name, 0)
	if errors.Is(err, libvirt.ERR_NO_DOMAIN_SNAPSHOT) {
		return fault.Wrap(err, fault.NotFound, "Node %q has no snapshot %q.", n.Name, name)
	}
	if err != nil {
		return err
	}
	defer func() { _ = h.Free() }()
	return f(h)
}

// findSnapshot looks up a snapshot by name and returns its description.
func findSnapshot(d *libvirt.Domain, n Node, name string) (Snapshot, error) {
	list, err := listSnapshots(d)
	if err != nil {
		return Snapshot{}, err
	}
	i := slices.IndexFunc(list, func(v Snapshot) bool { return v.Name == name })
	if i < 0 {
		return Snapshot{}, fault.New(fault.NotFound, "Node %q has no snapshot %q.", n.Name, name)
	}
	return list[i], nil
}

// mustLoseNoSnapshot returns an error if the node has snapshots, which the change would
// destroy.
func mustLoseNoSnapshot(d *libvirt.Domain, n Node, done, instead string) error {
	names, _, err := definition.SnapshotNames(d)
	if err != nil || len(names) == 0 {
		return err
	}
	return fault.New(fault.NodeHasSnapshots, "Node %q has %d snapshots, which would be lost when it is %s: %s. %s",
		n.Name, len(names), done, strings.Join(names[:min(10, len(names))], ", "), instead)
}
