package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/policy"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
)

// ImageEdit has the properties of an image to change.
type ImageEdit struct {
	DisplayName *string   `json:"displayName,omitempty" limit:"displayName"`
	Description *string   `json:"description,omitempty" limit:"description"`
	Tags        *[]string `json:"tags,omitempty" limit:"tags" doc:"All tags of the image."`
	Firmware    *string   `json:"firmware,omitempty" enum:"bios,uefi,uefi-secure" doc:"Default firmware of its nodes."`
	TPM         *bool     `json:"tpm,omitempty" doc:"Whether its nodes have a TPM 2.0 by default."`
}

// ImageUsers is what prevents the deletion of an image.
type ImageUsers struct {
	Nodes   []NodeName   `json:"nodes" doc:"Nodes that you can view."`
	Others  int          `json:"others" doc:"Number of other nodes."`
	Volumes []VolumeName `json:"volumes" doc:"Disks that are backed by the image, directly or indirectly, and belong to no node."`
}

// NodeName names a node.
type NodeName struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Host string `json:"host"`
}

// VolumeName names a volume in a storage pool.
type VolumeName struct {
	Pool string `json:"pool"`
	Name string `json:"name"`
	Path string `json:"path" doc:"On the host."`
}

// usersOf converts what depends on a file for the API.
func usersOf(u policy.FileUsers) ImageUsers {
	v := ImageUsers{Nodes: []NodeName{}, Others: u.Others, Volumes: []VolumeName{}}
	for _, n := range u.Nodes {
		v.Nodes = append(v.Nodes, NodeName{n.ID, n.Name, n.Host})
	}
	for _, f := range u.Volumes {
		v.Volumes = append(v.Volumes, VolumeName{f.Pool, f.Name, f.Path})
	}
	return v
}

func tagsOf(text string) []string {
	if text == "" {
		return []string{}
	}
	return strings.Split(text, "\n")
}

func (s *Server) registerImageLife() {
	register(s, huma.Operation{
		OperationID: "change-image", Method: http.MethodPatch, Path: "/api/images/{id}", Summary: "Name, describe or tag an image", Tags: []string{"images"},
		Description: "Fields that are left out are not changed. The id never changes.",
	}, func(ctx context.Context, in *struct {
		ImageID
		IfMatch
		Body ImageEdit
	}) (*imageAnswer, error) {
		i, err := s.o.Images.EditImage(ctx, in.ID, image.Edit(in.Body), expect(in.IfMatch, imageVersion))
		return s.imageAnswer(ctx, i, err)
	})
	register(s, huma.Operation{
		OperationID: "list-image-users", Method: http.MethodGet, Path: "/api/images/{id}/users", Summary: "List what depends on an image", Tags: []string{"images"},
		Description: "Reads the backing chains of all volumes in all pools that libvirt knows, so it includes overlays that other programs created.",
	}, func(ctx context.Context, in *ImageID) (*struct{ Body ImageUsers }, error) {
		i, err := s.o.Images.Image("", in.ID)
		if err != nil {
			return nil, err
		}
		users, err := s.o.Guard.ImageUsers(ctx, rightsOf(ctx), i)
		return &struct{ Body ImageUsers }{usersOf(users)}, err
	})

	const path = "/api/images/:id/download"
	s.echo.GET(path, s.downloadImage)
	s.echo.HEAD(path, s.downloadImage)
	binary := map[string]*huma.MediaType{"application/octet-stream": {Schema: &huma.Schema{Type: "string", Format: "binary"}}}
	op := huma.Operation{
		OperationID: "download-image", Method: http.MethodGet, Path: "/api/images/{id}/download", Summary: "Download an image's file", Tags: []string{"images"},
		Description: "Streamed from the pool. `Range` and `If-Range` work, so that an interrupted download can be resumed. If several ranges are requested, the whole file is sent. The ETag changes whenever the file does.",
		Parameters: []*huma.Param{
			{Name: "id", In: "path", Required: true, Schema: &huma.Schema{Type: "string"}},
			{Name: "Range", In: "header", Description: "For example bytes=1048576-.", Schema: &huma.Schema{Type: "string"}},
		},
		Responses: map[string]*huma.Response{
			"200":     {Description: "The whole file", Content: binary},
			"206":     {Description: "Part of the file", Content: binary},
			"416":     {Description: "The range is outside the file"},
			"default": {Description: "Error", Content: map[string]*huma.MediaType{"application/problem+json": {Schema: schemaOf[Problem](s.huma, "Problem")}}},
		},
	}
	s.huma.OpenAPI().AddOperation(&op)
	size := op
	size.OperationID, size.Method, size.Summary = "measure-image", http.MethodHead, "Tell the size and the version of an image's file"
	size.Description, size.Responses = "", map[string]*huma.Response{
		"200": {Description: "Content-Length is the size, ETag the version"},
		"206": {Description: "Content-Length is the size of the range"},
		"416": {Description: "The range is outside the file"},
	}
	s.huma.OpenAPI().AddOperation(&size)
}

