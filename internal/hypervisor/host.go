package hypervisor

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// State is the state of a host's connection.
type State string

// The states of a host.
const (
	Connecting  State = "connecting"
	Connected   State = "connected"
	Unreachable State = "unreachable"
)

const (
	// maxIdle limits how many idle connections are kept for later calls.
	maxIdle = 8

	// maxDials limits how many connections are opened at a time: each takes a thread,
	// which a hanging libvirtd blocks for as long as it hangs.
	maxDials = 16

	dialTimeout = 10 * time.Second
	firstRetry  = 200 * time.Millisecond
	lastRetry   = 5 * time.Second
)

// keepAliveTime is how long a libvirtd may be silent before a connection to it is closed:
// count pings at intervals in seconds, plus one interval. Calls that wait for it then
// fail.
type keepAliveTime struct {
	seconds int
	count   uint
}

var (
	// Calls may wait for a libvirtd under load, and uploads survive a short network
	// failure.
	longSilence = keepAliveTime{5, 3}
	// A hanging host is noticed within five seconds, on connections that are cheap to
	// reopen.
	shortSilence = keepAliveTime{1, 3}
)

// Call uses a connection. It must neither keep nor close the connection, and must free
// every handle that it gets.
type Call func(*libvirt.Connect) error

// Host is a libvirt host and the managed connection to it. The managed connection receives
// events and detects the loss of the host; no calls use it. Its methods may be called from
// any goroutine.
type Host struct {
	name, uri   string
	accelerator string // as configured
	listeners   []Listener
	calls       *callMetrics
	log         *slog.Logger
	agents      *Agents
	jobs        *BlockJobs

	settled chan struct{} // closed when the first attempt to connect has ended
	dials   chan struct{} // contains one item per connection that another is opening

	mu     sync.Mutex
	conn   *libvirt.Connect   // the managed connection; nil unless connected
	events []func() error     // the unregister functions of its callbacks
	idle   []*libvirt.Connect // connections of Do that are not in use
	status Status
}

// Status describes the connection to a host.
type Status struct {
	Name  string
	URI   string
	State State
	// Problem says why the host is not connected and what to do; empty when it is
	// connected.
	Problem string
	// Since is when the host entered State.
	Since time.Time
	// Capabilities are those of the last connect; the zero value before the first one.
	Capabilities Capabilities
}

func newHost(a Address, accelerator string, calls *callMetrics, log *slog.Logger) *Host {
	h := &Host{
		name: a.Name, uri: a.URI, accelerator: accelerator, calls: calls, log: log, settled: make(chan struct{}), dials: make(chan struct{}, maxDials),
		status: Status{Name: a.Name, URI: a.URI, State: Connecting, Since: time.Now()},
	}
	h.agents, h.jobs = newAgents(h.Do), newBlockJobs(h.Do)
	return h
}

// Name returns the host's name in the configuration.
func (h *Host) Name() string { return h.name }

// Agents gives access to the agents of the host's guests.
func (h *Host) Agents() *Agents { return h.agents }

// BlockJobs tracks when the host's domains may be asked about their disks.
func (h *Host) BlockJobs() *BlockJobs { return h.jobs }

// Status returns a copy of the current status.
func (h *Host) Status() Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.status
}

// Settled waits until the first attempt to connect has succeeded or failed; see Status.
func (h *Host) Settled(ctx context.Context) error {
	select {
	case <-h.settled:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// settle marks the first attempt as ended; the caller holds h.mu.
func (h *Host) settle() {
	select {
	case <-h.settled:
	default:
		close(h.settled)
	}
}

// Do runs f on the caller's goroutine with a connection that nothing else uses meanwhile.
// (When libvirtd hangs during several calls on one connection, libvirt ends the first of
// them and leaves the others waiting forever.) It returns fault.HostUnreachable at once
// while the host is unreachable. A libvirt call cannot be cancelled: ctx is checked before
// f only, and a call to a hanging host ends when keep-alive closes the connection (after
// about 20 s). f must not block in a stream (see Dial). op names the operation in metrics
// as object and verb, such as "node.wipe", never with an id.
func (h *Host) Do(ctx context.Context, op string, f Call) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	begun := time.Now()
	defer func() { h.calls.note(h.name, op, time.Since(begun), err) }()
	conn, managed, err := h.borrow(ctx)
	if err != nil {
		return err
	}
	defer h.giveBack(conn, managed)
	return h.translate(f(conn))
}

// borrow returns an idle or new connection, and the managed connection that it belongs to.
// An idle connection that broke does not mean that the host is unreachable.
func (h *Host) borrow(ctx context.Context) (conn, managed *libvirt.Connect, err error) {
	for {
		if conn, managed = h.takeIdle(); conn == nil {
			conn, err = h.another(ctx, longSilence)
			return conn, managed, err
		}
		if alive, err := conn.IsAlive(); err == nil && alive {
			return conn, managed, nil
		}
		release(conn)
	}
}

// takeIdle returns the most recently used idle connection; conn is nil if there is none.
func (h *Host) takeIdle() (conn, managed *libvirt.Connect) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if last := len(h.idle) - 1; h.conn != nil && last >= 0 {
		conn = h.idle[last]
		h.idle = h.idle[:last]
	}
	return conn, h.conn
}

