package access

import (
	"context"
	"fmt"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// Quota bounds what an account's nodes and images may take; nil: no bound.
type Quota struct {
	Nodes     *int64 `gorm:"column:nodes"`
	Running   *int64 `gorm:"column:running"`    // nodes that run
	CPUs      *int64 `gorm:"column:cpus"`       // of nodes that run
	RAMMiB    *int64 `gorm:"column:ram_mib"`    // of nodes that run
	DiskBytes *int64 `gorm:"column:disk_bytes"` // what the disks of nodes, and images, may grow to
	Uploads   *int64 `gorm:"column:uploads"`    // under way at once
}

// Amount is what something takes of a quota.
type Amount struct {
	Nodes, Running, CPUs, RAMMiB, DiskBytes, Uploads int64
}

// plus adds two amounts.
func (a Amount) plus(b Amount) Amount {
	return Amount{
		a.Nodes + b.Nodes, a.Running + b.Running, a.CPUs + b.CPUs, a.RAMMiB + b.RAMMiB, a.DiskBytes + b.DiskBytes, a.Uploads + b.Uploads,
	}
}

// Sum adds up what things take.
func Sum(things map[string]Amount) Amount {
	var sum Amount
	for _, a := range things {
		sum = sum.plus(a)
	}
	return sum
}

// most takes the larger of two amounts, each kind by itself.
func (a Amount) most(b Amount) Amount {
	return Amount{
		max(a.Nodes, b.Nodes), max(a.Running, b.Running), max(a.CPUs, b.CPUs), max(a.RAMMiB, b.RAMMiB), max(a.DiskBytes, b.DiskBytes), max(a.Uploads, b.Uploads),
	}
}

// check answers fault.Invalid for a bound below zero.
func (q Quota) check() error {
	for field, bound := range map[string]*int64{
		"nodes": q.Nodes, "running": q.Running, "cpus": q.CPUs, "ram": q.RAMMiB, "disk": q.DiskBytes, "uploads": q.Uploads,
	} {
		if bound != nil && *bound < 0 {
			return fault.Field("quota."+field, "A quota is 0 or more; leave it out for none.")
		}
	}
	return nil
}

func (q Quota) columns() map[string]any {
	return map[string]any{
		"quota_nodes": q.Nodes, "quota_running": q.Running, "quota_cpus": q.CPUs, "quota_ram_mib": q.RAMMiB,
		"quota_disk_bytes": q.DiskBytes, "quota_uploads": q.Uploads,
	}
}

// exceeded names the first bound that growth from before to after breaks. What
// does not grow is allowed, also where a bound was lowered below it.
func (q Quota) exceeded(account string, before, after Amount) error {
	for _, c := range []struct {
		bound         *int64
		before, after int64
		what          string
	}{
		{q.Nodes, before.Nodes, after.Nodes, "nodes"},
		{q.Running, before.Running, after.Running, "running nodes"},
		{q.CPUs, before.CPUs, after.CPUs, "CPUs of running nodes"},
		{q.RAMMiB, before.RAMMiB, after.RAMMiB, "MiB of RAM of running nodes"},
		{q.DiskBytes, before.DiskBytes, after.DiskBytes, "bytes of disks and images"},
		{q.Uploads, before.Uploads, after.Uploads, "uploads at once"},
	} {
		if c.bound != nil && c.after > *c.bound && c.after > c.before {
			return fault.New(fault.QuotaExceeded, "Account %q may have %d %s; this would make it %d. Free some, or ask an administrator for a larger quota.", account, *c.bound, c.what, c.after)
		}
	}
	return nil
}

// ledger holds what requests under way will take, so that two at once do not both
// take what is left for one. It is this process's own.
type ledger struct {
	turn chan struct{} // one slot: who holds it compares and reserves
	held map[*reservation]struct{}
}

type reservation struct {
	account, thing string
	amount         Amount
}

func newLedger() *ledger {
	return &ledger{turn: make(chan struct{}, 1), held: map[*reservation]struct{}{}}
}

// Reserve holds an amount for one thing of an account (by its id), until release is called:
// when the thing shows in taken, or was not made after all. taken tells what the
// account has now, by thing; where the thing is among it, the larger of both
// counts. It answers fault.QuotaExceeded. An account without bounds, or that does
// not exist, is never refused.
func (s *Service) Reserve(ctx context.Context, account, thing string, amount Amount, taken func() (map[string]Amount, error)) (release func(), err error) {
	u, found, err := s.userByID(ctx, account)
	if err != nil {
		return nil, fmt.Errorf("read the quota of account %s: %w", account, err)
	}
	if !found || u.Quota == (Quota{}) {
		return func() {}, nil
	}
	l := s.ledger
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-l.turn }()
	things, err := taken()
	if err != nil {
		return nil, err
	}
	for r := range l.held {
		if r.account == account {
			things[r.thing] = things[r.thing].most(r.amount)
		}
	}
	before := Sum(things)
	things[thing] = things[thing].most(amount)
	after := Sum(things)
	if err := u.Quota.exceeded(u.Name, before, after); err != nil {
		return nil, err
	}
	r := &reservation{account, thing, amount}
	l.held[r] = struct{}{}
	return func() {
		l.turn <- struct{}{}
		delete(l.held, r)
		<-l.turn
	}, nil
}