// downloadImage streams an image's file, or a range of it.
func (s *Server) downloadImage(c echo.Context) error {
	r := c.Request()
	i, err := s.o.Images.Image("", c.Param("id"))
	if err != nil {
		return err
	}
	allowed := func(now access.Rights) error {
		return s.o.Guard.Image(now, i.ID, access.Use)
	}
	return s.transfer(r.Context(), c.RealIP(), i.Host, allowed, func(ctx context.Context) error {
		return s.o.Images.OpenImage(ctx, i.Host, i.ID, func(f *image.File) error { return s.sendImage(c, i, f) })
	})
}

// sendImage sends an image's file, or a range of it.
func (s *Server) sendImage(c echo.Context, i image.Image, f *image.File) error {
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, echo.MIMEOctetStream)
	h.Set(echo.HeaderContentDisposition, `attachment; filename="`+fileName(i.ID)+downloadSuffix(i)+`"`)
	h.Set("ETag", `"`+f.Version+`"`)
	w := &downloadWriter{ResponseWriter: c.Response()}
	w.patient = patientWriter{c.Response(), http.NewResponseController(c.Response())}
	from := &downloadReader{File: f}
	http.ServeContent(w, c.Request(), "", i.Created, from)
	if w.outside {
		return newProblem(http.StatusRequestedRangeNotSatisfiable, fault.Invalid, fmt.Sprintf("The image's file has %d bytes, and none in that range.", f.Bytes))
	}
	if from.failed != nil && w.failed == nil {
		// The response has begun: abort it, so that the client notices that it is incomplete.
		s.o.Log.Info("an image was not sent whole", "image", i.ID, "error", from.failed)
		panic(http.ErrAbortHandler)
	}
	return nil
}

// downloadSuffix returns the file name extension of an image.
func downloadSuffix(i image.Image) string {
	if suffix := "." + i.Format; i.Format != "" && !strings.HasSuffix(i.ID, suffix) {
		return suffix
	}
	return ""
}

// downloadReader keeps the error because of which a file was not read completely.
type downloadReader struct {
	*image.File
	failed error
}

func (r *downloadReader) Read(p []byte) (int, error) {
	n, err := r.File.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.failed = err
	}
	return n, err
}

// downloadWriter fails if a client reads nothing. It holds back net/http's error for a range
// outside the file, which is sent as a problem instead.
type downloadWriter struct {
	http.ResponseWriter
	patient patientWriter
	failed  error
	outside bool
}

func (w *downloadWriter) WriteHeader(status int) {
	if status == http.StatusRequestedRangeNotSatisfiable {
		w.outside = true
		return
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *downloadWriter) Write(p []byte) (int, error) {
	if w.outside {
		return len(p), nil
	}
	n, err := w.patient.Write(p)
	w.failed = err
	return n, err
}
