package api

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/google/uuid"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/job"
	"github.com/sandboxlabs/sandboxlabs/internal/lab"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
)

// reserve holds an amount for a thing of an account's; see access.Service.Reserve.
func (s *Server) reserve(ctx context.Context, account, thing string, amount access.Amount) (release func(), err error) {
	return s.o.Access.Reserve(ctx, account, thing, amount, func() (map[string]access.Amount, error) {
		taken, err := s.takenBy(ctx, account)
		// What does not grow is not compared, and the hosts need not be asked for networks.
		if err == nil && amount.Networks+amount.Labs > 0 {
			err = s.eachDrawn(ctx, collect(account, taken))
		}
		return taken, err
	})
}

// tell is told of a thing that counts against its owner's quota.
type tell func(owner, thing string, amount access.Amount)

// collect keeps the things of one account.
func collect(account string, taken map[string]access.Amount) tell {
	return func(owner, thing string, amount access.Amount) {
		if owner == account {
			taken[thing] = amount
		}
	}
}

// takenBy returns what an account has now, by thing, without networks and labs.
func (s *Server) takenBy(ctx context.Context, account string) (map[string]access.Amount, error) {
	taken, err := s.planned(ctx, account)
	if err != nil {
		return nil, err
	}
	uploads, err := s.o.Storage.UploadsOf(ctx, account)
	s.eachThing(uploads, collect(account, taken))
	return taken, err
}

// eachDrawn tells of the networks and labs.
func (s *Server) eachDrawn(ctx context.Context, tell tell) error {
	networks, err := s.o.Nodes.Networks(ctx)
	if err != nil {
		return err
	}
	for _, v := range networks {
		if v.Managed {
			tell(v.Owner, networkThing(v.ID), access.Amount{Networks: 1})
		}
	}
	labs, err := s.o.Labs.List(ctx)
	for _, l := range labs {
		tell(l.Owner, labThing(l.ID), access.Amount{Labs: 1})
	}
	return err
}

func networkThing(id string) string { return "network/" + id }

func labThing(id string) string { return "lab/" + id }

func imageThing(host, id string) string { return "image/" + host + "/" + id }

// planned tells what an account has in the making: full clones, and nodes of labs that
// are imported.
func (s *Server) planned(ctx context.Context, account string) (map[string]access.Amount, error) {
	taken := map[string]access.Amount{}
	for kind, add := range map[string]func(job.Job) error{
		CloneJob: func(j job.Job) error {
			var c domain.Clone
			err := j.Args(&c)
			taken[nodeThing(c.Host, c.Name)] = amountOfNew(c.DiskBytes)
			return err
		},
		ImportJob: func(j job.Job) error {
			var p lab.Plan
			err := j.Args(&p)
			for _, n := range p.Nodes {
				taken[nodeThing(p.Host, n.Name)] = amountOfNew(n.DiskBytes)
			}
			for _, v := range p.Networks {
				taken[networkThing(v.ID)] = access.Amount{Networks: 1}
			}
			taken[labThing(p.ID)] = access.Amount{Labs: 1}
			return err
		},
	} {
		jobs, _, err := s.o.Jobs.List(ctx, job.Filter{Kind: kind, Owner: account, States: job.Active})
		if err != nil {
			return nil, err
		}
		for _, j := range jobs {
			if err := add(j); err != nil {
				return nil, err
			}
		}
	}
	return taken, nil
}

// takenByAll tells what each account has now.
func (s *Server) takenByAll(ctx context.Context) (map[string]access.Amount, error) {
	things := map[string]map[string]access.Amount{}
	keep := func(owner, thing string, amount access.Amount) {
		if things[owner] == nil {
			things[owner] = map[string]access.Amount{}
		}
		things[owner][thing] = amount
	}
	uploads, err := s.o.Storage.Uploads(ctx)
	if err != nil {
		return nil, err
	}
	s.eachThing(uploads, keep)
	err = s.eachDrawn(ctx, keep)
	taken := make(map[string]access.Amount, len(things))
	for owner, of := range things {
		taken[owner] = access.Sum(of)
	}
	return taken, err
}

// eachThing tells of everything that counts against a quota. A thing may be told of
// twice: the last amount counts.
func (s *Server) eachThing(uploads []storagepool.Incoming, tell tell) {
	for _, n := range s.o.Nodes.Nodes() {
		if n.Managed {
			tell(n.Owner, nodeThing(n.Host, n.Name), amountOf(n, n.Active()))
			for _, file := range n.Below { // what linked clones left frozen; images are counted apart
				if bytes, known, inPool := s.o.Storage.NodeFileBytes(n.Host, file); known {
					tell(n.Owner, fileThing(n.Host, file), access.Amount{DiskBytes: bytes})
				} else if inPool {
					tell(n.Owner, fileThing(n.Host, file), access.Amount{DiskBytes: n.DiskBytes})
				}
			}
		}
	}
	for _, i := range s.o.Storage.Images() {
		if i.Type == storagepool.Custom && i.State != storagepool.Uploading {
			tell(i.Owner, imageThing(i.Host, i.ID), access.Amount{DiskBytes: i.FileBytes})
		}
	}
	for _, u := range uploads {
		tell(u.Owner, imageThing(u.Host, u.ID), s.amountOfUpload(max(u.SizeBytes, u.TakenBytes)))
	}
}

