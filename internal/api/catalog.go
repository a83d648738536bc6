package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/job"
	"github.com/sandboxlabs/sandboxlabs/internal/policy"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
)

// PullJob is the kind of the jobs that download catalog images; their arguments are an upload.Pull.
const PullJob = "image.pull"

// ConvertJob is the kind of the jobs that unpack and convert uploads; their arguments are an
// upload.Conversion.
const ConvertJob = "image.convert"

// CatalogEntry is an image of the catalog in the API.
type CatalogEntry struct {
	ID           string `json:"id" doc:"Also the id of the base image."`
	Name         string `json:"name"`
	Version      string `json:"version"`
	OSType       string `json:"osType"`
	Arch         string `json:"arch"`
	Format       string `json:"format" enum:"qcow2,iso"`
	DefaultUser  string `json:"defaultUser,omitempty" doc:"The user that gets the SSH keys from cloud-init."`
	Firmware     string `json:"firmware,omitempty" enum:"bios,uefi,uefi-secure" doc:"Firmware of its nodes. Defaults to bios."`
	TPM          bool   `json:"tpm" doc:"Whether its nodes have a TPM 2.0."`
	MinDiskBytes int64  `json:"minDiskBytes"`
	MinRAM       int64  `json:"minRam" doc:"MiB"`
	Description  string `json:"description"`
	Source       string `json:"source,omitempty" doc:"URL that it is pulled from; absent if it can't be pulled."`
	Signed       bool   `json:"signed" doc:"Whether its checksum is protected by its publisher's signature. Otherwise it is protected by HTTPS, or is part of the catalogue."`
	State        string `json:"state" enum:"absent,uploading,verifying,ready,rejected,unverified,changed" doc:"State of the image on the host; absent: it can be pulled."`
	Job          *Job   `json:"job,omitempty" doc:"The job that pulls it."`
}

func (s *Server) registerCatalog() {
	register(s, huma.Operation{
		OperationID: "list-catalog", Method: http.MethodGet, Path: "/api/images/catalog", Summary: "List the base images in the catalogue", Tags: []string{"images"},
	}, func(ctx context.Context, in *struct {
		Host string `query:"host" doc:"Host whose images state describes. Defaults to the first host."`
	}) (*struct {
		Body struct {
			Images []CatalogEntry `json:"images"`
		}
	}, error) {
		out := &struct {
			Body struct {
				Images []CatalogEntry `json:"images"`
			}
		}{}
		var err error
		out.Body.Images, err = s.catalog(ctx, in.Host)
		return out, err
	})
	register(s, s.makes(huma.Operation{
		OperationID: "pull-image", Method: http.MethodPost, Path: "/api/images/catalog/{id}/pull", Summary: "Pull a base image from the catalogue (a job)", Tags: []string{"images", "jobs"},
		Description:   "The file must match its checksum, and the list of checksums must be signed if the catalogue names keys. The image is verified like an upload. Interrupted transfers are resumed.",
		DefaultStatus: http.StatusAccepted,
	}), func(ctx context.Context, in *struct {
		ID   string `path:"id"`
		Body *struct {
			Host string `json:"host,omitempty" doc:"Defaults to the first host."`
		} `required:"false"`
	}) (*Started, error) {
		host := ""
		if in.Body != nil {
			host = in.Body.Host
		}
		pull, err := s.o.Uploads.CheckPull(host, in.ID)
		if err != nil {
			return nil, err
		}
		pull.Owner = rightsOf(ctx).OwnerID()
		return s.start(ctx, PullJob, job.Target{Type: string(access.Image), ID: pull.ID, Host: pull.Host}, pull)
	})
}

// Started is the response of a request that started a job: 202, and the job's address.
type Started struct {
	Location string `header:"Location"`
	Body     Job
}

// start starts a job for the caller, unless one of its kind and target has not ended.
func (s *Server) start(ctx context.Context, kind string, target job.Target, args any) (*Started, error) {
	j, err := s.o.Jobs.Start(ctx, job.Request{Kind: kind, Owner: rightsOf(ctx).OwnerID(), Target: target, Args: args, Single: true})
	if err != nil {
		return nil, err
	}
	return &Started{Location: "/api/jobs/" + j.ID, Body: s.jobView(j)}, nil
}

// catalog returns the catalog with the state of its images on a host.
func (s *Server) catalog(ctx context.Context, host string) ([]CatalogEntry, error) {
	h, err := s.o.Hosts.Host(host)
	if err != nil {
		return nil, err
	}
	active, _, err := s.o.Jobs.List(ctx, job.Filter{Kind: PullJob, States: job.Active})
	if err != nil {
		return nil, err
	}
	rights := rightsOf(ctx)
	list := []CatalogEntry{}
	for _, e := range s.o.Images.Catalog() {
		v := CatalogEntry{
			ID: e.ID, Name: e.Name, Version: e.Version, OSType: e.OSType, Arch: e.Arch, Format: e.Format, DefaultUser: e.DefaultUser, Firmware: e.Firmware, TPM: e.TPM,
			MinDiskBytes: e.MinDiskBytes, MinRAM: e.MinRAMMiB, Description: e.Description, Source: e.URL, Signed: e.Signed(), State: "absent",
		}
		if img, err := s.o.Images.Image(h.Name(), e.ID); err == nil && img.Type == image.Base {
			v.State = string(img.State)
		}
		for _, j := range active {
			if j.Target.ID == e.ID && j.Target.Host == h.Name() && rights.On(policy.JobObject(j)) > access.None {
				view := s.jobView(j)
				v.Job = &view
			}
		}
		list = append(list, v)
	}
	return list, nil
}
