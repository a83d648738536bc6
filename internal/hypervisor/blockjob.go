package hypervisor

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

const (
	// blockJobPause is for how long after a block job a domain is not asked about its
	// disks.
	blockJobPause = 2 * time.Second
	// blockJobTimeout limits how long a change waits for the block jobs of others.
	blockJobTimeout = 10 * time.Second
	// blockJobDoubt is for how long a job runs before libvirt is asked whether it still
	// exists, since the event of its end may be lost.
	blockJobDoubt = 30 * time.Second
	// maxBlockJobChecks limits how many domains are checked at a time, since each check
	// waits for a QEMU process.
	maxBlockJobChecks = 4
)

// BlockJobs tracks the block jobs of a host's domains: pulls, commits, copies and backups,
// whoever started them. QEMU 7.2 may crash when it is asked about its block devices while
// a job ends (`virsh domstats --block`, `domblkinfo`), so the service does not ask a
// domain about its disks during a job or shortly after it.
//
// libvirt reports only the end of a job. QEMU itself reports each step, and libvirt passes
// these events on. Jobs from before the connection are found by asking libvirt for the job
// of each disk, which queries QEMU for the job only. Its methods may be called from any
// goroutine.
type BlockJobs struct {
	do func(ctx context.Context, op string, f Call) error

	mu       sync.Mutex
	domains  map[string]*domainJobs // by UUID
	checking bool
}

// domainJobs is what is known of the jobs of a running domain.
type domainJobs struct {
	known   bool                 // no job can exist that is not in running
	running map[string]time.Time // start time by the job's name in QEMU
	held    int                  // number of our changes that start jobs
	quiet   time.Time            // the domain is not asked about its disks before
	changed chan struct{}        // closed at the next change of the fields above
}

func newBlockJobs(do func(ctx context.Context, op string, f Call) error) *BlockJobs {
	return &BlockJobs{do: do, domains: map[string]*domainJobs{}}
}

// update changes the state of a domain.
func (b *BlockJobs) update(id string, f func(*domainJobs)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.get(id)
	f(d)
	close(d.changed)
	d.changed = make(chan struct{})
}

// get returns the state of a domain; the caller holds mu.
func (b *BlockJobs) get(id string) *domainJobs {
	d := b.domains[id]
	if d == nil {
		d = &domainJobs{running: map[string]time.Time{}, changed: make(chan struct{})}
		b.domains[id] = d
	}
	return d
}

// end starts the pause after a job.
func (d *domainJobs) end() { d.quiet = time.Now().Add(blockJobPause) }

// step handles QEMU's event for a step of a job:
// {"id":"pull-vda-libvirt-3-format","status":"running"}.
func (b *BlockJobs) step(id, details string) {
	var job struct{ ID, Status string }
	if json.Unmarshal([]byte(details), &job) != nil || job.ID == "" {
		return
	}
	b.update(id, func(d *domainJobs) {
		d.end()
		if job.Status == "null" { // libvirt has handled its end
			delete(d.running, job.ID)
		} else if _, is := d.running[job.ID]; !is {
			d.running[job.ID] = time.Now()
		}
	})
}

// ended handles libvirt's event for the end of a job.
func (b *BlockJobs) ended(id string) { b.update(id, (*domainJobs).end) }

// started records that a domain has a new QEMU process, which has no jobs yet.
func (b *BlockJobs) started(id string) {
	b.update(id, func(d *domainJobs) {
		d.known, d.quiet = true, time.Time{}
		clear(d.running)
	})
}

// forget drops the state of a domain that stopped, or of all domains if id is empty.
func (b *BlockJobs) forget(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for other, d := range b.domains {
		if id == "" || other == id {
			close(d.changed)
			delete(b.domains, other)
		}
	}
}

// Quiet returns whether a running domain may be asked about its disks: none of its block
// jobs is in progress or has just ended. It returns false until this is known; see Check.
func (b *BlockJobs) Quiet(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.domains[id]
	return d != nil && d.isQuiet()
}

func (d *domainJobs) isQuiet() bool {
	return d.known && d.held == 0 && len(d.running) == 0 && !time.Now().Before(d.quiet)
}

// doubtful returns whether libvirt must be asked for the domain's jobs.
func (d *domainJobs) doubtful() bool {
	if !d.known {
		return true
	}
	for _, since := range d.running {
		if time.Since(since) > blockJobDoubt {
			return true
		}
	}
	return false
}

