package api

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// rule defines who may use a route.
type rule struct {
	open  bool         // no sign-in needed
	early bool         // also for users who must change their password first
	role  access.Role  // minimum role; empty: any
	scope access.Scope // scope that a token needs; empty: reading
	on    access.Kind  // kind of object that the route is about; empty: none
	level access.Level // level needed on the object
}

var (
	public   = rule{open: true}
	signedIn = rule{}
	// entering is for users who are signed in, but have no further access yet.
	entering = rule{early: true}
	// ownAccount is for changes of the user's own account.
	ownAccount = rule{scope: access.ScopeAdmin}
	admins     = rule{role: access.RoleAdmin, scope: access.ScopeAdmin}
)

func atLeast(role access.Role, scope access.Scope) rule { return rule{role: role, scope: scope} }

// onNode is for routes about the node in {id} or ?nodeId=. The level includes the token's scope.
func onNode(level access.Level) rule { return rule{on: access.Node, level: level} }

// onImage is for routes about the image in {id}.
func onImage(level access.Level) rule { return rule{on: access.Image, level: level} }

// onLab is for routes about the lab in {id}. The handler checks the rights on the lab's nodes.
func onLab(level access.Level) rule { return rule{on: access.Lab, level: level} }

// rules has the rules of all routes. Routes without a rule are for administrators. Objects that a
// user cannot view are reported as not found; lists and events omit them.
var rules = map[string]rule{
	"GET /api/health":       public,
	"GET /api/openapi.json": public,
	"GET /api/openapi.yaml": public,
	"GET /api/docs":         public,
	"POST /api/auth/login":  public,

	"GET /api/auth/methods":       public,
	"GET /api/auth/oidc/login":    public,
	"GET /api/auth/oidc/callback": public,

	"POST /api/auth/logout":          entering,
	"GET /api/auth/me":               entering,
	"PATCH /api/auth/me":             ownAccount,
	"POST /api/auth/password":        {scope: access.ScopeAdmin, early: true},
	"POST /api/auth/confirm":         signedIn,
	"GET /api/auth/sessions":         signedIn,
	"DELETE /api/auth/sessions/{id}": ownAccount,
	"POST /api/auth/totp":            ownAccount,
	"POST /api/auth/totp/confirm":    ownAccount,
	"DELETE /api/auth/totp":          ownAccount,

	"GET /api/tokens":         signedIn,
	"POST /api/tokens":        ownAccount,
	"DELETE /api/tokens/{id}": ownAccount,

	"GET /api/users":                           atLeast(access.RoleInstructor, access.ScopeRead), // to share with
	"POST /api/users":                          admins,
	"GET /api/users/{name}":                    admins,
	"PATCH /api/users/{name}":                  admins,
	"DELETE /api/users/{name}":                 admins,
	"GET /api/users/{name}/owned":              admins,
	"DELETE /api/users/{name}/totp":            admins,
	"GET /api/groups":                          atLeast(access.RoleInstructor, access.ScopeRead), // to share with
	"POST /api/groups":                         admins,
	"DELETE /api/groups/{name}":                admins,
	"PUT /api/groups/{name}/members/{user}":    admins,
	"DELETE /api/groups/{name}/members/{user}": admins,

	"GET /api/nodes/{id}/shares":                   onNode(access.Manage),
	"PUT /api/nodes/{id}/shares/users/{name}":      onNode(access.Manage),
	"DELETE /api/nodes/{id}/shares/users/{name}":   onNode(access.Manage),
	"PUT /api/nodes/{id}/shares/groups/{name}":     onNode(access.Manage),
	"DELETE /api/nodes/{id}/shares/groups/{name}":  onNode(access.Manage),
	"GET /api/images/{id}/shares":                  onImage(access.Manage),
	"PUT /api/images/{id}/shares/users/{name}":     onImage(access.Manage),
	"DELETE /api/images/{id}/shares/users/{name}":  onImage(access.Manage),
	"PUT /api/images/{id}/shares/groups/{name}":    onImage(access.Manage),
	"DELETE /api/images/{id}/shares/groups/{name}": onImage(access.Manage),

	"GET /api/nodes":                               signedIn, // those that one sees
	"POST /api/nodes":                              atLeast(access.RoleInstructor, access.ScopeNodes),
	"GET /api/nodes/{id}":                          onNode(access.View),
	"PATCH /api/nodes/{id}":                        onNode(access.Manage),
	"DELETE /api/nodes/{id}":                       onNode(access.Manage),
	"GET /api/nodes/{id}/xml":                      onNode(access.View),
	"PUT /api/nodes/{id}/xml":                      admins, // it can open any file of the host to the guest
	"GET /api/nodes/{id}/disks":                    onNode(access.View),
	"POST /api/nodes/{id}/disks":                   onNode(access.Manage),
	"DELETE /api/nodes/{id}/disks/{target}":        onNode(access.Manage),
	"PUT /api/nodes/{id}/media":                    onNode(access.Manage),
	"GET /api/nodes/{id}/interfaces":               onNode(access.View),
	"POST /api/nodes/{id}/interfaces":              onNode(access.Manage),
	"DELETE /api/nodes/{id}/interfaces/{mac}":      onNode(access.Manage),
	"GET /api/nodes/{id}/snapshots":                onNode(access.View),
	"POST /api/nodes/{id}/snapshots":               onNode(access.Manage),
	"POST /api/nodes/{id}/snapshots/{name}/revert": onNode(access.Manage),
	"DELETE /api/nodes/{id}/snapshots/{name}":      onNode(access.Manage),
	"GET /api/nodes/{id}/figures":                  onNode(access.View),
	"GET /api/nodes/{id}/screenshot":               onNode(access.View),
	"GET /api/nodes/{id}/console/log":              onNode(access.View),
	"GET /api/nodes/{id}/console/log/search":       onNode(access.View),
	"POST /api/nodes/{id}/tickets":                 onNode(access.View),
	"POST /api/nodes/{id}/guacamole":               onNode(access.Use), // Guacamole's screens take keys
	"POST /api/nodes/{id}/run":                     onNode(access.Use),
	"POST /api/nodes/{id}/stop":                    onNode(access.Use),
	"POST /api/nodes/{id}/reboot":                  onNode(access.Use),
	"POST /api/nodes/{id}/reset":                   onNode(access.Use),
	"POST /api/nodes/{id}/pause":                   onNode(access.Use),
	"POST /api/nodes/{id}/resume":                  onNode(access.Use),
	"POST /api/nodes/{id}/suspend":                 onNode(access.Use),
	"POST /api/nodes/{id}/discard-saved-state":     onNode(access.Use), // as below
	"POST /api/nodes/{id}/wipe":                    onNode(access.Use), // who works in it could as well delete all files
	"POST /api/nodes/{id}/adopt":                   admins,
	"GET /api/nodes/{id}/chain":                    onNode(access.View),
	"POST /api/nodes/{id}/image":                   {role: access.RoleInstructor, scope: access.ScopeNodes, on: access.Node, level: access.Manage},
	"POST /api/nodes/{id}/clone":                   {role: access.RoleInstructor, scope: access.ScopeNodes, on: access.Node, level: access.Manage},
	"GET /ws/console":                              onNode(access.View), // to type takes Use
	"GET /ws/vnc":                                  onNode(access.View), // as above

	"GET /api/networks":           atLeast(access.RoleInstructor, access.ScopeRead),
	"POST /api/networks":          atLeast(access.RoleInstructor, access.ScopeNodes),
	"DELETE /api/networks/{name}": atLeast(access.RoleInstructor, access.ScopeNodes),

	"GET /api/labs":                                signedIn, // those that one sees
	"POST /api/labs":                               atLeast(access.RoleInstructor, access.ScopeNodes),
	"POST /api/labs/import":                        atLeast(access.RoleInstructor, access.ScopeNodes),
	"GET /api/labs/{id}":                           onLab(access.View),
	"PATCH /api/labs/{id}":                         onLab(access.Manage),
	"DELETE /api/labs/{id}":                        onLab(access.Manage),
	"PUT /api/labs/{id}/nodes/{node}":              onLab(access.Manage),
	"DELETE /api/labs/{id}/nodes/{node}":           onLab(access.Manage),
	"POST /api/labs/{id}/networks":                 onLab(access.Manage),
	"DELETE /api/labs/{id}/networks/{network}":     onLab(access.Manage),
	"POST /api/labs/{id}/links":                    onLab(access.Manage),
	"DELETE /api/labs/{id}/links/{node}/{network}": onLab(access.Manage),
	"PUT /api/labs/{id}/positions":                 onLab(access.Manage),
	"GET /api/labs/{id}/shares":                    onLab(access.Manage),
	"PUT /api/labs/{id}/shares/users/{name}":       onLab(access.Manage),
	"DELETE /api/labs/{id}/shares/users/{name}":    onLab(access.Manage),
	"PUT /api/labs/{id}/shares/groups/{name}":      onLab(access.Manage),
	"DELETE /api/labs/{id}/shares/groups/{name}":   onLab(access.Manage),

	"GET /api/images":         signedIn, // those that one sees
	"POST /api/images/custom": atLeast(access.RoleInstructor, access.ScopeImages),
	"GET /api/images/{id}":    onImage(access.View),
	// The handler reads the owner of an upload from the database, because this replica might not know
	// the upload yet.
	"POST /api/uploads":         atLeast(access.RoleInstructor, access.ScopeImages),
	"POST /api/uploads/":        atLeast(access.RoleInstructor, access.ScopeImages),
	"OPTIONS /api/uploads":      signedIn,
	"OPTIONS /api/uploads/":     signedIn,
	"OPTIONS /api/uploads/{id}": signedIn,
	"HEAD /api/uploads/{id}":    atLeast(access.RoleInstructor, access.ScopeImages),
	"PATCH /api/uploads/{id}":   atLeast(access.RoleInstructor, access.ScopeImages),
	"DELETE /api/uploads/{id}":  atLeast(access.RoleInstructor, access.ScopeImages),

	"POST /api/images/{id}/verify":   onImage(access.Manage),
	"POST /api/images/{id}/compact":  onImage(access.Manage),
	"POST /api/images/{id}/resize":   onImage(access.Manage),
	"PATCH /api/images/{id}":         onImage(access.Manage),
	"DELETE /api/images/{id}":        onImage(access.Manage),
	"GET /api/images/{id}/users":     onImage(access.View),
	"GET /api/images/{id}/download":  onImage(access.Use), // whoever creates a node from it can read it too
	"HEAD /api/images/{id}/download": onImage(access.Use),

	"GET /api/images/catalog":            signedIn,
	"POST /api/images/catalog/{id}/pull": atLeast(access.RoleInstructor, access.ScopeImages),

	"GET /api/jobs":              signedIn, // one's own
	"GET /api/jobs/{id}":         signedIn, // as above
	"POST /api/jobs/{id}/cancel": signedIn, // as above
	"DELETE /api/jobs/{id}":      signedIn, // as above

	"GET /api/audit":        admins,
	"GET /api/audit/export": admins,

	"GET /api/events":  signedIn, // of what one sees
	"GET /api/figures": signedIn, // as above
	"GET /api/hosts":   atLeast(access.RoleInstructor, access.ScopeRead),
	"GET /metrics":     atLeast(access.RoleAdmin, access.ScopeRead),

	"GET /api/changes":              atLeast(access.RoleAdmin, access.ScopeRead),
	"POST /api/changes/{id}/finish": admins,
	"DELETE /api/changes/{id}":      admins,

	"GET /api/settings":        admins,
	"GET /api/guacamole":       admins,
	"POST /api/guacamole/sync": admins,

	"POST /api/hosts/{host}/refresh": atLeast(access.RoleInstructor, access.ScopeImages),
}

