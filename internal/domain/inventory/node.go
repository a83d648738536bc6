package inventory

import (
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/diskref"
	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
)

// State is what a node does.
type State string

// The states of a node.
const (
	Running     State = "running"
	Stopped     State = "stopped"
	Paused      State = "paused"
	Starting    State = "starting"
	Stopping    State = "stopping"
	Crashed     State = "crashed"
	Unreachable State = "unreachable" // its host is away; the node itself may well run
)

// Node is a snapshot of one domain. RAM is in MiB, sizes are in bytes.
type Node struct {
	ID      string // the domain's UUID
	Name    string
	Host    string
	State   State
	Managed bool // it carries our metadata: made or adopted here
	OSType  string
	Image   ImageRef
	// OverlayPath is the file of the first disk, on the host.
	OverlayPath string
	// DiskTarget is the target of the first disk ("vda").
	DiskTarget string
	// BackingPath is the file that OverlayPath lies on; empty when it stands alone.
	BackingPath string
	// Files are the files of all disks, down their chains as far as libvirt tells. A
	// snapshot's list is never changed.
	Files     []string
	RAMMiB    int64
	CPUs      int
	DiskBytes int64 // virtual size of the first disk; 0 when it cannot be read
	// Next is what it will have at its next start; nil unless that is otherwise than
	// what it has while it runs.
	Next *Size
	// ExtraBytes is the virtual size of the disks that were attached here.
	ExtraBytes int64
	// KeptBytes is what the snapshots keep at most.
	KeptBytes int64
	// Below are the files that its disks are overlays of, down their chains. A snapshot's
	// list is never changed.
	Below []string
	// Refs are all files that the domain refers to, as they are written down in its
	// definitions, snapshots, checkpoints and saved state; nil until they were read. A
	// snapshot's list is never changed.
	Refs []diskref.Ref `json:"-"`
	// Saved says that the domain is off and libvirt keeps its memory: its next start goes on
	// from there.
	Saved       bool
	Accelerator string
	Firmware    string // BIOS, UEFI, SecureBoot
	TPM         bool
	// Ports are the serial ports, the one that `virsh console` opens first. A
	// snapshot's list is never changed.
	Ports      []SerialPort
	VNCPort    int    // of the host; 0 while there is none
	VNCSocket  string // of the host, where its screen has a socket and no port
	Persistent bool   // defined; a transient domain is gone when it stops
	Autostart  bool
	// Owner is the id of the account that it belongs to; empty: nobody's. OwnerName is
	// what the account was called when this was written.
	Owner, OwnerName string
	// OwnerByName says that the metadata has no id of its owner; DeclaredTwice is
	// definition.Metadata.Twice.
	OwnerByName, DeclaredTwice bool
	// Description is the domain's, as `virsh desc` shows it.
	Description string
	Tags        []string // in order; a snapshot's list is never changed
	// Networks are the libvirt networks that it has an interface on; a snapshot's list
	// is never changed.
	Networks []string
	// UserMode says that it has a card with user-mode networking.
	UserMode bool
	// Snapshots counts the domain's snapshots, whoever took them.
	Snapshots int
	// CurrentSnapshot is the one that the node goes on from; empty when there is none.
	CurrentSnapshot string
	Created         time.Time // zero when not known
	Started         time.Time // zero while it is off, or when it was started before the service
	// Addresses are its IP addresses while it runs, as libvirt's DHCP, the guest's
	// agent or the host's ARP table tells; a snapshot's list is never changed.
	Addresses []string
	// Problem says what is wrong with the domain's definition, if anything.
	Problem string

	agent    bool // the guest's agent is there
	measured int  // so many snapshots KeptBytes is for
	kept     bool // it has crashed, and its QEMU is there still (on_crash preserve)
}

// What a domain's definition says of a node.
type (
	// ImageRef says which image a node was made from.
	ImageRef = definition.ImageRef
	// Interface is one network card of a node.
	Interface = definition.Interface
	// Size is what a node has of its host.
	Size = definition.Size
)

// Removed is the data of event.NodeRemoved.
type Removed struct {
	ID   string `json:"id"`
	Host string `json:"host"`
	// Node is what it was last, for those who decide who is told.
	Node Node `json:"-"`
}

// Active tells whether the domain has a QEMU process, as far as is known.
func (n Node) Active() bool {
	switch n.State {
	case Running, Paused, Starting, Stopping:
		return true
	case Crashed:
		return n.kept
	default:
		return false
	}
}
