package api

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/audit"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// Actions that are recorded although they change nothing.
const (
	actionConsole = "open-console"
	actionScreen  = "open-screen"
	actionExport  = "export-audit"
)

// socketActions are the actions of the WebSockets, by path.
var socketActions = map[string]string{"/ws/console": actionConsole, "/ws/vnc": actionScreen}

// note collects the data for a request's audit entry while the request is handled. It belongs to
// that request: only one goroutine at a time writes to it.
type note struct {
	who      access.Principal // set if the handler itself authenticates the user
	via      string
	code     fault.Code
	targetID string // if the path does not contain it
	name     string
	replayed bool // the stored answer was repeated; nothing changed
	recorded bool
}

type noteKey struct{}

// noteOf returns the note of a request, or an unused one if the request has none.
func noteOf(ctx context.Context) *note {
	if n, ok := ctx.Value(noteKey{}).(*note); ok {
		return n
	}
	return &note{}
}

// recordChanges writes an audit entry for each change, each opened console or screen, and each
// sign-in of a known user. Requests without valid credentials appear only in the log: otherwise
// anybody could fill the table.
func (s *Server) recordChanges(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		action := s.action(r.Method, c.Path())
		if action == "" {
			return next(c)
		}
		n := &note{}
		c.SetRequest(r.WithContext(context.WithValue(r.Context(), noteKey{}, n)))
		e := s.entry(c, action)
		if e.TargetID != "" {
			e.TargetName = s.nameOf(c.Request().Context(), e.TargetKind, e.TargetID) // as it was before
		}
		defer func() { // also if the response is aborted, which panics
			if !n.recorded {
				s.record(c, n, e, c.Response().Status)
			}
		}()
		if err := next(c); err != nil {
			c.Error(err)
		}
		return nil
	}
}

// action returns the name of a request in the audit; "" if it is not recorded.
func (s *Server) action(method, route string) string {
	if name := socketActions[route]; name != "" {
		return name
	}
	if method == http.MethodPatch && route == uploadsPath+"/:id" {
		return "" // one of hundreds of chunks; the creation is recorded
	}
	name, known := s.operationIDs[method+" "+route]
	if name == actionOIDC {
		return actionSignIn
	}
	if known && name != actionExport && (method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions) {
		return ""
	}
	return name
}

// entry returns the audit entry of a request, with the data from its address.
func (s *Server) entry(c echo.Context, action string) audit.Entry {
	e := audit.Entry{Action: action, Address: c.RealIP()}
	if id := c.QueryParam("nodeId"); strings.HasPrefix(c.Path(), "/ws/") {
		e.TargetKind, e.TargetID = "nodes", id
		return e
	}
	_, rest, _ := strings.Cut(c.Path(), "/api/")
	e.TargetKind, _, _ = strings.Cut(rest, "/")
	var more []string
	for i, name := range c.ParamNames() {
		if value := c.ParamValues()[i]; i == 0 {
			e.TargetID = value
		} else {
			more = append(more, name+"="+value)
		}
	}
	e.Detail = strings.Join(more, " ")
	return e
}

// record completes an entry and stores it, if the user is known.
func (s *Server) record(c echo.Context, n *note, e audit.Entry, status int) {
	n.recorded = true
	who, known := principalOf(c.Request().Context())
	if !known {
		who = n.who
	}
	if who.Name == "" && (e.Action != actionSignIn || n.via == "") {
		return
	}
	e.Actor, e.ActorID, e.Via, e.Status, e.Code = who.Name, who.UserID, n.via, status, string(n.code)
	if e.Code == "" && status >= http.StatusBadRequest {
		e.Code = string(codeOfStatus(status))
	}
	if e.TargetID == "" {
		e.TargetID = n.targetID
	}
	if location := c.Response().Header().Get(echo.HeaderLocation); e.TargetID == "" && location != "" {
		e.TargetID = location[strings.LastIndexByte(location, '/')+1:]
	}
	if e.TargetName == "" {
		e.TargetName = n.name
	}
	if n.replayed {
		e.Detail = strings.TrimSpace(e.Detail + " replayed")
	}
	if e.TargetName == "" && e.TargetID != "" {
		e.TargetName = s.nameOf(c.Request().Context(), e.TargetKind, e.TargetID)
	}
	s.o.Audit.Record(e)
}

// recordOpening records an opened console or screen at once, instead of when it is closed.
func (s *Server) recordOpening(c echo.Context) {
	e := s.entry(c, socketActions[c.Path()])
	s.record(c, noteOf(c.Request().Context()), e, http.StatusSwitchingProtocols)
}

// nameOf returns the name of the object with an id.
func (s *Server) nameOf(ctx context.Context, kind, id string) string {
	switch kind {
	case "nodes":
		if n, err := s.o.Nodes.Node(id); err == nil {
			return n.Name
		}
	case "images":
		if img, err := s.o.Images.Image("", id); err == nil {
			return img.DisplayName
		}
	case "labs":
		if l, err := s.o.Labs.Lab(ctx, id); err == nil {
			return l.Name
		}
	}
	return ""
}

// nameOperations collects the routes of the operations. Call it after all are registered.
func (s *Server) nameOperations() {
	s.operationIDs = map[string]string{}
	braces := strings.NewReplacer("{", ":", "}", "")
	for path, item := range s.huma.OpenAPI().Paths {
		for method, op := range operationsOf(item) {
			s.operationIDs[method+" "+braces.Replace(path)] = op.OperationID
		}
	}
}

// viaOf returns how a request was authenticated, for the audit.
func viaOf(r *http.Request, p access.Principal) string {
	switch {
	case p.UserID == "":
		return "open"
	case slices.Contains([]string{"/ws/console", "/ws/vnc"}, r.URL.Path) && r.URL.Query().Get("ticket") != "" && r.Header.Get("Authorization") == "":
		return "ticket"
	case p.TokenID != "":
		return "token"
	default:
		return "session"
	}
}
