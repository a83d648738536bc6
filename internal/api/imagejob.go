package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/job"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
)

// The kinds of the jobs that work on images; their arguments are a
// image.Work.
const (
	VerifyJob  = "image.verify"
	CompactJob = "image.compact"
	GrowJob    = "image.resize"
	CaptureJob = "node.image"
)

func (s *Server) registerImageJobs() {
	register(s, s.makes(huma.Operation{
		OperationID: "verify-image", Method: http.MethodPost, Path: "/api/images/{id}/verify", Summary: "Verify an image that another program put into the pool, or changed there (a job)", Tags: []string{"images", "jobs"},
		Description: "A valid qcow2 or ISO file becomes ready. Disks in other formats are converted only when uploaded.", DefaultStatus: http.StatusAccepted,
	}), func(ctx context.Context, in *ImageID) (*Started, error) {
		w, err := s.o.ImageWork.CheckVerify(in.ID)
		if err == nil && !w.Changed { // disks may be backed by a changed image: they need verification
			err = s.checkUnused(ctx, in.ID)
		}
		return s.startWork(ctx, VerifyJob, w, err)
	})
	register(s, s.makes(huma.Operation{
		OperationID: "compact-image", Method: http.MethodPost, Path: "/api/images/{id}/compact", Summary: "Reclaim unused space of an image (a job)", Tags: []string{"images", "jobs"},
		Description: "Refused with image_in_use while disks are backed by it.", DefaultStatus: http.StatusAccepted,
	}), func(ctx context.Context, in *ImageID) (*Started, error) {
		w, err := s.o.ImageWork.CheckChange(in.ID)
		if err == nil {
			err = s.checkUnused(ctx, in.ID)
		}
		return s.startWork(ctx, CompactJob, w, err)
	})
	register(s, s.makes(huma.Operation{
		OperationID: "resize-image", Method: http.MethodPost, Path: "/api/images/{id}/resize", Summary: "Enlarge the disk of an image (a job)", Tags: []string{"images", "jobs"},
		Description: "Refused with image_in_use while disks are backed by it.", DefaultStatus: http.StatusAccepted,
	}), func(ctx context.Context, in *struct {
		ImageID
		Body struct {
			VirtualSize int64 `json:"virtualSize" limit:"imageDisk" doc:"Bytes; larger than the current size."`
		}
	}) (*Started, error) {
		w, err := s.o.ImageWork.CheckGrow(in.ID, in.Body.VirtualSize)
		if err == nil {
			err = s.checkUnused(ctx, in.ID)
		}
		return s.startWork(ctx, GrowJob, w, err)
	})
	register(s, s.makes(huma.Operation{
		OperationID: "make-image-of-node", Method: http.MethodPost, Path: "/api/nodes/{id}/image", Summary: "Create an image from a node's disk (a job)", Tags: []string{"nodes", "images", "jobs"},
		Description: "The image is independent: it contains the disk with its whole backing chain. The node must be stopped. The target of the job is the image.", DefaultStatus: http.StatusAccepted,
	}), func(ctx context.Context, in *struct {
		NodeID
		Body struct {
			Name string `json:"name" limit:"displayName" doc:"Name of the image."`
		}
	}) (*Started, error) {
		host, err := s.o.Nodes.CheckCapture(in.ID)
		if err != nil {
			return nil, err
		}
		n, err := s.o.Nodes.Node(in.ID)
		if err != nil {
			return nil, err
		}
		w, err := s.o.ImageWork.NewImage(host, in.Body.Name, rightsOf(ctx).OwnerID())
		if err != nil {
			return nil, err
		}
		w.Node = in.ID
		release, err := s.o.Quotas.Image(ctx, w.Owner, host, w.ID, n.DiskBytes)
		if err != nil {
			return nil, err
		}
		defer release()
		return s.startWork(ctx, CaptureJob, w, nil)
	})
}

// startWork starts a job on an image, unless the preceding check failed.
func (s *Server) startWork(ctx context.Context, kind string, w image.Work, err error) (*Started, error) {
	if err != nil {
		return nil, err
	}
	return s.start(ctx, kind, job.Target{Type: string(access.Image), ID: w.ID, Host: w.Host}, w)
}

// checkUnused returns an error if something depends on an image.
func (s *Server) checkUnused(ctx context.Context, id string) error {
	i, err := s.o.Images.Image("", id)
	if err != nil {
		return err
	}
	return s.o.Guard.Unused(ctx, rightsOf(ctx), i)
}
