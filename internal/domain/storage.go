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

// Storage is what nodes need of the storage pools.
type Storage interface {
	// Prepare waits until the host's pools can be used, or says why they cannot.
	Prepare(ctx context.Context, host string) error
	// Usable returns an image that may be used, or says why it may not.
	Usable(host, imageID string) (BaseImage, error)
	// CheckUnchanged asks the host whether an image's file is the one that was verified.
	CheckUnchanged(ctx context.Context, host, imageID string) error
	// CreateOverlay makes a volume over the image and returns its path.
	CreateOverlay(ctx context.Context, host, volume, imageID string, capacityBytes int64) (path string, err error)
	// CreateDisk makes an empty volume and returns its path.
	CreateDisk(ctx context.Context, host, volume string, capacityBytes int64) (path string, err error)
	// PutNodeVolume writes a small file into a volume and returns its path.
	PutNodeVolume(ctx context.Context, host, volume string, content []byte) (path string, err error)
	// RoomForDisk answers fault.StorageFull when there is no room for another disk, or
	// for so many bytes more in those that are there.
	RoomForDisk(ctx context.Context, host string, bytes int64) error
	// LayDisk makes a volume over a qcow2 file and returns its path.
	LayDisk(ctx context.Context, host, volume, base string, capacityBytes int64) (path string, err error)
	// CopyDisk makes a volume of all that the disk in a file has, and returns its path.
	CopyDisk(ctx context.Context, host, file, volume string, progress func(doneBytes, totalBytes int64)) (path string, err error)
	// BlankOver returns what a file lies on that has nothing of its own.
	BlankOver(ctx context.Context, host, file string) (base string, err error)
	// DiskBytes is the virtual size of the qcow2 disk in a file, which may be in use.
	DiskBytes(ctx context.Context, host, file string) (int64, error)
	// ReadNodeFile returns what is in a small volume.
	ReadNodeFile(ctx context.Context, host, volume string) ([]byte, error)
	// ReadVariables returns what is in a file with the variables of UEFI firmware, if it is there.
	ReadVariables(ctx context.Context, host, file string) (content []byte, found bool, err error)
	// DeleteVariables removes such a file; no error when it is not there.
	DeleteVariables(ctx context.Context, host, file string) error
	// GrowVolume gives the disk in a file, which nothing uses, more room.
	GrowVolume(ctx context.Context, host, path string, bytes int64) error
	// HasNodeVolume tells whether there is a volume of that name.
	HasNodeVolume(ctx context.Context, host, volume string) (bool, error)
	// DeleteNodeVolume removes a volume; no error when it is not there. since is when the
	// caller began that has called OverlaysOnNode for it, else the zero time.
	DeleteNodeVolume(ctx context.Context, host, volume string, since time.Time) error
	// OverlaysOnNode names the volumes of others that lie on a node's volumes, and other
	// domains that have one; or says what may.
	OverlaysOnNode(ctx context.Context, host, nodeID string, volumes []string) ([]string, error)
	// NodeVolumes returns the volumes whose names begin with a node's id, whoever made them,
	// by name, each with the path of the file that it is backed by, or with an empty one.
	NodeVolumes(ctx context.Context, host, nodeID string) (map[string]string, error)
	// NodesFolder is where the overlays are, on the host.
	NodesFolder(host string) (string, error)
	// ConsoleLog is the file on the host that records a node's serial console.
	ConsoleLog(host, nodeID string) (string, error)
	DeleteConsoleLog(ctx context.Context, host, nodeID string) error
}
