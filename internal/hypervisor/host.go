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

// State is how a host's connection stands.
type State string

// The states of a host.
const (
	Connecting  State = "connecting"
	Connected   State = "connected"
	Unreachable State = "unreachable"
)

const (
	// maxIdle bounds the connections that are kept for later calls.
	maxIdle = 8

	// maxDials bounds the connections that are being made at a time: each takes a
	// thread, which a libvirtd that does not answer keeps for as long as it hangs.
	maxDials = 16

	dialTimeout = 10 * time.Second
	firstRetry  = 200 * time.Millisecond
	lastRetry   = 5 * time.Second
)

// keepAliveTime is how long a libvirtd may answer nothing before a connection to it is
// given up: after count pings in intervals of seconds, and one more interval. Calls
// that wait for it then fail.
type keepAliveTime struct {
	seconds int
	count   uint
}

var (
	// Calls may wait for a libvirtd under load, and uploads outlast a short break.
	longSilence = keepAliveTime{5, 3}
	// A host that hangs shows within five seconds, on connections that cost little
	// to make again.
	shortSilence = keepAliveTime{1, 3}
)

// Call works with a connection. It must not keep the connection, nor close it,
// and frees every handle that it gets.
type Call func(*libvirt.Connect) error

// Host is one libvirt host and the managed connection to it, which receives events and
// notices the loss of the host, and serves no calls. Its methods may be called from any
// goroutine.
type Host struct {
	name, uri   string
	accelerator string // as configured
	listeners   []Listener
	calls       *callMetrics
	log         *slog.Logger
	agents      *Agents
	jobs        *BlockJobs

	settled chan struct{} // closed when the first attempt to connect is over
	dials   chan struct{} // has one for each connection that another makes

	mu     sync.Mutex
	conn   *libvirt.Connect   // the managed one; nil unless connected
	events []func() error     // unregister its callbacks
	idle   []*libvirt.Connect // those that Do uses, while no one does
	status Status
}

// Status is what is known of a host.
type Status struct {
	Name  string
	URI   string
	State State
	// Problem says why the host is not connected and what to do; empty when it is.
	Problem string
	// Since is when State was entered.
	Since time.Time
	// Capabilities are those of the last connect; the zero value before it.
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

// Agents is the way to the agents of the host's guests.
func (h *Host) Agents() *Agents { return h.agents }

// BlockJobs knows when the disks of the host's domains may be asked about.
func (h *Host) BlockJobs() *BlockJobs { return h.jobs }

// Status returns a snapshot.
func (h *Host) Status() Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.status
}

// Settled waits until the first attempt to connect is over, whichever way; see Status.
func (h *Host) Settled(ctx context.Context) error {
	select {
	case <-h.settled:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// settle expects h.mu to be held.
func (h *Host) settle() {
	select {
	case <-h.settled:
	default:
		close(h.settled)
	}
}

// Do runs f with a connection that no one else uses meanwhile, on the caller's goroutine.
// (When libvirtd hangs under several calls on one connection, libvirt ends the first of
// them, and leaves the others waiting without end.) It returns fault.HostUnreachable at
// once while the host is unreachable. A libvirt call cannot be cancelled: ctx is looked at
// before f, and a call to a host that hangs ends when keep-alive gives the connection up
// (about 20 s). f must not block in a stream (see Dial). op names the operation in metrics:
// the thing and the verb, as in "node.wipe", never with an id.
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

// borrow returns an idle connection or a new one, and the managed connection that it goes
// with. One that broke while no one used it says nothing of the host.
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

// takeIdle returns the connection that was used last; conn is nil where none is idle.
func (h *Host) takeIdle() (conn, managed *libvirt.Connect) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if last := len(h.idle) - 1; h.conn != nil && last >= 0 {
		conn = h.idle[last]
		h.idle = h.idle[:last]
	}
	return conn, h.conn
}

// giveBack keeps a connection for the next call, as long as the host is connected
// as it was.
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

// Dial opens a connection beside the managed one and runs f with it: for
// streams that block in Send or Recv, which would hold up every other call on
// their connection. A host that does not answer within dialTimeout is
// fault.HostUnreachable.
func (h *Host) Dial(ctx context.Context, f Call) error {
	return h.dialFor(ctx, longSilence, f)
}

// DialBriefly is Dial for a connection that a libvirtd which does not answer is to
// lose within five seconds.
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

// another opens a connection beside the managed one.
func (h *Host) another(ctx context.Context, s keepAliveTime) (*libvirt.Connect, error) {
	h.mu.Lock()
	away := h.conn == nil
	h.mu.Unlock()
	if away { // known to be so: do not wait for a time-out
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

// keepAlive has a connection to a daemon that does not answer given up. Drivers
// within the process have no daemon, and need none.
func keepAlive(conn *libvirt.Connect, s keepAliveTime) error {
	err := conn.SetKeepAlive(s.seconds, s.count)
	if errors.Is(err, libvirt.ERR_NO_SUPPORT) {
		return nil
	}
	return err
}

// release drops one reference; the last one closes the connection.
func release(conn *libvirt.Connect) {
	// The error would say that the connection is gone, which is what we want.
	_, _ = conn.Close()
}

// unreachable expects nothing of h.mu: it reads only what never changes.
func (h *Host) unreachable(cause error) error {
	return fault.Wrap(cause, fault.HostUnreachable,
		"Host %q is unreachable. Its nodes keep running. Check that libvirtd responds there (`virsh -c %s version`), and try again.", h.name, h.uri)
}

// translate turns the errors of a lost connection into fault.HostUnreachable
// and leaves every other error as it is.
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

// run keeps the host connected until ctx ends.
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

// connect makes the managed connection and returns a channel that receives its end.
func (h *Host) connect(ctx context.Context) (<-chan string, error) {
	conn, err := h.dial(ctx, func() { h.fail(errNoAnswer) }, func() {})
	if err != nil {
		return nil, err
	}
	lost := make(chan string, 1)
	// What happened while no one listened is not known.
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

// dial opens a connection. A libvirtd that accepts but does not answer makes the C call
// wait without end: late is called after dialTimeout, and the one attempt continues until
// it ends. When ctx ends first, that goroutine is left behind and closes what it gets. over
// is called when the attempt has ended.
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
	// A connection that lives is let go because the service stops, which then need
	// not wait for libvirtd once for each callback.
	if alive, err := conn.IsAlive(); err != nil || !alive {
		unsubscribe(events)
	}
	// Where the connection is already dead this fails, and has nothing to do.
	_ = conn.UnregisterCloseCallback()
	release(conn)
	for _, c := range idle {
		release(c)
	}
	for _, l := range h.listeners {
		l.HostDown(h)
	}
}

// fail records why there is no connection, and logs it once for each reason.
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
