package hypervisor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"libvirt.org/go/libvirtxml"
)

func TestQEMUCannotOpenTheDevice(t *testing.T) {
	device := filepath.Join(t.TempDir(), "kvm")
	if err := os.WriteFile(device, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	me, group := os.Getuid(), os.Getgid()
	stranger := account{name: "stranger", uid: me + 1000, groups: []int{group + 1000}}
	member := account{name: "member", uid: me + 1000, groups: []int{group + 1000, group}}
	for _, test := range []struct {
		who  account
		mode os.FileMode
		can  bool
	}{
		{stranger, 0o600, false},
		{stranger, 0o660, false},
		{stranger, 0o664, false},
		{stranger, 0o666, true},
		{member, 0o600, false},
		{member, 0o640, false},
		{member, 0o660, true},
		{member, 0o606, false}, // the permissions of its group apply, not those of others
		{account{name: "owner", uid: me + 1, groups: []int{group}}, 0o660, true},
		{account{name: "root"}, 0o600, true},
	} {
		if err := os.Chmod(device, test.mode); err != nil {
			t.Fatal(err)
		}
		problem := test.who.problem(device)
		if (problem == "") != test.can {
			t.Errorf("%s, mode %04o: %q", test.who.name, test.mode, problem)
		}
		if !test.can && !strings.Contains(problem, "chgrp kvm "+device+" && chmod 660 "+device+" && usermod -aG kvm "+test.who.name) {
			t.Errorf("%s, mode %04o: no remedy in %q", test.who.name, test.mode, problem)
		}
	}
	if problem := stranger.problem(device + "-absent"); problem != "" {
		t.Errorf("a device that does not exist: %q", problem)
	}
}

func TestQEMUIDs(t *testing.T) {
	dac := libvirtxml.CapsHostSecModel{Name: "dac", Labels: []libvirtxml.CapsHostSecModelLabel{{Type: "kvm", Value: "+64055:+108"}}}
	for want, models := range map[string][]libvirtxml.CapsHostSecModel{
		"64055 108": {{Name: "apparmor"}, {Name: "selinux", Labels: []libvirtxml.CapsHostSecModelLabel{{Type: "kvm", Value: "system_u:system_r:svirt_t:s0"}}}, dac},
		" ":         {{Name: "none"}},
	} {
		user, group := qemuIDs(libvirtxml.Caps{Host: libvirtxml.CapsHost{SecModel: models}})
		if got := user + " " + group; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
