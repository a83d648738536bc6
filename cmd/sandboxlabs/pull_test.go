package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// source is a misbehaving server that images are pulled from.
type source struct {
	*httptest.Server
	image []byte
	// Files that are served unchanged, by path.
	files map[string][]byte
	// signed are the signed checksum lists among the files.
	signed *signedLists

	mu     sync.Mutex
	ranges []string // the Range headers of requests for /cut.qcow2 and /hang.qcow2
	hang   bool     // /hang.qcow2 stops sending half-way
}

func newSource(t *testing.T, image []byte) *source {
	t.Helper()
	s := &source{image: image, hang: true}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

func (s *source) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("ETag", `"1"`)
	switch r.URL.Path {
	case "/good.qcow2", "/wrong.qcow2":
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.image))
	case "/cut.qcow2": // sends a third of the image at a time, then breaks the connection
		s.note(r)
		http.ServeContent(&cutting{ResponseWriter: w, left: len(s.image)/3 + 1}, r, "", time.Time{}, bytes.NewReader(s.image))
	case "/hang.qcow2":
		s.note(r)
		s.mu.Lock()
		hang, again := s.hang, len(s.ranges) > 2 // the first request gets the size, the second is cut
		s.mu.Unlock()
		c := &cutting{ResponseWriter: w, left: len(s.image)}
		if hang {
			c.left = len(s.image) / 3
			if again {
				c.hang = r
			}
		}
		http.ServeContent(c, r, "", time.Time{}, bytes.NewReader(s.image))
	case "/long.qcow2": // sends less than it announces
		w.Header().Set("Content-Length", fmt.Sprint(len(s.image)+100))
		if r.Header.Get("Range") == "" {
			_, _ = w.Write(s.image)
			return
		}
		w.Header().Del("Content-Length")
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
	case "/short.qcow2": // sends a part of the image as if it were complete
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.image[:len(s.image)/2]))
	case "/hostile.qcow2":
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(withBacking(s.image)))
	case "/SHA512SUMS":
		sum := sha512.Sum512(s.image)
		for _, name := range []string{"good", "cut", "hang", "long", "short"} {
			fmt.Fprintf(w, "%x  %s.qcow2\n", sum, name)
		}
	default:
		content, ok := s.files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}
}

func (s *source) note(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ranges = append(s.ranges, r.Header.Get("Range"))
}

func (s *source) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.ranges...)
}

// cutting is a response that ends early or stops sending.
type cutting struct {
	http.ResponseWriter
	left int
	hang *http.Request
}

func (c *cutting) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p[:min(len(p), c.left)])
	if c.left -= n; err != nil || c.left > 0 {
		return n, err
	}
	if c.hang != nil {
		c.ResponseWriter.(http.Flusher).Flush()
		<-c.hang.Context().Done()
	}
	return n, io.ErrShortWrite
}

// withBacking gives an image a backing file that belongs to the host.
func withBacking(image []byte) []byte {
	const name = "/etc/passwd"
	evil := append([]byte{}, image...)
	at := 4096
	copy(evil[at:], name)
	evil[14], evil[15] = byte(at>>8), byte(at&0xff)
	evil[19] = byte(len(name))
	return evil
}

// dataImage returns a qcow2 image full of random data.
func (l *lab) dataImage(size int) []byte {
	l.t.Helper()
	raw, file := filepath.Join(l.t.TempDir(), "raw"), filepath.Join(l.t.TempDir(), "image.qcow2")
	noise := make([]byte, size)
	_, _ = rand.New(rand.NewSource(1)).Read(noise)
	if err := os.WriteFile(raw, noise, 0o600); err != nil {
		l.t.Fatal(err)
	}
	l.qemuImg("convert", "-f", "raw", "-O", "qcow2", raw, file)
	content, err := os.ReadFile(file)
	if err != nil {
		l.t.Fatal(err)
	}
	return content
}

