package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/job"
	"github.com/sandboxlabs/sandboxlabs/internal/lab"
)

// ImportJob is the kind of the jobs that make labs of files; their arguments are a
// lab.Plan.
const ImportJob = "lab.import"

// LabFile is what a lab is in a file. Networks and nodes have names in it that hold
// within the file.
type LabFile struct {
	Format   string           `json:"sandboxlabs" enum:"lab/1"`
	Name     string           `json:"name" doc:"1 to 64 characters."`
	Networks []LabFileNetwork `json:"networks,omitempty" maxItems:"100"`
	Nodes    []LabFileNode    `json:"nodes,omitempty" maxItems:"100"`
}

// LabFileNetwork is a network of a LabFile.
type LabFileNetwork struct {
	Name      string  `json:"name" minLength:"1" maxLength:"255" doc:"The name in the file. The network that is created is named after the lab."`
	Addresses *bool   `json:"addresses,omitempty" doc:"Assign addresses by DHCP (the default)."`
	X         float64 `json:"x,omitempty" minimum:"-100000" maximum:"100000" doc:"Pixels from the canvas's origin."`
	Y         float64 `json:"y,omitempty" minimum:"-100000" maximum:"100000"`
}

// LabFileNode is a node of a LabFile.
type LabFileNode struct {
	Name     string   `json:"name" doc:"If the name is taken, a number is appended."`
	Image    string   `json:"image" minLength:"1" maxLength:"255" doc:"Id of an image."`
	OSType   string   `json:"osType,omitempty"`
	RAM      int64    `json:"ram" doc:"MiB."`
	CPUs     int      `json:"cpus"`
	Disk     int64    `json:"disk,omitempty" minimum:"0" doc:"Bytes; the image's virtual size when left out."`
	Firmware string   `json:"firmware,omitempty" enum:"bios,uefi,uefi-secure" doc:"Defaults to the image's."`
	TPM      *bool    `json:"tpm,omitempty" doc:"Whether it has a TPM 2.0. Defaults to the image's setting."`
	Networks []string `json:"networks,omitempty" maxItems:"100" doc:"Names of networks in the file."`
	X        float64  `json:"x,omitempty" minimum:"-100000" maximum:"100000"`
	Y        float64  `json:"y,omitempty" minimum:"-100000" maximum:"100000"`
}

func (s *Server) registerImport(path string, tags []string) {
	register(s, s.makes(huma.Operation{
		OperationID: "import-lab", Method: http.MethodPost, Path: path + "/import", Summary: "Import a lab from a file (a job)", Tags: append([]string{"jobs"}, tags...),
		Description: "The UI exports such files. The whole file is checked, including quotas, before anything is created. " +
			"The target of the job is the lab, which shows what was created so far. A failed or cancelled job removes all of it.",
		DefaultStatus: http.StatusAccepted,
	}), func(ctx context.Context, in *struct {
		Host string `query:"host" doc:"Host for the nodes and networks. Defaults to the first host."`
		Body LabFile
	}) (*Started, error) {
		host, err := s.o.Hosts.Host(in.Host)
		if err != nil {
			return nil, err
		}
		p, err := s.planOf(ctx, host.Name(), in.Body)
		if err != nil {
			return nil, err
		}
		release, err := s.reservePlan(ctx, p)
		if err != nil {
			return nil, err
		}
		defer release()
		n := noteOf(ctx)
		n.targetID, n.name = p.ID, p.Name
		return s.start(ctx, ImportJob, job.Target{Type: string(access.Lab), ID: p.ID, Host: p.Host}, p)
	})
}

// reservePlan holds what a lab will take, until it is on record.
func (s *Server) reservePlan(ctx context.Context, p lab.Plan) (release func(), err error) {
	var held []func()
	release = func() {
		for _, give := range held {
			give()
		}
	}
	give, err := s.reserveLab(ctx, p.Owner, p.ID)
	if err != nil {
		return nil, err
	}
	held = append(held, give)
	for _, v := range p.Networks {
		give, err := s.reserveNetwork(ctx, p.Owner, v.ID)
		if err != nil {
			release()
			return nil, err
		}
		held = append(held, give)
	}
	for i, n := range p.Nodes {
		give, err := s.reserveNode(ctx, p.Owner, p.Host, n.Name, n.DiskBytes)
		if err != nil {
			release()
			return nil, inFile(i, err)
		}
		held = append(held, give)
	}
	return release, nil
}

// planOf plans what a file describes for who makes the request, and refuses what
// could not be made.
func (s *Server) planOf(ctx context.Context, host string, file LabFile) (lab.Plan, error) {
	rights := rightsOf(ctx)
	draft := lab.Plan{Name: file.Name, Owner: rights.OwnerID(), Host: host}
	for _, n := range file.Networks {
		draft.Networks = append(draft.Networks, lab.PlannedNetwork{Name: n.Name, Addresses: n.Addresses == nil || *n.Addresses, X: n.X, Y: n.Y})
	}
	for i, n := range file.Nodes {
		if err := domain.ValidName(n.Name); err != nil { // before another one is made of it
			return lab.Plan{}, inFile(i, err)
		}
		draft.Nodes = append(draft.Nodes, lab.PlannedNode{
			Name: n.Name, Image: n.Image, OSType: n.OSType, RAMMiB: n.RAM, CPUs: n.CPUs, DiskBytes: n.Disk, Firmware: n.Firmware, TPM: n.TPM, Networks: n.Networks, X: n.X, Y: n.Y,
		})
	}
	var taken []string
	for _, n := range s.o.Nodes.Nodes() {
		taken = append(taken, n.Name)
	}
	p, err := s.o.Labs.NewPlan(draft, taken)
	if err != nil {
		return lab.Plan{}, err
	}
	for i := range p.Nodes {
		n := &p.Nodes[i]
		spec := domain.Spec{
			Name: n.Name, Host: host, ImageID: n.Image, OSType: n.OSType,
			RAMMiB: given(n.RAMMiB), CPUs: given(n.CPUs), DiskBytes: n.DiskBytes, Firmware: n.Firmware, TPM: n.TPM, Owner: p.Owner,
		}
		err := s.mayMakeOf(rights, spec)
		if err == nil {
			spec, err = s.o.Nodes.Check(ctx, spec)
		}
		if err != nil {
			return lab.Plan{}, inFile(i, err)
		}
		n.DiskBytes = spec.DiskBytes // which quotas count
	}
	return p, nil
}

// inFile names the node of a file that an error is about.
func inFile(node int, err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	place := fmt.Sprintf("nodes[%d]", node)
	named := *f
	if f.Field != "" {
		place += "." + strings.TrimPrefix(f.Field, "resources.")
		named.Field = place
	}
	named.Message = place + ": " + f.Message
	return &named
}
