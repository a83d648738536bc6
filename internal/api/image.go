package api

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/policy"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/upload"
)

// Image is an image in the API.
type Image struct {
	ID           string    `json:"id"`
	Name         string    `json:"name" doc:"The same as id; use it in customImageName and baseImage."`
	DisplayName  string    `json:"displayName"`
	Description  string    `json:"description"`
	Tags         []string  `json:"tags"`
	Type         string    `json:"type" enum:"base,custom"`
	Format       string    `json:"format"`
	SourceFormat string    `json:"sourceFormat,omitempty" doc:"Format of the uploaded file, such as vmdk or raw.xz, before it was converted to format."`
	State        string    `json:"state" enum:"uploading,verifying,ready,rejected,unverified,changed" doc:"changed: its file is not the one that was verified; verify it again."`
	Reason       string    `json:"reason,omitempty" doc:"Why the image can't be used."`
	Size         int64     `json:"size" doc:"Bytes of the file."`
	VirtualSize  int64     `json:"virtualSize" doc:"Bytes of the disk that a guest sees."`
	SHA256       string    `json:"sha256,omitempty" doc:"SHA-256 of the uploaded file, in hex."`
	Path         string    `json:"path" doc:"On the host."`
	Host         string    `json:"host"`
	OSType       string    `json:"osType,omitempty"`
	Firmware     string    `json:"firmware,omitempty" enum:"bios,uefi,uefi-secure" doc:"Default firmware of its nodes. Defaults to bios."`
	TPM          bool      `json:"tpm" doc:"Whether its nodes have a TPM 2.0 unless they are told otherwise."`
	Owner        string    `json:"owner,omitempty"`
	Access       string    `json:"access" enum:"view,use,manage" doc:"What you may do with it."`
	UsedBy       int       `json:"usedBy" doc:"Number of nodes whose disk is backed by it."`
	Created      time.Time `json:"created"`
	Version      string    `json:"version" doc:"Changes with each PATCH. Send it as If-Match to refuse the change if another user made one meanwhile."`
}

// image returns an image as a user can view it.
func (s *Server) image(rights access.Rights, i image.Image) Image {
	return Image{
		ID: i.ID, Name: i.ID, DisplayName: i.DisplayName, Description: i.Description, Tags: tagsOf(i.Tags), Type: i.Type, Format: i.Format, SourceFormat: i.SourceFormat, State: string(i.State), Reason: i.Reason,
		Size: i.FileBytes, VirtualSize: i.VirtualBytes, SHA256: i.SHA256, Path: i.Path, Host: i.Host, OSType: i.OSType, Firmware: i.Firmware, TPM: i.TPM, Owner: policy.OwnerName(s.o.Access, i.Owner, ""),
		Access: rights.On(policy.ImageObject(i)).String(), UsedBy: len(s.o.Nodes.UsersOf(i.Host, i.Path)), Created: i.Created.UTC(), Version: imageVersion(i),
	}
}

type imageAnswer struct {
	ETag string `header:"ETag"`
	Body Image
}

// imageAnswer returns an image, or the error, to the caller.
func (s *Server) imageAnswer(ctx context.Context, i image.Image, err error) (*imageAnswer, error) {
	if err != nil {
		return nil, err
	}
	return &imageAnswer{etag(imageVersion(i)), s.image(rightsOf(ctx), i)}, nil
}

// Uploaded is the response to a finished upload.
type Uploaded struct {
	Success bool  `json:"success"`
	Image   Image `json:"image"`
}

