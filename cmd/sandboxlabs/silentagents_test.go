package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor/hypervisortest"
)

// startKernel starts a guest without a disk. agent is the behaviour of its agent; see
// hypervisortest.Kernel.
func (l *lab) startKernel(k hypervisortest.Kernel, name, agent string) (id string) {
	l.t.Helper()
	id = l.defineForeign(l.name(name), func(d *libvirtxml.Domain) {
		d.Memory.Value = 96
		d.OS.Kernel, d.OS.Initrd, d.OS.Cmdline = k.Image, k.Initramfs, "quiet panic=-1 agent="+agent
		d.Devices = &libvirtxml.DomainDeviceList{Channels: []libvirtxml.DomainChannel{{
			Source: &libvirtxml.DomainChardevSource{UNIX: &libvirtxml.DomainChardevSourceUNIX{}},
			Target: &libvirtxml.DomainChannelTarget{VirtIO: &libvirtxml.DomainChannelTargetVirtIO{Name: "org.qemu.guest_agent.0"}},
		}}}
	})
	l.virsh("start", id)
	return id
}

// hasAgent returns whether a guest's agent is connected.
func (l *lab) hasAgent(id string) bool {
	l.t.Helper()
	return strings.Contains(l.virsh("dumpxml", id), "org.qemu.guest_agent.0' state='connected'")
}

// TestSilentAgents runs 20 guests whose agents accept everything and never answer, and one
// whose agent reports its address. A service that starts then must show that address soon,
// also next to another service. Asking the agents one after the other would take two
// minutes.
func TestSilentAgents(t *testing.T) {
	t.Parallel()
	const silent = 20
	micro, err := filepath.Abs(microImage)
	if err != nil {
		t.Fatal(err)
	}
	k := hypervisortest.NewKernel(t, micro)
	l := newLab(t)
	takeGuest(t)
	var ids []string
	for i := range silent {
		// The service lists nodes by name, so all of these come before the other one.
		// Every fourth reports that it listens.
		ids = append(ids, l.startKernel(k, fmt.Sprintf("a%02d", i), []string{"silent", "silent", "silent", "deaf"}[i%4]))
	}
	answers := l.startKernel(k, "b", "10.11.12.13")
	until(t, 2*patience, said("all agents are there"), func() bool {
		return l.hasAgent(answers) && !slices.ContainsFunc(ids, func(id string) bool { return !l.hasAgent(id) })
	})
	for range 2 {
		begun := time.Now()
		l.start()
		var shown []string
		until(t, time.Minute, func() string { return fmt.Sprintf("the address is shown; there is %q", shown) }, func() bool {
			shown = l.node(answers).Addresses
			return slices.Equal(shown, []string{"10.11.12.13"})
		})
		t.Logf("shown %v after the start of a service, that included", time.Since(begun).Round(100*time.Millisecond))
		// After a restart, the service asks all of them again at once, next to another
		// service.
		l.stop()
	}
	l.start()
	beside := l.beside(t.TempDir())
	until(t, time.Minute, said("both services show the address"), func() bool {
		return len(l.node(answers).Addresses) == 1 && len(beside.node(answers).Addresses) == 1
	})
	for _, id := range ids {
		if got := l.node(id).Addresses; len(got) != 0 {
			t.Errorf("a silent guest has the addresses %q", got)
		}
	}
	beside.stop()
	l.stop()
}
