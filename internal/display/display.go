// Package display shows the screens of nodes: as an RFB stream (RFC 6143) for VNC clients,
// and as a picture.
//
// The service is between the two ends of a stream. To the screen it is a client that knows
// the password; to the viewer it is a server that requires none. So no password leaves the
// service, and a viewer does not see how the screen is reached.
package display

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
)

// ErrShutdown is returned once Run has been cancelled.
var ErrShutdown = errors.New("display: service is shutting down")

// Screen is the address of a running node's VNC screen.
type Screen struct {
	NodeID   string // the domain's UUID
	NodeName string
	Host     string
	Index    uint   // index among the domain's graphics, in libvirt's order
	Listen   string // address on the host; empty when it has none
	Port     int    // TCP; 0 when it has none
	Password string // VNC password; empty for none
}

// LogValue keeps the password out of logs.
func (s Screen) LogValue() slog.Value {
	return slog.GroupValue(slog.String("node", s.NodeID), slog.String("host", s.Host), slog.Int("port", s.Port))
}

// Hosts opens connections to the hosts; see hypervisor.Set.
type Hosts interface {
	Do(ctx context.Context, host, op string, f hypervisor.Call) error
	Dial(ctx context.Context, host string, f hypervisor.Call) error
}

// Nodes finds nodes. Its methods are called from many goroutines.
type Nodes interface {
	// Place returns the host of the node with this domain UUID; ok is false if the node
	// does not exist. It reads from memory.
	Place(id string) (host, name string, active, ok bool)
	// Screen reads from the host how to reach the node's screen. It fails with
	// fault.NodeNotFound, NodeNotRunning, HostUnreachable, or Unsupported if there is no
	// VNC screen.
	Screen(ctx context.Context, id string) (Screen, error)
}

// Options configures a Service; all fields but Log are required.
type Options struct {
	Hosts Hosts
	Nodes Nodes
	Log   *slog.Logger
}

// Service shows the screens of all nodes. Its methods may be called from any goroutine.
type Service struct {
	o       Options
	ctx     context.Context // done when Run ends
	stop    context.CancelFunc
	work    sync.WaitGroup // captures, including those that no client waits for any more
	flight  singleflight.Group
	drawing chan struct{} // one slot for each picture that may be read and decoded at a time

	mu     sync.Mutex
	closed bool
	taking map[string]bool               // nodes whose screens are being captured; true: for longer than captureTimeout
	views  map[string]map[*View]struct{} // by node
	shots  map[string]*shot              // by node; each is at most shotLifetime old
}

const (
	// maxViews limits the viewers of a node's screen. QEMU keeps a copy of the screen for
	// each.
	maxViews = 32
	// maxDrawing limits how many pictures are read and scaled at a time: each may need
	// some hundred MiB.
	maxDrawing = 2
	// stopTimeout limits how long Run waits for captures when it ends.
	stopTimeout = 3 * time.Second
)

// New checks the options and returns a Service without open views.
func New(o Options) (*Service, error) {
	if o.Hosts == nil || o.Nodes == nil {
		return nil, errors.New("display: hosts and nodes are required")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	s := &Service{
		o: o, drawing: make(chan struct{}, maxDrawing),
		views: map[string]map[*View]struct{}{}, shots: map[string]*shot{}, taking: map[string]bool{},
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s, nil
}

// Run runs until ctx is cancelled. It then ends every view with ErrShutdown, and returns
// nil when all captures have ended, or after some seconds: a capture continues for as long
// as its QEMU does not answer. It must be called once.
func (s *Service) Run(ctx context.Context) error {
	<-ctx.Done()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.work.Wait()
	}()
	patience := time.NewTimer(stopTimeout)
	defer patience.Stop()
	select {
	case <-done:
	case <-patience.C:
		s.o.Log.Warn("screenshots are left to the end of the process, because the nodes' QEMUs do not answer")
	}
	return nil
}

// NodeChanged notifies the service that a node started, stopped, moved or vanished. It
// never blocks.
func (s *Service) NodeChanged(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.shots, id)
	for v := range s.views[id] {
		select {
		case v.changed <- struct{}{}:
		default:
		}
	}
}

// enter adds a view, or returns why no more are allowed.
func (s *Service) enter(v *View) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrShutdown
	}
	if len(s.views[v.id]) >= maxViews {
		return fault.New(fault.TooManyRequests, "This screen already has %d viewers, which is the limit. Close one of them.", maxViews)
	}
	if s.views[v.id] == nil {
		s.views[v.id] = map[*View]struct{}{}
	}
	s.views[v.id][v] = struct{}{}
	return nil
}

func (s *Service) leave(v *View) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.views[v.id], v)
	if len(s.views[v.id]) == 0 {
		delete(s.views, v.id)
	}
}