func (s *Server) registerImages() {
	register(s, huma.Operation{
		OperationID: "list-images", Method: http.MethodGet, Path: "/api/images", Summary: "List the images", Tags: []string{"images"},
		Description: "Base images come first, then custom images.",
	}, func(ctx context.Context, in *Paging) (*imageList, error) { return s.listImages(rightsOf(ctx), *in) })
	register(s, huma.Operation{
		OperationID: "get-image", Method: http.MethodGet, Path: "/api/images/{id}", Summary: "Read an image", Tags: []string{"images"},
	}, func(ctx context.Context, in *ImageID) (*imageAnswer, error) {
		i, err := s.o.Images.Image("", in.ID)
		return s.imageAnswer(ctx, i, err)
	})
	register(s, huma.Operation{
		OperationID: "delete-image", Method: http.MethodDelete, Path: "/api/images/{id}", Summary: "Delete an image that is not in use", Tags: []string{"images"},
		DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *struct {
		ImageID
		IfMatch
	}) (*struct{}, error) {
		return nil, s.o.Removals.Image(ctx, rightsOf(ctx), in.ID, expectAll(in.IfMatch, imageVersion)...)
	})

	// The body of an upload is a stream: huma would read all of it first.
	s.echo.POST("/api/images/custom", s.uploadImage)
	s.huma.OpenAPI().AddOperation(&huma.Operation{
		OperationID: "upload-image", Method: http.MethodPost, Path: "/api/images/custom", Summary: "Upload an image", Tags: []string{"images"},
		Description: "One multipart request, streamed. Fields, if any, come before the file: `osType`, `sha256` (the digest that the file must have), `host`. " +
			"A qcow2 or ISO file is verified during the request. A raw, VMDK, VDI, VHD or VHDX disk, and any of them compressed with gzip, bzip2, xz or zstd, or as the only disk in an OVA or another tar archive, is converted to qcow2 by a job of kind image.convert. The format is detected from the content, never from the name. Accepts no Idempotency-Key; use a resumable upload to retry safely.",
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"multipart/form-data": {Schema: &huma.Schema{
			Type: "object", Required: []string{"image"}, Properties: map[string]*huma.Schema{
				"image":  {Type: "string", Format: "binary", Description: "The file."},
				"osType": {Type: "string"}, "sha256": {Type: "string"}, "host": {Type: "string"},
			},
		}}}},
		Responses: map[string]*huma.Response{
			"202":     {Description: "Accepted: the image is verifying, until a job has converted it", Content: map[string]*huma.MediaType{"application/json": {Schema: schemaOf[Uploaded](s.huma, "Uploaded")}}},
			"201":     {Description: "Created", Content: map[string]*huma.MediaType{"application/json": {Schema: schemaOf[Uploaded](s.huma, "Uploaded")}}},
			"default": {Description: "Error", Content: map[string]*huma.MediaType{"application/problem+json": {Schema: schemaOf[Problem](s.huma, "Problem")}}},
		},
	})
}

type imageList struct {
	Body struct {
		BaseImages   []Image `json:"baseImages"`
		CustomImages []Image `json:"customImages"`
		Next
	}
}

// listImages returns a page of the images that the caller can view.
func (s *Server) listImages(rights access.Rights, paging Paging) (*imageList, error) {
	seen := slices.DeleteFunc(s.o.Images.Images(), func(i image.Image) bool { return rights.On(policy.ImageObject(i)) == access.None })
	page, next, err := pageOf(paging, "images", seen, func(i image.Image) string {
		kind := "custom"
		if i.Type == image.Base {
			kind = "base"
		}
		return sortKey(kind, i.Host, i.DisplayName, i.ID)
	})
	if err != nil {
		return nil, err
	}
	out := &imageList{}
	out.Body.BaseImages, out.Body.CustomImages, out.Body.Next = []Image{}, []Image{}, next
	for _, i := range page {
		if i.Type == image.Base {
			out.Body.BaseImages = append(out.Body.BaseImages, s.image(rights, i))
		} else {
			out.Body.CustomImages = append(out.Body.CustomImages, s.image(rights, i))
		}
	}
	return out, nil
}

// ImageID is the path of an image. It is exported because huma only reads exported embedded
// structs.
type ImageID struct {
	ID string `path:"id"`
}

const (
	// uploadPatience is the idle timeout of an upload.
	uploadPatience  = 60 * time.Second
	bodyBufferBytes = 256 << 10
	maxFieldBytes   = 4 << 10
	maxFields       = 16
	maxWordBytes    = 64
)

func (s *Server) uploadImage(c echo.Context) error {
	r := c.Request()
	// The multipart reader and the connection's own buffer would read 4 KiB at a time, each with a
	// system call and a new deadline.
	r.Body = bodyReader{bufio.NewReaderSize(patientReader{r.Body, http.NewResponseController(c.Response())}, bodyBufferBytes), r.Body}
	parts, err := r.MultipartReader()
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "Upload the image as multipart form data: curl -F \"image=@disk.qcow2\" …/api/images/custom")
	}
	rights := rightsOf(r.Context())
	up := upload.Upload{Owner: rights.OwnerID(), SizeBytes: max(r.ContentLength, 0)}
	for range maxFields {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if malformed := textproto.ProtocolError(""); errors.As(err, &malformed) {
			return fault.Wrap(err, fault.Invalid, "A part of the form has a header that is not well-formed. Send it with: curl -F \"image=@disk.qcow2\" …/api/images/custom")
		}
		if err != nil {
			return fault.Wrap(err, fault.UploadIncomplete, "The upload ended before the image began. Upload it again.")
		}
		if part.FormName() == imageField {
			up.FileName = part.FileName()
			img, err := s.receivePart(r.Context(), rights, up, &lastPart{file: part, parts: parts})
			if err != nil {
				return err
			}
			c.Response().Header().Set(echo.HeaderLocation, "/api/images/"+img.ID)
			status := http.StatusCreated
			if img.State == image.Verifying { // a job converts it
				status = http.StatusAccepted
			}
			return c.JSON(status, Uploaded{Success: true, Image: s.image(rights, img)})
		}
		if err := readField(part, &up); err != nil {
			return err
		}
	}
	return fault.New(fault.Invalid, "The form has no file named \"image\": curl -F \"image=@disk.qcow2\" …/api/images/custom")
}

