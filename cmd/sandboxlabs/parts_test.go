package main

import (
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// beginPart creates an upload for a part.
func (l *lab) beginPart(size int, header ...string) tusUpload {
	l.t.Helper()
	a := l.send(http.MethodPost, "/api/uploads", nil, append([]string{"Tus-Resumable", "1.0.0",
		"Upload-Concat", "partial", "Upload-Length", strconv.Itoa(size)}, header...)...)
	if a.status != http.StatusCreated {
		l.t.Fatalf("a part of %d bytes: %d %s", size, a.status, a.body)
	}
	return tusUpload{l, a.header.Get("Location")}
}

// part uploads a part.
func (l *lab) part(data []byte, header ...string) tusUpload {
	l.t.Helper()
	u := l.beginPart(len(data), header...)
	u.sent(0, data, header...)
	return u
}

// join requests an image that consists of the parts.
func (l *lab) join(parts []tusUpload, header ...string) answer {
	l.t.Helper()
	var paths []string
	for _, p := range parts {
		paths = append(paths, p.path)
	}
	return l.send(http.MethodPost, "/api/uploads", nil, append([]string{"Tus-Resumable", "1.0.0",
		"Upload-Concat", "final;" + strings.Join(paths, " "), "Upload-Metadata", "filename " + base64.StdEncoding.EncodeToString([]byte("joined.qcow2"))}, header...)...)
}

func (l *lab) joined(parts []tusUpload) tusUpload {
	l.t.Helper()
	a := l.join(parts)
	if a.status != http.StatusCreated || !strings.HasPrefix(a.header.Get("Location"), "/api/uploads/joined_") {
		l.t.Fatalf("the parts are joined: %d %v %s", a.status, a.header, a.body)
	}
	return tusUpload{l, a.header.Get("Location")}
}

// wantNoUploads waits until all uploads and their files are gone.
func (l *lab) wantNoUploads() {
	l.t.Helper()
	until(l.t, promptly, func() string { return "no upload is left" }, func() bool { return l.rows("uploads") == 0 })
}

// change runs a statement on the service's database.
func (l *lab) change(statement string) {
	l.t.Helper()
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(l.dataDir, "sandboxlabs.db")+"?_busy_timeout=5000")
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(l.t.Context(), statement); err != nil {
		l.t.Fatal(err)
	}
}

// TestStockTusClientInParts has tus-js-client upload an image in three parallel parts.
func TestStockTusClientInParts(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("../../web/node_modules/tus-js-client"); err != nil {
		t.Skipf("the client is not installed: run `make build` (%v)", err)
	}
	l := newLab(t)
	l.start()
	content := l.dataImage(32 << 20)
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	file := filepath.Join(t.TempDir(), "image.qcow2")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "node", "testdata/tusparts.mjs", l.url("/api/uploads"), file, digest).CombinedOutput()
	if err != nil {
		t.Fatalf("the client ended with %v: %s", err, out)
	}
	u := tusUpload{l, "/api/uploads/" + path.Base(strings.TrimSpace(string(out)))}
	img := u.settled()
	if img.State != "ready" || img.SHA256 != digest || img.Size != int64(len(content)) {
		t.Errorf("the image is %+v, want the digest %s", img, digest)
	}
	l.wantNoUploads()
	l.wantVolumes(l.imagesPool(), img.ID)
	l.stop()
}

