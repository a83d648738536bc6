package main

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// tusUpload is an upload whose requests a test sends itself.
type tusUpload struct {
	l    *lab
	path string
}

// beginUpload creates a resumable upload. metadata alternates keys and values.
func (l *lab) beginUpload(size int64, metadata ...string) tusUpload {
	l.t.Helper()
	a := l.tryUpload(size, metadata...)
	if a.status != http.StatusCreated || !strings.HasPrefix(a.header.Get("Location"), "/api/uploads/") || a.header.Get("Upload-Expires") == "" {
		l.t.Fatalf("an upload of %d bytes: %d %v %s", size, a.status, a.header, a.body)
	}
	return tusUpload{l, a.header.Get("Location")}
}

func (l *lab) tryUpload(size int64, metadata ...string) answer {
	l.t.Helper()
	var pairs []string
	for i := 0; i < len(metadata); i += 2 {
		pairs = append(pairs, metadata[i]+" "+base64.StdEncoding.EncodeToString([]byte(metadata[i+1])))
	}
	return l.send(http.MethodPost, "/api/uploads", nil, "Tus-Resumable", "1.0.0",
		"Upload-Length", strconv.FormatInt(size, 10), "Upload-Metadata", strings.Join(pairs, ","))
}

// send appends at an offset.
func (u tusUpload) send(offset int64, data []byte, header ...string) answer {
	u.l.t.Helper()
	return u.l.send(http.MethodPatch, u.path, bytes.NewReader(data), append([]string{"Tus-Resumable", "1.0.0",
		"Upload-Offset", strconv.FormatInt(offset, 10), "Content-Type", "application/offset+octet-stream"}, header...)...)
}

// sent is send that must succeed.
func (u tusUpload) sent(offset int64, data []byte, header ...string) {
	u.l.t.Helper()
	a := u.send(offset, data, header...)
	if want := strconv.FormatInt(offset+int64(len(data)), 10); a.status != http.StatusNoContent || a.header.Get("Upload-Offset") != want {
		u.l.t.Fatalf("%d bytes at %d: %d, offset %q, want %s: %s", len(data), offset, a.status, a.header.Get("Upload-Offset"), want, a.body)
	}
}

// offset requests the current offset; -1 if the upload does not exist.
func (u tusUpload) offset() int64 {
	u.l.t.Helper()
	a := u.l.send(http.MethodHead, u.path, nil, "Tus-Resumable", "1.0.0")
	if a.status == http.StatusNotFound {
		return -1
	}
	n, err := strconv.ParseInt(a.header.Get("Upload-Offset"), 10, 64)
	if a.status != http.StatusOK || err != nil {
		u.l.t.Fatalf("HEAD %s: %d, offset %q", u.path, a.status, a.header.Get("Upload-Offset"))
	}
	return n
}

func (u tusUpload) image() (img api.Image, status int) {
	u.l.t.Helper()
	a := u.l.send(http.MethodGet, strings.Replace(u.path, "/uploads/", "/images/", 1), nil)
	if a.status == http.StatusOK {
		if err := a.decode(&img); err != nil {
			u.l.t.Fatal(err)
		}
	}
	return img, a.status
}

// settled waits until the image is verified.
func (u tusUpload) settled() (img api.Image) {
	u.l.t.Helper()
	until(u.l.t, promptly, func() string { return fmt.Sprintf("the image is verified; it is %+v", img) }, func() bool {
		img, _ = u.image()
		return img.State == "ready" || img.State == "rejected"
	})
	return img
}

func checksum(data []byte) []string {
	sum := sha1.Sum(data)
	return []string{"Upload-Checksum", "sha1 " + base64.StdEncoding.EncodeToString(sum[:])}
}

