package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// TestHostileImages uploads files that must not become images, and a valid image with a
// hostile name. A refused upload leaves nothing behind.
func TestHostileImages(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	plain := l.qemuImage("1M")
	micro, err := os.ReadFile(microImage)
	if err != nil {
		t.Skipf("the micro image is not built: run `make setup` (%v)", err)
	}
	big := binary.BigEndian

	for _, c := range []struct {
		name    string
		content []byte
		detail  string
	}{
		{"text", []byte("#!/bin/sh\necho I am a disk\n"), "format is unknown"},
		{"empty", nil, "the file is empty"},
		{"only the signature", plain[:4], "its header is truncated after 4 bytes"},
		{"half a header", plain[:100], "its header is truncated after 100 bytes"},
		{"raw disk of zeros", make([]byte, 1<<20), "format is unknown"},
		{"VMDK", append([]byte("KDMV"), make([]byte, 4096)...), "its VMDK version is 0"},
		{"gzip", []byte("\x1f\x8b\x08\x00 and so on"), "the gz data is damaged"},
		{"backing file", l.qemuImage("1M", "-b", "/etc/passwd", "-F", "raw", "-u"), "it has a backing file"},
		{"backing file, offset only", patched(plain, 8, 8, 0x200), "it has a backing file"},
		{"backing file, length only", patched(plain, 16, 4, 11), "it has a backing file"},
		{"external data file", l.qemuImage("1M", "-o", "data_file="+filepath.Join(t.TempDir(), "data.raw")), "external file"},
		{"external data bit only", patched(plain, 72, 8, big.Uint64(plain[72:])|4), "external file"},
		{"encrypted", l.qemuImage("1M", "--object", "secret,id=key,data=secret", "-o", "encrypt.format=aes,encrypt.key-secret=key"), "it is encrypted"},
		{"absurd virtual size", l.qemuImage("8T"), "its virtual size is 8796093022208 bytes"},
		{"virtual size of 2^63", patched(plain, 24, 8, 1<<63), "its virtual size is"},
		{"virtual size 0", l.qemuImage("0"), "its virtual size is 0"},
		{"virtual size without tables", patched(plain, 24, 8, 1<<40), "its L1 table has"},
		{"truncated after the header", plain[:64<<10], "the file is truncated"},
		{"truncated within its tables", plain[:len(plain)-1], "the file is truncated"},
		{"truncated within its data", micro[:len(micro)/2], "the file is truncated"},
		{"truncated before its last cluster", micro[:len(micro)&^(64<<10-1)-(64<<10)], "the file is truncated"},
		{"unknown feature", patched(plain, 72, 8, 1<<40), "features"},
		{"marked corrupt", patched(plain, 72, 8, 2), "marked as corrupt"},
		{"version 9", patched(plain, 4, 4, 9), "its qcow2 version is 9"},
		{"cluster of 2^60", patched(plain, 20, 4, 60), "its cluster size"},
		{"refcount table of 2^32 clusters", patched(plain, 56, 4, 0xffffffff), "its refcount table"},
		{"L1 table beyond the end of the file", patched(plain, 40, 8, 1<<40), "the file is truncated"},
	} {
		t.Run(c.name, func(t *testing.T) {
			refusal{http.StatusUnprocessableEntity, "image_unsafe", c.detail}.check(t, "upload", l.upload("evil.qcow2", bytes.NewReader(c.content)))
		})
	}
	l.wantNoImages()

	digest := func(content []byte) string {
		sum := sha256.Sum256(content)
		return hex.EncodeToString(sum[:])
	}
	t.Run("wrong digest", func(t *testing.T) {
		a := l.upload("digest.qcow2", bytes.NewReader(plain), "sha256", digest(micro))
		refusal{http.StatusUnprocessableEntity, "invalid_request", "The file's SHA-256 is " + digest(plain)}.check(t, "upload", a)
		l.wantNoImages()
	})
	t.Run("unknown host", func(t *testing.T) {
		refusal{http.StatusNotFound, "host_not_found", `Host "moon" not found`}.check(t, "upload", l.upload("x.qcow2", bytes.NewReader(plain), "host", "moon"))
	})
	t.Run("no file in the form", func(t *testing.T) {
		text := "--b\r\nContent-Disposition: form-data; name=\"osType\"\r\n\r\nlinux\r\n--b--\r\n"
		l.refused(http.MethodPost, "/api/images/custom", strings.NewReader(text), refusal{http.StatusUnprocessableEntity, "invalid_request", `no file named "image"`},
			"Content-Type", "multipart/form-data; boundary=b")
	})
	t.Run("no form", func(t *testing.T) {
		l.refused(http.MethodPost, "/api/images/custom", bytes.NewReader(plain), refusal{http.StatusUnprocessableEntity, "invalid_request", "multipart form data"},
			"Content-Type", "application/octet-stream")
	})
	t.Run("large field", func(t *testing.T) {
		a := l.upload("x.qcow2", bytes.NewReader(plain), "osType", strings.Repeat("x", 1<<20))
		refusal{http.StatusRequestEntityTooLarge, "body_too_large", `The form field "osType"`}.check(t, "upload", a)
	})
	t.Run("form with raw control characters", func(t *testing.T) {
		text := uploadHead("a\x01\x1b[31mb.qcow2") + string(plain) + "\r\n--b--\r\n"
		l.refused(http.MethodPost, "/api/images/custom", strings.NewReader(text), refusal{http.StatusUnprocessableEntity, "invalid_request", "not well-formed"},
			"Content-Type", "multipart/form-data; boundary=b")
	})
	t.Run("form without its end", func(t *testing.T) {
		text := uploadHead("x.qcow2") + string(plain)
		l.refused(http.MethodPost, "/api/images/custom", strings.NewReader(text), refusal{http.StatusBadRequest, "upload_incomplete", "ended before the image was complete"},
			"Content-Type", "multipart/form-data; boundary=b")
		l.wantNoImages()
	})
	t.Run("announced as too large", func(t *testing.T) {
		conn := l.raw("POST /api/images/custom HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 1099511627776\r\n\r\n" +
			uploadHead("x.qcow2") + string(plain))
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		text, _ := io.ReadAll(res.Body)
		refusal{http.StatusRequestEntityTooLarge, "image_too_large", "larger than the limit"}.check(t, "upload", answer{res.StatusCode, res.Header, text})
	})
	for name, head := range map[string]string{
		"length":  "Content-Length: 20000000\r\n\r\n" + uploadHead("half.qcow2"),
		"chunked": "Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n", len(uploadHead("half.qcow2")), uploadHead("half.qcow2")) + fmt.Sprintf("%x\r\n", len(micro)),
	} {
		t.Run("broken off half-way, "+name, func(t *testing.T) {
			conn := l.raw("POST /api/images/custom HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n" + head)
			if _, err := conn.Write(micro[:len(micro)/2]); err != nil {
				t.Fatal(err)
			}
			until(t, promptly, said("the upload is listed"), func() bool { return len(l.images().CustomImages) == 1 })
			if got := l.images().CustomImages[0]; got.State != "uploading" {
				t.Errorf("the image's state is %q", got.State)
			}
			l.refused(http.MethodPost, "/api/nodes", request{"name": l.name("early"), "image": l.images().CustomImages[0].ID}, refusal{http.StatusConflict, "image_not_ready", "it is uploading"})
			l.refused(http.MethodDelete, "/api/images/"+l.images().CustomImages[0].ID, nil, refusal{http.StatusConflict, "image_in_use", "is being uploaded"})
			_ = conn.Close()
			until(t, promptly, said("nothing of the upload is left"), func() bool { return len(l.images().CustomImages) == 0 })
			l.wantNoImages()
		})
	}

	safe := regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*_\d{13}\.qcow2$`)
	for _, c := range []struct{ name, disposition, prefix string }{
		{"path", `filename="../../etc/passwd"`, "passwd_"},
		{"Windows path", `filename="C:\\evil\\disk.img"`, "disk_"},
		{"header injection", `filename*=utf-8''a%0d%0aX-Evil%3A%201.qcow2`, "a_X-Evil_1_"},
		{"control characters", `filename*=utf-8''a%01%1b%5b31mb.qcow2`, "a_31mb_"},
		{"markup", `filename="<img src=x onerror=alert(1)>.qcow2"`, "img_src_x_onerror_alert_1_"},
		{"null", `filename*=utf-8''a%00b.qcow2`, "a_b_"},
		{"dots", `filename="...."`, "image_"},
		{"shell", `filename="$(reboot);.qcow2"`, "reboot_"},
		{"very long", `filename="` + strings.Repeat("x", 5000) + `"`, strings.Repeat("x", 64) + "_"},
		{"none", `filename=""`, "image_"},
	} {
		t.Run("name, "+c.name, func(t *testing.T) {
			text := "--b\r\nContent-Disposition: form-data; name=\"image\"; " + c.disposition + "\r\n\r\n" + string(plain) + "\r\n--b--\r\n"
			a := l.send(http.MethodPost, "/api/images/custom", strings.NewReader(text), "Content-Type", "multipart/form-data; boundary=b")
			var got api.Uploaded
			if err := a.decode(&got); err != nil || a.status != http.StatusCreated {
				t.Fatalf("upload: %d %s", a.status, a.body)
			}
			if !safe.MatchString(got.Image.Name) || !strings.HasPrefix(got.Image.Name, c.prefix) || got.Image.Path != filepath.Join(poolsFolder, l.imagesPool(), got.Image.Name) {
				t.Errorf("the image is %q at %q, want %s…", got.Image.Name, got.Image.Path, c.prefix)
			}
			if a.header.Get("X-Evil") != "" {
				t.Error("the name made a header")
			}
			if got.Image.SHA256 != digest(plain) {
				t.Errorf("the digest is %q", got.Image.SHA256)
			}
			l.call(http.MethodDelete, "/api/images/"+got.Image.ID, nil, http.StatusNoContent, nil)
		})
	}
	l.wantNoImages()
	l.stop()
}

func uploadHead(fileName string) string {
	return "--b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"" + fileName + "\"\r\n\r\n"
}

// raw opens a connection to the service and sends a text.
func (l *lab) raw(text string) net.Conn {
	l.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(l.t.Context(), "tcp", l.address)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		l.t.Fatal(err)
	}
	return conn
}

// wantNoImages checks that there are no custom images, volumes, records or intents.
func (l *lab) wantNoImages() {
	l.t.Helper()
	if list := l.images().CustomImages; len(list) > 0 {
		l.t.Errorf("images are left: %+v", list)
	}
	l.wantVolumes(l.imagesPool())
	for _, table := range []string{"images", "intents"} {
		if n := l.rows(table); n > 0 {
			l.t.Errorf("%d rows are left in table %s", n, table)
		}
	}
}

// rows returns the number of rows of a table of the lab's database.
func (l *lab) rows(table string) (n int) {
	l.t.Helper()
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(l.dataDir, "sandboxlabs.db")+"?mode=ro&_busy_timeout=5000")
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.QueryRowContext(context.Background(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
		l.t.Fatalf("count %s: %v", table, err)
	}
	return n
}

// qemuImage returns an image that qemu-img creates with these options.
func (l *lab) qemuImage(size string, options ...string) []byte {
	l.t.Helper()
	return l.imageOf("qcow2", size, options...)
}

// imageOf is qemuImage for any format.
func (l *lab) imageOf(format, size string, options ...string) []byte {
	l.t.Helper()
	file := filepath.Join(l.t.TempDir(), "image")
	l.qemuImg(append(append([]string{"create", "-q", "-f", format}, options...), file, size)...)
	content, err := os.ReadFile(file)
	if err != nil {
		l.t.Fatal(err)
	}
	return content
}

func (l *lab) qemuImg(args ...string) {
	l.t.Helper()
	if out, err := exec.CommandContext(l.t.Context(), "qemu-img", args...).CombinedOutput(); err != nil {
		l.t.Fatalf("qemu-img %q: %v: %s", args, err, out)
	}
}

// patched returns a copy of an image with one big-endian number in its header changed.
func patched(image []byte, offset, bytes int, value uint64) []byte {
	image = slices.Clone(image)
	if bytes == 4 {
		binary.BigEndian.PutUint32(image[offset:], uint32(value))
	} else {
		binary.BigEndian.PutUint64(image[offset:], value)
	}
	return image
}

// TestBadRequests sends invalid values wherever clients can send values.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	l := newRunningLab(t)
	there := l.create("there")
	const invalid = "invalid_request"
	unprocessable := func(detail string) refusal { return refusal{http.StatusUnprocessableEntity, invalid, detail} }

	for _, c := range []struct {
		name   string
		change request // applied to a valid request
		want   refusal
	}{
		{"name taken", request{"name": there.Name}, refusal{http.StatusConflict, "node_name_taken", "already exists"}},
		{"no name", request{"name": ""}, unprocessable("Enter a name")},
		{"name left out", request{"name": nil}, unprocessable("name")},
		{"name that climbs", request{"name": "../x"}, unprocessable("Start with a letter or digit")},
		{"name with a slash", request{"name": "a/b"}, unprocessable("letters, digits, dots")},
		{"name of 64", request{"name": strings.Repeat("a", 64)}, unprocessable("64 characters; at most 63")},
		{"name of two lines", request{"name": "a\nb"}, unprocessable("letters, digits, dots")},
		{"name with markup", request{"name": "<b>"}, unprocessable("letters, digits, dots")},
		{"name beyond ASCII", request{"name": "größer"}, unprocessable("letters, digits, dots")},
		{"name that is an option", request{"name": "--all"}, unprocessable("Start with a letter")},
		{"name that is a number", request{"name": 5}, unprocessable("name: expected string")},
		{"RAM -1", request{"resources": request{"ram": -1}}, unprocessable("RAM must be 64 to")},
		{"RAM 0", request{"resources": request{"ram": 0}}, unprocessable("RAM must be 64 to")},
		{"RAM 10 TiB", request{"resources": request{"ram": 10 << 20}}, unprocessable("RAM must be 64 to")},
		{"RAM that is not a number", request{"resources": request{"ram": "256"}}, unprocessable("resources.ram: expected integer")},
		{"RAM beyond all numbers", request{"resources": request{"ram": 1e300}}, unprocessable("ram")},
		{"CPUs 0", request{"resources": request{"cpus": 0}}, unprocessable("not 0")},
		{"CPUs -1", request{"resources": request{"cpus": -1}}, unprocessable("CPUs must be 1 to")},
		{"CPUs 1000", request{"resources": request{"cpus": 1000}}, unprocessable("CPUs must be 1 to")},
		{"disk smaller than the image", request{"resources": request{"disk": 1 << 20}}, unprocessable("The disk must be 536870912 bytes")},
		{"disk 0", request{"resources": request{"disk": 0}}, unprocessable("not 0")},
		{"disk above the limit", request{"resources": request{"disk": int64(3) << 40}}, unprocessable("The disk must be")},
		{"unknown image", request{"baseImage": "windows-95"}, refusal{http.StatusNotFound, "image_not_found", `Image "windows-95" not found`}},
		{"image that climbs", request{"baseImage": "../../etc/passwd"}, refusal{http.StatusNotFound, "image_not_found", "not found"}},
		{"no image", request{"baseImage": nil}, unprocessable("needs an image")},
		{"two images", request{"customImageName": "mine.qcow2"}, unprocessable("Set only one of")},
		{"image of another type", request{"imageType": "custom"}, refusal{http.StatusNotFound, "image_not_found", "is a base image"}},
		{"unknown type of image", request{"imageType": "cloud"}, unprocessable("imageType")},
		{"unknown host", request{"host": "moon"}, refusal{http.StatusNotFound, "host_not_found", `Host "moon" not found`}},
		{"osType of two lines", request{"osType": "a\nb"}, unprocessable("osType must be a short word")},
		{"osType too long", request{"osType": strings.Repeat("a", 65)}, unprocessable("osType must be a short word")},
		{"unknown field", request{"memory": 5}, unprocessable("memory: unexpected property")},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := request{"name": l.name("new"), "baseImage": "micro"}
			for k, v := range c.change {
				if v == nil {
					delete(body, k)
				} else {
					body[k] = v
				}
			}
			c.want.check(t, "POST /api/nodes", l.send(http.MethodPost, "/api/nodes", body))
		})
	}
	l.wantVolumes(l.nodesPool(), there.ID+".qcow2")

	for name, c := range map[string]struct {
		body string
		want refusal
	}{
		"invalid JSON":      {`{"name":`, refusal{http.StatusBadRequest, invalid, "unexpected end of JSON"}},
		"a list":            {`[]`, unprocessable("expected object")},
		"nothing":           {``, refusal{http.StatusBadRequest, invalid, "request body is required"}},
		"deeply nested":     {strings.Repeat(`{"resources":`, 20000), refusal{http.StatusBadRequest, invalid, ""}},
		"something after":   {`{"name":"x","image":"micro"} and more`, refusal{http.StatusBadRequest, invalid, "invalid character"}},
		"a body of 1.5 MiB": {`{"name":"` + strings.Repeat("x", 3<<19) + `"}`, refusal{http.StatusRequestEntityTooLarge, "body_too_large", "too large"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.want.check(t, "POST /api/nodes", l.send(http.MethodPost, "/api/nodes", strings.NewReader(c.body)))
		})
	}
	t.Run("other media type", func(t *testing.T) {
		l.refused(http.MethodPost, "/api/nodes", strings.NewReader("<node/>"), refusal{http.StatusUnsupportedMediaType, invalid, ""}, "Content-Type", "application/xml")
	})
	t.Run("cursor", func(t *testing.T) {
		l.refused(http.MethodGet, "/api/nodes?cursor=%2e%2e", nil, unprocessable("cursor: use the nextCursor"))
		l.refused(http.MethodGet, "/api/nodes?limit=0", nil, unprocessable("limit"))
		l.refused(http.MethodGet, "/api/nodes?limit=1001", nil, unprocessable("limit"))
	})
	t.Run("unknown paths", func(t *testing.T) {
		for _, path := range []string{"/api/nope", "/api/nodes/" + there.ID + "/nope", "/ws/nope"} {
			l.refused(http.MethodGet, path, nil, refusal{http.StatusNotFound, "not_found", "/api/docs lists"})
		}
		l.refused(http.MethodPut, "/api/nodes", nil, refusal{http.StatusMethodNotAllowed, "method_not_allowed", "takes GET"})
	})
	t.Run("unknown node", func(t *testing.T) {
		tried := 0
		for _, id := range []string{"00000000-0000-4000-8000-000000000000", "nope", "..%2f..%2fetc", "%00", there.Name} {
			for _, op := range l.operations() {
				// Without Guacamole, these paths return another error first.
				if !strings.HasPrefix(op.path, "/api/nodes/{id}") || strings.HasSuffix(op.path, "/guacamole") {
					continue
				}
				tried++
				var body any
				var header []string
				switch {
				case op.method == http.MethodPatch:
					body = request{"name": "other"}
				case op.method == http.MethodPut && strings.HasSuffix(op.path, "/xml"):
					body, header = strings.NewReader("<domain/>"), []string{"Content-Type", "application/xml"}
				}
				path := placeholder.ReplaceAllString(strings.Replace(op.path, "{id}", id, 1), "x") + "?text=needed-by-the-search"
				l.refused(op.method, path, body, refusal{http.StatusNotFound, "node_not_found", "not found"}, header...)
			}
			_, a, err := l.dialConsole(url.Values{"nodeId": {id}}, nil)
			if err == nil {
				t.Fatalf("there is a console of node %q", id)
			}
			refusal{http.StatusNotFound, "node_not_found", "not found"}.check(t, "console", a)
		}
		if tried < 5*12 {
			t.Errorf("only %d operations of nodes were found in the OpenAPI document", tried)
		}
	})
	t.Run("unknown image", func(t *testing.T) {
		for _, method := range []string{http.MethodGet, http.MethodDelete} {
			l.refused(method, "/api/images/nope", nil, refusal{http.StatusNotFound, "image_not_found", `Image "nope" not found`})
		}
	})
	t.Run("image in use", func(t *testing.T) {
		l.refused(http.MethodDelete, "/api/images/micro", nil, refusal{http.StatusConflict, "image_in_use", there.Name})
	})
	t.Run("node that is off", func(t *testing.T) {
		for _, verb := range []string{"pause", "resume", "reboot", "reset"} {
			l.refused(http.MethodPost, "/api/nodes/"+there.ID+"/"+verb, nil, refusal{http.StatusConflict, "node_not_running", "is not running. Start it first"})
		}
		if got := l.act(there.ID, "stop", nil); got.State != "stopped" {
			t.Errorf("stop of a node that is off gives %q", got.State)
		}
		l.refused(http.MethodPost, "/api/nodes/"+there.ID+"/adopt", nil, refusal{http.StatusConflict, "node_managed", "is already managed"})
		l.console(there.ID).status("offline")
		l.refused(http.MethodGet, "/ws/console", nil, unprocessable("Name the node"))
		l.refused(http.MethodGet, "/ws/console?nodeId="+there.ID, nil, unprocessable("Connect with a WebSocket client"))
	})
	t.Run("rename", func(t *testing.T) {
		other := l.create("other")
		path := "/api/nodes/" + other.ID
		l.refused(http.MethodPatch, path, request{"name": there.Name}, refusal{http.StatusConflict, "node_name_taken", "already exists"})
		l.refused(http.MethodPatch, path, request{"name": "<b>"}, unprocessable("letters, digits, dots"))
		var n api.Node
		if l.call(http.MethodPatch, path, request{}, http.StatusOK, &n); n.Name != other.Name {
			t.Errorf("a change of nothing names it %q", n.Name)
		}
		if l.call(http.MethodPatch, path, request{"name": l.name("renamed")}, http.StatusOK, &n); n.Name != l.name("renamed") || n.ID != other.ID || n.OverlayPath != other.OverlayPath {
			t.Errorf("after the rename the node is %+v", n)
		}
		if got := l.virsh("domname", other.ID); got != l.name("renamed") {
			t.Errorf("virsh says that its name is %q", got)
		}
		l.delete(other.ID)
	})
	t.Run("JSON of 100 MB", l.hugeBody)
	t.Run("idempotency", l.idempotency)
	t.Run("one name twice at once", l.oneNameTwice)
	l.delete(there.ID)
	l.wantVolumes(l.nodesPool())
	l.wantVolumes(l.logsPool())
	if n := l.rows("intents"); n > 0 {
		t.Errorf("%d intents are left", n)
	}
	l.stop()
}

// operation is an operation of the OpenAPI document.
type operation struct{ method, path string }

// placeholder matches a path parameter.
var placeholder = regexp.MustCompile(`\{[a-z]+\}`)

func (l *lab) operations() []operation {
	l.t.Helper()
	var doc struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	l.call(http.MethodGet, "/api/openapi.json", nil, http.StatusOK, &doc)
	var list []operation
	for path, methods := range doc.Paths {
		for method := range methods {
			list = append(list, operation{strings.ToUpper(method), path})
		}
	}
	return list
}

// peakMemory returns the service's peak memory usage (VmHWM) in bytes.
func (l *lab) peakMemory() int64 {
	l.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", l.service.cmd.Process.Pid))
	if err != nil {
		l.t.Fatal(err)
	}
	match := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)
	if match == nil {
		l.t.Fatalf("no VmHWM in %s", text)
	}
	kib, err := strconv.ParseInt(string(match[1]), 10, 64)
	if err != nil {
		l.t.Fatal(err)
	}
	return kib << 10
}

// endless is a reader of n bytes, all of them the letter x.
type endless struct{ n int64 }

var xs = bytes.Repeat([]byte{'x'}, 1<<20)

func (e *endless) Read(p []byte) (int, error) {
	if e.n == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(int64(len(p)), e.n)], xs)
	e.n -= int64(n)
	return n, nil
}

func (l *lab) hugeBody(t *testing.T) {
	before, start := l.peakMemory(), time.Now()
	conn := l.raw("POST /api/nodes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000010\r\n\r\n{\"name\":\"")
	// The service closes the connection before it has received everything, so the write may
	// fail.
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.Copy(conn, &endless{100_000_000})
	}()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	_ = conn.Close()
	<-sent
	refusal{http.StatusRequestEntityTooLarge, "body_too_large", "too large"}.check(t, "POST /api/nodes", answer{res.StatusCode, res.Header, text})
	t.Logf("the refusal came after %v", time.Since(start).Round(time.Millisecond))
	if grown := l.peakMemory() - before; grown > 16<<20 {
		t.Errorf("the service's memory grew by %d MiB", grown>>20)
	}
}

func (l *lab) idempotency(t *testing.T) {
	body := request{"name": l.name("once"), "baseImage": "micro", "resources": request{"ram": 128}}
	var wg sync.WaitGroup
	answers := make([]answer, 4)
	for i := range answers {
		wg.Go(func() { answers[i], _ = l.try(http.MethodPost, "/api/nodes", body, "Idempotency-Key", "k1") })
	}
	wg.Wait()
	answers = append(answers, l.send(http.MethodPost, "/api/nodes", body, "Idempotency-Key", "k1"))
	var first api.Node
	for i, a := range answers {
		var n api.Node
		if err := a.decode(&n); err != nil || a.status != http.StatusCreated || (i > 0 && n.ID != first.ID) {
			t.Fatalf("request %d: %d %s", i, a.status, a.body)
		}
		first = n
	}
	names := strings.Fields(l.virsh("list", "--all", "--name"))
	if count := len(slices.DeleteFunc(names, func(s string) bool { return s != l.name("once") })); count != 1 {
		t.Errorf("there are %d domains of that name", count)
	}
	reused := refusal{http.StatusUnprocessableEntity, "idempotency_key_reused", "This Idempotency-Key was used for node"}
	for what, other := range map[string]request{
		"name": {"name": l.name("twice"), "baseImage": "micro", "resources": request{"ram": 128}},
		"RAM":  {"name": l.name("once"), "baseImage": "micro", "resources": request{"ram": 192}},
		"CPUs": {"name": l.name("once"), "baseImage": "micro", "resources": request{"ram": 128, "cpus": 2}},
		"disk": {"name": l.name("once"), "baseImage": "micro", "resources": request{"ram": 128, "disk": 1 << 30}},
	} {
		reused.check(t, "another "+what, l.send(http.MethodPost, "/api/nodes", other, "Idempotency-Key", "k1"))
	}
	l.refused(http.MethodPost, "/api/nodes", body, refusal{http.StatusConflict, "node_name_taken", "already exists"}, "Idempotency-Key", "k2")

	// A repeated request does not take a disk that the user of virsh has kept.
	l.virsh("undefine", first.ID)
	reused.detail = "is still there"
	reused.check(t, "the disk that was kept", l.send(http.MethodPost, "/api/nodes", body, "Idempotency-Key", "k1"))
	l.virsh("vol-delete", first.ID+".qcow2", "--pool", l.nodesPool())
}

func (l *lab) oneNameTwice(t *testing.T) {
	body := request{"name": l.name("race"), "baseImage": "micro"}
	overlays := l.volumes(l.nodesPool())
	var wg sync.WaitGroup
	answers := make([]answer, 6)
	for i := range answers {
		wg.Go(func() { answers[i], _ = l.try(http.MethodPost, "/api/nodes", body) })
	}
	wg.Wait()
	var winner api.Node
	won := 0
	for _, a := range answers {
		if a.status == http.StatusCreated {
			won++
			if err := a.decode(&winner); err != nil {
				t.Fatal(err)
			}
			continue
		}
		refusal{http.StatusConflict, "node_name_taken", "already exists"}.check(t, "POST /api/nodes", a)
	}
	if won != 1 {
		t.Fatalf("%d of %d requests won", won, len(answers))
	}
	l.wantVolumes(l.nodesPool(), append(overlays, winner.ID+".qcow2")...)
	l.delete(winner.ID)
}
