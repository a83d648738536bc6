package domain

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/event"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
)

// inventory is what all domains of all hosts look like, kept true by events.
//
// Each host has one feed, whose goroutine has domains read one after another. A domain
// that runs is read apart (apart.go), so that one that libvirt is silent about holds up no
// other. A feed reads no domain twice at a time; a request that the feed keeps waiting
// reads beside it (see sync). An older reading never overwrites a newer one (see now).
type inventory struct {
	accounts Accounts
	events   *event.Broker
	meter    *meter
	log      *slog.Logger
	feeds    map[string]*feed // by host name; never changes
	hosts    []string         // their names, as they are configured; never changes

	mu       sync.RWMutex
	nodes    map[string]map[string]Node // by host name and id
	asOf     map[place]uint64           // the time (see now) at which the nodes were read
	direct   int                        // readings of readDirectly that have not ended
	gone     map[place]uint64           // when nodes were removed while direct is not 0
	away     map[string]bool            // hosts whose connection was lost
	starting map[string]bool            // ids of nodes that are paused because we start them
	watchers []func(id string)          // never changes once the feeds run
	changed  func(before Node)          // is called, without mu, when a node has changed or gone; never changes

	clock atomic.Uint64 // see now
}

// place is a domain on a host.
type place struct{ host, id string }

// now orders readings: what was read of a domain since an earlier time never overwrites
// what was read since a later one.
func (inv *inventory) now() uint64 { return inv.clock.Add(1) }

// feed collects what is to be read on one host.
type feed struct {
	host *hypervisor.Host
	wake chan struct{} // one slot

	mu     sync.Mutex
	known  bool          // all domains were read since the host was connected last
	batch                // what is to be read next
	urgent chan struct{} // not nil while a domain of which an event told is not read yet; closed then

	apart map[string]*apart // by id: readings that have not ended
	slots chan struct{}     // has one for each reading of a domain that libvirt is silent about

	sightings   sightings            // see lack
	suspects    map[string]time.Time // see suspect
	differences uint64
}

// batch is what is read at a time. A domain of which an event told is read before the
// next one of all others.
type batch struct {
	all     bool
	dirty   map[string]bool            // an event, or a change of ours, told of them
	odd     map[string]bool            // those that look otherwise, though no event may have told
	waiting map[string][]chan struct{} // by id, of those in dirty; closed when that was read
}

func newBatch() batch {
	return batch{dirty: map[string]bool{}, odd: map[string]bool{}, waiting: map[string][]chan struct{}{}}
}

func newFeed(h *hypervisor.Host) *feed {
	return &feed{host: h, wake: make(chan struct{}, 1), batch: newBatch(), apart: map[string]*apart{}, slots: make(chan struct{}, silentAtOnce), suspects: map[string]time.Time{}, sightings: sightings{}}
}

// await adds channels that are to be closed when a domain was read.
func (b *batch) await(waiting map[string][]chan struct{}) {
	for id, list := range waiting {
		b.waiting[id] = append(b.waiting[id], list...)
	}
}

func newInventory(hosts *hypervisor.Set, accounts Accounts, events *event.Broker, meter *meter, log *slog.Logger) *inventory {
	inv := &inventory{accounts: accounts, events: events, meter: meter, log: log, feeds: map[string]*feed{}, nodes: map[string]map[string]Node{}, asOf: map[place]uint64{}, gone: map[place]uint64{}, away: map[string]bool{}, starting: map[string]bool{}, changed: func(Node) {}}
	for _, h := range hosts.Hosts() {
		inv.hosts = append(inv.hosts, h.Name())
		inv.feeds[h.Name()] = newFeed(h)
		inv.nodes[h.Name()] = map[string]Node{}
	}
	return inv
}

func (inv *inventory) setStarting(id string, is bool) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if is {
		inv.starting[id] = true
	} else {
		delete(inv.starting, id)
	}
}