// TestUploadInParts joins parts of any size, also when the service is killed before it has
// joined them. Parts that are not needed are deleted.
func TestUploadInParts(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	content := l.dataImage(64 << 20)
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])

	// None of the first three parts is large enough to recognise the file's format.
	var parts []tusUpload
	for _, piece := range [][]byte{content[:10], content[10:40_000], content[40_000:60_000], content[60_000 : 32<<20], content[32<<20:]} {
		parts = append(parts, l.part(piece))
	}
	a := l.send(http.MethodHead, parts[3].path, nil, "Tus-Resumable", "1.0.0")
	if a.header.Get("Upload-Concat") != "partial" || a.header.Get("Upload-Expires") == "" {
		t.Errorf("of a part is told %v", a.header)
	}
	var list struct{ Images []api.Image }
	if l.call(http.MethodGet, "/api/images", nil, http.StatusOK, &list); len(list.Images) != 0 {
		t.Errorf("parts are shown as the images %+v", list.Images)
	}
	if n := len(l.volumes(l.imagesPool())); n != len(parts) {
		t.Errorf("%d parts are in %d volumes", len(parts), n)
	}
	l.stop()
	l.start()
	l.refuseJoin(parts)
	u := l.joined(parts)
	l.kill()
	l.start()
	img := u.settled()
	if img.State != "ready" || img.SHA256 != digest || img.Size != int64(len(content)) {
		t.Errorf("the image is %+v, want the digest %s", img, digest)
	}
	l.wantNoUploads()
	l.wantVolumes(l.imagesPool(), img.ID)

	// A raw disk, which is converted.
	raw := make([]byte, 1<<20)
	copy(raw, content[1<<20:])
	raw[510], raw[511] = 0x55, 0xaa
	u = l.joined([]tusUpload{l.part(raw[:300_000]), l.part(raw[300_000:])})
	converted := u.settled()
	if sum := sha256.Sum256(raw); converted.State != "ready" || converted.SourceFormat != "raw" || converted.SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("the raw disk in parts is %+v", converted)
	}
	l.wantNoUploads()
	l.wantVolumes(l.imagesPool(), img.ID, converted.ID)

	// A malicious image whose header is split across parts.
	evil := append(l.qemuImage("1M", "-b", "/etc/hostname", "-F", "raw", "-u"), make([]byte, 1<<20)...)
	parts = []tusUpload{l.part(evil[:50]), l.part(evil[50:100_000]), l.part(evil[100_000:])}
	refusal{http.StatusUnprocessableEntity, "image_unsafe", "backing file"}.check(t, "a hostile image in parts", l.join(parts))
	l.wantNoUploads()
	l.wantVolumes(l.imagesPool(), img.ID, converted.ID)

	// Parts that are cancelled or never joined, and an upload that nobody continues.
	u = l.part(content[:1000])
	l.call(http.MethodDelete, u.path, nil, http.StatusNoContent, nil, "Tus-Resumable", "1.0.0")
	l.part(content[:1000])
	l.beginPart(1000).sent(0, content[:10])
	u = l.beginUpload(int64(len(content)), "filename", "left.qcow2")
	u.sent(0, content[:1<<20])
	if n := len(l.volumes(l.imagesPool())); n != 5 {
		t.Errorf("two images, two parts and half an upload are in %d volumes", n)
	}
	l.change("UPDATE uploads SET expires = '" + time.Now().Add(-time.Minute).UTC().Format("2006-01-02 15:04:05-07:00") + "'")
	l.call(http.MethodPost, "/api/hosts/local/refresh", nil, http.StatusOK, nil)
	l.stop() // the next start deletes what a refresh does not
	l.start()
	l.wantNoUploads()
	l.wantVolumes(l.imagesPool(), img.ID, converted.ID)
	l.stop()
}

// refuseJoin requests invalid joins and expects the parts to stay.
func (l *lab) refuseJoin(parts []tusUpload) {
	t := l.t
	t.Helper()
	unfinished := l.beginPart(1000)
	unfinished.sent(0, make([]byte, 10))
	refusal{http.StatusBadRequest, "invalid_request", "not finished"}.check(t, "an unfinished part", l.join(append(slices.Clone(parts), unfinished)))
	l.call(http.MethodDelete, unfinished.path, nil, http.StatusNoContent, nil, "Tus-Resumable", "1.0.0")
	refusal{http.StatusUnprocessableEntity, "invalid_request", "listed twice"}.check(t, "a part twice", l.join(append(slices.Clone(parts), parts[0])))
	nothing := tusUpload{l, "/api/uploads/nothing"}
	refusal{http.StatusNotFound, "not_found", "not found"}.check(t, "a part that is not there", l.join(append(slices.Clone(parts), nothing)))
}

// TestPartsOfOthers lets nobody use the parts of another user.
func TestPartsOfOthers(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	s.bearer[owner], s.bearer[studentUse] = s.enrol(s.owner(), "instructor"), s.enrol("use", "instructor")
	s.call(http.MethodPatch, "/api/users/"+s.owner(), request{"quota": request{"disk": 1 << 20, "uploads": 2}}, http.StatusOK, nil, s.as(admin)...)
	content := s.qemuImage("1M")
	half := len(content) / 2
	parts := []tusUpload{s.part(content[:half], s.as(owner)...), s.part(content[half:], s.as(owner)...)}
	a := s.send(http.MethodPost, "/api/uploads", nil, append([]string{"Tus-Resumable", "1.0.0", "Upload-Concat", "partial", "Upload-Length", "10"}, s.as(owner)...)...)
	refusal{http.StatusForbidden, "quota_exceeded", "uploads"}.check(t, "a third part with a quota of 2", a)
	refusal{http.StatusNotFound, "not_found", "not found"}.check(t, "a stranger's part", s.join(parts, s.as(studentUse)...))
	refusal{http.StatusNotFound, "not_found", "not found"}.check(t, "another's part, for an administrator", s.join(parts, s.as(admin)...))
	a = s.join(parts, s.as(owner)...)
	if a.status != http.StatusCreated {
		t.Fatalf("the owner's parts: %d %s", a.status, a.body)
	}
	s.wantNoUploads()
}