// giveBack keeps a connection for the next call if the managed connection is still the
// same.
func (h *Host) giveBack(conn, managed *libvirt.Connect) {
	alive, err := conn.IsAlive()
	h.mu.Lock()
	keep := err == nil && alive && managed != nil && h.conn == managed && len(h.idle) < maxIdle
	if keep {
		h.idle = append(h.idle, conn)
	}
	h.mu.Unlock()
	if !keep {
		release(conn)
	}
}

// Dial opens a separate connection and runs f with it: for streams that block in Send or
// Recv, which would block every other call on their connection. If the host does not
// answer within dialTimeout, it fails with fault.HostUnreachable.
func (h *Host) Dial(ctx context.Context, f Call) error {
	return h.dialFor(ctx, longSilence, f)
}

// DialBriefly is Dial with a connection that is closed if libvirtd does not answer for
// five seconds.
func (h *Host) DialBriefly(ctx context.Context, f Call) error {
	return h.dialFor(ctx, shortSilence, f)
}

func (h *Host) dialFor(ctx context.Context, s keepAliveTime, f Call) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	conn, err := h.another(ctx, s)
	if err != nil {
		return err
	}
	defer release(conn)
	return h.translate(f(conn))
}

// another opens a connection in addition to the managed one.
func (h *Host) another(ctx context.Context, s keepAliveTime) (*libvirt.Connect, error) {
	h.mu.Lock()
	away := h.conn == nil
	h.mu.Unlock()
	if away { // known to be unreachable: do not wait for a timeout
		return nil, h.unreachable(nil)
	}
	waiting, giveUp := context.WithTimeout(ctx, dialTimeout)
	defer giveUp()
	var conn *libvirt.Connect
	var err error
	select {
	case h.dials <- struct{}{}:
		conn, err = h.dial(waiting, func() {}, func() { <-h.dials })
	case <-waiting.Done():
		err = waiting.Err()
	}
	if err != nil && waiting.Err() != nil && ctx.Err() == nil {
		err = h.unreachable(errNoAnswer)
	}
	if err != nil {
		return nil, h.translate(err)
	}
	if err = keepAlive(conn, s); err == nil {
		err = h.checkHost(conn)
	}
	if err != nil {
		release(conn)
		return nil, h.translate(err)
	}
	return conn, nil
}

// keepAlive configures a connection to close if its daemon does not answer. Drivers within
// the process have no daemon and need no keep-alive.
func keepAlive(conn *libvirt.Connect, s keepAliveTime) error {
	err := conn.SetKeepAlive(s.seconds, s.count)
	if errors.Is(err, libvirt.ERR_NO_SUPPORT) {
		return nil
	}
	return err
}

// release drops one reference; the last one closes the connection.
func release(conn *libvirt.Connect) {
	// The error would say that the connection is lost, which is the purpose.
	_, _ = conn.Close()
}

// unreachable reads only fields that never change, so it does not need h.mu.
func (h *Host) unreachable(cause error) error {
	return fault.Wrap(cause, fault.HostUnreachable,
		"Host %q is unreachable. Its nodes keep running. Check that libvirtd responds there (`virsh -c %s version`), and try again.", h.name, h.uri)
}

// translate turns the errors of a lost connection into fault.HostUnreachable and returns
// every other error unchanged.
func (h *Host) translate(err error) error {
	var lv libvirt.Error
	if !errors.As(err, &lv) {
		return err
	}
	switch lv.Code {
	case libvirt.ERR_NO_CONNECT, libvirt.ERR_INVALID_CONN, libvirt.ERR_RPC, libvirt.ERR_AUTH_UNAVAILABLE:
		return h.unreachable(err)
	case libvirt.ERR_INTERNAL_ERROR, libvirt.ERR_SYSTEM_ERROR:
		if lv.Domain == libvirt.FROM_RPC || lv.Domain == libvirt.FROM_REMOTE {
			return h.unreachable(err)
		}
	}
	return err
}

