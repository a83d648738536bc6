package api

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/policy"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

// statuses maps fault codes to HTTP statuses. No other code does.
var statuses = map[fault.Code]int{
	fault.Invalid:                http.StatusUnprocessableEntity,
	fault.Unauthenticated:        http.StatusUnauthorized,
	fault.Forbidden:              http.StatusForbidden,
	fault.ChangedMeanwhile:       http.StatusPreconditionFailed,
	fault.SecondFactorRequired:   http.StatusUnauthorized,
	fault.PasswordChangeRequired: http.StatusForbidden,
	fault.NameTaken:              http.StatusConflict,
	fault.LastAdmin:              http.StatusConflict,
	fault.ConfirmationRequired:   http.StatusForbidden,
	fault.StillOwner:             http.StatusConflict,
	fault.QuotaExceeded:          http.StatusForbidden,
	fault.CrossOrigin:            http.StatusForbidden,
	fault.HostNotAllowed:         http.StatusMisdirectedRequest,
	fault.NotFound:               http.StatusNotFound,
	fault.MethodNotAllowed:       http.StatusMethodNotAllowed,
	fault.NodeNotFound:           http.StatusNotFound,
	fault.NodeNameTaken:          http.StatusConflict,
	fault.NodeRunning:            http.StatusConflict,
	fault.NodeNotRunning:         http.StatusConflict,
	fault.NodePaused:             http.StatusConflict,
	fault.NodeNotManaged:         http.StatusConflict,
	fault.NodeManaged:            http.StatusConflict,
	fault.NodeHasSnapshots:       http.StatusConflict,
	fault.NodeSaved:              http.StatusConflict,
	fault.NodeBusy:               http.StatusConflict,
	fault.ConsoleReconnecting:    http.StatusConflict,
	fault.GuestNotReading:        http.StatusConflict,
	fault.ImageNotFound:          http.StatusNotFound,
	fault.ImageNotReady:          http.StatusConflict,
	fault.ImageUnsafe:            http.StatusUnprocessableEntity,
	fault.ImageInUse:             http.StatusConflict,
	fault.ImageTooLarge:          http.StatusRequestEntityTooLarge,
	fault.UploadIncomplete:       http.StatusBadRequest,
	fault.UploadBusy:             http.StatusLocked,
	fault.UploadMismatch:         http.StatusConflict,
	fault.ChecksumMismatch:       statusChecksumMismatch,
	fault.SignatureInvalid:       http.StatusConflict,
	fault.HostNotFound:           http.StatusNotFound,
	fault.HostUnreachable:        http.StatusServiceUnavailable,
	fault.PoolUnavailable:        http.StatusServiceUnavailable,
	fault.StorageFull:            http.StatusInsufficientStorage,
	fault.Hypervisor:             http.StatusBadGateway,
	fault.GuacamoleAway:          http.StatusServiceUnavailable,
	fault.IdempotencyReused:      http.StatusUnprocessableEntity,
	fault.RequestInProgress:      http.StatusConflict,
	fault.TooLarge:               http.StatusRequestEntityTooLarge,
	fault.TooManyRequests:        http.StatusTooManyRequests,
	fault.JobNotFound:            http.StatusNotFound,
	fault.JobExists:              http.StatusConflict,
	fault.SourceUnavailable:      http.StatusBadGateway,
	fault.Unsupported:            http.StatusConflict,
	fault.PeerRefused:            http.StatusForbidden,
	fault.NetworkUnavailable:     http.StatusConflict,
	fault.UserNetworkOff:         http.StatusForbidden,
	fault.SubnetTaken:            http.StatusConflict,
	fault.NoScreen:               http.StatusConflict,
	fault.BlockJobActive:         http.StatusConflict,
	fault.NoFreeSlot:             http.StatusConflict,
	fault.DiskMissing:            http.StatusConflict,
	fault.BaseMissing:            http.StatusConflict,
	fault.MemoryUnavailable:      http.StatusConflict,
	fault.Internal:               http.StatusInternalServerError,
}

// statusChecksumMismatch is a status of tus: a chunk does not match its checksum.
const statusChecksumMismatch = 460

// Problem is an error in the API (RFC 9457). Code is stable; Detail says what is wrong and what to
// do.
type Problem struct {
	Type   string              `json:"type" doc:"Always about:blank; code has the kind of error."`
	Title  string              `json:"title"`
	Status int                 `json:"status"`
	Detail string              `json:"detail"`
	Code   string              `json:"code" doc:"Stable code of the error, such as node_not_found."`
	Errors []*huma.ErrorDetail `json:"errors,omitempty" doc:"The invalid fields of the request."`
	Users  *ImageUsers         `json:"users,omitempty" doc:"With image_in_use: what depends on the image."`

	retryAfter string
}