// ruleName returns the key of a route's rule; the path is in echo's syntax.
func ruleName(method, path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if name, ok := strings.CutPrefix(part, ":"); ok {
			parts[i] = "{" + name + "}"
		}
	}
	return method + " " + strings.Join(parts, "/")
}

// ruleOf returns the rule of a route; the path is in echo's syntax.
func ruleOf(method, path string) rule {
	r, ok := rules[ruleName(method, path)]
	if !ok && method == http.MethodHead { // see answerHead
		r, ok = rules[ruleName(http.MethodGet, path)]
	}
	switch {
	case ok:
		return r
	case path == "/api/*" || path == "/ws/*":
		return signedIn // there is nothing
	default:
		return admins
	}
}

// isOpen returns whether a path is public for some method.
func (s *Server) isOpen(path string) bool {
	for _, method := range s.allowed(path) {
		if ruleOf(method, path).open {
			return true
		}
	}
	return false
}

// staleRules lists the rules without a route: a misspelled rule would restrict its route to
// administrators.
func (s *Server) staleRules() []string {
	stale := maps.Clone(rules)
	for _, r := range s.echo.Routes() {
		delete(stale, ruleName(r.Method, r.Path))
	}
	return slices.Sorted(maps.Keys(stale))
}

// authorize authenticates a request, and applies the route's rule. The UI's own files are public.
func (s *Server) authorize(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if !isAPI(r.URL.Path) {
			return next(c)
		}
		rule := ruleOf(r.Method, c.Path())
		if c.Path() == "/api/*" && s.isOpen(r.URL.Path) { // by another method
			rule = public
		}
		if rule.open {
			return next(c)
		}
		p, err := s.identify(r)
		if err != nil {
			return err
		}
		rights, err := s.o.Access.Rights(r.Context(), p)
		if err != nil {
			return err
		}
		noteOf(r.Context()).via = viaOf(r, p)
		c.SetRequest(r.WithContext(context.WithValue(r.Context(), rightsKey{}, rights)))
		if err := s.check(rule, rights, c); err != nil {
			return err
		}
		return next(c)
	}
}

