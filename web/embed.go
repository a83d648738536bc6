// Package web holds the built browser UI and serves it.
package web

import (
	"bytes"
	"compress/gzip"
	"embed"
	"html"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

// dist is the output of `npm run build`; before the first build it contains only
// .gitkeep.
//
//go:embed all:dist
var dist embed.FS

const pageName = "index.html"

const notBuilt = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>SandboxLabs</title>
<p>This binary was built without its browser UI. Run <code>make build</code> and start it again.
The API works all the same: see <a href="/api/docs">/api/docs</a>.</p></html>
`

// Handler serves the UI for GET and HEAD: its assets, whose names contain their digest, so that
// browsers cache them permanently; and the page for all other paths, because the UI's router
// handles them. Paths below /api/ and /ws/ are not part of the UI and return 404. base is the
// service's base path for browsers, "/" or one such as "/sandbox/"; requests come without it.
func Handler(base string) http.Handler {
	built, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the name is constant and valid
	}
	return newHandler(built, base)
}

// contentTypes are those of the files that a build creates. The machine's own tables may be
// missing or wrong.
var contentTypes = map[string]string{
	".css":   "text/css; charset=utf-8",
	".html":  "text/html; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".svg":   "image/svg+xml",
	".woff2": "font/woff2",
}

type handler struct {
	files fs.FS
	base  string // begins and ends with a slash
	mu    sync.Mutex
	kept  map[string]*asset // by path; filled on request
}

// asset is a file as it is sent.
type asset struct {
	contentType string
	plain       []byte
	gzipped     []byte // nil if it would not save anything
}

func newHandler(files fs.FS, base string) *handler {
	return &handler{files: files, base: base, kept: map[string]*asset{}}
}

// ServeHTTP may be called from any goroutine.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
	top, _, _ := strings.Cut(name, "/")
	switch top {
	case "api", "ws":
		http.NotFound(w, r)
	case "assets":
		a, err := h.asset(name)
		if err != nil {
			// Requested by a page of another version. It must not be cached.
			w.Header().Set("Cache-Control", "no-store")
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		a.serve(w, r)
	default:
		w.Header().Set("Cache-Control", "no-cache")
		a, err := h.asset(pageName)
		if err != nil {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, notBuilt) // the client has disconnected
			return
		}
		a.serve(w, r)
	}
}

// asset reads and compresses a file once.
func (h *handler) asset(name string) (*asset, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if a, ok := h.kept[name]; ok {
		return a, nil
	}
	plain, err := fs.ReadFile(h.files, name)
	if err != nil {
		return nil, err
	}
	if name == pageName {
		plain = h.completed(plain)
	}
	a := &asset{contentType: contentTypes[path.Ext(name)], plain: plain}
	if a.contentType == "" {
		a.contentType = "application/octet-stream"
	}
	if gzipped := compress(plain); len(gzipped) < len(plain)*9/10 {
		a.gzipped = gzipped
	}
	h.kept[name] = a
	return a, nil
}

// completed returns the page with the base path in its URLs: it is served at every path of the
// UI's router, where relative URLs would not work.
func (h *handler) completed(page []byte) []byte {
	base := html.EscapeString(h.base)
	page = bytes.ReplaceAll(page, []byte(`"./assets/`), []byte(`"`+base+`assets/`))
	return bytes.Replace(page, []byte(`name="sandboxlabs-base" content="/"`), []byte(`name="sandboxlabs-base" content="`+base+`"`), 1)
}

func compress(plain []byte) []byte {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		panic(err) // the level is constant and valid
	}
	if _, err := w.Write(plain); err != nil {
		panic(err) // writes to a buffer don't fail
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

func (a *asset) serve(w http.ResponseWriter, r *http.Request) {
	body := a.plain
	header := w.Header()
	header.Set("Content-Type", a.contentType)
	if a.gzipped != nil {
		header.Add("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Get("Accept-Encoding")) {
			header.Set("Content-Encoding", "gzip")
			body = a.gzipped
		}
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(body) //nolint:gosec // a file of the build; an error means that the client disconnected
}

// acceptsGzip returns whether an Accept-Encoding header accepts gzip.
func acceptsGzip(accepted string) bool {
	for coding := range strings.SplitSeq(accepted, ",") {
		name, params, _ := strings.Cut(coding, ";")
		if strings.TrimSpace(name) != "gzip" {
			continue
		}
		weight, isWeight := strings.CutPrefix(strings.TrimSpace(params), "q=")
		q, err := strconv.ParseFloat(weight, 64)
		return !isWeight || (err == nil && q > 0)
	}
	return false
}
