// Package storagepool prepares the libvirt storage pools for images, node disks and
// console logs, and is the only way to access them. It refreshes a pool if libvirt does
// not know a volume yet, retries while libvirt is busy in a pool, and keeps track of
// backing files, of what uses a volume, and of free space.
//
// libvirt does not protect its volumes: it deletes a backing file that has overlays, lets
// two uploads write to one volume, and accepts a truncated upload. The packages image,
// upload and disk guard against this.
package storagepool

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/event"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
)

// refreshInterval is how often the pools are refreshed to find volumes that other programs
// created: libvirt sends no event for them.
const refreshInterval = 15 * time.Second

// Options configures a Service.
type Options struct {
	Hosts  *hypervisor.Set
	Events *event.Broker
	// ImagesPool and NodesPool are the names of the two pools. Console logs go to a third
	// pool, NodesPool + "-logs". Pools that do not exist are created as dir pools.
	ImagesPool, NodesPool string
	// WarningPercent and CriticalPercent are how much of a pool's file system may be used
	// before the pool gets that level; 0 selects the default.
	WarningPercent, CriticalPercent int
	Log                             *slog.Logger
}

// Service manages the storage pools of all hosts. Its methods are safe for concurrent use.
// Register it as a listener of the hosts before they run.
type Service struct {
	o Options

	mu        sync.RWMutex
	libraries map[string]*library // by host name

	followers  []Follower
	domainRefs DomainRefs // see RefsBy
}

// Follower keeps its own state in sync with the pools. Each of its functions may be nil.
// They are called from the host's goroutine of Run, and Read also from Refresh.
type Follower struct {
	// Recover cleans up what a crash left in a host's pools.
	Recover func(ctx context.Context, host string) error
	// Read refreshes the pools and reads their contents.
	Read func(ctx context.Context, host string) error
	// Ready is called when the pools were read and can be used.
	Ready func(host string)
	// Coming returns the volumes that are being written to the images pool of a host.
	Coming func(ctx context.Context, host string) ([]Coming, error)
}

// Coming is a volume that is being written to the images pool.
type Coming struct {
	Volume string // empty until its name is known
	// SizeBytes is its minimum final size, StoredBytes what is written so far.
	SizeBytes, StoredBytes int64
}

// Follow registers a follower. Followers are called in the order of registration. Call it
// before Run.
func (s *Service) Follow(f Follower) { s.followers = append(s.followers, f) }

// library is the state of one host's pools.
type library struct {
	prepared chan struct{}    // closed after the first attempt to prepare the pools
	problem  error            // why the pools cannot be used; nil when they can
	pools    map[string]place // by role
	status   []PoolStatus
	survey   Survey // taken at surveyed; see measure
	surveyed time.Time
	looked   Survey // the last one that refreshed the pools, started at lookedAt
	lookedAt time.Time

	dirty      chan struct{} // capacity 1: signals that the pools must be read now
	converting chan struct{} // capacity 1: held while libvirt converts a volume
	looking    chan struct{} // capacity 1: held while a temporary pool exists; see Handle.Anew
}

// New returns a Service. It starts nothing: host events and Run do.
func New(o Options) (*Service, error) {
	if o.Hosts == nil || o.Events == nil {
		return nil, errors.New("storagepool: hosts and events are required")
	}
	if o.ImagesPool == "" || o.NodesPool == "" || o.ImagesPool == o.NodesPool {
		return nil, errors.New("images-pool and nodes-pool must be two different names")
	}
	for _, name := range []string{o.ImagesPool, o.NodesPool} {
		if !poolName.MatchString(name) {
			return nil, errors.New("images-pool and nodes-pool: letters, digits, dots, dashes and underscores are allowed")
		}
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
	s := &Service{o: o, libraries: map[string]*library{}}
	for _, h := range o.Hosts.Hosts() {
		s.libraries[h.Name()] = &library{
			dirty: make(chan struct{}, 1), converting: make(chan struct{}, 1), looking: make(chan struct{}, 1), prepared: make(chan struct{}),
			problem: fault.New(fault.HostUnreachable, "Host %q is not connected yet. Check that libvirtd responds there (`virsh -c %s version`), and try again.", h.Name(), h.Status().URI),
		}
	}
	return s, nil
}

// Run refreshes the pools periodically until ctx ends. Hosts are handled independently of
// each other.
func (s *Service) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, h := range s.o.Hosts.Hosts() {
		wg.Go(func() { s.tend(ctx, h) })
	}
	wg.Wait()
	return nil
}

// tend keeps the state of one host's pools up to date.
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

// HostUp makes Run prepare and read the host's pools now.
func (s *Service) HostUp(_ context.Context, h *hypervisor.Host) {
	select {
	case s.libraries[h.Name()].dirty <- struct{}{}:
	default:
	}
}

// HostDown does nothing: the last state remains visible, and operations on the host fail.
func (s *Service) HostDown(*hypervisor.Host) {}

// DomainChanged does nothing.
func (s *Service) DomainChanged(*hypervisor.Host, string) {}

// Prepare waits until the first attempt to prepare the host's pools has finished, and
// returns the reason if they cannot be used. It does not wait for a disconnected host, but
// returns fault.HostUnreachable.
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
		default: // they are not prepared before the host is connected again
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

// Problem returns why a host's pools cannot be used, or nil if they can.
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

// read lets the followers read a host's pools.
func (s *Service) read(ctx context.Context, host string) error {
	for _, f := range s.followers {
		if f.Read == nil {
			continue
		}
		if err := f.Read(ctx, host); err != nil {
			return err
		}
	}
	return nil
}

// recover lets the followers clean up after a crash. A failure of one does not stop the
// others.
func (s *Service) recover(ctx context.Context, host string) {
	var failed []error
	for _, f := range s.followers {
		if f.Recover != nil {
			failed = append(failed, f.Recover(ctx, host))
		}
	}
	if left := errors.Join(failed...); left != nil && ctx.Err() == nil {
		s.o.Log.Warn("what was cut off could not be removed yet; it is tried again", "host", host, "error", left)
	}
}

// refreshLogged prepares the pools if necessary, cleans up after a crash, and reads the
// pools. It logs errors.
func (s *Service) refreshLogged(ctx context.Context, host string) {
	err := s.prepare(ctx, host)
	if err == nil {
		s.recover(ctx, host)
		err = s.read(ctx, host)
	}
	if err == nil {
		err = s.measure(ctx, host, nil)
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
		close(lib.prepared) // only the host's goroutine of Run gets here
	}
	for _, f := range s.followers {
		if err == nil && f.Ready != nil {
			f.Ready(host)
		}
	}
	if news {
		if err != nil {
			s.o.Log.Warn("storage pools cannot be used", "host", host, "error", err)
		}
		s.o.Events.Publish(event.HostChanged, map[string]string{"host": host})
	}
}