// check returns an error if a rule does not allow a request.
func (s *Server) check(rule rule, rights access.Rights, c echo.Context) error {
	if rights.MustChange && !rule.early {
		return fault.New(fault.PasswordChangeRequired, "Change your initial password first.")
	}
	if rule.role != "" && !rights.Role.AtLeast(rule.role) {
		return fault.New(fault.Forbidden, "The role %q doesn't allow this; it requires %q. Ask an administrator.", rights.Role, rule.role)
	}
	if !rights.Scopes.Has(rule.scope) {
		return fault.New(fault.Forbidden, "The token lacks the scope %q. Create another one.", rule.scope)
	}
	id := c.Param("id")
	if strings.HasPrefix(c.Path(), "/ws/") {
		id = c.QueryParam("nodeId")
	}
	switch {
	case rule.on == access.Node && id != "": // without one, the handler reports what is missing
		_, err := s.o.Guard.Node(rights, id, rule.level)
		return err
	case rule.on == access.Image:
		return s.o.Guard.Image(rights, id, rule.level)
	case rule.on == access.Lab:
		_, err := s.o.Guard.Lab(c.Request().Context(), rights, id, rule.level)
		return err
	}
	return nil
}

type rightsKey struct{}

// rightsOf returns the caller and their rights; on public routes nobody, without rights.
func rightsOf(ctx context.Context) access.Rights {
	r, _ := ctx.Value(rightsKey{}).(access.Rights)
	return r
}

// principalOf returns the caller of a request.
func principalOf(ctx context.Context) (access.Principal, bool) {
	r, ok := ctx.Value(rightsKey{}).(access.Rights)
	return r.Principal, ok
}
