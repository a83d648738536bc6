// Package image keeps the images of the images pool: what is recorded of them, what a look
// into their files says, the catalogue they may come from, and the long work on them.
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
	// Catalog lists the base images: a volume <id>.qcow2 that is found in the
	// images pool is the base image of that id.
	Catalog Catalog
	Log     *slog.Logger
}

// Service is the images of all hosts. Its methods may be called from any goroutine.
type Service struct {
	o Options

	mu       sync.RWMutex
	shelves  map[string]*shelf // by host name
	standing keyedLocks        // held to lay an overlay (shared) or to delete (exclusive)

	lastMilli int64 // see uniqueMilli
}

// shelf is what is known of one host's images.
type shelf struct {
	turn   chan struct{} // one slot: who holds it reads the images pool, or replaces an image
	images map[string]Image
}

// New makes a Service, which follows the pools.
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

// The types of images: base images come with the installation or from its
// catalogue, custom ones from users.
const (
	Base   = "base"
	Custom = "custom"
)

// State is how far an image has come.
type State string

// The states of an image. Only a ready one can be used.
const (
	Uploading  State = "uploading"
	Verifying  State = "verifying"
	Ready      State = "ready"
	Rejected   State = "rejected"
	Unverified State = "unverified"
	// Changed is the state of an image whose file is not the one that was verified.
	Changed State = "changed"

	// missing is the state of a record whose volume is not there: a folder may be
	// empty for a moment, when what is mounted there is away.
	missing State = "missing"
)

// Image is a disk image in the images pool of one host. Sizes are in bytes.
type Image struct {
	Host         string
	ID           string // "micro", or the name of a custom image's volume
	Type         string // Base or Custom
	DisplayName  string
	OSType       string
	Format       string // as found in its own first bytes: diskimage.QCOW2 or diskimage.ISO
	SourceFormat string // of the file as it came, such as "vmdk" or "raw.xz"; empty when not known
	Description  string
	Tags         string // one on each line
	State        State
	Reason       string // why it is rejected, unverified or changed
	FileBytes    int64  // what the volume occupies in the pool
	VirtualBytes int64
	SHA256       string // of the file as it was uploaded; empty when not known
	Path         string // on the host
	Owner        string
	Created      time.Time
	// Firmware is what its nodes boot with unless they are told otherwise: "bios", "uefi" or
	// "uefi-secure"; empty for the default. TPM says that they have a TPM 2.0 then.
	Firmware string
	TPM      bool
}

// ISO is the format of installation media.
const ISO = diskimage.ISO

// Images returns all images, by host, type and name.
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

// Image returns one image of a host, of any host for the empty name;
// fault.ImageNotFound when there is none.
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

// NotFound tells that there is no such image, for all that is to be known.
func NotFound(id string) error {
	return fault.New(fault.ImageNotFound, "Image %q not found.", id)
}

// Usable is Image, and fault.ImageNotReady when the image must not be used.
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

// DeleteImage removes an image. It is refused with fault.ImageInUse while any
// volume that libvirt knows in a pool, also one that virsh made, lies on it. checks see the image
// right before; the error of one ends the deletion.
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
