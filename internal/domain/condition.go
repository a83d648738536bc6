package domain

import (
	"errors"
	"regexp"
	"strings"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"libvirt.org/go/libvirt"
)

// conditions are ordinary conditions that libvirt has no code for, by what its messages
// say of them in English. A message in another language is shown as it is.
var conditions = []struct {
	says *regexp.Regexp
	code fault.Code
	text string // what it means and what to do, after "Cannot VERB node NAME: "
}{
	{regexp.MustCompile(`No more available PCI slots`), fault.NoFreeSlot, "it has no free PCI slot for another device. Stop it and attach the device then, or detach another one."},
	{regexp.MustCompile(`active block job|block_resize.* is in use`), fault.BlockJobActive, "a block job (copy, commit, pull) of one of its disks is under way. Try again when it is over; `virsh blockjob` shows it."},
	{regexp.MustCompile(`Cannot access backing file`), fault.BaseMissing, "a file that one of its disks is an overlay of is missing or cannot be read. Put the same file back."},
	{regexp.MustCompile(`Cannot access storage file`), fault.DiskMissing, "the file of one of its disks is missing or cannot be read. Restore the file, or detach the disk."},
	{regexp.MustCompile(`cannot set up guest memory`), fault.MemoryUnavailable, "its host does not have that much free memory. Stop other nodes, or give it less RAM."},
	{regexp.MustCompile(`NUMA node`), fault.MemoryUnavailable, "its memory is bound to a NUMA node that the host does not have. Change <numatune> with `virsh edit`."},
	{regexp.MustCompile(`hugetlbfs`), fault.MemoryUnavailable, "its memory is to be in huge pages, which the host does not offer. Reserve huge pages there, or remove <memoryBacking> with `virsh edit`."},
	{regexp.MustCompile(`network '.*' is not active`), fault.NetworkUnavailable, "a network of one of its interfaces is not active. Start it with `virsh net-start`, or detach the interface."},
}

// explainCondition returns the fault of an ordinary condition; nil for any other error.
func explainCondition(lv libvirt.Error, verb, name string) error {
	if lv.Code == libvirt.ERR_NO_NETWORK {
		return fault.Wrap(lv, fault.NetworkUnavailable, "Cannot %s node %q: a network of one of its interfaces is not there. Create the network, or detach the interface.", verb, name)
	}
	for _, c := range conditions {
		if c.says.MatchString(lv.Message) || (c.code == fault.BlockJobActive && lv.Code == libvirt.ERR_BLOCK_COPY_ACTIVE) {
			return fault.Wrap(lv, c.code, "Cannot %s node %q: %s", verb, name, c.text)
		}
	}
	return nil
}

// explain turns libvirt's errors into those that users see.
func explain(err error, verb, name string) error {
	var lv libvirt.Error
	switch {
	case fault.CodeOf(err) != fault.Internal:
		return err
	case errors.Is(err, libvirt.ERR_NO_DOMAIN):
		return fault.Wrap(err, fault.NodeNotFound, "Node %q not found. It may have been deleted.", name)
	case errors.As(err, &lv) && strings.Contains(lv.Message, `Failed to get "write" lock`):
		// Of what this service does, a copy that was cancelled: libvirt goes on alone.
		return fault.Wrap(err, fault.NodeBusy, "libvirt could not %s node %q: another program has its disk open. After a copy or an image of the disk was cancelled, libvirt reads it to its end: try again in some minutes.", verb, name)
	case errors.As(err, &lv):
		if condition := explainCondition(lv, verb, name); condition != nil {
			return condition
		}
		return fault.Wrap(err, fault.Hypervisor, "libvirt could not %s node %q: %s.", verb, name, lv.Message)
	}
	return err
}
