package api

import (
	"net/url"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// plainParams gives all that follows the parameters of a path as they are meant.
// echo leaves them escaped where the client escaped more than Go would, as
// browsers do with the colons of a MAC address.
func plainParams(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if c.Request().URL.RawPath == "" {
			return next(c)
		}
		values := slices.Clone(c.ParamValues())
		for i, v := range values {
			plain, err := url.PathUnescape(v)
			if err != nil {
				return fault.New(fault.Invalid, "The path holds an escape that stands for nothing.")
			}
			values[i] = plain
		}
		c.SetParamValues(values...)
		return next(c)
	}
}