func (inv *inventory) isStarting(id string) bool {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	return inv.starting[id]
}

// note asks for a domain to be read, or for all of them with an empty id.
func (f *feed) note(id string, done chan struct{}) {
	f.mu.Lock()
	if id == "" {
		f.all = true
	} else {
		f.dirty[id] = true
		if f.urgent == nil {
			f.urgent = make(chan struct{})
		}
	}
	if done != nil {
		f.waiting[id] = append(f.waiting[id], done)
	} else {
		delete(f.suspects, id) // libvirt tells of it
	}
	f.mu.Unlock()
	f.wakeUp()
}

// take returns what is to be read.
func (f *feed) take() batch {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.batch
	f.batch = newBatch()
	return b
}

// takeDirty adds the domains to a batch of which events told since it was taken.
func (f *feed) takeDirty(b *batch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.Copy(b.dirty, f.dirty)
	b.await(f.waiting)
	f.dirty, f.waiting = map[string]bool{}, map[string][]chan struct{}{}
}

// calm lets go on who gives way, unless events told of more.
func (f *feed) calm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.urgent != nil && len(f.dirty) == 0 {
		close(f.urgent)
		f.urgent = nil
	}
}

// giveWayLimit bounds each wait of giveWay: events may come without end.
const giveWayLimit = time.Second

// giveWay waits while a domain is read of which an event told: for polls, which are not
// urgent, and share libvirtd and the processors with that.
func (f *feed) giveWay(ctx context.Context) {
	f.mu.Lock()
	urgent := f.urgent
	f.mu.Unlock()
	if urgent == nil {
		return
	}
	limit := time.NewTimer(giveWayLimit)
	defer limit.Stop()
	select {
	case <-urgent:
	case <-limit.C:
	case <-ctx.Done():
	}
}

// readPause is how long a reading that failed waits for the next one.
const readPause = 500 * time.Millisecond

// tryAgain puts back what could not be read. On a host that is connected, as when one
// connection broke, it is read again soon; else it returns false, and all is read
// when the host is back.
func (f *feed) tryAgain(b batch) bool {
	again := f.host.Status().State == hypervisor.Connected
	f.mu.Lock()
	f.all = f.all || b.all
	maps.Copy(f.dirty, b.dirty)
	maps.Copy(f.odd, b.odd)
	if again {
		f.await(b.waiting)
	}
	f.mu.Unlock()
	if again {
		time.AfterFunc(readPause, f.wakeUp)
	}
	return again
}

func (f *feed) wakeUp() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *feed) setKnown(known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known = known
}

func (f *feed) isKnown() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.known
}

// syncPatience bounds how long a change waits for the feed: libvirtd may be slow, or hang.
const syncPatience = 5 * time.Second

// sync reads a domain again and returns when the inventory shows it, so that users
// see what they changed. A domain that the feed does not read in time is read directly.
// Errors: libvirt.ERR_NO_DOMAIN, fault.HostUnreachable, that of ctx.
func (inv *inventory) sync(ctx context.Context, host, id string) error {
	if inv.await(ctx, host, id) {
		return nil
	}
	return inv.readDirectly(ctx, host, id)
}

// await has a feed read a domain again, and returns whether it did so in time.
func (inv *inventory) await(ctx context.Context, host, id string) bool {
	done := make(chan struct{})
	inv.feeds[host].note(id, done)
	patience := time.NewTimer(syncPatience)
	defer patience.Stop()
	select {
	case <-done:
		return inv.feeds[host].host.Status().State == hypervisor.Connected
	case <-patience.C:
	case <-ctx.Done():
	}
	return false
}

