package lab

import (
	"context"
	"fmt"
	"regexp"
	"slices"

	"github.com/google/uuid"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// ImportJob is the kind of the jobs that create labs from files; their arguments are a Plan.
const ImportJob = "lab.import"

// Plan is a lab to be created from a file, with everything in it.
type Plan struct {
	ID       string           `json:"id"` // chosen by NewPlan
	Name     string           `json:"name"`
	Owner    string           `json:"owner"`
	Host     string           `json:"host"`
	Networks []PlannedNetwork `json:"networks"`
	Nodes    []PlannedNode    `json:"nodes"`
}

// PlannedNetwork is a network of a plan. It is renamed after the new lab.
type PlannedNetwork struct {
	ID        string  `json:"id"` // chosen by NewPlan
	Name      string  `json:"name"`
	Addresses bool    `json:"addresses"` // whether DHCP assigns addresses
	X         float64 `json:"x"`
	Y         float64 `json:"y"`
}

// PlannedNode is a node of a plan.
type PlannedNode struct {
	ID        string   `json:"id"`  // derived from the key by NewPlan
	Key       string   `json:"key"` // the idempotency key for creating it, also when that is retried
	Name      string   `json:"name"`
	Image     string   `json:"image"`
	OSType    string   `json:"osType"`
	RAMMiB    int64    `json:"ram"`
	CPUs      int      `json:"cpus"`
	DiskBytes int64    `json:"disk"`
	Firmware  string   `json:"firmware,omitempty"` // empty: the image's
	TPM       *bool    `json:"tpm,omitempty"`      // nil: the image's
	Networks  []string `json:"networks"`           // names of networks of the plan
	X         float64  `json:"x"`
	Y         float64  `json:"y"`
}

// NewPlan checks the contents of a file and chooses ids. Nodes whose names are taken get
// other names. Errors: fault.Invalid, with the position in the file.
func (s *Service) NewPlan(p Plan, taken []string) (Plan, error) {
	name, err := checkName(p.Name)
	if err != nil {
		return Plan{}, err
	}
	if n := len(p.Networks) + len(p.Nodes); n > MaxPlaces {
		return Plan{}, fault.Field("nodes", "nodes: the file has %d nodes and networks; a lab can have %d.", n, MaxPlaces)
	}
	p.ID, p.Name = uuid.NewString(), name
	p.Networks, p.Nodes = slices.Clone(p.Networks), slices.Clone(p.Nodes)
	networks, nodes := map[string]bool{}, map[string]bool{}
	for i := range p.Networks {
		n := &p.Networks[i]
		if networks[n.Name] {
			return Plan{}, twice("networks", i, n.Name)
		}
		networks[n.Name] = true
		n.ID = uuid.NewString()
	}
	taken = slices.Clone(taken)
	for i := range p.Nodes {
		n := &p.Nodes[i]
		if nodes[n.Name] {
			return Plan{}, twice("nodes", i, n.Name)
		}
		nodes[n.Name] = true
		for k, network := range n.Networks {
			place := fmt.Sprintf("nodes[%d].networks[%d]", i, k)
			switch {
			case !networks[network]:
				return Plan{}, fault.Field(place, "%s: network %q is not in the file.", place, network)
			case slices.Contains(n.Networks[:k], network):
				return Plan{}, fault.Field(place, "%s: the node is already on network %q.", place, network)
			}
		}
		n.Name = freeNodeName(n.Name, taken)
		taken = append(taken, n.Name)
		n.Key = fmt.Sprintf("%s/%d", p.ID, i)
		n.ID = s.o.Libvirt.NodeID(p.Owner, n.Key)
	}
	return p, nil
}

func twice(list string, i int, name string) error {
	place := fmt.Sprintf("%s[%d].name", list, i)
	return fault.Field(place, "%s: the name %q is used twice.", place, name)
}

var trailingNumber = regexp.MustCompile(`-\d+$`)

// freeNodeName returns name if it is free, and otherwise name with a number appended.
func freeNodeName(name string, taken []string) string {
	if !slices.Contains(taken, name) {
		return name
	}
	stem := trailingNumber.ReplaceAllString(name, "")
	stem = stem[:min(len(stem), 55)]
	for n := 2; ; n++ {
		if name := fmt.Sprintf("%s-%d", stem, n); !slices.Contains(taken, name) {
			return name
		}
	}
}

// Progress receives the progress of an import: what it is creating, and how many of all
// nodes, networks and links exist; see job.Task.
type Progress interface {
	At(step string, done, total int64)
}

// Import creates what a plan describes. It may be repeated after an interruption, and
// UndoImport undoes it. The lab shows what has been created so far. Errors: those of
// creating nodes, networks and links; fault.NotFound if the lab is deleted meanwhile.
func (s *Service) Import(ctx context.Context, p Plan, progress Progress) error {
	if err := s.settle(ctx, p); err != nil {
		return err
	}
	if _, err := s.create(ctx, p.ID, p.Name, p.Owner); err != nil {
		return err
	}
	total := int64(len(p.Networks) + len(p.Nodes))
	for _, n := range p.Nodes {
		total += int64(len(n.Networks))
	}
	done := int64(0)
	step := func(what string, do func() error) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		progress.At(what, done, total)
		done++
		return do()
	}
	there, err := s.o.Libvirt.Networks(ctx)
	if err != nil {
		return err
	}
	ids := map[string]string{}
	for _, n := range p.Networks {
		ids[n.Name] = n.ID
		if err := step("making network "+n.Name, func() error { return s.importNetwork(ctx, p, n, there) }); err != nil {
			return err
		}
	}
	for _, n := range p.Nodes {
		if err := step("making node "+n.Name, func() error { return s.importNode(ctx, p, n) }); err != nil {
			return err
		}
		for _, network := range n.Networks {
			if err := step("connecting "+n.Name+" to "+network, func() error { return s.Connect(ctx, p.ID, n.ID, ids[network], p.Owner) }); err != nil {
				return err
			}
		}
	}
	progress.At("", total, total)
	return nil
}

