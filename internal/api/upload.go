package api

import (
	"context"
	"crypto/sha1" //nolint:gosec // what tus demands that a server offers; it guards against damage, not against people
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"hash"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"
	tus "github.com/tus/tusd/v2/pkg/handler"
	"github.com/tus/tusd/v2/pkg/memorylocker"
	"golang.org/x/exp/slog"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/upload"
)

// uploadsPath is the path of the uploads; each has the id of the image that it becomes.
const uploadsPath = "/api/uploads"

// checksums are the algorithms of tus's checksum extension.
var checksums = map[string]func() hash.Hash{"sha1": sha1.New, "sha256": sha256.New}

func (s *Server) registerUploads() error {
	composer := tus.NewStoreComposer()
	store := tusStore{s}
	composer.UseCore(store)
	composer.UseTerminater(store)
	composer.UseConcater(store)
	composer.UseLocker(memorylocker.New())
	protocol, err := tus.NewHandler(tus.Config{
		StoreComposer: composer, BasePath: uploadsPath + "/", MaxSize: s.o.Uploads.MaxImageBytes(), DisableDownload: true,
		NetworkTimeout: uploadPatience, Cors: &tus.CorsConfig{Disable: true}, // sameOrigin decides
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), // requests are logged by logRequest
	})
	if err != nil {
		return err
	}
	handle := s.resumable(http.StripPrefix(uploadsPath, protocol))
	for _, path := range []string{uploadsPath, uploadsPath + "/"} {
		s.echo.POST(path, handle)
		s.echo.OPTIONS(path, handle)
	}
	one := uploadsPath + "/:id"
	for _, method := range []string{http.MethodHead, http.MethodPatch, http.MethodDelete, http.MethodOptions} {
		s.echo.Add(method, one, handle)
	}
	s.describeUploads()
	return nil
}

// uploadCall is the state of one request to an upload that tusd does not handle.
type uploadCall struct {
	sum     hash.Hash // nil: the client gave no checksum
	want    []byte
	expires time.Time // zero: not known
	joining bool      // it is made of parts, and not all of them are in it yet
}

type uploadCallKey struct{}

func callOf(ctx context.Context) *uploadCall {
	if c, ok := ctx.Value(uploadCallKey{}).(*uploadCall); ok {
		return c
	}
	return &uploadCall{}
}

// resumable adds the tus 1.0 extensions that tusd lacks: checksum and expiration. It converts
// errors to problems, and removes the host from the address of a new upload, because a proxy may
// have changed it.
func (s *Server) resumable(protocol http.Handler) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		call := &uploadCall{}
		if text := r.Header.Get("Upload-Checksum"); text != "" {
			if err := call.expect(text); err != nil {
				return err
			}
		}
		if r.Header.Get("Upload-Defer-Length") != "" {
			return fault.New(fault.Invalid, "Upload-Defer-Length is not offered: the size decides whether there is space for the file. Give Upload-Length.")
		}
		if r.Method == http.MethodPatch {
			end, err := s.turns.enter(c.Param("id"))
			if err != nil {
				return err
			}
			defer end()
		}
		ctx, cancel := context.WithCancelCause(context.WithValue(r.Context(), uploadCallKey{}, call))
		defer cancel(nil)
		stop := context.AfterFunc(s.closing, func() { cancel(tus.ErrServerShutdown) })
		defer stop()
		w := c.Response()
		protocol.ServeHTTP(&uploadAnswer{ResponseWriter: w, s: s, call: call, request: requestName(r)}, r.WithContext(ctx))
		// tusd's deadline must not apply to the next request on this connection.
		return http.NewResponseController(w).SetWriteDeadline(time.Time{})
	}
}

// expect parses the header Upload-Checksum: an algorithm and a Base64 digest.
func (c *uploadCall) expect(text string) error {
	name, digest, _ := strings.Cut(text, " ")
	algorithm, known := checksums[name]
	if !known {
		return fault.New(fault.Invalid, "Upload-Checksum takes sha1 or sha256, not %q.", name)
	}
	c.sum = algorithm()
	var err error
	if c.want, err = base64.StdEncoding.DecodeString(strings.TrimSpace(digest)); err != nil || len(c.want) != c.sum.Size() {
		return fault.New(fault.Invalid, "Upload-Checksum has no digest of %s in Base64 behind the name.", name)
	}
	return nil
}

