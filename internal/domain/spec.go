package domain

import (
	"math"
	"regexp"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// Limits and defaults of a node.
const (
	MinRAMMiB     = 64
	DefaultRAMMiB = 1024
	DefaultCPUs   = 1
	MaxDiskBytes  = 2 << 40
	MaxNameLength = 63

	// NamePattern is the pattern for names of nodes, networks and snapshots.
	NamePattern = `^[A-Za-z0-9][A-Za-z0-9._-]*$`
)

// GivenZero represents an explicit size of zero in a Spec, which is invalid: zero values
// select the defaults.
const GivenZero = math.MinInt32

// Given converts a size from a user for a Spec: 0 becomes GivenZero.
func Given[T int | int64](size T) T {
	if size == 0 {
		return GivenZero
	}
	return size
}

// shown converts a size of a Spec back to the user's value.
func shown[T int | int64](asked T) T {
	if asked == GivenZero {
		return 0
	}
	return asked
}

// Spec describes a node to be created. Zero values select the defaults.
type Spec struct {
	Name    string
	Host    string // empty: the first host
	ImageID string
	// ImageType is "base", "custom", or empty if the image id is sufficient.
	ImageType string
	OSType    string // empty: the image's
	RAMMiB    int64
	CPUs      int
	DiskBytes int64  // zero: the image's virtual size
	Network   string // empty: the default; UserNetwork, NoNetwork
	Firmware  string // BIOS, UEFI, SecureBoot; empty: the image's
	TPM       *bool  // adds a TPM 2.0; nil: the image's setting
	CloudInit CloudInit
	Owner     string // account id
	// ID is the id of the new node if IdempotencyKey is set; empty: the id from KeyedID.
	ID string
	// IdempotencyKey identifies a repeated request, which returns the node of the first one.
	IdempotencyKey string
}

// asksFor returns whether a request with this spec could have created the node: all values
// that it sets match.
func (s Spec) asksFor(n Node) bool {
	return n.Name == s.Name && n.Image.ID == s.ImageID && (s.Firmware == "" || s.Firmware == n.Firmware) && (s.TPM == nil || *s.TPM == n.TPM) &&
		(s.RAMMiB == 0 || s.RAMMiB == n.RAMMiB) && (s.CPUs == 0 || s.CPUs == n.CPUs) && (s.DiskBytes == 0 || s.DiskBytes == n.DiskBytes)
}

var nodeName = regexp.MustCompile(NamePattern)

// ValidName returns fault.Invalid if name is not valid for a node.
func ValidName(name string) error {
	switch {
	case name == "":
		return fault.Field("name", "Enter a name for the node.")
	case len(name) > MaxNameLength:
		return fault.Field("name", "The name has %d characters; at most %d are allowed.", len(name), MaxNameLength)
	case !nodeName.MatchString(name):
		return fault.Field("name", "Use letters, digits, dots, hyphens and underscores. Start with a letter or digit.")
	}
	return nil
}

// limits are the limits of the host and the image.
type limits struct {
	host       string
	maxRAMMiB  int64
	maxCPUs    int
	imageID    string
	imageBytes int64 // virtual size
}

// complete checks the sizes and fills in the defaults.
func (s Spec) complete(l limits) (Spec, error) {
	if s.RAMMiB == 0 {
		s.RAMMiB = min(DefaultRAMMiB, l.maxRAMMiB)
	}
	if s.CPUs == 0 {
		s.CPUs = DefaultCPUs
	}
	if s.DiskBytes == 0 {
		s.DiskBytes = l.imageBytes
	}
	switch {
	case s.RAMMiB < MinRAMMiB || s.RAMMiB > l.maxRAMMiB:
		return s, ramFault(l.host, l.maxRAMMiB, s.RAMMiB)
	case s.CPUs < 1 || s.CPUs > l.maxCPUs:
		return s, cpusFault(l.host, l.maxCPUs, s.CPUs)
	case s.DiskBytes < l.imageBytes || s.DiskBytes > MaxDiskBytes:
		return s, fault.Field("resources.disk", "The disk must be %d bytes (the size of image %q) to %d bytes, not %d.", l.imageBytes, l.imageID, int64(MaxDiskBytes), shown(s.DiskBytes))
	}
	if err := definition.CheckOSType(s.OSType); err != nil {
		return s, err
	}
	if err := CheckFirmware("firmware", s.Firmware); err != nil {
		return s, err
	}
	var err error
	s.CloudInit, err = s.CloudInit.checked()
	return s, err
}

func ramFault(host string, most, asked int64) error {
	return fault.Field("resources.ram", "RAM must be %d to %d MiB on host %q, not %d.", MinRAMMiB, most, host, shown(asked))
}

func cpusFault(host string, most, asked int) error {
	return fault.Field("resources.cpus", "CPUs must be 1 to %d on host %q, not %d.", most, host, shown(asked))
}
