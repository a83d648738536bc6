// Package console shares the serial consoles of nodes among many viewers.
//
// libvirt allows one reader per console at a time, so the package opens a console while it
// has viewers and closes it after the last one: `virsh console` works whenever nobody
// watches here. The output of the guest goes into one bounded backlog, and a viewer is a
// position in it. A slow viewer falls behind on its own, needs no extra memory, and
// blocks neither the guest nor other viewers. If the host keeps a log of the console, the
// backlog gets from it what the guest printed while the console was not open here.
//
// Each open console has its own libvirt connection. If a guest does not read its serial
// port (paused, crashed, or without a driver for it), its input would stay in libvirtd's
// queue. After a few messages, libvirtd would read nothing more from that connection, and
// some releases of libvirtd hang or crash when a guest ends while input is queued. So the
// package sends no more than the kernel's pty buffers without a reader (intake), and
// closes the connection before this service ends a guest (LetGo), and as soon as libvirt
// reports that a guest ends.
package console

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
)

// State says whether the viewers of a node see its console live.
type State string

// The states, spelled as on the wire.
const (
	// Connected: input and output work.
	Connected State = "connected"
	// Reconnecting: the console was closed for an operation on the node, or its host is
	// unreachable. It is reopened automatically.
	Reconnecting State = "reconnecting"
	// Offline: the node is off. The viewers are attached again when it starts.
	Offline State = "offline"
	// Taken: another program holds the console. It is reopened when that program closes
	// it, or on Viewer.Take.
	Taken State = "taken"
)

var (
	// ErrClosed is returned by the methods of a viewer after its Close.
	ErrClosed = errors.New("console: viewer is closed")
	// ErrShutdown is returned once Run has been cancelled.
	ErrShutdown = errors.New("console: service is shutting down")
)

// Hosts opens connections to the hosts.
type Hosts interface {
	// DialBriefly opens a connection in addition to the managed one for f only, and closes
	// it after f. The connection has no close callback, and is closed within some seconds
	// if libvirtd does not answer. If the host is known to be unreachable, it fails with
	// fault.HostUnreachable at once.
	DialBriefly(ctx context.Context, host string, f hypervisor.Call) error
	// AskAgent runs f with the guest agent of a domain, unless the agent is not asked for
	// a while because it did not answer; see hypervisor.Agents.
	AskAgent(ctx context.Context, host, id, op string, f func(*hypervisor.Agent) error) error
}

var _ Hosts = (*hypervisor.Set)(nil)

// Place is the host and the state of a node.
type Place struct {
	Host, Name string
	// Active nodes have a QEMU process.
	Active bool
	// Starting nodes are paused only until their start has finished.
	Starting bool
	// Away says that the host is unreachable, so that the state of the node is not known.
	Away bool
}

// Nodes finds nodes. Its methods are called from many goroutines.
type Nodes interface {
	// Place returns the place of the node with this domain UUID; ok is false if the node
	// does not exist. It reads from memory.
	Place(id string) (p Place, ok bool)
}

// Logs reads the console logs of hosts.
type Logs interface {
	// ConsoleLogTail returns the last bytes, at most limit, of the console log at path on
	// the host, and the length of the whole log at that moment.
	ConsoleLogTail(ctx context.Context, host, path string, limit int64) (tail []byte, length int64, err error)
}

// Port is one of a node's serial ports.
type Port struct {
	// Alias is libvirt's name for the port; empty for libvirt's default console.
	Alias string
	// Device is the device file in the guest; empty when it is not known.
	Device string
	// LogPath is the file on the host that the port is logged to; empty without a log.
	LogPath string
}

// Options configure a Manager.
type Options struct {
	Hosts Hosts
	Nodes Nodes
	// Logs fill the gaps in the history. With nil, gaps remain.
	Logs Logs
	// Log is for errors that cannot be reported to a viewer; nil for slog.Default.
	Log *slog.Logger
	// HistoryBytes of recent output are replayed to a viewer that joins; 0 means 256 KiB.
	HistoryBytes int
	// ViewerQueueBytes is how far a viewer may fall behind before it loses its oldest
	// bytes; 0 means 1 MiB. A watched console uses up to the larger of both sizes of
	// memory, however many viewers it has.
	ViewerQueueBytes int
}

const (
	defaultHistoryBytes     = 256 << 10
	defaultViewerQueueBytes = 1 << 20

	// stopTimeout limits how long Run waits for a libvirtd that does not answer.
	stopTimeout = 5 * time.Second
)

