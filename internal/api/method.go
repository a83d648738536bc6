package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// methodOverride is the header with which tus clients send the actual method through proxies that
// only allow GET and POST.
const methodOverride = "X-HTTP-Method-Override"

// overridden returns a request to an upload with the method in methodOverride. It runs before
// routing, because rights and the audit depend on the actual method.
func overridden(r *http.Request) *http.Request {
	meant := strings.ToUpper(r.Header.Get(methodOverride))
	if r.Method != http.MethodPost || !strings.HasPrefix(r.URL.Path, uploadsPath+"/") ||
		meant != http.MethodPatch && meant != http.MethodDelete {
		return r
	}
	r = r.WithContext(r.Context()) // net/http goes by its own one
	r.Method = meant
	return r
}

// answerHead adds HEAD to every route that has GET: the same handler, whose body net/http
// leaves out. Call it when all routes are registered.
func (s *Server) answerHead() {
	has := map[string]bool{}
	for _, r := range s.echo.Routes() {
		has[r.Method+" "+r.Path] = true
	}
	for _, r := range s.echo.Routes() {
		if r.Method != http.MethodGet || has[http.MethodHead+" "+r.Path] {
			continue
		}
		c := s.echo.NewContext(nil, nil)
		s.echo.Router().Find(http.MethodGet, r.Path, c)
		s.echo.HEAD(r.Path, c.Handler())
	}
}

// allowed lists the methods of a path's routes; empty if the path has no route.
func (s *Server) allowed(path string) (methods []string) {
	parts := strings.Split(path, "/")
	for _, r := range s.echo.Routes() {
		if r.Method == echo.RouteNotFound || slices.Contains(methods, r.Method) || strings.HasSuffix(r.Path, "*") {
			continue
		}
		if samePath(strings.Split(r.Path, "/"), parts) {
			methods = append(methods, r.Method)
		}
	}
	slices.Sort(methods)
	return methods
}

// samePath returns whether a path matches a route, whose parameters begin with a colon.
func samePath(route, path []string) bool {
	return slices.EqualFunc(route, path, func(want, got string) bool {
		return want == got || strings.HasPrefix(want, ":") && got != ""
	})
}

// noRoute handles requests without a route: 405 with the methods of the path, or 404.
func (s *Server) noRoute(c echo.Context) error {
	r := c.Request()
	methods := s.allowed(r.URL.Path)
	if len(methods) == 0 {
		return notFound("path")
	}
	c.Response().Header().Set(echo.HeaderAllow, strings.Join(methods, ", "))
	if r.Method == http.MethodOptions {
		return c.NoContent(http.StatusNoContent)
	}
	return fault.New(fault.MethodNotAllowed, "%s takes %s, not %s. /api/docs lists the operations.", cut(r.URL.Path), strings.Join(methods, ", "), cut(r.Method))
}
