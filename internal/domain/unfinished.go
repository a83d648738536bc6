package domain

import (
	"context"
	"errors"
	"time"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

// UnfinishedChange is a change of several steps that was interrupted, and that could not be
// completed or undone yet. The service retries every few seconds.
type UnfinishedChange struct {
	ID   string // of the change
	Kind string // "node.wipe"
	Host string
	// Objects are the ids of the affected nodes, or of the network; empty if unknown.
	Objects  []string
	Begun    time.Time
	Attempts int       // failed attempts to finish it
	Tried    time.Time // the last attempt
	Reason   string    // why the last attempt failed, for users
}

// UnfinishedChanges returns the unfinished changes of all hosts, oldest first.
func (s *Service) UnfinishedChanges(ctx context.Context) ([]UnfinishedChange, error) {
	intents, err := s.o.Intents.Unsettled(ctx)
	list := make([]UnfinishedChange, len(intents))
	for i, in := range intents {
		list[i] = UnfinishedChange{ID: in.ID, Kind: in.Kind, Host: in.Host, Objects: nodesOf(in), Begun: in.Created, Attempts: in.Attempts, Tried: in.Tried, Reason: in.Reason}
	}
	return list, err
}

// CountUnfinished returns the number of unfinished changes by host name.
func (s *Service) CountUnfinished(ctx context.Context) (map[string]int, error) {
	return s.o.Intents.CountUnsettled(ctx)
}

// FinishChange completes or undoes an unfinished change now. Errors: fault.NotFound,
// Unsupported for a kind that this version does not know, NodeBusy, HostUnreachable,
// Hypervisor with the reason why it failed again.
func (s *Service) FinishChange(ctx context.Context, id string) error {
	in, err := s.unfinished(ctx, id)
	if err != nil {
		return err
	}
	if s.settlers()[in.Kind] == nil {
		return fault.New(fault.Unsupported, "A change of kind %q cannot be finished on request. Drop it, if the service does not finish it by itself.", in.Kind)
	}
	host, err := s.o.Hosts.Host(in.Host)
	if err != nil {
		return err
	}
	if err := s.o.Storage.Prepare(ctx, host.Name()); err != nil {
		return err
	}
	release, err := s.holdRecovery(ctx, host.Name())
	if err != nil {
		return err
	}
	defer release()
	err = s.settle(ctx, in)
	switch code := fault.CodeOf(err); {
	case err == nil:
		s.left[host.Name()].retry() // updates the list of unfinished changes
		return nil
	case waits(err):
		return fault.Wrap(err, fault.NodeBusy, "The change cannot be finished yet: %s", reasonOf(err))
	case code == fault.HostUnreachable || ctx.Err() != nil:
		return err
	}
	return fault.Wrap(err, fault.Hypervisor, "The change cannot be finished: %s Remove the cause and try again, or drop the change.", reasonOf(err))
}

// DropChange discards an unfinished change. What it has created so far stays on the host.
// Errors: fault.NotFound.
func (s *Service) DropChange(ctx context.Context, id string) error {
	in, err := s.unfinished(ctx, id)
	if err != nil {
		return err
	}
	if err := s.o.Intents.Done(ctx, in.ID); err != nil {
		return err
	}
	s.o.Log.Warn("an unfinished change was dropped", "host", in.Host, "change", in.Kind, "data", string(in.Data), "reason", in.Reason)
	if l := s.left[in.Host]; l != nil {
		l.retry()
	}
	return nil
}

func (s *Service) unfinished(ctx context.Context, id string) (store.Intent, error) {
	in, ok, err := s.o.Intents.Find(ctx, id)
	if err == nil && !ok {
		err = fault.New(fault.NotFound, "Unfinished change %q not found. It may have been finished meanwhile.", id)
	}
	return in, err
}

// reasonOf returns the message of an error for users.
func reasonOf(err error) string {
	var f *fault.Error
	var lv libvirt.Error
	switch {
	case errors.As(err, &f):
		return f.Message
	case errors.As(err, &lv):
		return fault.New(fault.Hypervisor, "libvirt says: %s.", lv.Message).Message
	default:
		return fault.New(fault.Internal, "%s.", err).Message
	}
}
