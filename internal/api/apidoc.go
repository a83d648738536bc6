package api

import (
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"unicode"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// schemasPath is the path of the schemas in references.
const schemasPath = "#/components/schemas/"

// schemaName returns a name for a schema that client generators can use: one word that does not
// conflict with names they derive from operation ids, such as ListAuditResponse.
func schemaName(t reflect.Type, hint string) string {
	var name strings.Builder
	for _, word := range strings.FieldsFunc(huma.DefaultSchemaNamer(t, hint), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		name.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	text := name.String()
	if rest, ok := strings.CutSuffix(text, "Response"); ok {
		return rest + "Result"
	}
	if rest, ok := strings.CutSuffix(text, "Request"); ok && t.Name() == "" {
		return rest + "Input"
	}
	return text
}

// refusals are the problems with which operations reject requests, by status: a name for the
// document, when the problem occurs, and an example.
var refusals = []struct {
	status int
	name   string
	when   string
	code   fault.Code
	detail string
}{
	{http.StatusBadRequest, "BadRequest", "The body is missing, or cannot be parsed.", fault.Invalid, "request body is required"},
	{http.StatusUnauthorized, "Unauthenticated", "Not signed in, or the token is not valid.", fault.Unauthenticated, "Sign in first (POST /api/auth/login), or send a token: `Authorization: Bearer sbx_…`."},
	{http.StatusForbidden, "Forbidden", "The role, the token's scope or the quota does not allow it.", fault.Forbidden, `Your role "student" does not allow this; it takes "instructor". Ask an administrator.`},
	{http.StatusNotFound, "NotFound", "What the path names is not there, or the caller may not see it.", fault.NodeNotFound, `There is no node "3f1c7a9e-6a0b-4c1e-9a52-0d6f5f0f3b11".`},
	{http.StatusConflict, "Conflict", "The state of what is to be changed does not allow it.", fault.NodeRunning, `Node "web1" is running. Stop it first.`},
	{http.StatusPreconditionFailed, "ChangedMeanwhile", "Another user changed it since the version in If-Match.", fault.ChangedMeanwhile, "Somebody else changed it since you read it. Read it again, and repeat your change if it still applies."},
	{http.StatusRequestEntityTooLarge, "TooLarge", "The body is too large.", fault.TooLarge, "request body is too large limit=1048576 bytes"},
	{http.StatusUnsupportedMediaType, "UnsupportedMediaType", "The body's Content-Type is not one of those of the operation.", fault.Invalid, "unknown content type: text/plain"},
	{http.StatusUnprocessableEntity, "Invalid", "A member of the request is not valid; errors names it.", fault.Invalid, "RAM must be 64 to 7955 MiB on host \"local\"; 0 was asked for."},
	{http.StatusTooManyRequests, "TooManyRequests", "Too many requests; Retry-After says when to try again.", fault.TooManyRequests, "Too many sign-ins failed. Try again in 30 s."},
	{http.StatusInternalServerError, "Internal", "An error inside the service, which its log has.", fault.Internal, "Something went wrong inside the service. Its log says what."},
	{http.StatusBadGateway, "HypervisorError", "libvirt or another server failed; detail quotes it.", fault.Hypervisor, "libvirt refuses: internal error: unable to execute QEMU command 'cont'."},
	{http.StatusServiceUnavailable, "Unavailable", "The host, its pool or Guacamole cannot be reached now.", fault.HostUnreachable, `Host "local" cannot be reached now. Its nodes keep running; try again when libvirtd there answers.`},
	{http.StatusInsufficientStorage, "StorageFull", "The storage pool or the database has no free space.", fault.StorageFull, `Storage pool "sandboxlabs-nodes" is full. Delete nodes or images, or enlarge its file system.`},
}

// describeErrors documents the errors of each operation, the operations that need no credentials,
// and the service's address. Call it after all operations are registered.
func (s *Server) describeErrors() {
	doc := s.huma.OpenAPI()
	doc.Servers = []*huma.Server{{URL: "/", Description: "The service that has this document."}}
	problem := schemaOf[Problem](s.huma, "Problem")
	doc.Components.Responses = map[string]*huma.Response{}
	for _, r := range refusals {
		doc.Components.Responses[r.name] = &huma.Response{Description: r.when, Content: map[string]*huma.MediaType{
			"application/problem+json": {Schema: problem, Example: newProblem(r.status, r.code, r.detail)},
		}}
	}
	for path, item := range doc.Paths {
		for method, op := range operationsOf(item) {
			rule := rules[method+" "+path]
			if rule.open {
				op.Security = []map[string][]string{{}}
			}
			if op.Responses == nil {
				op.Responses = map[string]*huma.Response{}
			}
			for _, r := range refusals {
				status := strconv.Itoa(r.status)
				if op.Responses[status] == nil && mayRefuse(rule, method, path, op, r.status) {
					op.Responses[status] = &huma.Response{Ref: "#/components/responses/" + r.name}
				}
			}
			if none := op.Responses["204"]; none != nil {
				none.Content = nil // huma documents that of the operation's other successes
			}
			if op.Responses["default"] == nil { // huma adds it unless several successes are listed
				op.Responses["default"] = &huma.Response{Description: "Error", Content: map[string]*huma.MediaType{"application/problem+json": {Schema: problem}}}
			}
		}
	}
}

// operationsOf returns the operations of a path by method.
func operationsOf(item *huma.PathItem) map[string]*huma.Operation {
	list := map[string]*huma.Operation{
		http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPut: item.Put,
		http.MethodPatch: item.Patch, http.MethodDelete: item.Delete, http.MethodHead: item.Head,
	}
	for method, op := range list {
		if op == nil {
			delete(list, method)
		}
	}
	return list
}

// mayRefuse returns whether an operation can fail with a status.
func mayRefuse(rule rule, method, path string, op *huma.Operation, status int) bool {
	changes := method != http.MethodGet && method != http.MethodHead
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
		return op.RequestBody != nil
	case http.StatusBadGateway:
		return !strings.HasPrefix(path, "/api/auth/")
	case http.StatusInsufficientStorage:
		return changes
	case http.StatusUnauthorized:
		return !rule.open || path == "/api/auth/login"
	case http.StatusForbidden:
		return !rule.open && (rule.role != "" || rule.scope != "" || rule.level > access.View || changes)
	case http.StatusNotFound:
		return strings.Contains(path, "{") || strings.HasPrefix(path, "/ws/")
	case http.StatusConflict:
		return changes
	case http.StatusPreconditionFailed:
		for _, p := range op.Parameters {
			if p.Name == "If-Match" && (method == http.MethodPatch || method == http.MethodDelete) {
				return true
			}
		}
		return false
	case http.StatusUnprocessableEntity:
		return op.RequestBody != nil || len(op.Parameters) > 0
	case http.StatusTooManyRequests:
		return strings.HasPrefix(path, "/api/auth/") && changes || strings.HasPrefix(path, "/ws/")
	}
	return true
}
