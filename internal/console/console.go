// Package console shares the serial consoles of nodes among many viewers.
//
// A console has one reader at a time in libvirt, so the package opens it while someone
// watches and lets it go with the last viewer: `virsh console` works whenever no one
// watches here. All that the guest prints goes into one bounded backlog; a viewer is a
// position in it. A viewer that is slow falls behind on its own, needs no memory per viewer,
// and holds up neither the guest nor other viewers. What the guest printed while no one
// here read along is put into the backlog from the log that the host keeps of the console,
// where it keeps one.
//
// Each open console has its own libvirt connection. A guest that does not read its serial
// port (paused, crashed, or without a driver for it) would leave what is typed in
// libvirtd's queue, and after a few messages libvirtd would read nothing more from that
// connection; and where input waits there when the guest goes, some releases of libvirtd
// hang or crash. So no more is sent than the kernel's pty takes without a reader (intake),
// and the connection is closed before this service ends a guest (LetGo), and as soon as
// libvirt reports that one ends.
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
	// Connected: bytes flow both ways.
	Connected State = "connected"
	// Reconnecting: the console was let go for something that is done with the node, or its
	// host is out of reach. It is opened again on its own.
	Reconnecting State = "reconnecting"
	// Offline: the node is off. The viewers are attached again when it starts.
	Offline State = "offline"
	// Taken: a program that is not ours holds the console. It is ours again when
	// that program leaves, or at Viewer.Take.
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
	// DialBriefly opens a connection beside the managed one, which only f uses, and
	// closes it after f. The connection has no close callback, and a libvirtd that
	// does not answer on it loses it within some seconds. A host that is known to be
	// away fails with fault.HostUnreachable at once.
	DialBriefly(ctx context.Context, host string, f hypervisor.Call) error
	// AskAgent runs f with the guest agent of a domain, unless that agent is left alone
	// because it did not answer; see hypervisor.Agents.
	AskAgent(ctx context.Context, host, id, op string, f func(*hypervisor.Agent) error) error
}

var _ Hosts = (*hypervisor.Set)(nil)

// Place is where a node is, and what it does.
type Place struct {
	Host, Name string
	// Active nodes have a QEMU process.
	Active bool
	// Starting nodes are paused only until their start is over.
	Starting bool
	// Away says that the host is out of reach: no one knows what the node does.
	Away bool
}

// Nodes tells where nodes are. Calls come from many goroutines.
type Nodes interface {
	// Place returns where the node with this domain UUID is; ok is false where the node
	// does not exist exists. It answers from memory.
	Place(id string) (p Place, ok bool)
}

// Logs reads what hosts recorded of consoles.
type Logs interface {
	// ConsoleLogTail returns the newest bytes, at most limit, of the log that
	// records a console in the file at path on the host, and the length of the
	// whole log at that moment.
	ConsoleLogTail(ctx context.Context, host, path string, limit int64) (tail []byte, length int64, err error)
}

// Port is one of a node's serial ports.
type Port struct {
	// Alias is libvirt's name for it; empty for the one that libvirt opens when
	// it is not told which.
	Alias string
	// Device is the guest's file for it; empty when that is not known.
	Device string
	// LogPath is the file on the host that records it; empty where nothing does.
	LogPath string
}

// Options configure a Manager.
type Options struct {
	Hosts Hosts
	Nodes Nodes
	// Logs fill the gaps in the history; nil leaves them.
	Logs Logs
	// Log takes what no viewer can be told; nil for slog.Default.
	Log *slog.Logger
	// HistoryBytes of recent output are replayed to a viewer that joins;
	// 0 means 256 KiB.
	HistoryBytes int
	// ViewerQueueBytes is how far a viewer may fall behind before it loses its
	// oldest bytes; 0 means 1 MiB. The larger of both sizes is what a watched
	// console may take of memory, however many watch.
	ViewerQueueBytes int
}

const (
	defaultHistoryBytes     = 256 << 10
	defaultViewerQueueBytes = 1 << 20

	// stopTimeout bounds how long Run waits for a libvirtd that does not answer.
	stopTimeout = 5 * time.Second
)

// Manager holds the consoles that are being watched. Its methods may be called
// from any goroutine.
type Manager struct {
	hosts   Hosts
	nodes   Nodes
	logs    Logs // may be nil
	log     *slog.Logger
	history int // bytes replayed to a viewer that joins
	backlog int // bytes kept for each console

	ctx  context.Context // ends with Run; the hubs work under it
	stop context.CancelFunc
	work sync.WaitGroup // hubs and their lines

	mu     sync.Mutex
	hubs   map[string]map[string]*hub // by node and alias of the port
	away   map[string][]State         // by node: what the viewers see of each LetGo
	closed bool
}

// New checks the options and returns a manager that has opened nothing.
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

// Run works until ctx is cancelled. It then ends every viewer with ErrShutdown,
// gives the consoles back, and returns nil when nothing of the manager runs any
// more, or when a libvirtd did not answer for some seconds: its consoles are free
// when the process ends. It is called once.
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

// NodeChanged says that a node started, stopped, moved or vanished. It never blocks, and
// costs nothing for a node that no one watches.
func (m *Manager) NodeChanged(id string) {
	for _, h := range m.of(id) {
		signal(h.wake)
	}
}

// of returns the consoles of a node that are being watched.
func (m *Manager) of(id string) []*hub {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.hubs[id]))
}

// ViewerOptions say how someone watches.
type ViewerOptions struct {
	// Port is the port to watch; the zero value is the domain's first console.
	Port Port
	// Name says to other viewers who it is that takes the console over.
	Name string
	// ReadOnly viewers can neither type nor take the console over.
	ReadOnly bool
	// NoTake viewers cannot take the console over from another program.
	NoTake bool
}

// Attach adds a viewer to the node with this domain UUID, whether or not the
// node is running. It does not wait for the console: the first State that the
// viewer is given tells. It fails with fault.NodeNotFound, or with ErrShutdown.
func (m *Manager) Attach(ctx context.Context, id string, o ViewerOptions) (*Viewer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// Asked without our lock: the inventory may call NodeChanged under its own.
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

// forget takes a hub out; the caller holds mu.
func (m *Manager) forget(h *hub) {
	delete(m.hubs[h.id], h.alias)
	if len(m.hubs[h.id]) == 0 {
		delete(m.hubs, h.id)
	}
}

// Viewers returns how many watch the node now, on all of its ports.
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

// signal wakes the owner of c, a channel with capacity 1.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
