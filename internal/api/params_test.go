package api

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4"
)

func TestPlainParams(t *testing.T) {
	var got [2]string
	e := echo.New()
	e.Use(plainParams)
	e.GET("/nodes/:id/interfaces/:mac", func(c echo.Context) error {
		got = [2]string{c.Param("id"), c.Param("mac")}
		return c.NoContent(http.StatusNoContent)
	})
	for path, want := range map[string][2]string{
		"/nodes/n/interfaces/52:54:00:fb:a4:d8":           {"n", "52:54:00:fb:a4:d8"},
		"/nodes/n/interfaces/52%3A54%3A00%3Afb%3Aa4%3Ad8": {"n", "52:54:00:fb:a4:d8"},
		"/nodes/n/interfaces/a%2Fb":                       {"n", "a/b"},
		"/nodes/n/interfaces/a%20b":                       {"n", "a b"},
		"/nodes/n/interfaces/50%2525%3A":                  {"n", "50%25:"},
	} {
		got = [2]string{}
		rec := httptest.NewRecorder()
		e.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		if rec.Code != http.StatusNoContent || got != want {
			t.Errorf("%s: status %d, %q, want %q", path, rec.Code, got, want)
		}
	}
}
