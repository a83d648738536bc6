// Package image manages the images in the images pool: their records, the inspection of
// their files, the catalogue that they may come from, and the long-running tasks on them.
package image

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/diskimage"
	"github.com/sandboxlabs/sandboxlabs/internal/event"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

// Options configures a Service.
type Options struct {
	Hosts   *hypervisor.Set
	Pools   *storagepool.Service
	DB      *gorm.DB
	Intents *store.Intents
	Events  *event.Broker
	// Catalog lists the base images: a volume <id>.qcow2 in the images pool is the base
	// image with that id.
	Catalog Catalog
	Log     *slog.Logger
}

// Service manages the images of all hosts. Its methods are safe for concurrent use.
type Service struct {
	o Options

	mu       sync.RWMutex
	shelves  map[string]*shelf // by host name
	standing keyedLocks        // held to create an overlay (shared), or to change or delete the image (exclusive)

	lastMilli int64 // see uniqueMilli
}

// shelf is the state of one host's images.
type shelf struct {
	turn   chan struct{} // capacity 1: held while the images pool is read or an image is replaced
	images map[string]Image
}

// New returns a Service that follows the pools.
func New(o Options) (*Service, error) {
	if o.Hosts == nil || o.Pools == nil || o.DB == nil || o.Intents == nil || o.Events == nil {
		return nil, errors.New("image: hosts, pools, database, intents and events are required")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	s := &Service{o: o, shelves: map[string]*shelf{}}
	for _, h := range o.Hosts.Hosts() {
		s.shelves[h.Name()] = &shelf{turn: make(chan struct{}, 1), images: map[string]Image{}}
	}
	o.Pools.Follow(storagepool.Follower{
		Recover: s.recoverMarks,
		Read:    func(ctx context.Context, host string) error { return s.Refresh(ctx, host, true) },
	})
	return s, nil
}

// The types of images: base images come with the installation or from its catalogue,
// custom images from users.
const (
	Base   = "base"
	Custom = "custom"
)

// State is the state of an image.
type State string

// The states of an image. Only ready images can be used.
const (
	Uploading  State = "uploading"
	Verifying  State = "verifying"
	Ready      State = "ready"
	Rejected   State = "rejected"
	Unverified State = "unverified"
	// Changed means that the image's file is not the one that was verified.
	Changed State = "changed"

	// missing means that the record's volume does not exist: a folder may be empty for a
	// moment while its file system is not mounted.
	missing State = "missing"
)

// Image is a disk image in the images pool of one host. Sizes are in bytes.
type Image struct {
	Host         string
	ID           string // "micro", or the name of a custom image's volume
	Type         string // Base or Custom
	DisplayName  string
	OSType       string
	Format       string // as detected in its first bytes: diskimage.QCOW2 or diskimage.ISO
	SourceFormat string // of the uploaded file, such as "vmdk" or "raw.xz"; empty if unknown
	Description  string
	Tags         string // one per line
	State        State
	Reason       string // why it is rejected, unverified or changed
	FileBytes    int64  // length of the volume's file
	VirtualBytes int64
	SHA256       string // of the uploaded file; empty if unknown
	Path         string // on the host
	Owner        string
	Created      time.Time
	// Firmware is the default firmware of its nodes: "bios", "uefi" or "uefi-secure";
	// empty for the service's default. TPM is whether they have a TPM 2.0 by default.
	Firmware string
	TPM      bool
}

// ISO is the format of installation media.
const ISO = diskimage.ISO

// Images returns all images, sorted by host, type and name.
func (s *Service) Images() []Image {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var list []Image
	for _, shelf := range s.shelves {
		for _, img := range shelf.images {
			list = append(list, img)
		}
	}
	slices.SortFunc(list, func(a, b Image) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Type, b.Type), cmp.Compare(a.DisplayName, b.DisplayName), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// Image returns an image of a host, or of any host if host is empty; fault.ImageNotFound
// if there is none.
func (s *Service) Image(host, id string) (Image, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, h := range s.o.Hosts.Hosts() {
		if host != "" && host != h.Name() {
			continue
		}
		if img, ok := s.shelves[h.Name()].images[id]; ok {
			return img, nil
		}
	}
	return Image{}, NotFound(id)
}

// NotFound returns the error for an image that does not exist.
func NotFound(id string) error {
	return fault.New(fault.ImageNotFound, "Image %q not found.", id)
}

// Usable is Image, but returns fault.ImageNotReady if the image must not be used.
func (s *Service) Usable(host, id string) (Image, error) {
	img, err := s.Image(host, id)
	if err != nil {
		return Image{}, err
	}
	if img.State != Ready {
		reason := img.Reason
		if reason == "" {
			reason = "wait until it is ready"
		}
		return Image{}, fault.New(fault.ImageNotReady, "Image %q can't be used: it is %s. %s.", id, img.State, strings.TrimSuffix(reason, "."))
	}
	return img, nil
}

// DeleteImage deletes an image. It returns fault.ImageInUse while a volume in any pool is
// backed by it, including volumes that were created with virsh. Each of checks is called
// with the image right before; an error aborts the deletion.
func (s *Service) DeleteImage(ctx context.Context, id string, checks ...func(Image) error) error {
	img, err := s.Image("", id)
	if err != nil {
		return err
	}
	if img.State == Uploading {
		return fault.New(fault.ImageInUse, "Image %q is being uploaded. Cancel the upload instead.", id)
	}
	if img.State == Verifying {
		return fault.New(fault.ImageInUse, "Image %q is being verified or converted. Wait until it has finished, or cancel its job.", id)
	}
	err = s.alone(ctx, img, func(ctx context.Context) error {
		for _, check := range checks {
			err := s.o.DB.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
				_, err := checkLocked(tx, img, check)
				return err
			})
			if err != nil {
				return err
			}
		}
		if img.Path != "" {
			if err := s.o.Pools.ImagesPool(img.Host).Delete(ctx, volumeName(img)); err != nil {
				return err
			}
		}
		ctx, cancel := store.Outlasting(ctx)
		defer cancel()
		return s.o.DB.WithContext(ctx).Delete(&Record{Host: img.Host, ID: id}).Error
	})
	if err != nil {
		return err
	}
	ctx, cancel := store.Outlasting(ctx)
	defer cancel()
	return s.Refresh(ctx, img.Host, false)
}

func volumeName(img Image) string { return img.Path[strings.LastIndexByte(img.Path, '/')+1:] }
