package domain

import (
	"context"
	"time"

	"libvirt.org/go/libvirtxml"
)

// BaseImage is an image that a node can be made from.
type BaseImage struct {
	ImageRef
	OSType       string
	Path         string // on the host
	Format       string
	VirtualBytes int64
	// Firmware is what its nodes boot with, empty for the default; TPM says that they have
	// a TPM 2.0.
	Firmware string
	TPM      bool
}

// diskBytes is the least size of a disk that is made of the image, and the size
// that it has unless another is asked for.
func (i BaseImage) diskBytes() (least, usual int64) {
	if i.Format == ISO {
		return MinDiskBytes, DefaultDiskBytes
	}
	return i.VirtualBytes, i.VirtualBytes
}

// under is what a disk lies on that was made of the image; see makeDisk.
func (i BaseImage) under() *libvirtxml.DomainDiskBackingStore {
	if i.Format == ISO {
		return below("", "")
	}
	return below(i.Path, i.Format)
}

// Storage is the storage pools as package domain needs them. Each part names what one kind
// of work needs.
type Storage interface {
	// Prepare waits until the host's pools can be used, or says why they cannot.
	Prepare(ctx context.Context, host string) error
	Images
	Disks
	Volumes
	Files
	ConsoleLogs
}

// Images are the images that nodes are created from.
type Images interface {
	// Usable returns an image that may be used, or says why it may not.
	Usable(host, imageID string) (BaseImage, error)
	// CheckUnchanged asks the host whether an image's file is the one that was verified.
	CheckUnchanged(ctx context.Context, host, imageID string) error
	// CheckFiles returns fault.ImageNotReady if one of some files is an image whose file is
	// not the one that was verified.
	CheckFiles(ctx context.Context, host string, files ...string) error
}

// Disks creates and reads the disks of nodes.
type Disks interface {
	// CreateOverlay creates an overlay of the image and returns its path.
	CreateOverlay(ctx context.Context, host, volume, imageID string, capacityBytes int64) (path string, err error)
	// CreateDisk creates an empty volume and returns its path.
	CreateDisk(ctx context.Context, host, volume string, capacityBytes int64) (path string, err error)
	// LayDisk creates an overlay of a qcow2 file and returns its path.
	LayDisk(ctx context.Context, host, volume, base string, capacityBytes int64) (path string, err error)
	// CopyDisk creates a volume with all data of the disk in a file, and returns its path.
	CopyDisk(ctx context.Context, host, file, volume string, progress func(doneBytes, totalBytes int64)) (path string, err error)
	// BlankOver returns the backing file of a file without data of its own.
	BlankOver(ctx context.Context, host, file string) (base string, err error)
	// DiskBytes is the virtual size of the qcow2 disk in a file, which may be in use.
	DiskBytes(ctx context.Context, host, file string) (int64, error)
	// GrowVolume enlarges the disk in a file, which nothing uses.
	GrowVolume(ctx context.Context, host, path string, bytes int64) error
	// RoomForDisk returns fault.StorageFull if another disk, or so many bytes more in those
	// that are there, do not fit.
	RoomForDisk(ctx context.Context, host string, bytes int64) error
}

// Volumes lists and deletes the volumes of nodes.
type Volumes interface {
	// HasNodeVolume returns whether there is a volume of that name.
	HasNodeVolume(ctx context.Context, host, volume string) (bool, error)
	// NodeVolumes returns the volumes whose names begin with a node's id, whoever made them,
	// by name, each with the path of the file that it is backed by, or with an empty one.
	NodeVolumes(ctx context.Context, host, nodeID string) (map[string]string, error)
	// OverlaysOnNode names the volumes of others that are overlays of a node's volumes, and
	// other domains that have one; or says what may.
	OverlaysOnNode(ctx context.Context, host, nodeID string, volumes []string) ([]string, error)
	// DeleteNodeVolume removes a volume; no error when it is not there. since is when the
	// caller began that has called OverlaysOnNode for it, else the zero time.
	DeleteNodeVolume(ctx context.Context, host, volume string, since time.Time) error
	// NodesFolder is where the overlays are, on the host.
	NodesFolder(host string) (string, error)
}

// Files reads and writes small files of nodes: seeds, and the variables of UEFI firmware.
type Files interface {
	// PutNodeVolume writes a small file into a volume and returns its path.
	PutNodeVolume(ctx context.Context, host, volume string, content []byte) (path string, err error)
	// ReadNodeFile returns what is in a small volume.
	ReadNodeFile(ctx context.Context, host, volume string) ([]byte, error)
	// ReadVariables returns what is in a file with the variables of UEFI firmware, if it is there.
	ReadVariables(ctx context.Context, host, file string) (content []byte, found bool, err error)
	// DeleteVariables removes such a file; no error when it is not there.
	DeleteVariables(ctx context.Context, host, file string) error
}

// ConsoleLogs names and deletes the logs of serial consoles.
type ConsoleLogs interface {
	// ConsoleLog is the file on the host that records a node's serial console.
	ConsoleLog(host, nodeID string) (string, error)
	// DeleteConsoleLog removes the log with all parts that virtlogd rotated; no error when it is
	// not there.
	DeleteConsoleLog(ctx context.Context, host, nodeID string) error
}
