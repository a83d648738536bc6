package domain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

const (
	// tendInterval is the time between two recoveries.
	tendInterval = 10 * time.Second
	// retryPause is how soon recovery retries after a change that it may have waited for. The
	// pause doubles with each retry.
	retryPause = 100 * time.Millisecond
	// defineTime is how long libvirtd may take to process the definition that a killed
	// process sent. libvirt does not report it, and deleting the disk meanwhile would leave a
	// domain without its disk.
	defineTime = 2 * time.Second
	// rereadTicks is the number of ticks between two full readings of all domains: neither
	// events nor polls (see compareLoop) report that a disk was deleted or resized.
	rereadTicks = 3
)

// tend completes or undoes interrupted changes on a host repeatedly until ctx ends: both a
// crash and a lost host can interrupt a change.
func (s *Service) tend(ctx context.Context, h *hypervisor.Host, tick <-chan time.Time) {
	old := true // some owners may be recorded only by name
	for n := 0; ; n++ {
		if h.Status().State == hypervisor.Connected {
			if s.o.Storage.Prepare(ctx, h.Name()) != nil && ctx.Err() != nil {
				return
			}
			if n%rereadTicks == rereadTicks-1 {
				s.inv.Reread(h.Name())
			}
			err := s.recover(ctx, h.Name())
			if look := s.LookAtNetwork(ctx, h.Name()); fault.CodeOf(look) != fault.NetworkUnavailable {
				err = errors.Join(err, look)
			}
			if err != nil && ctx.Err() == nil {
				s.o.Log.Error("changes that were cut off could not be completed or undone yet", "host", h.Name(), "error", err)
			}
			if old && s.inv.Known(h.Name()) {
				old = !s.recordOwners(ctx, h.Name())
			}
		}
		connected, ok := s.awaitTick(ctx, h, tick)
		if !ok {
			return
		}
		old = old || connected
	}
}

// awaitTick returns when the host is connected or at the next tick; ok is false when ctx has
// ended. Until then it retries unfinished changes whenever they may succeed. libvirt sends no
// event for the deletion of a disk, so it retries several times, with increasing pauses.
func (s *Service) awaitTick(ctx context.Context, h *hypervisor.Host, tick <-chan time.Time) (connected, ok bool) {
	pause, again := retryPause, make(<-chan time.Time)
	for {
		select {
		case <-ctx.Done():
			return false, false
		case <-s.up[h.Name()]:
			return true, true
		case <-tick:
			return false, true
		case <-s.left[h.Name()].wake:
			pause, again = retryPause, time.After(retryPause)
		case <-again:
			if h.Status().State != hypervisor.Connected {
				continue
			}
			_ = s.recover(ctx, h.Name()) // the next tick reports failures
			if s.left[h.Name()].any() {
				pause *= 2
				again = time.After(pause)
			}
		}
	}
}

// leftover tracks the unfinished changes on a host.
type leftover struct {
	wake chan struct{} // one slot: retry soon

	mu    sync.Mutex
	nodes []string // ids of the affected nodes
}

func (l *leftover) set(nodes []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nodes = nodes
}

func (l *leftover) any() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.nodes) > 0
}

func (l *leftover) retry() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// nodeChanged retries unfinished changes if they may have waited for a node that changed or
// was removed: the node itself, or one whose disk is an overlay of the node's disk.
func (s *Service) nodeChanged(before Node) {
	l := s.left[before.Host]
	l.mu.Lock()
	waits := slices.ContainsFunc(l.nodes, func(id string) bool {
		return id == before.ID || slices.ContainsFunc(before.Files, func(file string) bool { return strings.HasPrefix(path.Base(file), id) })
	})
	l.mu.Unlock()
	if waits {
		l.retry()
	}
}

// apply records a change, makes it and finishes it; see store.Intents.Apply. A change that
// remains unfinished is retried soon.
func (s *Service) apply(ctx context.Context, c store.Change) (failure, unsettled error) {
	failure, unsettled = s.o.Intents.Apply(ctx, c)
	if unsettled != nil {
		s.left[c.Host].retry()
	}
	return failure, unsettled
}

// Settle completes or undoes interrupted changes on a host, and reloads the given nodes, so
// that a resumed job sees their current state and recovery does not undo its work later. It
// fails only if a change to one of these nodes or networks, given by id, remains unfinished.
func (s *Service) Settle(ctx context.Context, host string, nodes, networks []string) error {
	h, err := s.o.Hosts.Host(host)
	if err != nil {
		return err
	}
	if err := s.o.Storage.Prepare(ctx, h.Name()); err != nil {
		return err
	}
	if err := h.Do(ctx, "host.reach", func(*libvirt.Connect) error { return nil }); err != nil {
		return err
	}
	failed, err := s.recoverEach(ctx, h.Name())
	if err != nil {
		return err
	}
	for _, f := range failed {
		concerned := func(id string) bool { return slices.Contains(nodes, id) || slices.Contains(networks, id) }
		if fault.CodeOf(f.err) == fault.HostUnreachable || slices.ContainsFunc(nodesOf(f.intent), concerned) {
			return f.err
		}
	}
	for _, id := range nodes {
		if err := s.inv.Sync(ctx, h.Name(), id); err != nil && !isGone(err) {
			return err
		}
	}
	return ctx.Err()
}

