package access

import (
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

func (a *Amount) add(b Amount) {
	a.Nodes += b.Nodes
	a.Running += b.Running
	a.CPUs += b.CPUs
	a.RAMMiB += b.RAMMiB
	a.DiskBytes += b.DiskBytes
	a.Uploads += b.Uploads
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

func (q Quota) unbounded() bool { return q == Quota{} }
