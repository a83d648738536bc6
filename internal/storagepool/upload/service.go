// Package upload receives files that become images: from clients, in one or several
// requests or in parallel parts, and from the sources of the catalogue. It unpacks and
// converts files that cannot be used as they are, and lets package image inspect the
// result.
package upload

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/download"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

// DefaultMaxImageBytes is the default maximum size of an uploaded file.
const DefaultMaxImageBytes = 20 << 30

// Options configures a Service.
type Options struct {
	Hosts  *hypervisor.Set
	Pools  *storagepool.Service
	Images *image.Service
	DB     *gorm.DB
	Lease  *store.Lease
	// Downloads downloads the images of the catalogue.
	Downloads *download.Client
	// MaxImageBytes is the maximum size of an uploaded file; 0 means DefaultMaxImageBytes.
	MaxImageBytes int64
	Log           *slog.Logger
}

// Service manages the uploads to all hosts. Its methods are safe for concurrent use.
type Service struct {
	o Options

	desks map[string]*desk // by host name
	busy  keys

	unpacking chan struct{} // capacity 1: held while a file is unpacked

	startConversion func(context.Context, Conversion) error // see ConvertBy
	reserveUpload   ReserveUpload                           // see ReserveBy
}

// desk synchronizes the uploads to one host.
type desk struct {
	admitting chan struct{} // capacity 1: held from checking a pool's free space until space is reserved for the upload
	completed chan struct{} // capacity 1: signals that an upload must be verified now
}

// New returns a Service that follows the pools.
func New(o Options) (*Service, error) {
	if o.Hosts == nil || o.Pools == nil || o.Images == nil || o.DB == nil || o.Lease == nil || o.Downloads == nil {
		return nil, errors.New("upload: hosts, pools, images, database, lease and downloads are required")
	}
	if o.MaxImageBytes == 0 {
		o.MaxImageBytes = DefaultMaxImageBytes
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	s := &Service{o: o, desks: map[string]*desk{}, unpacking: make(chan struct{}, 1)}
	for _, h := range o.Hosts.Hosts() {
		s.desks[h.Name()] = &desk{admitting: make(chan struct{}, 1), completed: make(chan struct{}, 1)}
	}
	o.Pools.Follow(storagepool.Follower{Recover: s.recoverUploads, Ready: s.wakeVerifier, Coming: s.coming})
	return s, nil
}

// Run verifies complete uploads until ctx ends. Hosts are handled independently of each
// other.
func (s *Service) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, h := range s.o.Hosts.Hosts() {
		wg.Go(func() { s.verifyUploads(ctx, h.Name()) })
	}
	wg.Wait()
	return nil
}

// coming returns the volumes that uploads are writing to the images pool of a host.
func (s *Service) coming(ctx context.Context, host string) ([]storagepool.Coming, error) {
	var rows []record
	if err := s.o.DB.WithContext(ctx).Select("volume", "size", "stored").Where("host = ?", host).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list the uploads: %w", err)
	}
	list := make([]storagepool.Coming, len(rows))
	for i, row := range rows {
		list[i] = storagepool.Coming{Volume: row.Volume, SizeBytes: row.Size, StoredBytes: row.Offset}
	}
	return list, nil
}

// recoverUploads removes the uploads that cannot be continued: single-request uploads that
// a crash of the service interrupted, and expired ones. It also removes parts that are no
// longer needed.
func (s *Service) recoverUploads(ctx context.Context, host string) error {
	var rows []record
	over := "host = ? AND (once OR joined_to = '' AND (part OR NOT complete) AND expires < ?)"
	if err := s.o.DB.WithContext(ctx).Where(over, host, time.Now()).Find(&rows).Error; err != nil {
		return fmt.Errorf("list the uploads: %w", err)
	}
	var failed []error
	for _, row := range rows {
		err := s.CancelUpload(ctx, host, row.ID)
		switch fault.CodeOf(err) {
		case fault.UploadBusy, fault.NotFound:
		case "":
			s.o.Log.Info("gave up an upload that was cut off", "host", host, "image", row.ID)
		default: // it does not stop the others
			failed = append(failed, err)
		}
	}
	return errors.Join(append(failed, s.recoverParts(ctx, host))...)
}