// catalogFile writes a catalogue with a source's images.
func (l *lab) catalogFile(s *source) string {
	l.t.Helper()
	var text strings.Builder
	entry := func(id, file, more string) {
		fmt.Fprintf(&text, "- {id: %s, name: Test %s, format: qcow2, osType: linux, url: '%s/%s', %s}\n", id, id, s.URL, file, more)
	}
	sum := sha256.Sum256(s.image)
	list := "checksums: '" + s.URL + "/SHA512SUMS'"
	entry("good", "good.qcow2", "checksum: "+hex.EncodeToString(sum[:]))
	entry("listed", "good.qcow2", list)
	entry("cut", "cut.qcow2", list)
	entry("hang", "hang.qcow2", list)
	entry("long", "long.qcow2", list)
	entry("short", "short.qcow2", list)
	entry("wrong", "wrong.qcow2", "checksum: "+strings.Repeat("ab", 32))
	entry("unlisted", "gone.qcow2", list)
	evil := sha256.Sum256(withBacking(s.image))
	entry("hostile", "hostile.qcow2", "checksum: "+hex.EncodeToString(evil[:]))
	for path, content := range s.files {
		if file := strings.TrimPrefix(path, "/"); strings.HasPrefix(file, "foreign") {
			sum := sha256.Sum256(content)
			entry(strings.ReplaceAll(file, ".", "-"), file, "checksum: "+hex.EncodeToString(sum[:]))
		}
	}
	path := filepath.Join(l.t.TempDir(), "mine.yaml")
	if s.signed != nil {
		for _, e := range s.signed.entries {
			text.WriteString(strings.ReplaceAll(e, "URL", s.URL))
		}
		s.signed.writeKeys(filepath.Dir(path))
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		l.t.Fatal(err)
	}
	return path
}

func (l *lab) job(id string) api.Job {
	l.t.Helper()
	var j api.Job
	l.call(http.MethodGet, "/api/jobs/"+id, nil, http.StatusOK, &j)
	return j
}

// startJob sends a request whose response is a job.
func (l *lab) startJob(path string, body any) api.Job {
	l.t.Helper()
	var j api.Job
	a := l.call(http.MethodPost, path, body, http.StatusAccepted, &j)
	if a.header.Get("Location") != "/api/jobs/"+j.ID {
		l.t.Errorf("Location is %q, the job %s", a.header.Get("Location"), j.ID)
	}
	return j
}

// awaitJob waits until a job is in a state.
func (l *lab) awaitJob(id, state string) api.Job {
	l.t.Helper()
	var j api.Job
	until(l.t, patience, func() string { return fmt.Sprintf("the job is %s; it is %+v, %+v", state, j, j.Error) }, func() bool {
		j = l.job(id)
		if j.Finished != nil && j.State != state {
			l.t.Fatalf("the job is %s, want %s: %+v", j.State, state, j.Error)
		}
		return j.State == state
	})
	return j
}

// TestPull pulls the images of a catalogue from a misbehaving server.
func TestPull(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	s := newSource(t, l.dataImage(6<<20))
	disk := l.dataImage(256 << 10)
	s.files = l.foreignFiles(disk)
	s.signed = newSignedLists(t, s.image, s.URL)
	maps.Copy(s.files, s.signed.files)
	catalog := l.catalogFile(s)
	l.launch(nil, "--catalog="+catalog, "--pull-allow-private")
	l.awaitHealth("ok")
	seen := l.follow()

	want := sha256.Sum256(s.image)
	for _, id := range []string{"good", "listed", "cut"} {
		j := l.startJob("/api/images/catalog/"+id+"/pull", nil)
		if j.Kind != "image.pull" || j.Target.ID != id || j.State != "queued" {
			t.Errorf("the job that was started is %+v", j)
		}
		l.awaitJob(j.ID, "succeeded")
		seen.await("the job's end", promptly, func(e serverEvent) bool {
			return e.kind == "job.changed" && bytes.Contains(e.data, []byte(j.ID)) && bytes.Contains(e.data, []byte(`"succeeded"`))
		})
		var img api.Image
		l.call(http.MethodGet, "/api/images/"+id, nil, http.StatusOK, &img)
		if img.State != "ready" || img.Type != "base" || img.SHA256 != hex.EncodeToString(want[:]) || img.DisplayName != "Test "+id {
			t.Errorf("the image is %+v", img)
		}
	}
	if asked := s.asked(); len(asked) != 4 || asked[1] != "" || !strings.HasPrefix(asked[2], "bytes=") || asked[2] == asked[3] {
		t.Errorf("the transfer that was cut continued with %q", asked)
	}
	for id, want := range map[string]string{
		"wrong": "not the expected one", "short": "SHA-512", "hostile": "backing file", "unlisted": "no single one",
	} {
		j := l.awaitJob(l.startJob("/api/images/catalog/"+id+"/pull", nil).ID, "failed")
		if j.Error == nil || !strings.Contains(j.Error.Detail, want) || j.Attempt != 1 {
			t.Errorf("%s: the job ended with %+v after %d attempts", id, j.Error, j.Attempt)
		}
		l.refused(http.MethodGet, "/api/images/"+id, nil, refusal{http.StatusNotFound, "image_not_found", ""})
	}
	l.pullSigned()
	l.pullForeign(disk)

	long := l.startJob("/api/images/catalog/long/pull", nil)
	until(t, promptly, said("the job waits for another attempt"), func() bool { return l.job(long.ID).NextAttempt != nil })
	if j := l.job(long.ID); j.State != "queued" || j.Error == nil || j.Error.Code != "source_unavailable" {
		t.Errorf("the job whose server promises too much is %+v, %+v", j, j.Error)
	}
	l.refused(http.MethodPost, "/api/images/catalog/long/pull", nil, refusal{http.StatusConflict, "unsupported", "already"})
	l.call(http.MethodPost, "/api/jobs/"+long.ID+"/cancel", nil, http.StatusOK, nil)
	l.awaitJob(long.ID, "cancelled")

	l.refused(http.MethodPost, "/api/images/catalog/good/pull", nil, refusal{http.StatusConflict, "unsupported", "already"})
	l.refused(http.MethodPost, "/api/images/catalog/nothing/pull", nil, refusal{http.StatusNotFound, "image_not_found", "catalogue"})
	l.refused(http.MethodPost, "/api/images/catalog/micro/pull", nil, refusal{http.StatusConflict, "unsupported", "does not say"})
	l.wantVolumes(l.imagesPool(), "cut.qcow2", "good.qcow2", "listed.qcow2")
	l.wantCatalog("good", "ready")
	l.wantCatalog("wrong", "absent")
	l.stop()
	if n := l.rows("uploads"); n > 0 {
		t.Errorf("%d uploads are left", n)
	}

	// Without the option, the service sends no request to these addresses.
	l.launch(nil, "--catalog="+catalog)
	l.awaitHealth("ok")
	before := len(s.asked())
	if j := l.awaitJob(l.startJob("/api/images/catalog/hang/pull", nil).ID, "failed"); !strings.Contains(j.Error.Detail, "pull-allow-private") {
		t.Errorf("a private address: %+v", j.Error)
	}
	if len(s.asked()) != before {
		t.Error("the server was asked")
	}
	l.stop()
}