// Error returns Detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus returns the HTTP status, for huma.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders returns the headers that go with the problem, for huma.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.retryAfter != "" {
		h.Set("Retry-After", p.retryAfter)
	}
	if p.Status == http.StatusUnauthorized { // RFC 9110, 11.6.1
		h.Set("WWW-Authenticate", `Bearer realm="SandboxLabs"`)
	}
	return h
}

// ContentType names the media type of RFC 9457, for huma.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// useProblems makes huma return its own decoding and validation errors as problems. huma has one
// global function for single errors, and one for lists.
func useProblems() {
	huma.DefaultArrayNullable = false // lists are always lists here, never null
	huma.NewError = func(status int, message string, details ...error) huma.StatusError {
		p := newProblem(status, codeOfStatus(status), message)
		for _, d := range details {
			if d == nil {
				continue
			}
			var detail huma.ErrorDetailer
			if errors.As(d, &detail) {
				// Omit the value: it may be a password, or very large.
				p.Errors = append(p.Errors, &huma.ErrorDetail{Location: detail.ErrorDetail().Location, Message: brief(detail.ErrorDetail().Message)})
			} else {
				p.Errors = append(p.Errors, &huma.ErrorDetail{Message: brief(d.Error())})
			}
		}
		if len(p.Errors) > 0 {
			var parts []string
			for _, e := range p.Errors {
				parts = append(parts, strings.TrimPrefix(strings.TrimPrefix(e.Location, "body"), ".")+": "+e.Message)
			}
			p.Detail = brief(strings.TrimPrefix(strings.Join(parts, "; "), ": "))
		}
		return p
	}
}

// brief shortens a message that quotes the request.
func brief(text string) string {
	const most = 1000 // bytes
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

func newProblem(status int, code fault.Code, detail string) *Problem {
	return &Problem{Type: "about:blank", Title: cmp.Or(http.StatusText(status), "Checksum Mismatch"), Status: status, Detail: detail, Code: string(code)}
}

// codeOfStatus returns the code of errors that huma and echo return themselves.
func codeOfStatus(status int) fault.Code {
	switch status {
	case http.StatusNotFound:
		return fault.NotFound
	case http.StatusMethodNotAllowed:
		return fault.MethodNotAllowed
	case http.StatusRequestEntityTooLarge:
		return fault.TooLarge
	}
	if status >= http.StatusInternalServerError {
		return fault.Internal
	}
	return fault.Invalid
}

// problem converts the error of a request ("GET /api/nodes") into the problem that users see. It
// logs errors that are not written for users, and replaces them with a general sentence.
func (s *Server) problem(ctx context.Context, request string, err error) (p *Problem) {
	defer func() { noteOf(ctx).code = fault.Code(p.Code) }()
	if errors.As(err, &p) {
		return p
	}
	var he *echo.HTTPError
	if errors.As(err, &he) {
		return newProblem(he.Code, codeOfStatus(he.Code), http.StatusText(he.Code)+": "+request+". /api/docs lists what there is.")
	}
	var f *fault.Error
	if store.IsFull(err) {
		f = fault.Wrap(err, fault.StorageFull, "The service's database is full, so nothing was changed. Free disk space in its data-dir, or on its PostgreSQL server.")
	}
	if f == nil && !errors.As(err, &f) {
		if ctx.Err() == nil { // a client that disconnected needs no answer
			s.o.Log.Error("request failed", "request", request, "error", err)
		}
		return newProblem(http.StatusInternalServerError, fault.Internal, "Something went wrong inside the service. Its log says what.")
	}
	status, ok := statuses[f.Code]
	if !ok {
		status = http.StatusInternalServerError
	}
	if f.Cause != nil {
		s.o.Log.Warn("request refused", "request", request, "code", f.Code, "cause", f.Cause)
	}
	p = newProblem(status, f.Code, f.Message)
	var inUse *policy.InUseError
	if errors.As(err, &inUse) {
		users := usersOf(inUse.Users)
		p.Users = &users
	}
	if f.Field != "" {
		p.Errors = []*huma.ErrorDetail{{Message: f.Message, Location: "body." + f.Field}}
	}
	if f.RetryAfter > 0 {
		p.retryAfter = strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds())))
	}
	return p
}

// writeError is echo's error handler.
func (s *Server) writeError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	r := c.Request()
	p := s.problem(r.Context(), requestName(r), err)
	for k, v := range p.GetHeaders() {
		c.Response().Header()[k] = v
	}
	c.Response().Header().Set(echo.HeaderContentType, p.ContentType(""))
	if err := c.JSON(p.Status, p); err != nil {
		s.o.Log.Debug("an error could not be sent", "error", err)
	}
}

func notFound(what string) error {
	return fault.New(fault.NotFound, "There is no such %s. /api/docs lists what there is.", what)
}