// Check asks libvirt for the jobs of those running domains of a host whose jobs are not
// known. It returns at once while another check is in progress, since a QEMU process that
// does not answer blocks a check.
func (b *BlockJobs) Check(ctx context.Context, ids []string) {
	b.mu.Lock()
	var doubtful []string
	for _, id := range ids {
		if b.get(id).doubtful() {
			doubtful = append(doubtful, id)
		}
	}
	mine := !b.checking && len(doubtful) > 0
	b.checking = b.checking || mine
	b.mu.Unlock()
	if !mine {
		return
	}
	var g errgroup.Group
	g.SetLimit(maxBlockJobChecks)
	for _, id := range doubtful {
		g.Go(func() error {
			_ = b.check(ctx, id) // a domain that is gone needs no check, and others are checked again
			return nil
		})
	}
	_ = g.Wait()
	b.mu.Lock()
	b.checking = false
	b.mu.Unlock()
}

// check asks libvirt for the jobs of one domain.
func (b *BlockJobs) check(ctx context.Context, id string) error {
	began := time.Now()
	return b.do(ctx, "node.block-jobs", func(conn *libvirt.Connect) error {
		d, err := conn.LookupDomainByUUIDString(id)
		if err != nil {
			return err
		}
		defer func() { _ = d.Free() }()
		found, err := hasBlockJob(d)
		if err != nil {
			return err
		}
		b.update(id, func(d *domainJobs) {
			if found {
				d.end()
				return
			}
			d.known = true
			for job, since := range d.running {
				if since.Before(began.Add(-blockJobDoubt)) {
					delete(d.running, job)
					d.end()
				}
			}
		})
		return nil
	})
}

// hasBlockJob asks libvirt for the jobs of all disks. libvirt queries QEMU only for the
// job, and only if it knows one.
func hasBlockJob(d *libvirt.Domain) (bool, error) {
	text, err := d.GetXMLDesc(0)
	if err != nil {
		return false, err
	}
	var def libvirtxml.Domain
	if err := def.Unmarshal(text); err != nil || def.Devices == nil {
		return false, err
	}
	for _, disk := range def.Devices.Disks {
		if disk.Target == nil {
			continue
		}
		if disk.Mirror != nil {
			return true, nil
		}
		info, err := d.GetBlockJobInfo(disk.Target.Dev, 0)
		if err != nil {
			return false, err
		}
		if info.Type != libvirt.DOMAIN_BLOCK_JOB_TYPE_UNKNOWN {
			return true, nil
		}
	}
	return false, nil
}

// errBlockJob is returned for changes that cannot run during a block job.
var errBlockJob = fault.New(fault.NodeBusy, "A libvirt block job is running on the node's disks. Try again when it has finished (`virsh blockjob DOMAIN DISK` shows it).")

// Hold waits until no block job of a running domain is in progress. Then the domain is not
// asked about its disks until release is called and for a short pause after it. Changes
// that start block jobs, or that make libvirt ask QEMU about its disks, must call it. It
// fails with fault.NodeBusy if a job of another program takes too long.
func (b *BlockJobs) Hold(ctx context.Context, id string) (release func(), err error) {
	waiting, cancel := context.WithTimeoutCause(ctx, blockJobTimeout, errBlockJob)
	defer cancel()
	for {
		b.mu.Lock()
		d := b.get(id)
		known, changed, pause := d.known, d.changed, time.Until(d.quiet)
		if d.isQuiet() {
			d.held++
			b.mu.Unlock()
			return func() {
				b.update(id, func(d *domainJobs) {
					d.held = max(0, d.held-1) // the QEMU process may be another one by now
					d.end()
				})
			}, nil
		}
		b.mu.Unlock()
		if !known && pause <= 0 {
			if err := b.check(waiting, id); err != nil {
				return nil, err
			}
			continue
		}
		over := time.NewTimer(max(pause, 0)) // when the pause after a job ends
		if pause <= 0 {
			over.Stop()
		}
		select {
		case <-changed:
		case <-over.C:
		case <-waiting.Done():
			over.Stop()
			return nil, context.Cause(waiting)
		}
		over.Stop()
	}
}

// watchBlockJobs subscribes to QEMU's events for its jobs. Drivers without QEMU have none.
// unregister may be nil.
func (h *Host) watchBlockJobs(conn *libvirt.Connect) (unregister func() error, err error) {
	callback, err := conn.DomainQemuMonitorEventRegister(nil, "JOB_STATUS_CHANGE", func(_ *libvirt.Connect, d *libvirt.Domain, e *libvirt.DomainQemuMonitorEvent) {
		if id, err := d.GetUUIDString(); err == nil { // read from the handle, without a call to libvirtd
			h.jobs.step(id, e.Details)
		}
	}, 0)
	if errors.Is(err, libvirt.ERR_NO_SUPPORT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return func() error { return conn.DomainQemuEventDeregister(callback) }, nil
}
