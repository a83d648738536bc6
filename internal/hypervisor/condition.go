package hypervisor

import (
	"errors"
	"regexp"

	"libvirt.org/go/libvirt"
)

// Condition is a common condition that a libvirt error reports.
type Condition int

// The conditions.
const (
	Other Condition = iota // everything else
	NetworkMissing
	NetworkInactive
	NoFreeSlot         // no PCI slot is left for another device
	BlockJobActive     // a copy, commit or pull of a disk is running
	DiskLocked         // another process has the disk open for writing
	BackingFileMissing // a backing file of a disk cannot be opened
	DiskMissing        // the file of a disk cannot be opened
	NoMemory           // the host lacks free memory
	NoNUMANode         // the host does not have a NUMA node that memory is bound to
	NoHugePages        // the host offers no huge pages
	ConsoleNotReady    // QEMU is starting: its console does not exist yet
)

// texts match the conditions for which libvirt has no error code. This is the only place
// where a decision depends on the text of a libvirt error. The texts are those of libvirt
// and QEMU in English, which libvirtd uses unless its unit sets another language (LANG,
// LC_ALL); the language of this service does not matter. In another language, these
// conditions are Other: users then see libvirt's own message, and a console is shown as
// taken for the moment in which its QEMU starts. Nothing else differs.
var texts = []struct {
	says      *regexp.Regexp
	condition Condition
}{
	{regexp.MustCompile(`Failed to get "write" lock`), DiskLocked},
	{regexp.MustCompile(`No more available PCI slots`), NoFreeSlot},
	{regexp.MustCompile(`active block job|block_resize.* is in use`), BlockJobActive},
	{regexp.MustCompile(`Cannot access backing file`), BackingFileMissing},
	{regexp.MustCompile(`Cannot access storage file`), DiskMissing},
	{regexp.MustCompile(`cannot set up guest memory`), NoMemory},
	{regexp.MustCompile(`NUMA node`), NoNUMANode},
	{regexp.MustCompile(`hugetlbfs`), NoHugePages},
	{regexp.MustCompile(`network '.*' is not active`), NetworkInactive},
	{regexp.MustCompile(`PTY device is not yet assigned`), ConsoleNotReady},
}

// ConditionOf returns the condition that a libvirt error reports, by its code or, without
// one, by its text.
func ConditionOf(err error) Condition {
	var lv libvirt.Error
	switch {
	case !errors.As(err, &lv):
		return Other
	case lv.Code == libvirt.ERR_NO_NETWORK:
		return NetworkMissing
	case lv.Code == libvirt.ERR_BLOCK_COPY_ACTIVE:
		return BlockJobActive
	}
	for _, t := range texts {
		if t.says.MatchString(lv.Message) {
			return t.condition
		}
	}
	return Other
}
