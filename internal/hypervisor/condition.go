package hypervisor

import (
	"errors"
	"regexp"

	"libvirt.org/go/libvirt"
)

// Condition is an ordinary condition that an error of libvirt reports.
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
	ConsoleNotReady    // QEMU is being started: its console is not there yet
)

// texts are the conditions that libvirt has no code for. This is the only place where the
// text of an error of libvirt decides anything. The texts are those of libvirt and QEMU in
// English, which libvirtd writes wherever its unit sets no other language (LANG, LC_ALL);
// the language of this service does not matter. In another language these conditions are
// Other: users then see libvirt's own message, and nothing else differs but that a console
// is shown as taken for the moment in which its QEMU starts.
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

// ConditionOf returns the condition that an error of libvirt reports: by libvirt's code
// where it has one, else by the text.
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