// tellQuota tells somebody of their own quota.
func (s *Server) tellQuota(ctx context.Context, a access.Account, to *SignedIn) (err error) {
	bounds := quota(a.Quota)
	to.Quota = &bounds
	to.Used, err = s.usedBy(ctx, a.ID)
	return err
}

// usedBy returns all that an account has now.
func (s *Server) usedBy(ctx context.Context, account string) (*Quota, error) {
	things, err := s.takenBy(ctx, account)
	if err == nil {
		err = s.eachDrawn(ctx, collect(account, things))
	}
	if err != nil {
		return nil, err
	}
	return used(access.Sum(things)), nil
}

// used is what an account takes, on the wire.
func used(sum access.Amount) *Quota {
	return &Quota{Nodes: &sum.Nodes, Running: &sum.Running, CPUs: &sum.CPUs, RAM: &sum.RAMMiB, Disk: &sum.DiskBytes, Uploads: &sum.Uploads, Networks: &sum.Networks, Labs: &sum.Labs}
}

// nodeThing names a node in a quota: its id is not known before it is made.
func nodeThing(host, name string) string { return "node/" + host + "/" + name }

// fileThing names a file that disks are overlays of: those of one owner share it.
func fileThing(host, file string) string { return "file/" + host + "/" + file }

// What a node has beside its disks, at most: its seed, and the log of each console.
const (
	seedBytes = 1 << 20
	logBytes  = 8 << 20
)

// amountOf is what a node takes, running or off.
func amountOf(n domain.Node, running bool) access.Amount {
	a := access.Amount{Nodes: 1, DiskBytes: n.DiskBytes + n.ExtraBytes + n.KeptBytes + seedBytes}
	for _, p := range n.Ports {
		if p.LogPath != "" {
			a.DiskBytes += logBytes
		}
	}
	if running {
		a.Running, a.CPUs, a.RAMMiB = 1, int64(n.CPUs), n.RAMMiB
	}
	return a
}

// amountOfNew is what a node takes that is to be made, and is off then.
func amountOfNew(diskBytes int64) access.Amount {
	return access.Amount{Nodes: 1, DiskBytes: diskBytes + seedBytes + logBytes}
}

// amountOfUpload is what an upload takes; one whose size was not announced may
// become as large as any.
func (s *Server) amountOfUpload(sizeBytes int64) access.Amount {
	if sizeBytes <= 0 {
		sizeBytes = s.o.Storage.MaxImageBytes()
	}
	return access.Amount{Uploads: 1, DiskBytes: sizeBytes}
}

// reserveNew holds what a new node will take. Of an image or a host that is not
// there, Create tells.
func (s *Server) reserveNew(ctx context.Context, spec domain.Spec) (release func(), err error) {
	host, err := s.o.Hosts.Host(spec.Host)
	if err != nil {
		return nil, err
	}
	diskBytes := spec.DiskBytes
	if i, err := s.o.Storage.Image(host.Name(), spec.ImageID); err == nil {
		switch {
		case i.Format != storagepool.ISO:
			diskBytes = max(diskBytes, i.VirtualBytes)
		case diskBytes == 0:
			diskBytes = domain.DefaultDiskBytes
		}
	}
	return s.reserveNode(ctx, spec.Owner, host.Name(), spec.Name, diskBytes)
}

// reserveNode holds what a node that is to be made will take.
func (s *Server) reserveNode(ctx context.Context, owner, host, name string, diskBytes int64) (release func(), err error) {
	return s.reserve(ctx, owner, nodeThing(host, name), amountOfNew(diskBytes))
}

// startNode starts a node, within the quota of its owner: who was given the right to
// use it uses what the owner may.
func (s *Server) startNode(ctx context.Context, id string) (domain.Node, error) {
	n, err := s.o.Nodes.Node(id)
	if err != nil {
		return domain.Node{}, err
	}
	if n.Managed {
		release, err := s.reserve(ctx, n.Owner, nodeThing(n.Host, n.Name), amountOf(n, true))
		if err != nil {
			return domain.Node{}, err
		}
		defer release()
	}
	return s.o.Nodes.Start(ctx, id)
}

