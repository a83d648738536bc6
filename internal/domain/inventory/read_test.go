package inventory

import (
	"testing"

	"libvirt.org/go/libvirt"
)

func TestNodeState(t *testing.T) {
	for _, c := range []struct {
		state  libvirt.DomainState
		reason int
		want   State
	}{
		{libvirt.DOMAIN_RUNNING, 1, Running},
		{libvirt.DOMAIN_BLOCKED, 0, Running},
		{libvirt.DOMAIN_PAUSED, int(libvirt.DOMAIN_PAUSED_USER), Paused},
		{libvirt.DOMAIN_PAUSED, int(libvirt.DOMAIN_PAUSED_STARTING_UP), Starting},
		{libvirt.DOMAIN_PAUSED, int(libvirt.DOMAIN_PAUSED_CRASHED), Crashed},
		{libvirt.DOMAIN_PMSUSPENDED, 0, Paused},
		{libvirt.DOMAIN_SHUTDOWN, 0, Stopping},
		{libvirt.DOMAIN_SHUTOFF, int(libvirt.DOMAIN_SHUTOFF_DESTROYED), Stopped},
		{libvirt.DOMAIN_SHUTOFF, int(libvirt.DOMAIN_SHUTOFF_CRASHED), Crashed},
		{libvirt.DOMAIN_CRASHED, 0, Crashed},
	} {
		if got := nodeState(c.state, c.reason); got != c.want {
			t.Errorf("%v/%d: %s, want %s", c.state, c.reason, got, c.want)
		}
	}
}
