package access

import (
	"container/list"
	"slices"
	"sync"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// TicketLifetime is how long a ticket may be redeemed.
const TicketLifetime = 30 * time.Second

// maxTickets bounds the tickets of one account that wait to be redeemed. Beyond it
// the account's own oldest is dropped, so no account can drop another's.
const maxTickets = 64

// IssueTicket returns a ticket that lets its holder in once, as p, to one thing
// (kind: "console", "vnc") of one node, and the time at which it expires.
// Tickets live in this process's memory.
func (s *Service) IssueTicket(p Principal, nodeID, kind string) (ticket string, expires time.Time) {
	return s.tickets.issue(p, nodeID, kind)
}

// RedeemTicket returns the principal that a ticket was issued to, and uses it
// up, even where node or kind are not those it was issued for. A ticket that is
// unknown, used, expired or for something else gives fault.Unauthenticated.
func (s *Service) RedeemTicket(ticket, nodeID, kind string) (Principal, error) {
	t, found := s.tickets.take(ticket)
	if !found || t.nodeID != nodeID || t.kind != kind {
		return Principal{}, fault.New(fault.Unauthenticated, "The ticket was already used, has expired, or is for another node. Request a new one.")
	}
	return t.principal, nil
}

type issued struct {
	hash      string
	principal Principal
	nodeID    string
	kind      string
	expires   time.Time
}

// ticketBox holds the tickets that wait, by hash, so that a lookup's time tells
// nothing about the tickets themselves.
type ticketBox struct {
	now func() time.Time

	mu     sync.Mutex
	byHash map[string]*list.Element
	queue  *list.List // of issued, oldest first
	// byAccount holds each account's elements of queue, oldest first.
	byAccount map[string][]*list.Element
}

func newTicketBox(now func() time.Time) *ticketBox {
	return &ticketBox{now: now, byHash: make(map[string]*list.Element), queue: list.New(), byAccount: make(map[string][]*list.Element)}
}

func (b *ticketBox) issue(p Principal, nodeID, kind string) (string, time.Time) {
	ticket := newSecret("")
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	for e := b.queue.Front(); e != nil && !now.Before(e.Value.(issued).expires); e = b.queue.Front() {
		b.remove(e)
	}
	if own := b.byAccount[p.UserID]; len(own) >= maxTickets {
		b.remove(own[0])
	}
	t := issued{hash: hashSecret(ticket), principal: p, nodeID: nodeID, kind: kind, expires: now.Add(TicketLifetime)}
	e := b.queue.PushBack(t)
	b.byHash[t.hash] = e
	b.byAccount[p.UserID] = append(b.byAccount[p.UserID], e)
	return ticket, t.expires.UTC()
}

// take removes a ticket and returns it, unless it is unknown or has expired.
func (b *ticketBox) take(ticket string) (issued, bool) {
	hash := hashSecret(ticket)
	b.mu.Lock()
	defer b.mu.Unlock()
	e, found := b.byHash[hash]
	if !found {
		return issued{}, false
	}
	t := b.remove(e)
	return t, b.now().Before(t.expires)
}

func (b *ticketBox) remove(e *list.Element) issued {
	t := b.queue.Remove(e).(issued)
	delete(b.byHash, t.hash)
	account := t.principal.UserID
	own := slices.DeleteFunc(b.byAccount[account], func(o *list.Element) bool { return o == e })
	if b.byAccount[account] = own; len(own) == 0 {
		delete(b.byAccount, account)
	}
	return t
}
