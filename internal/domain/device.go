package domain

import (
	"context"
	"crypto/rand"
	"errors"
	"path"
	"slices"
	"strings"
	"time"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

const (
	attachIntent = "disk.attach"
	detachIntent = "disk.detach"

	// MinDiskBytes is the minimum size of an empty disk.
	MinDiskBytes = 1 << 20
	// maxExtraDisks and maxInterfaces limit the devices that users can attach.
	maxExtraDisks = 16
	maxInterfaces = 16
)

// diskData is what recovery needs to complete or undo a change to extra disks.
type diskData struct {
	ID     string `json:"id"`
	Volume string `json:"volume"`
}

// Disk is a disk or drive of a node.
type Disk struct {
	Target string // "vda"
	Bus    string
	Device string // "disk", "cdrom" or "floppy"
	File   string // path on the host; empty for an empty drive or a source that is not a file
	// Kind is the type of the disk's source (EmptySource, FileSource, …), and Source its
	// name.
	Kind, Source string
	Format       string
	ReadOnly     bool
	Bytes        int64 // virtual size; 0 when it cannot be read
	// Extra is true if SandboxLabs attached the disk, which is deleted when it is detached.
	Extra bool
}

// Disks returns a node's disks and drives, read from libvirt.
func (s *Service) Disks(ctx context.Context, id string) ([]Disk, error) {
	n, err := s.inv.Node(id)
	if err != nil {
		return nil, err
	}
	var list []Disk
	err = s.withDomain(ctx, "disk.list", n, func(d *libvirt.Domain) (err error) {
		list, err = s.disksOf(d, n)
		return err
	})
	return list, explain(err, "read the disks of", n.Name)
}

func (s *Service) disksOf(d *libvirt.Domain, n Node) ([]Disk, error) {
	def, err := definition.Of(d, 0)
	if err != nil || def.Devices == nil {
		return nil, err
	}
	var list []Disk
	for i := range def.Devices.Disks {
		disk := &def.Devices.Disks[i]
		if disk.Target == nil {
			continue
		}
		v := Disk{Target: disk.Target.Dev, Bus: disk.Target.Bus, Device: disk.Device, ReadOnly: disk.ReadOnly != nil}
		if v.Device == "" {
			v.Device = "disk"
		}
		if disk.Driver != nil {
			v.Format = disk.Driver.Type
		}
		v.Kind, v.Source = sourceOf(disk.Source)
		if v.Kind == FileSource {
			v.File = v.Source
		}
		if v.File != "" {
			v.Bytes, _ = s.inv.DiskBytes(d, disk, n)
		}
		v.Extra = strings.HasPrefix(path.Base(v.File), n.ID+definition.ExtraInfix)
		list = append(list, v)
	}
	return list, nil
}

// AddDisk attaches a new, empty disk in the nodes pool to a node, without a restart if it
// runs. A crash leaves either the attached disk or nothing.
func (s *Service) AddDisk(ctx context.Context, id string, bytes int64) (Disk, error) {
	if bytes < MinDiskBytes || bytes > MaxDiskBytes {
		return Disk{}, fault.Field("size", "The size must be %d to %d bytes, not %d.", MinDiskBytes, int64(MaxDiskBytes), bytes)
	}
	var added Disk
	_, err := s.change(ctx, id, "disk.attach", "attach a disk to", func(ctx context.Context, n Node, d *libvirt.Domain) error {
		if err := mustBeManaged(n, "changed"); err != nil {
			return err
		}
		if err := checkNotSaved(d, n, "given a disk"); err != nil {
			return err
		}
		disks, err := s.disksOf(d, n)
		if err != nil {
			return err
		}
		if len(disks) >= maxExtraDisks {
			return fault.New(fault.Unsupported, "Node %q has %d disks, which is the limit.", n.Name, len(disks))
		}
		target, err := freeTarget(d, "vd")
		if err != nil {
			return err
		}
		data := diskData{ID: n.ID, Volume: n.ID + definition.ExtraInfix + strings.ToLower(rand.Text()[:8]) + ".qcow2"}
		failure, _ := s.apply(ctx, store.Change{
			Kind: attachIntent, Host: n.Host, Data: data,
			Do: func(ctx context.Context) error {
				file, err := s.o.Storage.CreateDisk(ctx, n.Host, data.Volume, bytes)
				if err != nil {
					return err
				}
				added = Disk{Target: target, Bus: "virtio", Device: "disk", File: file, Kind: FileSource, Source: file, Format: "qcow2", Bytes: bytes, Extra: true}
				return attach(n, d, &libvirtxml.DomainDisk{
					Device: "disk", Driver: &libvirtxml.DomainDiskDriver{Name: "qemu", Type: "qcow2", Discard: "unmap"},
					Source: fileSource(file), Target: &libvirtxml.DomainDiskTarget{Dev: target, Bus: "virtio"},
				})
			},
			Settle: func(ctx context.Context, _ error) error { return s.settleDisk(ctx, n.Host, data) },
		})
		return failure
	})
	return added, err
}

// RemoveDisk detaches an extra disk and deletes it with its data. If the guest does not
// release the disk, it returns fault.NodeBusy, and the disk is deleted once the guest
// releases it or is off.
func (s *Service) RemoveDisk(ctx context.Context, id, target string) error {
	_, err := s.change(ctx, id, "disk.detach", "detach a disk of", func(ctx context.Context, n Node, d *libvirt.Domain) error {
		if err := mustBeManaged(n, "changed"); err != nil {
			return err
		}
		disks, err := s.disksOf(d, n)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(disks, func(v Disk) bool { return v.Target == target })
		switch {
		case i < 0:
			return fault.New(fault.NotFound, "Node %q has no disk %q.", n.Name, target)
		case !disks[i].Extra:
			return fault.New(fault.Unsupported, "Disk %s of node %q was not attached by SandboxLabs. Use `virsh detach-disk`.", target, n.Name)
		}
		if err := mustLoseNoSnapshot(d, n, "changed so", "Delete them first."); err != nil {
			return err
		}
		if err := checkNotSaved(d, n, "relieved of a disk"); err != nil {
			return err
		}
		data := diskData{ID: n.ID, Volume: path.Base(disks[i].File)}
		if err := s.mustBearNothing(ctx, n, []string{data.Volume}); err != nil {
			return err
		}
		failure, _ := s.apply(ctx, store.Change{
			// If a guest does not release a disk, the request is repeated.
			Kind: detachIntent, Host: n.Host, Data: data, Once: true,
			Do: func(context.Context) error {
				return detach(n, d, &libvirtxml.DomainDisk{Device: "disk", Source: fileSource(disks[i].File), Target: &libvirtxml.DomainDiskTarget{Dev: target, Bus: disks[i].Bus}},
					func(devices *libvirtxml.DomainDeviceList) bool {
						return !slices.Contains(definition.DiskFiles(devices.Disks), disks[i].File)
					})
			},
			Settle: func(ctx context.Context, _ error) error { return s.settleDetach(ctx, n.Host, data) },
		})
		return failure
	})
	return err
}

// errStillUsed means that the running guest has not released a disk that is being detached.
var errStillUsed = errors.New("the guest has not let go of the disk yet")

// settleDetach deletes an extra disk that its node no longer has, or returns errStillUsed. It
// is idempotent.
func (s *Service) settleDetach(ctx context.Context, host string, data diskData) error {
	var live, defined *libvirtxml.Domain
	err := s.withDomain(ctx, "disk.recover", Node{ID: data.ID, Host: host}, func(d *libvirt.Domain) (err error) {
		if live, err = definition.Of(d, 0); err != nil {
			return err
		}
		persistent, err := d.IsPersistent()
		if err == nil && persistent {
			defined, err = definition.Of(d, libvirt.DOMAIN_XML_INACTIVE)
		}
		return err
	})
	if err != nil && !isGone(err) {
		return err
	}
	if err != nil {
		live, defined = nil, nil
	}
	if lineage(nil).used(defined)[data.Volume] { // it was not detached
		return nil
	}
	volumes, err := s.o.Storage.NodeVolumes(ctx, host, data.ID)
	if err != nil {
		return err
	}
	l := lineage(volumes)
	switch {
	case l.used(defined)[data.Volume]:
		return nil
	case l.used(live)[data.Volume]:
		return errStillUsed
	}
	return s.dropUnused(ctx, host, l, data.Volume, time.Time{}, live, defined)
}

// settleDisk deletes an extra disk that neither the running nor the defined node has. It is
// idempotent.
func (s *Service) settleDisk(ctx context.Context, host string, data diskData) error {
	if err := s.settleDetach(ctx, host, data); !errors.Is(err, errStillUsed) {
		return err
	}
	return nil
}

// freeTarget returns a target name that no disk of the domain uses, running or defined.
func freeTarget(d *libvirt.Domain, prefix string) (string, error) {
	taken := map[string]bool{}
	for _, flags := range []libvirt.DomainXMLFlags{0, libvirt.DOMAIN_XML_INACTIVE} {
		def, err := definition.Of(d, flags)
		if err != nil {
			return "", err
		}
		if def.Devices == nil {
			continue
		}
		for _, disk := range def.Devices.Disks {
			if disk.Target != nil {
				taken[disk.Target.Dev] = true
			}
		}
	}
	for letter := 'a'; letter <= 'z'; letter++ {
		if name := prefix + string(letter); !taken[name] {
			return name, nil
		}
	}
	return "", fault.New(fault.Unsupported, "The node has no free slot for another disk.")
}

// device is anything that can be attached to a domain.
type device interface{ Marshal() (string, error) }

// attach adds a device to a domain, in its definition and in the running guest.
func attach(n Node, d *libvirt.Domain, v device) error {
	text, err := v.Marshal()
	if err != nil {
		return err
	}
	return d.AttachDeviceFlags(text, deviceFlags(n))
}

// detach removes a device from those of the two definitions, persistent and live, that have
// it. A running guest has to release it, for which libvirt waits some seconds; gone reports
// whether it did.
func detach(n Node, d *libvirt.Domain, v device, gone func(*libvirtxml.DomainDeviceList) bool) error {
	text, err := v.Marshal()
	if err != nil {
		return err
	}
	if n.Persistent {
		err := d.DetachDeviceFlags(text, libvirt.DOMAIN_DEVICE_MODIFY_CONFIG)
		if err != nil && !errors.Is(err, libvirt.ERR_DEVICE_MISSING) { // removed by an earlier attempt, when the guest did not release it
			return err
		}
	}
	if !n.Active() {
		return nil
	}
	if err := d.DetachDeviceFlags(text, libvirt.DOMAIN_DEVICE_MODIFY_LIVE); err != nil {
		return err
	}
	def, err := definition.Of(d, 0)
	if err == nil && def.Devices != nil && !gone(def.Devices) {
		err = fault.New(fault.NodeBusy, "The guest of node %q is still using the device. Unmount it or bring it down there and try again. It is removed at the next start.", n.Name)
	}
	return err
}

func deviceFlags(n Node) libvirt.DomainDeviceModifyFlags {
	var flags libvirt.DomainDeviceModifyFlags
	if n.Persistent {
		flags |= libvirt.DOMAIN_DEVICE_MODIFY_CONFIG
	}
	if n.Active() {
		flags |= libvirt.DOMAIN_DEVICE_MODIFY_LIVE
	}
	return flags
}