// readDirectly reads a domain beside the feed. One whose QEMU is silent is shown with what
// libvirt says without it.
func (inv *inventory) readDirectly(ctx context.Context, host, id string) error {
	inv.countDirect(1)
	defer inv.countDirect(-1)
	return inv.feeds[host].host.Do(ctx, "inventory.read", func(conn *libvirt.Connect) error {
		since := inv.now()
		d, err := conn.LookupDomainByUUIDString(id)
		if err != nil {
			return err
		}
		defer func() { _ = d.Free() }()
		read, put := inv.read, inv.put
		if definition.HasQEMU(d) && isSilent(d) {
			read, put = inv.outline, inv.putOutline
		}
		n, err := read(d, host)
		if err == nil {
			put(n, since)
		}
		return err
	})
}

// countDirect keeps when nodes were removed while something is read directly: what was
// read of them before is not put back.
func (inv *inventory) countDirect(more int) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if inv.direct += more; inv.direct == 0 {
		clear(inv.gone)
	}
}

// run serves one feed until ctx ends.
func (inv *inventory) run(ctx context.Context, f *feed) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		}
		b := f.take()
		err := f.host.Do(ctx, "inventory.read", func(conn *libvirt.Connect) error { return inv.readBatch(ctx, conn, f, &b) })
		if err != nil && ctx.Err() == nil {
			inv.log.Warn("the inventory could not be read", "host", f.host.Name(), "error", err)
			if f.tryAgain(b) {
				continue
			}
		}
		for _, list := range b.waiting {
			closeAll(list)
		}
	}
}

func closeAll(waiting []chan struct{}) {
	for _, w := range waiting {
		close(w)
	}
}

// readBatch reads what a batch has, and removes from it what was read.
func (inv *inventory) readBatch(ctx context.Context, conn *libvirt.Connect, f *feed, b *batch) error {
	if _, err := inv.readDirty(ctx, conn, f, b); err != nil {
		return err
	}
	if b.all {
		if err := inv.readAll(ctx, conn, f, b); err != nil {
			return err
		}
		f.setKnown(f.host.Status().State == hypervisor.Connected)
		return nil
	}
	for id := range b.odd {
		read, err := inv.readDirty(ctx, conn, f, b)
		if err != nil {
			return err
		}
		if !read[id] {
			changed, err := inv.readOne(ctx, conn, f, id, nil)
			if err != nil {
				return err
			}
			if changed {
				f.suspect(id)
			}
		}
		delete(b.odd, id)
	}
	return nil
}

// readDirty reads the domains of which events have told so far, and returns them.
func (inv *inventory) readDirty(ctx context.Context, conn *libvirt.Connect, f *feed, b *batch) (read map[string]bool, err error) {
	f.takeDirty(b)
	if len(b.dirty) == 0 {
		f.calm()
		return nil, nil
	}
	read = map[string]bool{}
	for id := range b.dirty {
		if _, err := inv.readOne(ctx, conn, f, id, b.waiting[id]); err != nil {
			return read, err
		}
		read[id] = true
		delete(b.dirty, id)
		delete(b.waiting, id)
	}
	f.calm()
	return read, nil
}

// readAll reads all domains. What it finds changed since the first reading is
// what no event told of.
func (inv *inventory) readAll(ctx context.Context, conn *libvirt.Connect, f *feed, b *batch) error {
	host, again, since := f.host.Name(), f.isKnown(), inv.now()
	domains, err := conn.ListAllDomains(0)
	if err != nil {
		return err
	}
	defer definition.FreeAll(domains)
	seen := map[string]bool{} // or read since they were listed
	var failed error
	for i := range domains {
		read, err := inv.readDirty(ctx, conn, f, b)
		if err != nil {
			return err
		}
		maps.Copy(seen, read)
		id, err := domains[i].GetUUIDString() // it is in the handle
		if err != nil {
			return err
		}
		if seen[id] {
			continue
		}
		changed, err := inv.readDomain(ctx, f, &domains[i], id, nil)
		switch {
		case fault.CodeOf(err) == fault.HostUnreachable:
			return err
		case err == nil:
			seen[id] = true
			if changed && again {
				f.suspect(id)
			}
		case !errors.Is(err, libvirt.ERR_NO_DOMAIN):
			// It is not gone only because it could not be read.
			seen[id] = true
			failed = err
		}
	}
	if failed != nil {
		if alive, err := conn.IsAlive(); err != nil || !alive {
			return failed
		}
		inv.log.Warn("some domains could not be read", "host", host, "error", failed)
	}
	inv.mu.RLock()
	var gone []string
	for id := range inv.nodes[host] {
		if !seen[id] {
			gone = append(gone, id)
		}
	}
	inv.mu.RUnlock()
	for _, id := range gone {
		if f.join(id, nil) { // that tells whether it is gone
			continue
		}
		if inv.remove(host, id, since) && again {
			f.suspect(id)
		}
	}
	return nil
}

