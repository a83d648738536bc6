package hypervisor

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"
)

// GuestArch is the architecture of all nodes.
const GuestArch = "x86_64"

// Capabilities is what a host can do.
type Capabilities struct {
	HostUUID string // of the machine, or as configured in its libvirtd
	Arch     string // of the host: "x86_64"
	CPUs     int    // logical
	// MemoryMiB is the host's physical memory in MiB.
	MemoryMiB int64
	// NUMANodes are the numbers of the host's NUMA nodes; empty if libvirt does not report
	// them.
	NUMANodes      []int
	LibvirtVersion string
	// Warnings are sentences about known faults of the host's software, and how to avoid
	// them.
	Warnings          []string
	HypervisorVersion string
	// QEMUUser is the ID of the user that QEMU runs as; "" if libvirt does not report it.
	QEMUUser string
	// QEMUGroup is the ID of the group that QEMU runs with; "" if libvirt does not report
	// it.
	QEMUGroup string
	// Accelerator is the libvirt domain type that new nodes get: "kvm" or "qemu".
	Accelerator string
	// AcceleratorReason explains the choice of Accelerator in one sentence.
	AcceleratorReason string
}

// UserOfLabel parses the user ID of a DAC security label in libvirt's notation:
// "+64055:+107". It does not resolve user names, since they belong to the host.
func UserOfLabel(label string) (uid int, known bool) {
	user, _, _ := strings.Cut(label, ":")
	uid, err := strconv.Atoi(strings.TrimPrefix(user, "+"))
	return uid, err == nil
}

func readCapabilities(conn *libvirt.Connect, accelerator string) (Capabilities, error) {
	var c Capabilities
	caps, text, err := capabilities(conn)
	if err != nil {
		return c, err
	}
	c.HostUUID = caps.Host.UUID
	c.QEMUUser, c.QEMUGroup = qemuIDs(caps)
	if caps.Host.NUMA != nil && caps.Host.NUMA.Cells != nil {
		for _, cell := range caps.Host.NUMA.Cells.Cells {
			c.NUMANodes = append(c.NUMANodes, cell.ID)
		}
	}
	node, err := conn.GetNodeInfo()
	if err != nil {
		return c, fmt.Errorf("read the host's size: %w", err)
	}
	c.CPUs = int(node.Cpus)
	// node.Memory is only the memory that the firmware describes. Virtual machines with
	// hot-plugged memory, which this host may be, have more.
	kib := node.Memory
	if stats, err := conn.GetMemoryStats(libvirt.NODE_MEMORY_STATS_ALL_CELLS, 0); err == nil && stats.TotalSet {
		kib = max(kib, stats.Total)
	}
	c.MemoryMiB = int64(kib / 1024) //nolint:gosec // KiB of real memory fit
	if v, err := conn.GetLibVersion(); err == nil {
		c.LibvirtVersion = version(v)
		c.Warnings = knownFaults(v)
	}
	if v, err := conn.GetVersion(); err == nil {
		c.HypervisorVersion = version(v)
	}
	var features []string
	if caps.Host.CPU != nil {
		c.Arch = caps.Host.CPU.Arch
		if c.Arch == GuestArch {
			features = cpuFeatures(conn, text)
		}
	}
	c.Accelerator, c.AcceleratorReason = chooseAccelerator(accelerator, c.Arch, domainTypes(caps), features)
	return c, nil
}

// capabilities returns the host's capabilities, parsed and as XML.
func capabilities(conn *libvirt.Connect) (caps libvirtxml.Caps, text string, err error) {
	if text, err = conn.GetCapabilities(); err != nil {
		return caps, "", fmt.Errorf("read the host's capabilities: %w", err)
	}
	if err := caps.Unmarshal(text); err != nil {
		return caps, "", fmt.Errorf("parse the host's capabilities: %w", err)
	}
	return caps, text, nil
}

// checkHost fails unless conn leads to the same host as the managed connection, since an
// address may have been reassigned to another machine.
func (h *Host) checkHost(conn *libvirt.Connect) error {
	caps, _, err := capabilities(conn)
	if err != nil {
		return err
	}
	if want := h.Status().Capabilities.HostUUID; caps.Host.UUID != want {
		return h.unreachable(fmt.Errorf("the machine with UUID %s answers at %s, and %s was meant", caps.Host.UUID, h.uri, want))
	}
	return nil
}

