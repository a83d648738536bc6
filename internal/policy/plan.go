package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/lab"
)

// Plan completes the plan of a lab that is imported: names that are free, and sizes. It returns an
// error, which names the node of the file, if the user cannot create all of it, or if it is invalid.
func (g *Guard) Plan(ctx context.Context, rights access.Rights, draft lab.Plan) (lab.Plan, error) {
	for i, n := range draft.Nodes {
		if err := domain.ValidName(n.Name); err != nil { // before it is changed into a free name
			return lab.Plan{}, nodeInFile(i, err)
		}
	}
	var taken []string
	for _, n := range g.o.Nodes.Nodes() {
		taken = append(taken, n.Name)
	}
	p, err := g.o.Labs.NewPlan(draft, taken)
	if err != nil {
		return lab.Plan{}, err
	}
	for i := range p.Nodes {
		n := &p.Nodes[i]
		spec := domain.Spec{
			Name: n.Name, Host: p.Host, ImageID: n.Image, OSType: n.OSType,
			RAMMiB: domain.Given(n.RAMMiB), CPUs: domain.Given(n.CPUs), DiskBytes: n.DiskBytes, Firmware: n.Firmware, TPM: n.TPM, Owner: p.Owner,
		}
		err := g.UseImage(rights, spec.Host, spec.ImageID)
		if err == nil {
			spec, err = g.o.Nodes.Check(ctx, spec)
		}
		if err != nil {
			return lab.Plan{}, nodeInFile(i, err)
		}
		n.DiskBytes = spec.DiskBytes // quotas count it
	}
	return p, nil
}

// nodeInFile puts the position of a node in a lab's file before the message of its error.
func nodeInFile(node int, err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	position := fmt.Sprintf("nodes[%d]", node)
	named := *f
	if f.Field != "" {
		position += "." + strings.TrimPrefix(f.Field, "resources.")
		named.Field = position
	}
	named.Message = position + ": " + f.Message
	return &named
}
