package api

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"
)

// base is the path of public-url, without a slash at its end: "" at the root of the
// origin. Requests come with it, or without where a proxy takes it away, and from this
// machine's own tools.
func (s *Server) base() string {
	if s.o.PublicURL == nil {
		return ""
	}
	return strings.TrimRight(s.o.PublicURL.Path, "/")
}

// withoutBase is a request as the routes know it.
func (s *Server) withoutBase(r *http.Request) *http.Request {
	base := s.base()
	if base == "" || !strings.HasPrefix(r.URL.Path, base+"/") {
		return r
	}
	inner := new(http.Request)
	*inner = *r
	inner.URL = new(url.URL)
	*inner.URL = *r.URL
	inner.URL.Path = strings.TrimPrefix(r.URL.Path, base)
	inner.URL.RawPath = strings.TrimPrefix(r.URL.RawPath, base) // the base has nothing to escape
	return inner
}

// completeLocation puts the base before the path that an answer sends its client to.
func (s *Server) completeLocation(next echo.HandlerFunc) echo.HandlerFunc {
	base := s.base()
	if base == "" {
		return next
	}
	return func(c echo.Context) error {
		c.Response().Before(func() {
			h := c.Response().Header()
			to := h.Get(echo.HeaderLocation)
			if strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//") && !strings.HasPrefix(to, base+"/") {
				h.Set(echo.HeaderLocation, base+to)
			}
		})
		return next(c)
	}
}