// settle completes or removes what an earlier attempt left incomplete.
func (s *Service) settle(ctx context.Context, p Plan) error {
	nodes := make([]string, len(p.Nodes))
	for i, n := range p.Nodes {
		nodes[i] = n.ID
	}
	networks := make([]string, len(p.Networks))
	for i, n := range p.Networks {
		networks[i] = n.ID
	}
	return s.o.Libvirt.Settle(ctx, p.Host, nodes, networks)
}

func (s *Service) importNetwork(ctx context.Context, p Plan, n PlannedNetwork, there []Net) error {
	if slices.ContainsFunc(there, func(o Net) bool { return o.ID == n.ID }) {
		return nil
	}
	_, err := s.addNetwork(ctx, p.ID, Net{ID: n.ID, Host: p.Host, Owner: p.Owner, DHCP: n.Addresses}, n.X, n.Y)
	return err
}

func (s *Service) importNode(ctx context.Context, p Plan, n PlannedNode) error {
	if err := s.o.Libvirt.CreateNode(ctx, p.Host, p.Owner, n); err != nil {
		return err
	}
	_, err := s.Add(ctx, p.ID, Place{Kind: Node, ID: n.ID, X: n.X, Y: n.Y})
	return err
}

// UndoImport deletes what an import has created. What others depend on by now stays, and
// so does the lab. It may be repeated.
func (s *Service) UndoImport(ctx context.Context, p Plan) error {
	if err := s.settle(ctx, p); err != nil {
		return err
	}
	kept := false
	// off removes a deleted node or network from the lab with forget.
	off := func(deleted error, missing fault.Code, forget func() error) error {
		switch code := fault.CodeOf(deleted); {
		case deleted == nil, code == missing:
			return forget()
		case code == fault.NodeBusy:
			kept = true
			return nil
		}
		return deleted
	}
	for _, n := range p.Nodes {
		err := off(s.o.Libvirt.DeleteNode(ctx, n.ID), fault.NodeNotFound, func() error { return s.Forget(ctx, n.ID) })
		if err != nil {
			return err
		}
	}
	nets, err := s.o.Libvirt.Networks(ctx)
	if err != nil {
		return err
	}
	for _, net := range nets {
		if !slices.ContainsFunc(p.Networks, func(n PlannedNetwork) bool { return n.ID == net.ID }) {
			continue
		}
		err := off(s.o.Libvirt.DeleteNetwork(ctx, net), fault.NotFound, func() error {
			_, err := s.remove(ctx, p.ID, Network, net.ID)
			return unlessGone(err)
		})
		if err != nil {
			return err
		}
	}
	if kept {
		return nil
	}
	return unlessGone(s.Delete(ctx, p.ID))
}

// unlessGone returns err, or nil if err says that the object no longer exists.
func unlessGone(err error) error {
	if fault.CodeOf(err) == fault.NotFound {
		return nil
	}
	return err
}
