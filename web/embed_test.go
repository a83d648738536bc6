package web

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

const page = "<!doctype html><title>UI</title>"

var script = strings.Repeat("console.log('hello');\n", 100)

func built() *handler {
	return newHandler(fstest.MapFS{
		"index.html":          {Data: []byte(page)},
		"assets/main-1.js":    {Data: []byte(script)},
		"assets/font-1.bin":   {Data: []byte{1, 2, 3}},
		".vite/manifest.json": {Data: []byte("{}")},
	}, "/")
}

func TestHandler(t *testing.T) {
	for _, test := range []struct {
		name, method, path string
		status             int
		cache, body        string
	}{
		{"the page", "GET", "/", 200, "no-cache", page},
		{"a route of the UI", "GET", "/nodes/1/console", 200, "no-cache", page},
		{"a route that looks like a file", "GET", "/nodes/web1.example", 200, "no-cache", page},
		{"an asset", "GET", "/assets/main-1.js", 200, "public, max-age=31536000, immutable", script},
		{"an asset of another version", "GET", "/assets/main-0.js", 404, "no-store", ""},
		{"a folder", "GET", "/assets/", 404, "no-store", ""},
		{"a path out of assets", "GET", "/assets/../.vite/manifest.json", 200, "no-cache", page},
		{"an unknown API path", "GET", "/api/nothing", 404, "", ""},
		{"an unknown socket", "GET", "/ws/nothing", 404, "", ""},
		{"only the head", "HEAD", "/", 200, "no-cache", ""},
		{"another method", "POST", "/", 405, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			built().ServeHTTP(w, httptest.NewRequest(test.method, test.path, nil))
			if w.Code != test.status {
				t.Fatalf("status %d, want %d", w.Code, test.status)
			}
			if got := w.Header().Get("Cache-Control"); got != test.cache {
				t.Errorf("Cache-Control %q, want %q", got, test.cache)
			}
			if test.status == 200 && w.Body.String() != test.body {
				t.Errorf("body %q, want %q", w.Body, test.body)
			}
		})
	}
}

func TestHandlerCompresses(t *testing.T) {
	for accepted, want := range map[string]string{
		"":                    "",
		"br":                  "",
		"gzip;q=0":            "",
		"deflate, gzip;q=0.8": "gzip",
		"br, gzip":            "gzip",
	} {
		r := httptest.NewRequest(http.MethodGet, "/assets/main-1.js", nil)
		r.Header.Set("Accept-Encoding", accepted)
		w := httptest.NewRecorder()
		built().ServeHTTP(w, r)
		if got := w.Header().Get("Content-Encoding"); got != want {
			t.Errorf("Accept-Encoding %q: encoding %q, want %q", accepted, got, want)
			continue
		}
		var body io.Reader = w.Body
		if want == "gzip" {
			var err error
			if body, err = gzip.NewReader(body); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := io.ReadAll(body); err != nil || string(got) != script {
			t.Errorf("Accept-Encoding %q: other bytes than the file's (error %v)", accepted, err)
		}
	}
}

func TestHandlerSendsSmallFilesAsTheyAre(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/assets/font-1.bin", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	built().ServeHTTP(w, r)
	if w.Header().Get("Content-Encoding") != "" || w.Body.Len() != 3 {
		t.Errorf("got %d bytes, encoding %q", w.Body.Len(), w.Header().Get("Content-Encoding"))
	}
}

func TestHandlerBeforeTheFirstBuild(t *testing.T) {
	w := httptest.NewRecorder()
	newHandler(fstest.MapFS{".gitkeep": {}}, "/").ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "make build") {
		t.Errorf("status %d, body %q", w.Code, w.Body)
	}
}

// Below a base path, the page's URLs and its base include that path, for every route.
func TestHandlerBelowAPath(t *testing.T) {
	h := newHandler(fstest.MapFS{
		"index.html": {Data: []byte(`<meta name="sandboxlabs-base" content="/" /><script src="./assets/main-1.js"></script>`)},
	}, "/sandbox/")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/nodes/1/console", nil))
	const want = `<meta name="sandboxlabs-base" content="/sandbox/" /><script src="/sandbox/assets/main-1.js"></script>`
	if w.Body.String() != want {
		t.Errorf("page %s, want %s", w.Body, want)
	}
}