// readOne reads one domain, and returns whether the inventory changed. Those that wait for
// the reading are told of its end, which may come later (see readDomain). It fails when
// the connection is gone.
func (inv *inventory) readOne(ctx context.Context, conn *libvirt.Connect, f *feed, id string, waiting []chan struct{}) (changed bool, err error) {
	if f.join(id, waiting) {
		return false, nil
	}
	since := inv.now()
	d, err := conn.LookupDomainByUUIDString(id)
	if err == nil {
		changed, err = inv.readDomain(ctx, f, d, id, waiting)
		_ = d.Free()
		if err == nil {
			return changed, nil
		}
	}
	switch alive, dead := conn.IsAlive(); {
	case errors.Is(err, libvirt.ERR_NO_DOMAIN):
		changed = inv.remove(f.host.Name(), id, since)
	case dead != nil || !alive || fault.CodeOf(err) == fault.HostUnreachable:
		return false, err
	default:
		inv.log.Warn("a domain could not be read", "host", f.host.Name(), "node", id, "error", err)
	}
	closeAll(waiting)
	return changed, nil
}

// put stores a node that was read since a time (see now), and notifies the watchers if
// anything changed, which it returns. What was read later stays.
func (inv *inventory) put(n Node, since uint64) (changed bool) {
	return inv.putAs(n, since, since)
}

// putOutline is put for an outline. A reading of the whole domain that began earlier, and that
// libvirt is only slow to answer, still replaces it.
func (inv *inventory) putOutline(n Node, since uint64) (changed bool) {
	return inv.putAs(n, since, 0)
}

func (inv *inventory) putAs(n Node, since, asOf uint64) (changed bool) {
	at := place{n.Host, n.ID}
	inv.mu.Lock()
	if max(inv.asOf[at], inv.gone[at]) > since {
		inv.mu.Unlock()
		return false
	}
	inv.asOf[at] = max(inv.asOf[at], asOf)
	if inv.away[n.Host] { // it was read just before the connection was lost
		n.State, n.VNCPort, n.VNCSocket = Unreachable, 0, ""
	}
	old, known := inv.nodes[n.Host][n.ID]
	switch {
	case !n.Active():
	case known && (old.Active() || old.State == Unreachable):
		n.Started, n.Addresses = old.Started, old.Addresses
	case known:
		n.Started = time.Now()
	}
	changed = !known || !reflect.DeepEqual(old, n)
	if changed {
		inv.store(n)
	}
	inv.mu.Unlock()
	if changed {
		inv.tell(n.ID)
	}
	if changed && known {
		inv.changed(old)
	}
	return changed
}

// store keeps a node and publishes it; the caller holds mu, so that events come
// in the order of what they tell.
func (inv *inventory) store(n Node) {
	inv.nodes[n.Host][n.ID] = n
	inv.events.Publish(event.NodeChanged, n)
}

// republish tells of a node anew, whatever of it is kept elsewhere.
func (inv *inventory) republish(id string) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if n, ok := inv.find(id); ok {
		inv.events.Publish(event.NodeChanged, n)
	}
}