func (c *uploadCall) check() error {
	if subtle.ConstantTimeCompare(c.sum.Sum(nil), c.want) == 1 {
		return nil
	}
	return fault.New(fault.ChecksumMismatch, "The data doesn't match its checksum: it was damaged on the way. It was discarded; send it again.")
}

// uploadAnswer is the ResponseWriter that tusd writes to.
type uploadAnswer struct {
	http.ResponseWriter
	s       *Server
	call    *uploadCall
	request string
	status  int // of a text that is to become a problem
}

// Unwrap gives http.ResponseController the connection.
func (w *uploadAnswer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader completes the header. For an error, it waits for the text.
func (w *uploadAnswer) WriteHeader(status int) {
	h := w.Header()
	if at := strings.Index(h.Get("Location"), uploadsPath+"/"); at > 0 {
		h.Set("Location", h.Get("Location")[at:])
	}
	if extensions := h.Get("Tus-Extension"); extensions != "" {
		h.Set("Tus-Extension", extensions+",checksum,expiration")
		h.Set("Tus-Checksum-Algorithm", "sha1,sha256")
	}
	if w.call.joining { // what tells, in tus, that it is not complete
		h.Del("Upload-Offset")
	}
	if status < http.StatusBadRequest && !w.call.expires.IsZero() {
		h.Set("Upload-Expires", w.call.expires.Format(http.TimeFormat))
	}
	if status >= http.StatusBadRequest && strings.HasPrefix(h.Get("Content-Type"), "text/plain") && h.Get("Content-Length") != "" {
		w.status = status
		return
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write writes a body, and converts tusd's own errors to problems.
func (w *uploadAnswer) Write(text []byte) (int, error) {
	if w.status == 0 {
		return w.ResponseWriter.Write(text)
	}
	_, message, _ := strings.Cut(strings.TrimSpace(string(text)), ": ")
	code := codeOfStatus(w.status)
	switch w.status {
	case http.StatusConflict:
		code = fault.UploadMismatch
	case http.StatusLocked:
		code = fault.UploadBusy
	case http.StatusRequestEntityTooLarge:
		code = fault.ImageTooLarge
	case http.StatusInternalServerError:
		w.s.o.Log.Debug("an upload was broken off", "request", w.request, "error", message)
	}
	body := problemBody(newProblem(w.status, code, "The upload protocol says: "+message+". See https://tus.io/protocols/resumable-upload and /api/docs."))
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Del("Content-Length")
	w.ResponseWriter.WriteHeader(w.status)
	if _, err := w.ResponseWriter.Write(body); err != nil {
		return 0, err
	}
	return len(text), nil
}

func problemBody(p *Problem) []byte {
	body, err := json.Marshal(p)
	if err != nil {
		return nil
	}
	return body
}

// tusStore gives tusd access to the uploads.
type tusStore struct{ s *Server }

var (
	_ tus.DataStore           = tusStore{}
	_ tus.TerminaterDataStore = tusStore{}
	_ tus.ConcaterDataStore   = tusStore{}
	_ tus.Upload              = tusUpload{}
	_ tus.TerminatableUpload  = tusUpload{}
	_ tus.ConcatableUpload    = tusUpload{}
)

// tusUpload is an upload in tusd.
type tusUpload struct {
	s        *Server
	host, id string
}

// explain converts an error to a problem that tusd sends.
func (s *Server) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	p := s.problem(ctx, "an upload", err)
	noteOf(ctx).code = fault.Code(p.Code)
	header := tus.HTTPHeader{"Content-Type": p.ContentType("")}
	for name := range p.GetHeaders() {
		header[name] = p.GetHeaders().Get(name)
	}
	return tus.Error{ErrorCode: p.Code, Message: p.Detail, HTTPResponse: tus.HTTPResponse{StatusCode: p.Status, Body: string(problemBody(p)), Header: header}}
}

// NewUpload begins an upload of the caller.
func (u tusStore) NewUpload(ctx context.Context, info tus.FileInfo) (tus.Upload, error) {
	up := upload.Upload{Owner: rightsOf(ctx).OwnerID(), SizeBytes: info.Size, FileName: info.MetaData["filename"]}
	if up.FileName == "" {
		up.FileName = info.MetaData["name"]
	}
	for key, value := range info.MetaData {
		if len(value) > maxFieldBytes {
			return nil, u.s.explain(ctx, fault.New(fault.TooLarge, "The metadata %q is larger than %d bytes.", key, maxFieldBytes))
		}
		if err := setField(&up, key, value); err != nil {
			return nil, u.s.explain(ctx, err)
		}
	}
	var in upload.Incoming
	var err error
	if info.IsFinal { // it takes what its parts took, which count no more
		in, err = u.s.o.Uploads.BeginJoined(ctx, up, info.PartialUploads, info.MetaData)
	} else {
		begin := u.s.o.Uploads.BeginUpload
		if info.IsPartial {
			begin = u.s.o.Uploads.BeginPart
		}
		err = u.s.o.Quotas.Upload(ctx, up, func(up upload.Upload) (err error) {
			in, err = begin(ctx, up, info.MetaData)
			return err
		})
	}
	if err != nil {
		return nil, u.s.explain(ctx, err)
	}
	return tusUpload{u.s, in.Host, in.ID}, nil
}

// GetUpload returns an upload that the caller may continue.
func (u tusStore) GetUpload(ctx context.Context, id string) (tus.Upload, error) {
	in, err := u.s.uploadInfo(ctx, "", id)
	if err != nil {
		return nil, u.s.explain(ctx, err)
	}
	return tusUpload{u.s, in.Host, in.ID}, nil
}

// AsTerminatableUpload returns an upload as one that can be cancelled.
func (u tusStore) AsTerminatableUpload(up tus.Upload) tus.TerminatableUpload { return up.(tusUpload) }

// AsConcatableUpload returns an upload as one that is made of parts.
func (u tusStore) AsConcatableUpload(up tus.Upload) tus.ConcatableUpload { return up.(tusUpload) }

// uploadInfo returns an upload or, if it was already verified, its image in that form: a client
// that lost the last response asks again.
func (s *Server) uploadInfo(ctx context.Context, host, id string) (upload.Incoming, error) {
	in, err := s.o.Uploads.Upload(ctx, host, id)
	if fault.CodeOf(err) == fault.NotFound {
		img, notThere := s.o.Images.Image(host, id)
		if notThere != nil || img.State == image.Uploading {
			return in, err
		}
		in = upload.Incoming{ID: img.ID, Host: img.Host, Owner: img.Owner, SizeBytes: img.FileBytes, OffsetBytes: img.FileBytes, Complete: true}
		err = nil
	}
	if err != nil {
		return in, err
	}
	if rightsOf(ctx).On(access.Object{Kind: access.Image, ID: in.ID, Owner: in.Owner}) < access.Manage {
		return in, upload.UploadNotFound(id)
	}
	return in, nil
}

// GetInfo returns the progress of the upload.
func (u tusUpload) GetInfo(ctx context.Context) (tus.FileInfo, error) {
	in, err := u.s.uploadInfo(ctx, u.host, u.id)
	if err != nil {
		return tus.FileInfo{}, u.s.explain(ctx, err)
	}
	call := callOf(ctx)
	if !in.Complete || in.Part {
		call.expires = in.Expires
	}
	call.joining = len(in.Parts) > 0 && !in.Complete
	return tus.FileInfo{
		ID: in.ID, Size: in.SizeBytes, Offset: in.OffsetBytes, MetaData: in.Metadata,
		IsPartial: in.Part, IsFinal: len(in.Parts) > 0, PartialUploads: in.Parts,
	}, nil
}

// WriteChunk appends the data of a request.
func (u tusUpload) WriteChunk(ctx context.Context, offset int64, src io.Reader) (int64, error) {
	end, err := u.s.transfers.begin(rightsOf(ctx), u.host)
	if err != nil {
		return 0, u.s.explain(ctx, err)
	}
	defer end()
	call := callOf(ctx)
	var check func() error
	if call.sum != nil {
		src, check = io.TeeReader(src, call.sum), call.check
	}
	n, err := u.s.o.Uploads.Append(ctx, u.host, u.id, offset, src, check)
	return n, u.s.explain(ctx, err)
}

// ConcatUploads does nothing: NewUpload received the parts, and a job joins them in the background.
func (u tusUpload) ConcatUploads(context.Context, []tus.Upload) error { return nil }

// FinishUpload starts the verification of the file.
func (u tusUpload) FinishUpload(ctx context.Context) error {
	return u.s.explain(ctx, u.s.o.Uploads.FinishUpload(ctx, u.host, u.id))
}

// Terminate cancels the upload.
func (u tusUpload) Terminate(ctx context.Context) error {
	return u.s.explain(ctx, u.s.o.Uploads.CancelUpload(ctx, u.host, u.id))
}

// GetReader is not supported: unverified data cannot be downloaded.
func (u tusUpload) GetReader(context.Context) (io.ReadCloser, error) {
	return nil, tus.ErrNotImplemented
}

// describeUploads adds the uploads to the API document.
func (s *Server) describeUploads() {
	header := func(name, text string) *huma.Param {
		return &huma.Param{Name: name, In: "header", Description: text, Schema: &huma.Schema{Type: "string"}}
	}
	version := header("Tus-Resumable", "1.0.0")
	id := &huma.Param{Name: "id", In: "path", Required: true, Schema: &huma.Schema{Type: "string"}}
	problem := &huma.Response{Description: "Error", Content: map[string]*huma.MediaType{"application/problem+json": {Schema: schemaOf[Problem](s.huma, "Problem")}}}
	bytes := &huma.RequestBody{Content: map[string]*huma.MediaType{"application/offset+octet-stream": {Schema: &huma.Schema{Type: "string", Format: "binary"}}}}
	for _, o := range []*huma.Operation{{
		OperationID: "begin-upload", Method: http.MethodPost, Path: uploadsPath, Summary: "Start a resumable upload (tus 1.0)",
		Description: "Works with any tus client. Extensions: creation, creation-with-upload, termination, concatenation, checksum (sha1, sha256) and expiration. " +
			"Metadata: `filename`, and optionally `osType`, `sha256` (the expected digest of the file, in hex) and `host`. The last part of Location is the image's id: " +
			"`GET /api/images/{id}` returns its state, which is `verifying` after the last byte, then `ready` or `rejected`. An unsafe file is refused after its first 64 KiB. " +
			"Up to 100 parts of a file may be sent in parallel and then joined (`Upload-Concat`) by a job (`image.convert`). Until it has finished, `HEAD` returns no offset. " +
			"A part counts against the quota, is not an image, and expires unless it is joined. Accepts no Idempotency-Key: an upload whose URL was lost only uses space in the pool, and expires.",
		Parameters:  []*huma.Param{version, header("Upload-Length", "Bytes of the file, or of the part."), header("Upload-Concat", "`partial`, or `final;` and the addresses of the parts, with spaces between."), header("Upload-Metadata", "Pairs of a key and a value in Base64."), header("Upload-Checksum", "Of the body, if any.")},
		RequestBody: bytes, Responses: map[string]*huma.Response{"201": {Description: "Created; Location is the upload's path."}, "default": problem},
	}, {
		OperationID: "upload-offset", Method: http.MethodHead, Path: uploadsPath + "/{id}", Summary: "How many bytes of an upload are stored",
		Parameters: []*huma.Param{id}, Responses: map[string]*huma.Response{"200": {Description: "See Upload-Offset and Upload-Length."}},
	}, {
		OperationID: "continue-upload", Method: http.MethodPatch, Path: uploadsPath + "/{id}", Summary: "Send the next bytes of an upload",
		Description: "A second one to the same upload is refused (423) while the first is under way; HEAD ends the first, whose bytes are kept. Clients that cannot send PATCH or DELETE send POST with X-HTTP-Method-Override.",
		Parameters:  []*huma.Param{id, version, header("Upload-Offset", "Where the bytes go: the upload's offset."), header("Upload-Checksum", "An algorithm and the digest in Base64.")},
		RequestBody: bytes, Responses: map[string]*huma.Response{"204": {Description: "Upload-Offset is the new offset."}, "default": problem},
	}, {
		OperationID: "cancel-upload", Method: http.MethodDelete, Path: uploadsPath + "/{id}", Summary: "Cancel an upload",
		Parameters: []*huma.Param{id, version}, Responses: map[string]*huma.Response{"204": {Description: "No Content"}, "default": problem},
	}} {
		o.Tags = []string{"images"}
		s.huma.OpenAPI().AddOperation(o)
	}
}