// stopNode stops a node, which takes less of its owner's quota then.
func (s *Server) stopNode(ctx context.Context, id string, force bool) (domain.Node, error) {
	n, err := s.o.Nodes.Stop(ctx, id, force)
	if err == nil && !n.Active() {
		s.o.Access.Unreserve(ctx, nodeThing(n.Host, n.Name))
	}
	return n, err
}

// reserveRevert holds what a node will take when it is again as a snapshot has it,
// which may run. Of a snapshot that is not there, RevertSnapshot tells.
func (s *Server) reserveRevert(ctx context.Context, id, name string) (release func(), err error) {
	n, err := s.o.Nodes.Node(id)
	if err != nil {
		return nil, err
	}
	list, _, err := s.o.Nodes.Snapshots(ctx, id)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(list, func(v domain.Snapshot) bool { return v.Name == name })
	if at < 0 || !n.Managed {
		return func() {}, nil
	}
	n.RAMMiB, n.CPUs = list[at].Size.RAMMiB, list[at].Size.CPUs
	return s.reserve(ctx, n.Owner, nodeThing(n.Host, n.Name), amountOf(n, list[at].Memory))
}

// reserveDisk holds what a node will take with one more disk.
func (s *Server) reserveDisk(ctx context.Context, id string, bytes int64) (release func(), err error) {
	return s.reserveChange(ctx, id, func(n *domain.Node) { n.ExtraBytes += bytes })
}

// reserveSnapshot holds what a node will take with one more snapshot.
func (s *Server) reserveSnapshot(ctx context.Context, id string) (release func(), err error) {
	disks, memory, err := s.o.Nodes.Written(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.reserveChange(ctx, id, func(n *domain.Node) { n.KeptBytes = max(n.KeptBytes, disks+memory) })
}

// reserveClone holds what a clone will take: a linked one has the disk of its source
// frozen, too, which both need.
func (s *Server) reserveClone(ctx context.Context, c domain.Clone, full bool) (release func(), err error) {
	bytes := c.DiskBytes
	if n, err := s.o.Nodes.Node(c.Source); err == nil && !full {
		frozen, _, err := s.o.Nodes.Written(ctx, n.ID)
		if err != nil {
			return nil, err
		}
		bytes += frozen
	}
	return s.reserveNode(ctx, c.Owner, c.Host, c.Name, bytes)
}

// reserveEdit holds what a node will take with other sizes. CPUs and RAM of one that
// is off count when it is started.
func (s *Server) reserveEdit(ctx context.Context, id string, e domain.Edit) (release func(), err error) {
	return s.reserveChange(ctx, id, func(n *domain.Node) {
		if e.DiskBytes != nil {
			n.DiskBytes = *e.DiskBytes
		}
		if e.RAMMiB != nil {
			n.RAMMiB = *e.RAMMiB
		}
		if e.CPUs != nil {
			n.CPUs = *e.CPUs
		}
	})
}

// reserveChange holds what a node will take once it was changed.
func (s *Server) reserveChange(ctx context.Context, id string, change func(*domain.Node)) (release func(), err error) {
	n, err := s.o.Nodes.Node(id)
	if err != nil {
		return nil, err
	}
	change(&n)
	return s.reserve(ctx, n.Owner, nodeThing(n.Host, n.Name), amountOf(n, n.Active()))
}

// reserveUpload runs take with an upload, for which room is held until it is on
// record.
func (s *Server) reserveUpload(ctx context.Context, up storagepool.Upload, take func(storagepool.Upload) error) error {
	release, err := s.reserve(ctx, up.Owner, "upload/"+uuid.NewString(), s.amountOfUpload(up.SizeBytes))
	if err != nil {
		return err
	}
	release = sync.OnceFunc(release)
	defer release()
	up.Recorded = release
	return take(up)
}

// ReserveUpload holds what an upload will take in all, while record notes that: it is
// unpacked or converted, or a job is to fetch it.
func (s *Server) ReserveUpload(ctx context.Context, c storagepool.Conversion, bytes int64, record func() error) error {
	release, err := s.reserve(ctx, c.Owner, imageThing(c.Host, c.ID), s.amountOfUpload(bytes))
	if err != nil {
		return err
	}
	defer release()
	return record()
}

// reserveNetwork holds a network that is to be made, of an id that may be empty.
func (s *Server) reserveNetwork(ctx context.Context, owner, id string) (release func(), err error) {
	return s.reserve(ctx, owner, networkThing(cmp.Or(id, uuid.NewString())), access.Amount{Networks: 1})
}

// reserveLab holds a lab that is to be made.
func (s *Server) reserveLab(ctx context.Context, owner, id string) (release func(), err error) {
	return s.reserve(ctx, owner, labThing(cmp.Or(id, uuid.NewString())), access.Amount{Labs: 1})
}