func (l *lab) wantCatalog(id, state string) {
	l.t.Helper()
	var list struct {
		Images []api.CatalogEntry `json:"images"`
	}
	l.call(http.MethodGet, "/api/images/catalog", nil, http.StatusOK, &list)
	for _, e := range list.Images {
		if e.ID == id {
			if e.State != state {
				l.t.Errorf("catalogue entry %s is %s, want %s", id, e.State, state)
			}
			return
		}
	}
	l.t.Errorf("the catalogue has no %s", id)
}

// TestCrashInAPull kills the service while the server sends nothing. The next service
// resumes the transfer. A cancelled pull leaves nothing.
func TestCrashInAPull(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	s := newSource(t, l.dataImage(6<<20))
	flags := []string{"--catalog=" + l.catalogFile(s), "--pull-allow-private"}
	l.launch(nil, flags...)
	l.awaitHealth("ok")
	j := l.startJob("/api/images/catalog/hang/pull", nil)
	silent := func() bool { return len(s.asked()) >= 3 && l.job(j.ID).Done > int64(len(s.image))/2 }
	until(t, promptly, func() string { return fmt.Sprintf("the server is silent: %q", s.asked()) }, silent)
	l.kill()
	if left := l.volumes(l.imagesPool()); len(left) != 1 {
		t.Fatalf("the crash left volumes %q; the test missed its moment", left)
	}
	s.mu.Lock()
	s.hang = false
	asked := len(s.ranges)
	s.mu.Unlock()
	l.launch(nil, flags...)
	l.awaitHealth("ok")
	if got := l.awaitJob(j.ID, "succeeded"); got.Attempt != 2 {
		t.Errorf("it took %d attempts", got.Attempt)
	}
	if ranges := s.asked()[asked:]; len(ranges) != 1 || !strings.HasPrefix(ranges[0], "bytes=") || ranges[0] == "bytes=0-" {
		t.Errorf("after the crash it continued with %q", ranges)
	}
	l.call(http.MethodDelete, "/api/images/hang", nil, http.StatusNoContent, nil)

	s.mu.Lock()
	s.hang, s.ranges = true, nil
	s.mu.Unlock()
	j = l.startJob("/api/images/catalog/hang/pull", nil)
	until(t, promptly, said("the server is silent again"), silent)
	l.kill()
	l.launch(nil, flags...)
	l.awaitHealth("ok")
	l.call(http.MethodDelete, "/api/jobs/"+j.ID, nil, http.StatusOK, nil)
	l.awaitJob(j.ID, "cancelled")
	l.wantVolumes(l.imagesPool())
	for _, table := range []string{"images", "uploads", "intents"} {
		if n := l.rows(table); n > 0 {
			t.Errorf("%d rows are left in table %s", n, table)
		}
	}
	l.stop()
}