// recover completes or undoes the changes that a crash interrupted on a host, from the
// recorded intents. Intents of nodes with a running change wait for the next recovery.
func (s *Service) recover(ctx context.Context, host string) error {
	failed, err := s.recoverEach(ctx, host)
	list := []error{err}
	for _, f := range failed {
		list = append(list, fmt.Errorf("%s: %w", f.intent.Kind, f.err))
	}
	return errors.Join(list...)
}

// failure is an intent that could not be finished.
type failure struct {
	intent store.Intent
	err    error
}

// recoverEach is recover, but returns each failure separately: one intent does not block the
// others.
func (s *Service) recoverEach(ctx context.Context, host string) (failed []failure, err error) {
	release, err := s.holdRecovery(ctx, host)
	if err != nil {
		return nil, err
	}
	defer release()
	pending, err := s.o.Intents.Left(ctx, host, slices.Collect(maps.Keys(s.settlers()))...)
	if err != nil {
		return nil, err
	}
	// Before the first attempt: a node that changes after an attempt, and before the end of this
	// recovery, causes a retry too.
	var all, left []string
	for _, in := range pending {
		all = append(all, nodesOf(in)...)
	}
	s.left[host].set(all)
	defer func() { s.left[host].set(left) }()
	if slices.ContainsFunc(pending, func(in store.Intent) bool { return in.Kind == createIntent || in.Kind == cloneIntent }) {
		select {
		case <-time.After(defineTime):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	for _, in := range pending {
		err := s.settle(ctx, in)
		if err == nil {
			s.o.Log.Info("a change that was cut off was completed or undone", "host", host, "change", in.Kind)
			continue
		}
		left = append(left, nodesOf(in)...)
		if !waits(err) {
			failed = append(failed, failure{in, err})
		}
	}
	return failed, nil
}

// holdRecovery waits until no other goroutine runs a recovery of the host, and locks it: what
// recovery undoes may be created again immediately afterwards.
func (s *Service) holdRecovery(ctx context.Context, host string) (release func(), err error) {
	select {
	case s.recovering[host] <- struct{}{}:
		return func() { <-s.recovering[host] }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// settlers maps the kinds of intents to the functions that complete or undo the change.
func (s *Service) settlers() map[string]func(context.Context, string, json.RawMessage) error {
	return map[string]func(context.Context, string, json.RawMessage) error{
		createIntent: settler(s.undoCreate),
		deleteIntent: settler(s.destroy),
		wipeIntent:   settler(s.settleWipe),
		startIntent:  settler(s.finishStart),
		revertIntent: settler(s.settleRevert),
		cloneIntent:  settler(s.settleClone),
		attachIntent: settler(s.settleDisk),
		detachIntent: settler(s.settleDetach),

		networkCreateIntent: settler(s.removeNetwork),
		networkDeleteIntent: settler(s.removeNetwork),
	}
}

// settle completes or undoes one change, or records why it cannot. It returns fault.NodeBusy
// while another change to its nodes is running.
func (s *Service) settle(ctx context.Context, in store.Intent) error {
	release, ok := s.claimNow(nodesOf(in)...)
	if !ok {
		return fault.New(fault.NodeBusy, "Another change of the node is running. Try again when it has finished.")
	}
	defer release()
	err := s.settlers()[in.Kind](ctx, in.Host, in.Data)
	if err == nil {
		return s.o.Intents.Done(ctx, in.ID)
	}
	if ctx.Err() == nil && !waits(err) && fault.CodeOf(err) != fault.HostUnreachable {
		if record := s.o.Intents.Failed(ctx, in.ID, reasonOf(err)); record != nil {
			s.o.Log.Warn("the reason why a change is unfinished could not be recorded", "change", in.Kind, "error", record)
		}
	}
	return err
}

// waits returns whether a change only waits for a guest or another change. It is retried
// without being reported as failed.
func waits(err error) bool {
	return errors.Is(err, errStillUsed) || fault.CodeOf(err) == fault.NodeBusy
}

// nodesOf returns the ids of the nodes or the network that an intent is about.
func nodesOf(in store.Intent) (ids []string) {
	var of struct {
		ID     string `json:"id"`
		Source string `json:"source"`
	}
	_ = json.Unmarshal(in.Data, &of) // the function that settles the intent reports invalid data
	for _, id := range []string{of.ID, of.Source} {
		if id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

// unsettled returns the kinds of a node's unfinished changes, whichever process started them.
func (s *Service) unsettled(ctx context.Context, host, id string) (kinds []string, err error) {
	all, err := s.o.Intents.All(ctx, host)
	for _, in := range all {
		if slices.Contains(nodesOf(in), id) {
			kinds = append(kinds, in.Kind)
		}
	}
	return kinds, err
}

// settler adapts f, which takes the intent's data as a T.
func settler[T any](f func(context.Context, string, T) error) func(context.Context, string, json.RawMessage) error {
	return func(ctx context.Context, host string, text json.RawMessage) error {
		var data T
		if err := json.Unmarshal(text, &data); err != nil {
			return err
		}
		return f(ctx, host, data)
	}
}