// TestResumableUpload sends its own tus requests: chunks of any size, checksums, wrong
// offsets, digests, cancellation, sparse data.
func TestResumableUpload(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	data := l.sparseImage()
	sum := sha256.Sum256(data)
	digest := hex.EncodeToString(sum[:])

	a := l.call(http.MethodOptions, "/api/uploads", nil, http.StatusOK, nil)
	for _, extension := range []string{"creation", "creation-with-upload", "termination", "checksum", "expiration", "concatenation"} {
		if !strings.Contains(a.header.Get("Tus-Extension"), extension) {
			t.Errorf("extensions %q lack %s", a.header.Get("Tus-Extension"), extension)
		}
	}
	if a.header.Get("Tus-Max-Size") != strconv.FormatInt(20<<30, 10) || a.header.Get("Tus-Checksum-Algorithm") != "sha1,sha256" {
		t.Errorf("OPTIONS answers %v", a.header)
	}

	u := l.beginUpload(int64(len(data)), "filename", "my disk.qcow2", "osType", "linux", "sha256", digest)
	if img, _ := u.image(); img.State != "uploading" {
		t.Errorf("the image of a new upload is %+v", img)
	}
	l.wantVolumes(l.imagesPool())
	// Too little to recognise the format: it is kept, and no volume is created.
	u.sent(0, data[:100])
	u.sent(100, data[100:40_000], checksum(data[100:40_000])...)
	l.wantVolumes(l.imagesPool())
	refusal{460, "checksum_mismatch", "It was discarded"}.check(t, "a piece that was changed", u.send(40_000, data[40_001:100_001], checksum(data[40_000:100_000])...))
	refusal{http.StatusConflict, "upload_offset_mismatch", ""}.check(t, "a piece of elsewhere", u.send(50_000, data[50_000:60_000]))
	if n := u.offset(); n != 40_000 {
		t.Errorf("the offset is %d", n)
	}
	u.sent(40_000, data[40_000:1<<20], checksum(data[40_000:1<<20])...)
	refusal{460, "checksum_mismatch", ""}.check(t, "a later piece that was changed", u.send(1<<20, data[:1<<20], checksum(data[1<<20:2<<20])...))
	refusal{http.StatusRequestEntityTooLarge, "image_too_large", ""}.check(t, "more than was declared", u.send(1<<20, data))
	if n := u.offset(); n != 1<<20 {
		t.Errorf("the offset is %d", n)
	}
	l.stop()
	l.start() // after a clean shutdown; the crash tests kill the service
	if n := u.offset(); n != 1<<20 {
		t.Errorf("after a restart the offset is %d", n)
	}
	u.sent(1<<20, data[1<<20:])
	img := u.settled()
	if img.State != "ready" || img.SHA256 != digest || img.Size != int64(len(data)) || img.Format != "qcow2" || img.OSType != "linux" {
		t.Errorf("the image is %+v", img)
	}
	if n := u.offset(); n != int64(len(data)) {
		t.Errorf("a client that asks again is told the offset %d", n)
	}
	stored, err := os.ReadFile(img.Path)
	if err != nil || !bytes.Equal(stored, data) {
		t.Errorf("the volume does not hold what was sent: %v", err)
	}
	if info, err := os.Stat(img.Path); err != nil || info.Sys().(*syscall.Stat_t).Blocks*512 > 8<<20 {
		t.Errorf("of %d bytes with 48 MiB of zeros %d are allocated: %v", len(data), info.Sys().(*syscall.Stat_t).Blocks*512, err)
	}

	// Cancelled, refused because of its digest, too large, and too large for the pool.
	u = l.beginUpload(int64(len(data)), "filename", "gone.qcow2")
	u.sent(0, data[:1<<20])
	l.call(http.MethodDelete, u.path, nil, http.StatusNoContent, nil, "Tus-Resumable", "1.0.0")
	if _, status := u.image(); status != http.StatusNotFound || u.offset() != -1 {
		t.Errorf("a cancelled upload is still there: %d", status)
	}
	u = l.beginUpload(int64(len(data)), "filename", "other.qcow2", "sha256", strings.Repeat("0", 64))
	refusal{http.StatusUnprocessableEntity, "invalid_request", "SHA-256 is " + digest}.check(t, "another digest", u.send(0, data))
	refusal{http.StatusRequestEntityTooLarge, "image_too_large", ""}.check(t, "too large", l.tryUpload(20<<30+1))
	refusal{http.StatusUnprocessableEntity, "invalid_request", "64 hexadecimal"}.check(t, "no digest", l.tryUpload(1<<20, "sha256", "abc"))
	l.wantVolumes(l.imagesPool(), img.ID)

	// Refused because of its first bytes, long before the last one.
	u = l.beginUpload(1<<30, "filename", "evil.qcow2")
	evil := append(l.qemuImage("1M", "-b", "/etc/hostname", "-F", "raw", "-u"), make([]byte, 1<<20)...)
	refusal{http.StatusUnprocessableEntity, "image_unsafe", "backing file"}.check(t, "a hostile image", u.send(0, evil))
	if _, status := u.image(); status != http.StatusNotFound || u.offset() != -1 {
		t.Errorf("a refused upload is still there: %d", status)
	}
	l.wantVolumes(l.imagesPool(), img.ID)
	if n := l.rows("uploads"); n != 0 {
		t.Errorf("%d uploads are left", n)
	}
	l.stop()
}

// sparseImage is a preallocated qcow2 file of 64 MiB, most of it zeros.
func (l *lab) sparseImage() []byte {
	l.t.Helper()
	return l.qemuImage("64M", "-o", "preallocation=falloc")
}
