package api

import (
	"context"
	"sync"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
)

// Each transfer (a download, a console log, the data of an upload) has its own libvirt connection.
const (
	maxTransfersOfUser = 16  // at once, of one account to one host
	maxTransfersOfHost = 128 // at once, to one host
)

// transfers counts the running transfers.
type transfers struct {
	mu     sync.Mutex
	byHost map[string]int
	byUser map[[2]string]int // by host and account
}

func newTransfers() *transfers {
	return &transfers{byHost: map[string]int{}, byUser: map[[2]string]int{}}
}

// begin counts a transfer of an account to a host until end is called. It returns
// fault.TooManyRequests if the account or the host has too many.
func (t *transfers) begin(rights access.Rights, host string) (end func(), err error) {
	user := [2]string{host, rights.UserID}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.byUser[user] >= maxTransfersOfUser:
		return nil, tooManyStreams("Your account has as many downloads, uploads and console logs under way as it may. Let some end first.")
	case t.byHost[host] >= maxTransfersOfHost:
		return nil, tooManyStreams("The host has as many downloads, uploads and console logs under way as it may. Try again later.")
	}
	t.byUser[user]++
	t.byHost[host]++
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		lower(t.byUser, user)
		lower(t.byHost, host)
	}, nil
}

// transfer runs f, which reads from a host for as long as its client reads. It counts as a stream;
// ctx ends when the client's rights no longer allow it.
func (s *Server) transfer(ctx context.Context, address, host string, allowed func(access.Rights) error, f func(ctx context.Context) error) error {
	rights := rightsOf(ctx)
	end, err := s.transfers.begin(rights, host)
	if err != nil {
		return err
	}
	defer end()
	stream, closed, err := s.openStream(rights, address, allowed)
	if err != nil {
		return err
	}
	defer closed()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-stream.ended:
			cancel(stream.cause)
		case <-ctx.Done():
		}
	}()
	return f(ctx)
}