// Removed is the data of event.NodeRemoved.
type Removed struct {
	ID   string `json:"id"`
	Host string `json:"host"`
	// Node is what it was last, for those who decide who is told.
	Node Node `json:"-"`
}

// remove forgets a node that a host did not have at a time (see now), and notifies the
// watchers if it was known, which it returns. One that was read later stays.
func (inv *inventory) remove(host, id string, since uint64) bool {
	at := place{host, id}
	inv.mu.Lock()
	old, known := inv.nodes[host][id]
	known = known && inv.asOf[at] <= since
	if inv.direct > 0 && inv.asOf[at] <= since {
		inv.gone[at] = max(inv.gone[at], since)
	}
	if known {
		delete(inv.asOf, at)
		delete(inv.nodes[host], id)
		inv.events.Publish(event.NodeRemoved, Removed{ID: id, Host: host, Node: old})
	}
	inv.mu.Unlock()
	if known {
		inv.tell(id)
		inv.changed(old)
	}
	return known
}

// hostUp has all of the host's domains read anew.
func (inv *inventory) hostUp(host string) {
	inv.mu.Lock()
	delete(inv.away, host)
	inv.mu.Unlock()
	inv.feeds[host].note("", nil)
}

// hostDown marks the host's nodes as unreachable.
func (inv *inventory) hostDown(host string) {
	inv.feeds[host].setKnown(false)
	inv.mu.Lock()
	inv.away[host] = true
	var changed []string
	for id, n := range inv.nodes[host] {
		if n.State != Unreachable {
			n.State, n.VNCPort, n.VNCSocket = Unreachable, 0, ""
			inv.store(n)
			changed = append(changed, id)
		}
	}
	inv.mu.Unlock()
	for _, id := range changed {
		inv.tell(id)
	}
	inv.events.Publish(event.HostChanged, map[string]string{"host": host})
}

// tell calls the watchers, who look at the inventory: mu must not be held.
func (inv *inventory) tell(id string) {
	for _, w := range inv.watchers {
		w(id)
	}
}

// list returns all nodes, by name and id.
func (inv *inventory) list() []Node {
	inv.mu.RLock()
	var list []Node
	for _, nodes := range inv.nodes {
		for _, n := range nodes {
			list = append(list, n)
		}
	}
	inv.mu.RUnlock()
	slices.SortFunc(list, byName)
	return list
}

func byName(a, b Node) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Host, b.Host))
}

// has tells whether a host has a node.
func (inv *inventory) has(host, id string) bool {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	_, there := inv.nodes[host][id]
	return there
}

// anyRuns tells whether any of a host's nodes has a QEMU process.
func (inv *inventory) anyRuns(host string) bool {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	for _, n := range inv.nodes[host] {
		if n.Active() {
			return true
		}
	}
	return false
}

// get finds a node. Two hosts may have it, while it migrates or from then on: the one
// where it runs is meant, else one where it may run, else the first that is configured.
func (inv *inventory) get(id string) (Node, error) {
	inv.mu.RLock()
	defer inv.mu.RUnlock()
	n, ok := inv.find(id)
	if !ok {
		return Node{}, NotFound(id)
	}
	return n, nil
}

// find is get for who holds mu.
func (inv *inventory) find(id string) (found Node, ok bool) {
	best := 0
	for _, host := range inv.hosts {
		n, there := inv.nodes[host][id]
		if rank := rankOf(n); there && rank > best {
			found, best = n, rank
		}
	}
	return found, best > 0
}

// rankOf is higher the more likely it is that a host's copy of a node is the one in use.
func rankOf(n Node) int {
	switch {
	case n.Active():
		return 3
	case n.State == Unreachable:
		return 2
	default:
		return 1
	}
}

// NotFound tells that there is no such node, for all that is to be known.
func NotFound(id string) error {
	return fault.New(fault.NodeNotFound, "Node %q not found. It may have been deleted.", id)
}
