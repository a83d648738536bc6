package inventory

import (
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/diskref"
	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
)

// State is the state of a node, such as running.
type State string

// The states of a node.
const (
	Running     State = "running"
	Stopped     State = "stopped"
	Paused      State = "paused"
	Starting    State = "starting"
	Stopping    State = "stopping"
	Crashed     State = "crashed"
	Unreachable State = "unreachable" // its host is not connected; the node itself may be running
)

// Node is an immutable copy of a domain's state. RAM is in MiB, sizes are in bytes.
type Node struct {
	ID      string // the domain's UUID
	Name    string
	Host    string
	State   State
	Managed bool // it has SandboxLabs metadata: created or adopted
	OSType  string
	Image   ImageRef
	// OverlayPath is the file of the first disk on the host.
	OverlayPath string
	// DiskTarget is the target of the first disk ("vda").
	DiskTarget string
	// BackingPath is the backing file of OverlayPath; empty for none.
	BackingPath string
	// Files are the files of all disks and of their backing chains, as far as libvirt reports
	// them. The list is never modified.
	Files     []string
	RAMMiB    int64
	CPUs      int
	DiskBytes int64 // virtual size of the first disk; 0 when it cannot be read
	// Next is the size after its next start; nil unless that differs from its current size.
	Next *Size
	// ExtraBytes is the total virtual size of the disks that SandboxLabs attached.
	ExtraBytes int64
	// KeptBytes is the maximum size of the snapshots.
	KeptBytes int64
	// Below are the files in the backing chains of its disks. The list is never modified.
	Below []string
	// Refs are all files that the domain refers to in its definitions, snapshots, checkpoints
	// and saved state, as written there; nil until they have been read. The list is never
	// modified.
	Refs []diskref.Ref `json:"-"`
	// Saved is true if the domain is off and has a saved state, from which its next start
	// resumes.
	Saved       bool
	Accelerator string
	Firmware    string // BIOS, UEFI, SecureBoot
	TPM         bool
	// Ports are the serial ports, with the one that `virsh console` opens first. The list is
	// never modified.
	Ports      []SerialPort
	VNCPort    int    // on the host; 0 for none
	VNCSocket  string // on the host, if its screen has a socket instead of a port
	Persistent bool   // it has a persistent definition; a transient domain no longer exists when it stops
	Autostart  bool
	// Owner is the account id of its owner; empty for none. OwnerName is the account's name
	// when the owner was recorded.
	Owner, OwnerName string
	// OwnerByName is true if the metadata has no owner id. DeclaredTwice is
	// definition.Metadata.Twice.
	OwnerByName, DeclaredTwice bool
	// Description is the domain's description, as `virsh desc` prints it.
	Description string
	Tags        []string // sorted; the list is never modified
	// Networks are the libvirt networks that it has an interface on. The list is never
	// modified.
	Networks []string
	// UserMode is true if it has a network interface with user-mode networking.
	UserMode bool
	// Snapshots is the number of the domain's snapshots, whoever took them.
	Snapshots int
	// CurrentSnapshot is the snapshot that the node's state descends from; empty for none.
	CurrentSnapshot string
	Created         time.Time // zero if unknown
	Started         time.Time // zero while it is off, or if it was started before the service
	// Addresses are its IP addresses while it runs, from libvirt's DHCP, the guest agent or
	// the host's ARP table. The list is never modified.
	Addresses []string
	// Problem describes an error in the domain's definition; empty for none.
	Problem string

	agent    bool // the guest agent is connected
	measured int  // number of snapshots when KeptBytes was measured
	kept     bool // it has crashed, and on_crash preserve keeps its QEMU process
}

// Types of package definition that describe a node.
type (
	// ImageRef is a reference to the image that a node was created from.
	ImageRef = definition.ImageRef
	// Interface is a network interface of a node.
	Interface = definition.Interface
	// Size is the number of CPUs and the memory of a node.
	Size = definition.Size
)

// Removed is the data of event.NodeRemoved.
type Removed struct {
	ID   string `json:"id"`
	Host string `json:"host"`
	// Node is its last state, which decides who receives the event.
	Node Node `json:"-"`
}

// Active returns whether the domain has a QEMU process, as far as is known.
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
