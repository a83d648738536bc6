package domain

import (
	"context"
	"time"

	"libvirt.org/go/libvirtxml"
)

// BaseImage is an image that nodes can be created from.
type BaseImage struct {
	ImageRef
	OSType       string
	Path         string // on the host
	Format       string
	VirtualBytes int64
	// Firmware is the firmware of its nodes, empty for the default. TPM is true if they have
	// a TPM 2.0.
	Firmware string
	TPM      bool
}

// diskBytes returns the minimum and the default size of a disk created from the image.
func (i BaseImage) diskBytes() (least, usual int64) {
	if i.Format == ISO {
		return MinDiskBytes, DefaultDiskBytes
	}
	return i.VirtualBytes, i.VirtualBytes
}

// under returns the backing chain of a disk created from the image; see makeDisk.
func (i BaseImage) under() *libvirtxml.DomainDiskBackingStore {
	if i.Format == ISO {
		return below("", "")
	}
	return below(i.Path, i.Format)
}

// Storage is the part of the storage pools that package domain uses, split by purpose.
type Storage interface {
	// Prepare waits until the host's pools are usable, or returns why they are not.
	Prepare(ctx context.Context, host string) error
	Images
	Disks
	Volumes
	Files
	ConsoleLogs
}

// Images checks the images that nodes are created from.
type Images interface {
	// Usable returns an image, or why it cannot be used.
	Usable(host, imageID string) (BaseImage, error)
	// CheckUnchanged returns an error if an image's file on the host is not the one that was
	// verified.
	CheckUnchanged(ctx context.Context, host, imageID string) error
	// CheckFiles returns fault.ImageNotReady if one of files belongs to an image and is not
	// the file that was verified.
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
	// CopyDisk copies all data of the disk in a file to a new volume, and returns the
	// volume's path.
	CopyDisk(ctx context.Context, host, file, volume string, progress func(doneBytes, totalBytes int64)) (path string, err error)
	// BlankOver returns the backing file of a file that has no data in it.
	BlankOver(ctx context.Context, host, file string) (base string, err error)
	// DiskBytes returns the virtual size of the qcow2 disk in a file, which may be in use.
	DiskBytes(ctx context.Context, host, file string) (int64, error)
	// GrowVolume enlarges the disk in a file, which must not be in use.
	GrowVolume(ctx context.Context, host, path string, bytes int64) error
	// RoomForDisk returns fault.StorageFull if there is not enough space for a new disk of
	// that size, or for existing ones to grow by it.
	RoomForDisk(ctx context.Context, host string, bytes int64) error
}

// Volumes lists and deletes the volumes of nodes.
type Volumes interface {
	// HasNodeVolume returns whether a volume with that name exists.
	HasNodeVolume(ctx context.Context, host, volume string) (bool, error)
	// NodeVolumes returns the volumes whose names begin with a node's id, whoever created
	// them: their names mapped to the paths of their backing files, empty for none.
	NodeVolumes(ctx context.Context, host, nodeID string) (map[string]string, error)
	// OverlaysOnNode returns the names of other nodes' volumes that are overlays of a node's
	// volumes, and of other domains that use one. If it cannot rule out further ones, it
	// returns an error.
	OverlaysOnNode(ctx context.Context, host, nodeID string, volumes []string) ([]string, error)
	// DeleteNodeVolume removes a volume. It returns no error if the volume does not exist.
	// since is when the caller began the operation in which it called OverlaysOnNode for the
	// volume, zero if it did not.
	DeleteNodeVolume(ctx context.Context, host, volume string, since time.Time) error
	// NodesFolder returns the directory of the overlays on the host.
	NodesFolder(host string) (string, error)
}

// Files reads and writes small files of nodes: seeds and UEFI variables.
type Files interface {
	// PutNodeVolume writes a small file into a volume and returns its path.
	PutNodeVolume(ctx context.Context, host, volume string, content []byte) (path string, err error)
	// ReadNodeFile returns the content of a small volume.
	ReadNodeFile(ctx context.Context, host, volume string) ([]byte, error)
	// ReadVariables returns the content of a file with UEFI variables, and whether it exists.
	ReadVariables(ctx context.Context, host, file string) (content []byte, found bool, err error)
	// DeleteVariables removes a file with UEFI variables. It returns no error if the file
	// does not exist.
	DeleteVariables(ctx context.Context, host, file string) error
}

// ConsoleLogs locates and deletes the logs of serial consoles.
type ConsoleLogs interface {
	// ConsoleLog returns the path on the host of a node's serial console log.
	ConsoleLog(host, nodeID string) (string, error)
	// DeleteConsoleLog removes the log and its rotated parts. It returns no error if they do
	// not exist.
	DeleteConsoleLog(ctx context.Context, host, nodeID string) error
}
