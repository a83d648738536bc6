package access

import "github.com/sandboxlabs/sandboxlabs/internal/fault"

// Quota bounds what an account may have; nil: no bound.
type Quota struct {
	Nodes     *int64 `gorm:"column:nodes"`
	Running   *int64 `gorm:"column:running"`    // nodes that run
	CPUs      *int64 `gorm:"column:cpus"`       // of nodes that run
	RAMMiB    *int64 `gorm:"column:ram_mib"`    // of nodes that run
	DiskBytes *int64 `gorm:"column:disk_bytes"` // what the disks of nodes, with their snapshots, saved states, seeds and logs, and images may grow to
	Uploads   *int64 `gorm:"column:uploads"`    // under way at once
	Networks  *int64 `gorm:"column:networks"`   // that were made here
	Labs      *int64 `gorm:"column:labs"`
}

// Amount is what something takes of a quota.
type Amount struct {
	Nodes     int64
	Running   int64
	CPUs      int64 `gorm:"column:cpus"`
	RAMMiB    int64 `gorm:"column:ram_mib"`
	DiskBytes int64
	Uploads   int64
	Networks  int64
	Labs      int64
}

// plus adds two amounts.
func (a Amount) plus(b Amount) Amount {
	return Amount{
		a.Nodes + b.Nodes, a.Running + b.Running, a.CPUs + b.CPUs, a.RAMMiB + b.RAMMiB, a.DiskBytes + b.DiskBytes, a.Uploads + b.Uploads,
		a.Networks + b.Networks, a.Labs + b.Labs,
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

// most takes the larger of two amounts, each kind on its own.
func (a Amount) most(b Amount) Amount {
	return Amount{
		max(a.Nodes, b.Nodes), max(a.Running, b.Running), max(a.CPUs, b.CPUs), max(a.RAMMiB, b.RAMMiB), max(a.DiskBytes, b.DiskBytes), max(a.Uploads, b.Uploads),
		max(a.Networks, b.Networks), max(a.Labs, b.Labs),
	}
}

// check returns fault.Invalid for a bound below zero.
func (q Quota) check() error {
	for field, bound := range map[string]*int64{
		"nodes": q.Nodes, "running": q.Running, "cpus": q.CPUs, "ram": q.RAMMiB, "disk": q.DiskBytes, "uploads": q.Uploads,
		"networks": q.Networks, "labs": q.Labs,
	} {
		if bound != nil && *bound < 0 {
			return fault.Field("quota."+field, "A quota must be 0 or more. Leave it out for no limit.")
		}
	}
	return nil
}

func (q Quota) columns() map[string]any {
	return map[string]any{
		"quota_nodes": q.Nodes, "quota_running": q.Running, "quota_cpus": q.CPUs, "quota_ram_mib": q.RAMMiB,
		"quota_disk_bytes": q.DiskBytes, "quota_uploads": q.Uploads, "quota_networks": q.Networks, "quota_labs": q.Labs,
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
		{q.Uploads, before.Uploads, after.Uploads, "concurrent uploads"},
		{q.Networks, before.Networks, after.Networks, "networks"},
		{q.Labs, before.Labs, after.Labs, "labs"},
	} {
		if c.bound != nil && c.after > *c.bound && c.after > c.before {
			return fault.New(fault.QuotaExceeded, "Quota exceeded: account %q can have %d %s, and this would make it %d. Delete some, or ask an administrator.", account, *c.bound, c.what, c.after)
		}
	}
	return nil
}
