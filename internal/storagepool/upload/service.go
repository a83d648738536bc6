// Package upload takes files in that become images: from clients, in one request or many,
// in parts side by side, and from the sources of the catalogue. It unpacks and converts
// what cannot be used as it is, and has image look into the result.
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

// DefaultMaxImageBytes is the largest file that is taken unless Options says otherwise.
const DefaultMaxImageBytes = 20 << 30

// Options configures a Service.
type Options struct {
	Hosts  *hypervisor.Set
	Pools  *storagepool.Service
	Images *image.Service
	DB     *gorm.DB
	Lease  *store.Lease
	// Downloads fetches the catalogue's images.
	Downloads *download.Client
	// MaxImageBytes bounds an upload; 0 is DefaultMaxImageBytes.
	MaxImageBytes int64
	Log           *slog.Logger
}

// Service is the uploads to all hosts. Its methods may be called from any goroutine.
type Service struct {
	o Options

	desks map[string]*desk // by host name
	busy  keys

	unpacking chan struct{} // one slot: who holds it unpacks a file

	startConversion func(context.Context, Conversion) error // see ConvertBy
	reserveUpload   ReserveUpload                           // see ReserveBy
}

// desk is where the uploads to one host take turns.
type desk struct {
	admitting chan struct{} // one slot: held from the look at the room in a pool until an upload is promised some of it
	completed chan struct{} // one slot: an upload is to be verified now
}

// New makes a Service, which follows the pools.
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

// Run verifies the uploads that are complete, until ctx ends. No host waits for another.
func (s *Service) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, h := range s.o.Hosts.Hosts() {
		wg.Go(func() { s.verifyUploads(ctx, h.Name()) })
	}
	wg.Wait()
	return nil
}

// coming is what the uploads to a host write to the images pool.
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

// recoverUploads gives up the uploads that nobody can go on with: those that a
// crash of the service cut off in their one request, whatever had come by then,
// and those that expired. Parts that are needed no more go, too.
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
		default: // it holds up none of the others
			failed = append(failed, err)
		}
	}
	return errors.Join(append(failed, s.recoverParts(ctx, host))...)
}
