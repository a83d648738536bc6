package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/job"
	"github.com/sandboxlabs/sandboxlabs/internal/lab"
)

// LabFile is an exported lab. Networks and nodes have names that are unique in the file.
type LabFile struct {
	Format   string           `json:"sandboxlabs" enum:"lab/1"`
	Name     string           `json:"name" limit:"labName"`
	Networks []LabFileNetwork `json:"networks,omitempty" maxItems:"100"`
	Nodes    []LabFileNode    `json:"nodes,omitempty" maxItems:"100"`
}

// LabFileNetwork is a network of a LabFile.
type LabFileNetwork struct {
	Name      string  `json:"name" minLength:"1" maxLength:"255" doc:"The name in the file. The network that is created is named after the lab."`
	Addresses *bool   `json:"addresses,omitempty" doc:"Assign addresses by DHCP (the default)."`
	X         float64 `json:"x,omitempty" minimum:"-100000" maximum:"100000" limit:"coordinate" doc:"Pixels from the canvas's origin."`
	Y         float64 `json:"y,omitempty" minimum:"-100000" maximum:"100000" limit:"coordinate"`
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
	X        float64  `json:"x,omitempty" minimum:"-100000" maximum:"100000" limit:"coordinate"`
	Y        float64  `json:"y,omitempty" minimum:"-100000" maximum:"100000" limit:"coordinate"`
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
		p, err := s.o.Guard.Plan(ctx, rightsOf(ctx), in.Body.draft(host.Name(), rightsOf(ctx).OwnerID()))
		if err != nil {
			return nil, err
		}
		release, err := s.o.Quotas.Plan(ctx, p)
		if err != nil {
			return nil, err
		}
		defer release()
		n := noteOf(ctx)
		n.targetID, n.name = p.ID, p.Name
		return s.start(ctx, lab.ImportJob, job.Target{Type: string(access.Lab), ID: p.ID, Host: p.Host}, p)
	})
}

// draft returns the plan of a file as the file describes the lab, without ids.
func (f LabFile) draft(host, owner string) lab.Plan {
	p := lab.Plan{Name: f.Name, Owner: owner, Host: host}
	for _, n := range f.Networks {
		p.Networks = append(p.Networks, lab.PlannedNetwork{Name: n.Name, Addresses: n.Addresses == nil || *n.Addresses, X: n.X, Y: n.Y})
	}
	for _, n := range f.Nodes {
		p.Nodes = append(p.Nodes, lab.PlannedNode{
			Name: n.Name, Image: n.Image, OSType: n.OSType, RAMMiB: n.RAM, CPUs: n.CPUs, DiskBytes: n.Disk, Firmware: n.Firmware, TPM: n.TPM, Networks: n.Networks, X: n.X, Y: n.Y,
		})
	}
	return p
}