// Manager manages the consoles that have viewers. Its methods may be called from any
// goroutine.
type Manager struct {
	hosts   Hosts
	nodes   Nodes
	logs    Logs // may be nil
	log     *slog.Logger
	history int // bytes replayed to a viewer that joins
	backlog int // bytes kept for each console

	ctx  context.Context // done when Run ends; the context of the hubs
	stop context.CancelFunc
	work sync.WaitGroup // hubs and their lines

	mu     sync.Mutex
	hubs   map[string]map[string]*hub // by node and alias of the port
	away   map[string][]State         // by node: the state that viewers see during each LetGo
	closed bool
}

// New checks the options and returns a manager without open consoles.
func New(o Options) (*Manager, error) {
	if o.Hosts == nil || o.Nodes == nil {
		return nil, errors.New("console: Hosts and Nodes are required")
	}
	if o.HistoryBytes < 0 || o.ViewerQueueBytes < 0 {
		return nil, errors.New("console: sizes must not be negative")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.HistoryBytes == 0 {
		o.HistoryBytes = defaultHistoryBytes
	}
	if o.ViewerQueueBytes == 0 {
		o.ViewerQueueBytes = defaultViewerQueueBytes
	}
	ctx, stop := context.WithCancel(context.Background())
	return &Manager{
		hosts:   o.Hosts,
		nodes:   o.Nodes,
		logs:    o.Logs,
		log:     o.Log,
		history: o.HistoryBytes,
		backlog: max(o.HistoryBytes, o.ViewerQueueBytes),
		ctx:     ctx,
		stop:    stop,
		hubs:    make(map[string]map[string]*hub),
		away:    make(map[string][]State),
	}, nil
}

// Run runs until ctx is cancelled. It then ends every viewer with ErrShutdown and closes
// the consoles. It returns nil when all goroutines of the manager have ended, or when a
// libvirtd did not answer for some seconds, whose consoles are closed when the process
// ends. It must be called once.
func (m *Manager) Run(ctx context.Context) error {
	<-ctx.Done()
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.work.Wait()
	}()
	patience := time.NewTimer(stopTimeout)
	defer patience.Stop()
	select {
	case <-done:
	case <-patience.C:
		m.log.Warn("some consoles stay open until the process ends, because their hosts do not answer")
	}
	return nil
}

// NodeChanged notifies the manager that a node started, stopped, moved or vanished. It
// never blocks, and does nothing for a node without viewers.
func (m *Manager) NodeChanged(id string) {
	for _, h := range m.of(id) {
		signal(h.wake)
	}
}

// of returns the consoles of a node that have viewers.
func (m *Manager) of(id string) []*hub {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.hubs[id]))
}

// ViewerOptions configure a viewer.
type ViewerOptions struct {
	// Port is the port to watch; the zero value is the domain's first console.
	Port Port
	// Name is shown to other viewers when this viewer takes the console over.
	Name string
	// ReadOnly viewers can neither type nor take the console over.
	ReadOnly bool
	// NoTake viewers cannot take the console over from another program.
	NoTake bool
}

// Attach adds a viewer to the node with this domain UUID, whether or not the node is
// running. It does not wait for the console: the viewer's first State message reports the
// outcome. It fails with fault.NodeNotFound or ErrShutdown.
func (m *Manager) Attach(ctx context.Context, id string, o ViewerOptions) (*Viewer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// Called without our lock, since the inventory may call NodeChanged with its own lock
	// held.
	if _, ok := m.nodes.Place(id); !ok {
		return nil, nodeNotFound()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ErrShutdown
	}
	h := m.hubs[id][o.Port.Alias]
	if h == nil {
		h = newHub(m, id, o.Port)
		if m.hubs[id] == nil {
			m.hubs[id] = make(map[string]*hub)
		}
		m.hubs[id][o.Port.Alias] = h
		m.work.Go(func() { h.run(m.ctx) })
	}
	return h.join(o), nil
}

// forget removes a hub; the caller holds mu.
func (m *Manager) forget(h *hub) {
	delete(m.hubs[h.id], h.alias)
	if len(m.hubs[h.id]) == 0 {
		delete(m.hubs, h.id)
	}
}

// Viewers returns the current number of viewers of a node, on all of its ports.
func (m *Manager) Viewers(id string) int {
	n := 0
	for _, h := range m.of(id) {
		h.mu.Lock()
		n += len(h.viewers)
		h.mu.Unlock()
	}
	return n
}

func nodeNotFound() error {
	return fault.New(fault.NodeNotFound, "Node not found. It may have been deleted.")
}

// signal wakes the goroutine that receives from c, a channel with capacity 1.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
