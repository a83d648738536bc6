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

// The kinds of a snapshot. An internal one is inside of the disks' own qcow2
// files; an external one froze the files, and the node goes on in new files over
// them.
const (
	Internal = "internal"
	External = "external"
)

// mergeHint says how an external snapshot is taken away beside internal ones,
// where libvirt does not do it by itself.
const mergeHint = "Merge it into the file below while the node runs (`virsh blockcommit NODE DISK --active --shallow --pivot`), then forget it (`virsh snapshot-delete NODE NAME --metadata`)."

// Snapshot is a state of a node that was kept.
type Snapshot struct {
	Name, Description string
	Parent            string // empty: it has none
	Created           time.Time
	State             State // what the node did then
	Memory            bool  // its memory was kept too
	Kind              string
	Size              definition.Size // that the node had then
	Current           bool            // the node goes on from it
	// Files are those that an external snapshot had made, by the disk's target.
	Files map[string]string
	// Locked says why the node cannot go back to it; empty when it can.
	Locked string
}

// Chain is the files that a disk consists of, the one that is written to first.
type Chain struct {
	Target string // "vda"
	Files  []string
}

// Snapshots returns a node's snapshots, whoever took them, each after its parent
// and brothers by age, and the chains of its disks as far as libvirt tells.
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

// lockedBy tells why a node cannot go back to a snapshot.
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
	case "running", "disk-snapshot": // the second was taken without the memory
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

// chainsOf reads the chains of a domain's disks.
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

// withSnapshot looks a snapshot up.
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

// findSnapshot is withSnapshot for what is known of it.
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

// mustLoseNoSnapshot refuses what would destroy snapshots.
func mustLoseNoSnapshot(d *libvirt.Domain, n Node, done, instead string) error {
	names, _, err := definition.SnapshotNames(d)
	if err != nil || len(names) == 0 {
		return err
	}
	return fault.New(fault.NodeHasSnapshots, "Node %q has %d snapshots, which would be lost when it is %s: %s. %s",
		n.Name, len(names), done, strings.Join(names[:min(10, len(names))], ", "), instead)
}
