// Package storagepool keeps the images and the nodes' disks in libvirt storage
// pools: it makes the pools, takes images in, verifies them, and lays
// copy-on-write overlays on them.
//
// libvirt does not guard its volumes: it lets a base be deleted under its
// overlays, two uploads go into one volume and a short upload pass. Those
// guards are here.
package storagepool

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/download"
	"github.com/sandboxlabs/sandboxlabs/internal/event"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

// Limits of an image; DefaultMaxImageBytes may be configured.
const (
	DefaultMaxImageBytes = 20 << 30
)

// refreshInterval is how often the pools are read anew for volumes that others
// made: libvirt sends no event for those.
const refreshInterval = 15 * time.Second

// Options configures a Service.
type Options struct {
	Hosts   *hypervisor.Set
	DB      *gorm.DB
	Intents *store.Intents
	Lease   *store.Lease
	Events  *event.Broker
	// ImagesPool and NodesPool name the two pools; the nodes' console logs go to
	// a third one, NodesPool + "-logs". Dir pools are made when absent.
	ImagesPool, NodesPool string
	// Catalog lists the base images: a volume <id>.qcow2 that is found in the
	// images pool is the base image of that id.
	Catalog []CatalogEntry
	// Downloads fetches the catalogue's images.
	Downloads *download.Client
	// MaxImageBytes bounds an upload; 0 is DefaultMaxImageBytes.
	MaxImageBytes int64
	// WarningPercent and CriticalPercent of a pool's file system may be in use before
	// the pool has that level; 0 is the default of each.
	WarningPercent, CriticalPercent int
	Log                             *slog.Logger
}

// Service is the storage of all hosts. Its methods may be called from any
// goroutine. Register it as a listener of the hosts before they run.
type Service struct {
	o Options

	mu        sync.RWMutex
	libraries map[string]*library // by host name
	inFlight  map[string]bool     // keys of the uploads that this process works on
	images    keyedLocks          // held to lay an overlay (shared) or to delete (exclusive)

	lastMilli int64 // see uniqueMilli

	unpacking chan struct{} // one slot: who holds it unpacks a file

	startConversion func(context.Context, Conversion) error // see ConvertBy
	reserveUpload   ReserveUpload                           // see ReserveBy
	domainRefs      DomainRefs                              // see RefsBy
}

// library is what is known of one host's pools.
type library struct {
	turn     chan struct{}    // one slot: who holds it reads the pools and replaces images
	prepared chan struct{}    // closed when the pools were first made ready
	problem  error            // why the pools cannot be used; nil when they can
	pools    map[string]place // by role
	status   []PoolStatus
	survey   Survey // of surveyed; see measure
	surveyed time.Time
	looked   Survey // the last with a look at the folders, begun at lookedAt
	lookedAt time.Time
	images   map[string]Image

	dirty     chan struct{} // one slot: the pools are to be read now
	completed chan struct{} // one slot: an upload is to be verified now

	admitting  chan struct{} // one slot: held from the look at the room in a pool until an upload is promised some of it
	converting chan struct{} // one slot: who holds it has libvirt convert a volume
	looking    chan struct{} // one slot: who holds it has a pool beside one of ours; see anew

}

// New makes a Service. It starts nothing: the hosts' events and Run do.
func New(o Options) (*Service, error) {
	if o.Hosts == nil || o.DB == nil || o.Intents == nil || o.Lease == nil || o.Events == nil || o.Downloads == nil {
		return nil, errors.New("storagepool: hosts, database, intents, events and downloads are required")
	}
	if o.ImagesPool == "" || o.NodesPool == "" || o.ImagesPool == o.NodesPool {
		return nil, errors.New("images-pool and nodes-pool must be two different names")
	}
	for _, name := range []string{o.ImagesPool, o.NodesPool} {
		if !poolName.MatchString(name) {
			return nil, errors.New("images-pool and nodes-pool: letters, digits, dots, dashes and underscores are allowed")
		}
	}
	if o.MaxImageBytes == 0 {
		o.MaxImageBytes = DefaultMaxImageBytes
	}
	if o.WarningPercent == 0 {
		o.WarningPercent = DefaultWarningPercent
	}
	if o.CriticalPercent == 0 {
		o.CriticalPercent = DefaultCriticalPercent
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	s := &Service{o: o, libraries: map[string]*library{}, inFlight: map[string]bool{}, unpacking: make(chan struct{}, 1)}
	for _, h := range o.Hosts.Hosts() {
		s.libraries[h.Name()] = &library{
			turn: make(chan struct{}, 1), dirty: make(chan struct{}, 1), completed: make(chan struct{}, 1), admitting: make(chan struct{}, 1), converting: make(chan struct{}, 1), looking: make(chan struct{}, 1), prepared: make(chan struct{}), images: map[string]Image{},
			problem: fault.New(fault.HostUnreachable, "Host %q is not connected yet. Check that libvirtd responds there (`virsh -c %s version`), and try again.", h.Name(), h.Status().URI),
		}
	}
	return s, nil
}

// Run reads the pools anew from time to time, until ctx ends. No host waits for
// another.
func (s *Service) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, h := range s.o.Hosts.Hosts() {
		wg.Go(func() { s.tend(ctx, h) })
		wg.Go(func() { s.verifyUploads(ctx, h.Name()) })
	}
	wg.Wait()
	return nil
}

