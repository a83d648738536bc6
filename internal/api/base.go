package api

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"
)

// base returns the path of public-url without a trailing slash: "" at the root of the origin.
// Requests have this prefix, unless a proxy strips it or a tool on this machine sends them.
func (s *Server) base() string {
	if s.o.PublicURL == nil {
		return ""
	}
	return strings.TrimRight(s.o.PublicURL.Path, "/")
}

// withoutBase returns the request with the base removed, as the routes expect it.
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
	inner.URL.RawPath = strings.TrimPrefix(r.URL.RawPath, base) // the base contains no characters to escape
	return inner
}

// completeLocation adds the base to the path in a Location header.
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