// lastPart streams the file of a form. At the end of the file it returns an error if a field
// follows that would have changed how the file is processed, so that nothing is stored.
type lastPart struct {
	file  io.Reader
	parts *multipart.Reader
	end   error // set after the last byte
}

// Read reads the file.
func (l *lastPart) Read(p []byte) (int, error) {
	if l.end != nil {
		return 0, l.end
	}
	n, err := l.file.Read(p)
	if errors.Is(err, io.EOF) {
		l.end = l.rest()
		err = l.end
	}
	return n, err
}

// rest reads what follows the file, and returns io.EOF if all of it can be ignored.
func (l *lastPart) rest() error {
	for range maxFields {
		part, err := l.parts.NextPart()
		if err != nil {
			return err // io.EOF: the form is complete
		}
		switch name := part.FormName(); {
		case name == imageField:
			return fault.Field(name, "The form has more than one file named %q. Upload each image in a separate request.", name)
		case slices.Contains(uploadFields, name):
			return fault.Field(name, "The field %q comes after the file. Put all fields before the file: curl -F \"%s=…\" -F \"image=@disk.qcow2\" …", name, name)
		case part.FileName() != "":
			return fault.New(fault.Invalid, "The form has a second file, named %q. Upload each image in a separate request.", cut(name))
		}
		if n, err := io.Copy(io.Discard, io.LimitReader(part, maxFieldBytes+1)); err != nil || n > maxFieldBytes {
			return cmp.Or(err, error(fieldTooLarge(part)))
		}
	}
	return fault.New(fault.Invalid, "The form has too many fields.")
}

// receivePart stores the file of an upload in one request. The upload counts as a stream of its
// sender and its host, and against the sender's quota.
func (s *Server) receivePart(ctx context.Context, rights access.Rights, up upload.Upload, file io.Reader) (img image.Image, err error) {
	host, err := s.o.Hosts.Host(up.Host)
	if err != nil {
		return img, err
	}
	end, err := s.transfers.begin(rights, host.Name())
	if err != nil {
		return img, err
	}
	defer end()
	err = s.o.Quotas.Upload(ctx, up, func(up upload.Upload) (err error) {
		img, err = s.o.Uploads.Receive(ctx, up, file)
		return err
	})
	return img, err
}

// readField reads a small field of the form. It ignores unknown fields, because browsers and
// scripts add their own.
func readField(part *multipart.Part, up *upload.Upload) error {
	value, err := io.ReadAll(io.LimitReader(part, maxFieldBytes+1))
	if err != nil {
		return fault.Wrap(err, fault.UploadIncomplete, "The upload ended before the image began. Upload it again.")
	}
	if len(value) > maxFieldBytes {
		return fieldTooLarge(part)
	}
	return setField(up, part.FormName(), strings.TrimSpace(string(value)))
}

func fieldTooLarge(part *multipart.Part) *fault.Error {
	return fault.New(fault.TooLarge, "The form field %q is larger than %d bytes. Only the field %q takes a file.", cut(part.FormName()), maxFieldBytes, imageField)
}

// imageField is the name of the file in the upload form; uploadFields are the fields that setField
// accepts.
const imageField = "image"

var uploadFields = []string{"osType", "sha256", "host"}

// setField stores a property of an image that a client sends.
func setField(up *upload.Upload, name, text string) error {
	switch name {
	case "osType":
		if len(text) > maxWordBytes || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			return fault.Field("osType", "osType must be a short word such as \"debian\".")
		}
		up.OSType = text
	case "sha256":
		if sum, err := hex.DecodeString(text); text != "" && (err != nil || len(sum) != sha256.Size) {
			return fault.Field("sha256", "A SHA-256 must have 64 hexadecimal digits; `sha256sum FILE` prints it.")
		}
		up.SHA256 = text
	case "host":
		up.Host = text
	}
	return nil
}

// bodyReader is a request's body, read through a buffer.
type bodyReader struct {
	io.Reader
	io.Closer
}

// patientReader extends a request's read deadline while data arrives.
type patientReader struct {
	r          io.Reader
	controller *http.ResponseController
}

func (p patientReader) Read(b []byte) (int, error) {
	if err := p.controller.SetReadDeadline(time.Now().Add(uploadPatience)); err != nil {
		return 0, err
	}
	return p.r.Read(b)
}