// run keeps the host connected until ctx is done.
func (h *Host) run(ctx context.Context) {
	retry := firstRetry
	for ctx.Err() == nil {
		lost, err := h.connect(ctx)
		if err != nil {
			h.fail(err)
			select {
			case <-ctx.Done():
			case <-time.After(retry):
			}
			retry = min(2*retry, lastRetry)
			continue
		}
		retry = firstRetry
		for _, l := range h.listeners {
			l.HostUp(ctx, h)
		}
		select {
		case <-ctx.Done():
		case reason := <-lost:
			h.log.Warn("connection to libvirt lost", "reason", reason)
		}
		h.disconnect()
	}
}

// connect opens the managed connection and returns a channel that receives the reason when
// it is lost.
func (h *Host) connect(ctx context.Context) (<-chan string, error) {
	conn, err := h.dial(ctx, func() { h.fail(errNoAnswer) }, func() {})
	if err != nil {
		return nil, err
	}
	lost := make(chan string, 1)
	// What happened without a connection is not known.
	h.agents.forget("")
	h.jobs.forget("")
	events, err := h.subscribe(conn)
	err = errors.Join(
		err,
		keepAlive(conn, shortSilence),
		conn.RegisterCloseCallback(func(_ *libvirt.Connect, reason libvirt.ConnectCloseReason) {
			select {
			case lost <- closeReason(reason):
			default:
			}
		}),
	)
	var caps Capabilities
	if err == nil {
		caps, err = readCapabilities(conn, h.accelerator)
	}
	if err != nil {
		unsubscribe(events)
		_ = conn.UnregisterCloseCallback()
		release(conn)
		return nil, err
	}
	h.mu.Lock()
	h.conn, h.events = conn, events
	h.status.State, h.status.Problem, h.status.Since = Connected, "", time.Now()
	h.status.Capabilities = caps
	h.settle()
	h.mu.Unlock()
	h.log.Info("connected to libvirt", "uri", h.uri, "libvirt", caps.LibvirtVersion, "hypervisor", caps.HypervisorVersion,
		"accelerator", caps.Accelerator, "why", caps.AcceleratorReason)
	return lost, nil
}

var errNoAnswer = errors.New("libvirtd accepts the connection but does not answer")

// dial opens a connection. A libvirtd that accepts the connection but does not answer
// blocks the C call indefinitely: late is called after dialTimeout, and the same attempt
// continues until it ends. If ctx is done first, the goroutine of the attempt continues
// and closes the connection that it may get. over is called when the attempt has ended.
func (h *Host) dial(ctx context.Context, late, over func()) (*libvirt.Connect, error) {
	type result struct {
		conn *libvirt.Connect
		err  error
	}
	done := make(chan result)
	go func() {
		conn, err := libvirt.NewConnect(h.uri)
		over()
		select {
		case done <- result{conn, err}:
		case <-ctx.Done():
			if err == nil {
				release(conn)
			}
		}
	}()
	patience := time.NewTimer(dialTimeout)
	defer patience.Stop()
	for {
		select {
		case r := <-done:
			return r.conn, r.err
		case <-patience.C:
			late()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (h *Host) disconnect() {
	h.mu.Lock()
	conn, events, idle := h.conn, h.events, h.idle
	h.conn, h.events, h.idle = nil, nil, nil
	h.status.State, h.status.Since = Unreachable, time.Now()
	h.status.Problem = "The connection to libvirt was lost; it is being made again."
	h.mu.Unlock()
	// If the connection is alive, the service is stopping. Unregistering would wait for
	// libvirtd once for each callback.
	if alive, err := conn.IsAlive(); err != nil || !alive {
		unsubscribe(events)
	}
	// If the connection is already closed this fails, and there is nothing to unregister.
	_ = conn.UnregisterCloseCallback()
	release(conn)
	for _, c := range idle {
		release(c)
	}
	for _, l := range h.listeners {
		l.HostDown(h)
	}
}

// fail records why there is no connection, and logs each reason once.
func (h *Host) fail(err error) {
	problem := err.Error()
	var lv libvirt.Error
	if errors.As(err, &lv) {
		problem = lv.Message
	}
	h.mu.Lock()
	news := h.status.State != Unreachable || h.status.Problem != problem
	if h.status.State != Unreachable {
		h.status.Since = time.Now()
	}
	h.status.State, h.status.Problem = Unreachable, problem
	h.settle()
	h.mu.Unlock()
	if news {
		h.log.Warn("libvirt cannot be reached; trying again", "uri", h.uri, "problem", problem)
		for _, l := range h.listeners {
			l.HostDown(h)
		}
	}
}

func closeReason(r libvirt.ConnectCloseReason) string {
	switch r {
	case libvirt.CONNECT_CLOSE_REASON_EOF:
		return "libvirtd closed it"
	case libvirt.CONNECT_CLOSE_REASON_KEEPALIVE:
		return "libvirtd did not answer"
	case libvirt.CONNECT_CLOSE_REASON_CLIENT:
		return "closed by us"
	default:
		return "input/output error"
	}
}
