package hypervisor

import (
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"libvirt.org/go/libvirtxml"
)

const kvmDevice = "/dev/kvm"

// RemoteHost returns the host name in a libvirt URI, and whether it may be another machine
// than this one.
func RemoteHost(uri string) (hostname string, remote bool) {
	u, err := url.Parse(uri)
	if err != nil {
		return "", true
	}
	_, transport, _ := strings.Cut(u.Scheme, "+")
	return u.Hostname(), u.Host != "" || (transport != "" && transport != "unix")
}

// KVMProblem returns a sentence that says why QEMU cannot open this machine's /dev/kvm and
// what to do. It returns "" if QEMU can, if the device does not exist, or if this cannot
// be determined, as on another machine. It does not consider ACLs of the device.
func (h *Host) KVMProblem() string {
	if _, remote := RemoteHost(h.uri); remote {
		return ""
	}
	qemu, err := lookUpAccount(h.Status().Capabilities.QEMUUser)
	if err != nil {
		return ""
	}
	return qemu.problem(kvmDevice)
}

// qemuIDs returns the IDs of the user and the group that libvirt runs QEMU as; "" if
// libvirt does not report them.
func qemuIDs(caps libvirtxml.Caps) (user, group string) {
	for _, model := range caps.Host.SecModel {
		for _, label := range model.Labels {
			if user, group, found := strings.Cut(label.Value, ":"); found && model.Name == "dac" {
				return strings.TrimPrefix(user, "+"), strings.TrimPrefix(group, "+")
			}
		}
	}
	return "", ""
}

// account is a user with the groups of its processes.
type account struct {
	name   string
	uid    int
	groups []int
}

func lookUpAccount(id string) (account, error) {
	u, err := user.LookupId(id)
	if err != nil {
		return account{}, err
	}
	a := account{name: u.Username}
	if a.uid, err = strconv.Atoi(u.Uid); err != nil {
		return account{}, err
	}
	groups, err := u.GroupIds()
	if err != nil {
		return account{}, err
	}
	for _, text := range groups {
		group, err := strconv.Atoi(text)
		if err != nil {
			return account{}, err
		}
		a.groups = append(a.groups, group)
	}
	return a, nil
}

// problem is KVMProblem for one device.
func (a account) problem(device string) string {
	info, err := os.Stat(device)
	if err != nil {
		return ""
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || a.mayReadAndWrite(info.Mode().Perm(), int(owner.Uid), int(owner.Gid)) {
		return ""
	}
	return fmt.Sprintf("QEMU's user %s cannot open %s (mode %04o, owner %d, group %d). "+
		"libvirt then probes QEMU at each definition and start of a node, which takes seconds, in emulation half a minute. "+
		"Run: chgrp kvm %[2]s && chmod 660 %[2]s && usermod -aG kvm %[1]s, and restart libvirtd.",
		a.name, device, info.Mode().Perm(), owner.Uid, owner.Gid)
}

func (a account) mayReadAndWrite(mode fs.FileMode, uid, gid int) bool {
	const both = 6
	switch {
	case a.uid == 0:
		return true
	case a.uid == uid:
		mode >>= 6
	case slices.Contains(a.groups, gid):
		mode >>= 3
	}
	return mode&both == both
}