// domainTypes lists the libvirt domain types that run x86-64 guests.
func domainTypes(caps libvirtxml.Caps) []string {
	var types []string
	for _, g := range caps.Guests {
		if g.OSType != "hvm" || g.Arch.Name != GuestArch {
			continue
		}
		for _, d := range g.Arch.Domains {
			types = append(types, d.Type)
		}
	}
	return types
}

// cpuFeatures lists every feature of the host's CPU, including those that its model
// implies: on AMD, `svm` is part of the model and not listed separately. It returns
// nothing if libvirt cannot expand the model.
func cpuFeatures(conn *libvirt.Connect, capabilities string) []string {
	var host struct {
		CPU struct {
			Inner string `xml:",innerxml"`
		} `xml:"host>cpu"`
	}
	if err := xml.Unmarshal([]byte(capabilities), &host); err != nil {
		return nil
	}
	// The text comes from libvirt and goes back to it unchanged.
	type cpu struct {
		XMLName xml.Name `xml:"cpu"`
		Inner   string   `xml:",innerxml"`
	}
	text, err := xml.Marshal(cpu{Inner: host.CPU.Inner})
	if err != nil {
		return nil
	}
	expanded, err := conn.BaselineCPU([]string{string(text)}, libvirt.CONNECT_BASELINE_CPU_EXPAND_FEATURES)
	if err != nil {
		expanded = string(text)
	}
	var full struct {
		Features []struct {
			Name   string `xml:"name,attr"`
			Policy string `xml:"policy,attr"`
		} `xml:"feature"`
	}
	if err := xml.Unmarshal([]byte(expanded), &full); err != nil {
		return nil
	}
	var names []string
	for _, f := range full.Features {
		if f.Policy != "disable" && f.Policy != "forbid" {
			names = append(names, f.Name)
		}
	}
	return names
}

// chooseAccelerator chooses between KVM and emulation. A host may advertise KVM although
// guests hang under it (/dev/kvm opens, libvirt lists it), so on x86 "auto" also requires
// that the CPU has a virtualization feature: vmx (Intel) or svm (AMD).
func chooseAccelerator(configured, hostArch string, types, features []string) (accelerator, reason string) {
	kvm := slices.Contains(types, "kvm")
	switch {
	case configured != "auto":
		return configured, "Set by the configuration (accelerator: " + configured + ")."
	case !kvm:
		return "qemu", "The host offers no KVM for " + GuestArch + " guests; nodes run by software emulation, which is slower."
	case hostArch != GuestArch:
		return "qemu", "The host's CPU is " + hostArch + ", the nodes' is " + GuestArch + "; they run by software emulation, which is slower."
	case slices.Contains(features, "vmx"), slices.Contains(features, "svm"):
		return "kvm", "KVM is there and the host's CPU has hardware virtualisation."
	default:
		return "qemu", "KVM is advertised, but the host's CPU shows neither vmx nor svm, and guests are known to hang then; nodes run by software emulation, which is slower. Set accelerator: kvm if KVM works here."
	}
}

func version(v uint32) string {
	return strings.Join([]string{fmt.Sprint(v / 1_000_000), fmt.Sprint(v / 1000 % 1000), fmt.Sprint(v % 1000)}, ".")
}

// Of the tested releases, libvirtd 11.3.0 hangs or crashes when a guest ends while console
// input is queued for it; 9.0.0 and 12.9.0 do not. The releases in between were not
// tested.
const (
	lastBeforeInputFault = 9_000_000
	firstAfterInputFault = 12_009_000
)

// knownFaults returns warnings for a release of libvirt with known faults.
func knownFaults(release uint32) []string {
	if release <= lastBeforeInputFault || release >= firstAfterInputFault {
		return nil
	}
	return []string{"libvirtd " + version(release) + " may hang or crash when a guest ends while console input waits for it: 11.3.0 does, 9.0.0 and 12.9.0 do not, releases between were not tried. " +
		"The consoles of this service keep such input away from it; `virsh console` and other programs do not. If it hangs, restart libvirtd: the guests keep running. A newer release helps (Debian 13 has one in its backports)."}
}
