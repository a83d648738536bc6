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
	// blockJobPause is how long after a block job a domain is not asked about its disks.
	blockJobPause = 2 * time.Second
	// blockJobTimeout bounds the wait of a change for the block jobs of others.
	blockJobTimeout = 10 * time.Second
	// blockJobDoubt is how long a job lasts before libvirt is asked whether it is still
	// there: the event of its end may be lost.
	blockJobDoubt = 30 * time.Second
	// maxBlockJobChecks bounds the domains that are checked at a time: each waits for its
	// QEMU.
	maxBlockJobChecks = 4
)

// BlockJobs knows the block jobs of a host's domains: pulls, commits, copies and backups,
// whoever started them. QEMU 7.2 may crash when it is asked about its block devices while
// a job ends (`virsh domstats --block`, `domblkinfo`), so nothing here asks a domain about
// its disks during a job, nor shortly after it.
//
// libvirt reports the end of a job only; QEMU itself reports each step, and libvirt passes
// that on. Jobs from before the connection are found by asking libvirt for each disk,
// which asks QEMU only for the job. Its methods may be called from any goroutine.
type BlockJobs struct {
	do func(ctx context.Context, op string, f Call) error

	mu       sync.Mutex
	domains  map[string]*domainJobs // by UUID
	checking bool
}

// domainJobs is what is known of the jobs of one domain that runs.
type domainJobs struct {
	known   bool                 // no job can be there that is not in running
	running map[string]time.Time // since when, by the job's name in QEMU
	held    int                  // our changes that start jobs
	quiet   time.Time            // it is not asked before
	changed chan struct{}        // closed at the next change of the above
}

func newBlockJobs(do func(ctx context.Context, op string, f Call) error) *BlockJobs {
	return &BlockJobs{do: do, domains: map[string]*domainJobs{}}
}

// update changes what is known of a domain.
func (b *BlockJobs) update(id string, f func(*domainJobs)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.get(id)
	f(d)
	close(d.changed)
	d.changed = make(chan struct{})
}

// get expects mu to be held.
func (b *BlockJobs) get(id string) *domainJobs {
	d := b.domains[id]
	if d == nil {
		d = &domainJobs{running: map[string]time.Time{}, changed: make(chan struct{})}
		b.domains[id] = d
	}
	return d
}

// end begins the pause after a job.
func (d *domainJobs) end() { d.quiet = time.Now().Add(blockJobPause) }

// step takes in what QEMU reports of a job: {"id":"pull-vda-libvirt-3-format","status":"running"}.
func (b *BlockJobs) step(id, details string) {
	var job struct{ ID, Status string }
	if json.Unmarshal([]byte(details), &job) != nil || job.ID == "" {
		return
	}
	b.update(id, func(d *domainJobs) {
		d.end()
		if job.Status == "null" { // libvirt has taken note of its end
			delete(d.running, job.ID)
		} else if _, is := d.running[job.ID]; !is {
			d.running[job.ID] = time.Now()
		}
	})
}

// ended takes in the end of a job as libvirt reports it.
func (b *BlockJobs) ended(id string) { b.update(id, (*domainJobs).end) }

// started notes a new QEMU, which has no jobs yet.
func (b *BlockJobs) started(id string) {
	b.update(id, func(d *domainJobs) {
		d.known, d.quiet = true, time.Time{}
		clear(d.running)
	})
}

// forget drops what is known of a domain that stopped, or of all with an empty id.
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
// jobs is in progress, nor ended just now. It is false until that is known; see Check.
func (b *BlockJobs) Quiet(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.domains[id]
	return d != nil && d.isQuiet()
}

func (d *domainJobs) isQuiet() bool {
	return d.known && d.held == 0 && len(d.running) == 0 && !time.Now().Before(d.quiet)
}

// doubtful returns whether libvirt has to be asked for the domain's jobs.
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

// Check finds out about the jobs of a host's running domains of which nothing is known. It
// returns at once where another check is in progress: a QEMU that does not answer holds
// one up.
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
			_ = b.check(ctx, id) // one that is gone needs no check, and another is checked again
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

// hasBlockJob asks libvirt, which asks QEMU only for the job, where it knows one.
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

// errBlockJob is returned for changes that can't run during a block job.
var errBlockJob = fault.New(fault.NodeBusy, "A libvirt block job is running on the node's disks. Try again when it has finished (`virsh blockjob DOMAIN DISK` shows it).")

// Hold waits until no block job of a running domain is in progress, and has the domain
// not asked about its disks until release and for a short pause after it. It is for
// changes that start block jobs, and for those that have libvirt ask QEMU about its disks.
// It fails with fault.NodeBusy where a job of others lasts.
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
					d.held = max(0, d.held-1) // its QEMU may be another one now
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
		over := time.NewTimer(max(pause, 0)) // of the pause after a job
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

// watchBlockJobs registers for what QEMU reports of its jobs; drivers that run no QEMU have
// none. unregister may be nil.
func (h *Host) watchBlockJobs(conn *libvirt.Connect) (unregister func() error, err error) {
	callback, err := conn.DomainQemuMonitorEventRegister(nil, "JOB_STATUS_CHANGE", func(_ *libvirt.Connect, d *libvirt.Domain, e *libvirt.DomainQemuMonitorEvent) {
		if id, err := d.GetUUIDString(); err == nil { // it is in the handle
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