// tend keeps what is known of one host's pools.
func (s *Service) tend(ctx context.Context, h *hypervisor.Host) {
	tick := time.NewTicker(refreshInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.libraries[h.Name()].dirty:
			s.refreshLogged(ctx, h.Name())
		case <-tick.C:
			if h.Status().State == hypervisor.Connected {
				s.refreshLogged(ctx, h.Name())
			}
		}
	}
}

// HostUp has the host's pools made ready and read, in Run.
func (s *Service) HostUp(_ context.Context, h *hypervisor.Host) {
	select {
	case s.libraries[h.Name()].dirty <- struct{}{}:
	default:
	}
}

// HostDown does nothing: what was read stays, and use of it fails by itself.
func (s *Service) HostDown(*hypervisor.Host) {}

// DomainChanged does nothing.
func (s *Service) DomainChanged(*hypervisor.Host, string) {}

// Prepare waits until the host's pools were first made ready, or tried to be,
// and returns why they cannot be used, if so. It does not wait for a host that is
// away: that is fault.HostUnreachable.
func (s *Service) Prepare(ctx context.Context, host string) error {
	h, err := s.o.Hosts.Host(host)
	if err != nil {
		return err
	}
	if err := h.Settled(ctx); err != nil {
		return err
	}
	lib := s.libraries[h.Name()]
	if h.Status().State != hypervisor.Connected {
		select {
		case <-lib.prepared:
		default: // nobody makes them ready before it is back
			return s.Problem(host)
		}
	}
	select {
	case <-lib.prepared:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return lib.problem
}

// Problem returns why a host's pools cannot be used, nil when they can.
func (s *Service) Problem(host string) error {
	lib, err := s.library(host)
	if err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return lib.problem
}

func (s *Service) library(host string) (*library, error) {
	h, err := s.o.Hosts.Host(host)
	if err != nil {
		return nil, err
	}
	return s.libraries[h.Name()], nil
}

// refreshLogged makes the pools ready where they are not, undoes what a crash
// left behind, and reads them.
func (s *Service) refreshLogged(ctx context.Context, host string) {
	err := s.prepare(ctx, host)
	if err == nil {
		// What cannot be removed yet keeps nobody from the rest.
		left := errors.Join(s.recoverUploads(ctx, host), s.recoverMarks(ctx, host))
		if left != nil && ctx.Err() == nil {
			s.o.Log.Warn("what was cut off could not be removed yet; it is tried again", "host", host, "error", left)
		}
		err = s.refresh(ctx, host, true)
	}
	if err == nil {
		err = s.measure(ctx, host, nil)
		s.wakeVerifier(host)
	}
	if ctx.Err() != nil {
		return
	}
	lib := s.libraries[host]
	s.mu.Lock()
	news := (err == nil) != (lib.problem == nil)
	lib.problem = err
	s.mu.Unlock()
	select {
	case <-lib.prepared:
	default:
		close(lib.prepared) // only the host's goroutine of Run comes here
	}
	if news {
		if err != nil {
			s.o.Log.Warn("storage pools cannot be used", "host", host, "error", err)
		}
		s.o.Events.Publish(event.HostChanged, map[string]string{"host": host})
	}
}

// Cleanup returns a context for undoing, which outlives the request.
func Cleanup(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
}
