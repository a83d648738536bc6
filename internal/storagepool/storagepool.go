// Package storagepool makes the libvirt storage pools of images, nodes' disks and console
// logs ready, and is the one door to what is in them: it looks again where libvirt has not
// seen a volume yet, waits where libvirt is busy in a pool, and knows what is backed by what,
// what uses it, and how full the pools are.
//
// libvirt does not guard its volumes: it lets a base be deleted under its overlays, two
// uploads go into one volume and a short upload pass. Those guards are in the packages
// below: image, upload and disk.
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

// refreshInterval is how often the pools are read anew for volumes that others
// made: libvirt sends no event for those.
const refreshInterval = 15 * time.Second

// Options configures a Service.
type Options struct {
	Hosts  *hypervisor.Set
	Events *event.Broker
	// ImagesPool and NodesPool name the two pools; the nodes' console logs go to
	// a third one, NodesPool + "-logs". Dir pools are made when absent.
	ImagesPool, NodesPool string
	// WarningPercent and CriticalPercent of a pool's file system may be in use before
	// the pool has that level; 0 is the default of each.
	WarningPercent, CriticalPercent int
	Log                             *slog.Logger
}

// Service is the storage pools of all hosts. Its methods may be called from any
// goroutine. Register it as a listener of the hosts before they run.
type Service struct {
	o Options

	mu        sync.RWMutex
	libraries map[string]*library // by host name

	followers  []Follower
	domainRefs DomainRefs // see RefsBy
}

// Follower keeps what it has in the pools in step with them. Each of its functions may be
// nil; they are called from the host's goroutine of Run, and Read also from Refresh.
type Follower struct {
	// Recover undoes what a crash left behind in a host's pools.
	Recover func(ctx context.Context, host string) error
	// Read reads what libvirt sees in the pools when it looks at their folders again.
	Read func(ctx context.Context, host string) error
	// Ready is told that the pools were read, and can be used.
	Ready func(host string)
	// Coming returns what is being written to the images pool of a host.
	Coming func(ctx context.Context, host string) ([]Coming, error)
}

// Coming is a volume that is being written to the images pool.
type Coming struct {
	Volume string // empty until its name is known
	// SizeBytes is what it will have at least, StoredBytes what it has.
	SizeBytes, StoredBytes int64
}

// Follow has a follower called, after those before it. Call it before Run.
func (s *Service) Follow(f Follower) { s.followers = append(s.followers, f) }

// library is what is known of one host's pools.
type library struct {
	prepared chan struct{}    // closed when the pools were first made ready
	problem  error            // why the pools cannot be used; nil when they can
	pools    map[string]place // by role
	status   []PoolStatus
	survey   Survey // of surveyed; see measure
	surveyed time.Time
	looked   Survey // the last with a look at the folders, begun at lookedAt
	lookedAt time.Time

	dirty      chan struct{} // one slot: the pools are to be read now
	converting chan struct{} // one slot: who holds it has libvirt convert a volume
	looking    chan struct{} // one slot: who holds it has a pool beside one of ours; see Handle.Anew
}

// New makes a Service. It starts nothing: the hosts' events and Run do.
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

// Run reads the pools anew from time to time, until ctx ends. No host waits for
// another.
func (s *Service) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, h := range s.o.Hosts.Hosts() {
		wg.Go(func() { s.tend(ctx, h) })
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

// read has the followers read what is in the pools of a host.
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

// recover undoes what a crash left behind. What cannot be removed yet keeps nobody from
// the rest.
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

// refreshLogged makes the pools ready where they are not, undoes what a crash
// left behind, and reads them.
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
		close(lib.prepared) // only the host's goroutine of Run comes here
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
