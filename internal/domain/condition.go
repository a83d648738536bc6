package domain

import (
	"errors"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
)

// conditions are the error codes and messages for expected conditions that libvirt reports.
var conditions = map[hypervisor.Condition]struct {
	code fault.Code
	text string // the meaning and what to do, after "Cannot VERB node NAME: "
}{
	hypervisor.NetworkMissing:     {fault.NetworkUnavailable, "a network of one of its interfaces is not there. Create the network, or detach the interface."},
	hypervisor.NetworkInactive:    {fault.NetworkUnavailable, "a network of one of its interfaces is not active. Start it with `virsh net-start`, or detach the interface."},
	hypervisor.NoFreeSlot:         {fault.NoFreeSlot, "it has no free PCI slot for another device. Stop it and attach the device then, or detach another one."},
	hypervisor.BlockJobActive:     {fault.BlockJobActive, "a block job (copy, commit, pull) of one of its disks is under way. Try again when it is over; `virsh blockjob` shows it."},
	hypervisor.BackingFileMissing: {fault.BaseMissing, "a file that one of its disks is an overlay of is missing or cannot be read. Put the same file back."},
	hypervisor.DiskMissing:        {fault.DiskMissing, "the file of one of its disks is missing or cannot be read. Restore the file, or detach the disk."},
	hypervisor.NoMemory:           {fault.MemoryUnavailable, "its host does not have that much free memory. Stop other nodes, or give it less RAM."},
	hypervisor.NoNUMANode:         {fault.MemoryUnavailable, "its memory is bound to a NUMA node that the host does not have. Change <numatune> with `virsh edit`."},
	hypervisor.NoHugePages:        {fault.MemoryUnavailable, "its memory is to be in huge pages, which the host does not offer. Reserve huge pages there, or remove <memoryBacking> with `virsh edit`."},
}

// explain converts libvirt's errors into errors for users.
func explain(err error, verb, name string) error {
	var lv libvirt.Error
	switch {
	case fault.CodeOf(err) != fault.Internal:
		return err
	case errors.Is(err, libvirt.ERR_NO_DOMAIN):
		return fault.Wrap(err, fault.NodeNotFound, "Node %q not found. It may have been deleted.", name)
	case !errors.As(err, &lv):
		return err
	}
	condition := hypervisor.ConditionOf(err)
	if condition == hypervisor.DiskLocked {
		// One cause is in this service: libvirt does not stop a copy when it is cancelled.
		return fault.Wrap(err, fault.NodeBusy, "libvirt could not %s node %q: another program has its disk open. After a copy or an image of the disk was cancelled, libvirt reads it to its end: try again in some minutes.", verb, name)
	}
	if c, ok := conditions[condition]; ok {
		return fault.Wrap(err, c.code, "Cannot %s node %q: %s", verb, name, c.text)
	}
	return fault.Wrap(err, fault.Hypervisor, "libvirt could not %s node %q: %s.", verb, name, lv.Message)
}
