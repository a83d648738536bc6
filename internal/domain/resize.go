package domain

import (
	"context"
	"time"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// When says when a change takes effect.
type When string

// The values of When.
const (
	Live     When = "live"     // immediately
	NextBoot When = "nextBoot" // at the next start of the node
)

// Resized describes a size of a node that was changed.
type Resized struct {
	What string // "ram", "cpus" or "disk"
	When When
}

// balloonPatience is how long a resize waits for the guest's memory balloon.
const balloonPatience = 3 * time.Second

// checkSize returns an error for sizes that exceed the host's, and for disks that would
// shrink.
func (s *Service) checkSize(n Node, e Edit) error {
	host, err := s.o.Hosts.Host(n.Host)
	if err != nil {
		return err
	}
	caps := host.Status().Capabilities
	switch {
	case e.RAMMiB != nil && (*e.RAMMiB < MinRAMMiB || *e.RAMMiB > caps.MemoryMiB):
		return ramFault(n.Host, caps.MemoryMiB, *e.RAMMiB)
	case e.CPUs != nil && (*e.CPUs < 1 || *e.CPUs > caps.CPUs):
		return cpusFault(n.Host, caps.CPUs, *e.CPUs)
	case e.DiskBytes == nil:
		return nil
	case n.OverlayPath == "" || n.DiskBytes == 0:
		return fault.Field("resources.disk", "Node %q has no disk that can be resized. %s", n.Name, n.Problem)
	case *e.DiskBytes < n.DiskBytes:
		return fault.Field("resources.disk", "The disk can't be reduced from %d to %d bytes.", n.DiskBytes, *e.DiskBytes)
	case *e.DiskBytes > MaxDiskBytes:
		return fault.Field("resources.disk", "The disk can have at most %d bytes, not %d.", int64(MaxDiskBytes), *e.DiskBytes)
	}
	return nil
}

// resize changes the sizes in the persistent definition and, if libvirt supports it, in the
// running guest.
func (s *Service) resize(ctx context.Context, n Node, d *libvirt.Domain, e Edit) ([]Resized, error) {
	var done []Resized
	for _, step := range []struct {
		what string
		ask  bool
		do   func() (When, error)
	}{
		{"cpus", e.CPUs != nil, func() (When, error) { return resizeCPUs(n, d, uint(*e.CPUs)) }},              // validated: positive
		{"ram", e.RAMMiB != nil, func() (When, error) { return resizeRAM(ctx, n, d, uint64(*e.RAMMiB)<<10) }}, //nolint:gosec // checked: positive
		{"disk", e.DiskBytes != nil && *e.DiskBytes > n.DiskBytes, func() (When, error) { return s.growDisk(ctx, n, d, *e.DiskBytes) }},
	} {
		if !step.ask {
			continue
		}
		when, err := step.do()
		if err != nil {
			return done, err
		}
		done = append(done, Resized{step.what, when})
	}
	return done, nil
}

// resizeCPUs sets the number of CPUs in the persistent definition. A maximum equal to the
// current number follows it. A higher maximum is kept, or raised if it is too low.
func resizeCPUs(n Node, d *libvirt.Domain, want uint) (When, error) {
	when := NextBoot
	if n.Persistent {
		most, err := d.GetVcpusFlags(libvirt.DOMAIN_VCPU_CONFIG | libvirt.DOMAIN_VCPU_MAXIMUM)
		if err != nil {
			return "", err
		}
		now, err := d.GetVcpusFlags(libvirt.DOMAIN_VCPU_CONFIG)
		if err != nil {
			return "", err
		}
		steps := []libvirt.DomainVcpuFlags{libvirt.DOMAIN_VCPU_CONFIG}
		switch {
		case int64(want) > int64(most): //nolint:gosec // checked: far below the limit
			steps = []libvirt.DomainVcpuFlags{libvirt.DOMAIN_VCPU_CONFIG | libvirt.DOMAIN_VCPU_MAXIMUM, libvirt.DOMAIN_VCPU_CONFIG}
		case most == now:
			steps = append(steps, libvirt.DOMAIN_VCPU_CONFIG|libvirt.DOMAIN_VCPU_MAXIMUM)
		}
		for _, flags := range steps {
			if err := d.SetVcpusFlags(want, flags); err != nil {
				return "", err
			}
		}
	}
	// A running guest can get CPUs up to the maximum at its start, and return those that were
	// added since. Other changes need a restart.
	if n.Active() && d.SetVcpusFlags(want, libvirt.DOMAIN_VCPU_LIVE) == nil {
		when = Live
	}
	return when, nil
}

// resizeRAM sets the memory in the persistent definition, in KiB, and resizes the running
// guest with its memory balloon.
func resizeRAM(ctx context.Context, n Node, d *libvirt.Domain, want uint64) (When, error) {
	if n.Persistent {
		most, now, err := memoryOf(d, libvirt.DOMAIN_XML_INACTIVE)
		if err != nil {
			return "", err
		}
		steps := []libvirt.DomainMemoryModFlags{libvirt.DOMAIN_MEM_CONFIG}
		switch {
		case want > most:
			steps = []libvirt.DomainMemoryModFlags{libvirt.DOMAIN_MEM_CONFIG | libvirt.DOMAIN_MEM_MAXIMUM, libvirt.DOMAIN_MEM_CONFIG}
		case most == now:
			steps = append(steps, libvirt.DOMAIN_MEM_CONFIG|libvirt.DOMAIN_MEM_MAXIMUM)
		}
		for _, flags := range steps {
			if err := d.SetMemoryFlags(want, flags); err != nil {
				return "", err
			}
		}
	}
	if !n.Active() {
		return NextBoot, nil
	}
	most, _, err := memoryOf(d, 0)
	if err != nil || want > most || d.SetMemoryFlags(want, libvirt.DOMAIN_MEM_LIVE) != nil {
		return NextBoot, err
	}
	// libvirt needs the guest's balloon driver, which may be missing.
	wait, cancel := context.WithTimeout(ctx, balloonPatience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		info, err := d.GetInfo()
		if err == nil && info.Memory == want {
			return Live, nil
		}
		select {
		case <-wait.Done():
			return NextBoot, nil
		case <-tick.C:
		}
	}
}

// memoryOf returns a domain's maximum and current memory, in KiB.
func memoryOf(d *libvirt.Domain, flags libvirt.DomainXMLFlags) (most, now uint64, err error) {
	text, err := d.GetXMLDesc(flags)
	if err != nil {
		return 0, 0, err
	}
	var def libvirtxml.Domain
	if err := def.Unmarshal(text); err != nil {
		return 0, 0, err
	}
	if def.Memory == nil { // libvirt always includes it
		return 0, 0, nil
	}
	most = uint64(def.Memory.Value)
	now = most
	if def.CurrentMemory != nil {
		now = uint64(def.CurrentMemory.Value)
	}
	return most, now, nil
}

// growDisk enlarges the first disk. The guest has to grow its partitions and file systems
// itself.
func (s *Service) growDisk(ctx context.Context, n Node, d *libvirt.Domain, bytes int64) (When, error) {
	if n.Active() {
		return Live, d.BlockResize(n.DiskTarget, uint64(bytes), libvirt.DOMAIN_BLOCK_RESIZE_BYTES) //nolint:gosec // checked: positive
	}
	own, err := s.ownAmong(n, []string{n.OverlayPath})
	if err == nil {
		err = s.mustBearNothing(ctx, n, own)
	}
	if err != nil {
		return "", err
	}
	return NextBoot, s.o.Storage.GrowVolume(ctx, n.Host, n.OverlayPath, bytes)
}
