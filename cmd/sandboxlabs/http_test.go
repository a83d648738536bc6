package main

import (
	"bytes"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"libvirt.org/go/libvirtxml"
	"nhooyr.io/websocket"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// TestMethods requests every path with supported and unsupported methods.
func TestMethods(t *testing.T) {
	t.Parallel()
	s := openSchool(newLab(t))
	who := s.as(admin)
	methods := map[string][]string{}
	for _, op := range s.operations() {
		path := placeholder.ReplaceAllString(op.path, "nosuch")
		methods[path] = append(methods[path], op.method)
	}
	methods["/metrics"], methods["/"] = []string{http.MethodGet}, []string{http.MethodGet}
	for path, has := range methods {
		allow := s.send("QUERY", path, nil, who...)
		if allow.status != http.StatusMethodNotAllowed {
			t.Errorf("QUERY %s: %d %s", path, allow.status, allow.body)
		}
		for _, method := range has {
			if !strings.Contains(allow.header.Get("Allow"), method) {
				t.Errorf("QUERY %s: it has %s, and Allow is %q", path, method, allow.header.Get("Allow"))
			}
			if method == http.MethodGet && !strings.Contains(allow.header.Get("Allow"), http.MethodHead) {
				t.Errorf("%s has GET and no HEAD: %q", path, allow.header.Get("Allow"))
			}
		}
	}
	refusal{http.StatusMethodNotAllowed, "method_not_allowed", "takes GET, HEAD, not POST"}.check(t, "POST of health without a token", s.send(http.MethodPost, "/api/health", nil))
	refusal{http.StatusMethodNotAllowed, "method_not_allowed", "takes DELETE, GET, HEAD, PATCH, not PUT"}.check(t, "PUT of a node", s.send(http.MethodPut, "/api/nodes/x", nil, who...))
	refusal{http.StatusNotFound, "not_found", ""}.check(t, "no path", s.send(http.MethodPut, "/api/nosuch", nil, who...))
	if a := s.send(http.MethodOptions, "/api/nodes", nil, who...); a.status != http.StatusNoContent || a.header.Get("Allow") != "GET, HEAD, POST" {
		t.Errorf("OPTIONS of the nodes: %d %q", a.status, a.header.Get("Allow"))
	}

	// HEAD returns the headers of GET without a body.
	for path, kind := range map[string]string{"/api/nodes": "application/json", "/api/health": "application/json", "/api/events": "text/event-stream", "/api/docs": "text/html", "/": "text/html"} {
		get, head := answer{}, s.send(http.MethodHead, path, nil, who...)
		if path != "/api/events" {
			get = s.send(http.MethodGet, path, nil, who...)
		}
		if head.status != http.StatusOK || len(head.body) != 0 || !strings.HasPrefix(head.header.Get("Content-Type"), kind) {
			t.Errorf("HEAD %s: %d %v", path, head.status, head.header)
		}
		if get.status != 0 && get.header.Get("Content-Type") != head.header.Get("Content-Type") {
			t.Errorf("HEAD %s: %v, and GET: %v", path, head.header, get.header)
		}
	}
	if a := s.send(http.MethodHead, "/api/nodes/nosuch", nil, who...); a.status != http.StatusNotFound {
		t.Errorf("HEAD of no node: %d", a.status)
	}

	// Unauthenticated clients are told how to authenticate.
	for _, path := range []string{"/api/nodes", "/api/uploads/x", "/api/nosuch"} {
		for _, header := range [][]string{nil, {"Authorization", "Bearer nonsense"}} {
			if a := s.send(http.MethodHead, path, nil, header...); a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") != `Bearer realm="SandboxLabs"` {
				t.Errorf("%s with %q: %d, WWW-Authenticate %q", path, header, a.status, a.header.Get("WWW-Authenticate"))
			}
		}
	}
	if a := s.send(http.MethodPost, "/api/auth/login", request{"username": "admin", "password": "wrong"}); a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") == "" {
		t.Errorf("a wrong password: %d %v", a.status, a.header)
	}
	s.stop()
}

// TestDeleteWhatIsNotThere deletes objects that do not exist, with every delete operation.
func TestDeleteWhatIsNotThere(t *testing.T) {
	t.Parallel()
	s := openSchool(newLab(t))
	who := s.as(admin)
	s.enrol("ann", "student")
	s.call(http.MethodPost, "/api/groups", request{"name": "class"}, http.StatusCreated, nil, who...)
	node, image, drawn := s.nodeOf(admin, "one").ID, s.imageOf(admin, s.qemuImage("1M")).ID, s.labOf(admin, "one")
	other := s.nodeOf(admin, "two").ID
	s.call(http.MethodPut, "/api/labs/"+drawn+"/nodes/"+node, request{"x": 0, "y": 0}, http.StatusOK, nil, who...)
	var network api.LabNetwork
	s.call(http.MethodPost, "/api/labs/"+drawn+"/networks", request{"x": 0, "y": 0}, http.StatusCreated, &network, who...)
	n, l := "/api/nodes/"+node, "/api/labs/"+drawn
	paths := []string{
		n + "/snapshots/nosuch", n + "/disks/vdz", n + "/interfaces/52:54:00:00:00:00", n + "/shares/users/ann", n + "/shares/groups/class",
		"/api/images/" + image + "/shares/users/ann", "/api/images/" + image + "/shares/groups/class",
		l + "/shares/users/ann", l + "/shares/groups/class", l + "/nodes/" + other, l + "/networks/" + noID,
		l + "/links/" + node + "/" + network.ID, l + "/links/" + other + "/" + network.ID, l + "/links/" + node + "/" + noID,
		"/api/users/ann/totp", "/api/groups/class/members/ann",
	}
	for _, op := range s.operations() {
		if op.method == http.MethodDelete && op.path != "/api/auth/totp" { // deletes the caller's own second factor, and needs the password
			paths = append(paths, placeholder.ReplaceAllString(op.path, noID))
		}
	}
	for _, path := range paths {
		if a := s.send(http.MethodDelete, path, nil, append(who, "Tus-Resumable", "1.0.0")...); a.status != http.StatusNotFound {
			t.Errorf("DELETE %s: %d %s", path, a.status, a.body)
		}
	}
	s.call(http.MethodDelete, l+"/networks/"+network.ID, nil, http.StatusOK, nil, who...)
	s.refused(http.MethodDelete, l+"/networks/"+network.ID, nil, refusal{http.StatusNotFound, "not_found", "has no network"}, who...)
	s.stop()
}

// parts returns the multipart body of an upload with its parts in the given order. Values
// that end in .qcow2 are names of files.
func parts(t *testing.T, content []byte, pairs ...string) (body *bytes.Buffer, contentType string) {
	t.Helper()
	body = &bytes.Buffer{}
	m := multipart.NewWriter(body)
	for i := 0; i < len(pairs); i += 2 {
		var err error
		if strings.HasSuffix(pairs[i+1], ".qcow2") {
			file, fileErr := m.CreateFormFile(pairs[i], pairs[i+1])
			if err = fileErr; err == nil {
				_, err = file.Write(content)
			}
		} else {
			err = m.WriteField(pairs[i], pairs[i+1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return body, m.FormDataContentType()
}

// TestFormOfAnUpload sends form fields after the file. A field that would have changed how
// the file is handled must not be silently ignored.
func TestFormOfAnUpload(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	image := l.qemuImage("1M")
	digest := strings.Repeat("0", 64)
	for name, c := range map[string]struct {
		pairs  []string
		detail string
	}{
		"a digest":               {[]string{"image", "a.qcow2", "sha256", digest}, `"sha256" comes after the file`},
		"a host":                 {[]string{"image", "a.qcow2", "host", "moon"}, `"host" comes after the file`},
		"a type":                 {[]string{"image", "a.qcow2", "submit", "Upload", "osType", "linux"}, `"osType" comes after the file`},
		"two images":             {[]string{"image", "a.qcow2", "image", "b.qcow2"}, "more than one file"},
		"another file":           {[]string{"image", "a.qcow2", "other", "b.qcow2"}, "a second file"},
		"a field of 5,000 bytes": {[]string{"image", "a.qcow2", "note", strings.Repeat("x", 5000)}, "is larger than"},
	} {
		body, kind := parts(t, image, c.pairs...)
		a := l.send(http.MethodPost, "/api/images/custom", body, "Content-Type", kind)
		want := refusal{http.StatusUnprocessableEntity, "invalid_request", c.detail}
		if c.detail == "is larger than" {
			want.status, want.code = http.StatusRequestEntityTooLarge, "body_too_large"
		}
		want.check(t, name, a)
	}
	if n := len(l.images().CustomImages); n != 0 {
		t.Errorf("of refused forms there are %d images", n)
	}
	l.wantVolumes(l.imagesPool())
	body, kind := parts(t, image, "osType", "linux", "image", "a.qcow2", "submit", "Upload")
	l.call(http.MethodPost, "/api/images/custom", body, http.StatusCreated, nil, "Content-Type", kind)
	l.stop()
}

// TestForeignDetails shows domains defined by other tools, with disks that are not files,
// screens on sockets and operating system metadata. It also stops a transient domain.
func TestForeignDetails(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	disk := func(dev string, src *libvirtxml.DomainDiskSource) libvirtxml.DomainDisk {
		d := libvirtxml.DomainDisk{Device: "disk", Driver: &libvirtxml.DomainDiskDriver{Name: "qemu", Type: "raw"}, Source: src, Target: &libvirtxml.DomainDiskTarget{Dev: dev, Bus: "virtio"}}
		if src == nil {
			d.Device, d.Target.Bus = "cdrom", "sata"
		}
		return d
	}
	network := func(protocol, name, query string, hosts ...libvirtxml.DomainDiskSourceHost) *libvirtxml.DomainDiskSource {
		return &libvirtxml.DomainDiskSource{Network: &libvirtxml.DomainDiskSourceNetwork{Protocol: protocol, Name: name, Query: query, Hosts: hosts}}
	}
	id := l.defineForeign(l.name("disks"), func(d *libvirtxml.Domain) {
		d.Metadata = &libvirtxml.DomainMetadata{XML: `<libosinfo:libosinfo xmlns:libosinfo="http://libosinfo.org/xmlns/libvirt/domain/1.0"><libosinfo:os id="http://debian.org/debian/12"/></libosinfo:libosinfo>`}
		d.Devices = &libvirtxml.DomainDeviceList{Disks: []libvirtxml.DomainDisk{
			disk("vda", &libvirtxml.DomainDiskSource{Block: &libvirtxml.DomainDiskSourceBlock{Dev: "/dev/nosuch"}}),
			disk("vdb", network("rbd", "pool/image", "", libvirtxml.DomainDiskSourceHost{Name: "mon1", Port: "6789"}, libvirtxml.DomainDiskSourceHost{Name: "mon2", Port: "6789"})),
			disk("vdc", network("iscsi", "iqn.2026-01.org.example:disk/1", "", libvirtxml.DomainDiskSourceHost{Name: "10.0.0.1", Port: "3260"})),
			disk("vdd", network("https", "a.img", "token=secret", libvirtxml.DomainDiskSourceHost{Name: "example.org", Port: "443"})),
			disk("vde", &libvirtxml.DomainDiskSource{Volume: &libvirtxml.DomainDiskSourceVolume{Pool: l.imagesPool(), Volume: "a.img"}}),
			disk("sda", nil),
		}}
	})
	until(t, promptly, said("the domain is listed"), func() bool { return l.listed(id).ID == id })
	want := map[string][2]string{
		"vda": {"block", "/dev/nosuch"}, "vdb": {"network", "rbd:pool/image"}, "vdc": {"network", "iscsi://10.0.0.1:3260/iqn.2026-01.org.example:disk/1"},
		"vdd": {"network", "https://example.org:443/a.img"}, "vde": {"volume", l.imagesPool() + "/a.img"}, "sda": {"empty", ""},
	}
	for _, d := range l.disks(id) {
		if w := want[d.Target]; d.Kind != w[0] || d.Source != w[1] || d.File != "" {
			t.Errorf("disk %s is shown as %+v", d.Target, d)
		}
	}
	if n := l.node(id); n.OSType != "debian" {
		t.Errorf("virt-install noted Debian, and the node's osType is %q", n.OSType)
	}
	if n := l.act(id, "adopt", nil); n.OSType != "debian" {
		t.Errorf("the adopted node's osType is %q", n.OSType)
	}

	screen := l.defineScreen("socket", libvirtxml.DomainGraphic{VNC: &libvirtxml.DomainGraphicVNC{
		Listeners: []libvirtxml.DomainGraphicListener{{Socket: &libvirtxml.DomainGraphicListenerSocket{}}},
	}})
	n := l.act(screen, "run", nil)
	if n.VNC == nil || n.VNC.Port != 0 || !strings.HasPrefix(n.VNC.Socket, "/") {
		t.Errorf("the screen on a socket is %+v", n.VNC)
	}
	// websockify clients request a subprotocol, and disconnect if the server selects none.
	for _, offered := range []string{"binary", ""} {
		header := http.Header{}
		if offered != "" {
			header["Sec-Websocket-Protocol"] = []string{"base64", offered}
		}
		socket, a, err := l.dialSocket("/ws/vnc", url.Values{"nodeId": {screen}}, header)
		if err != nil {
			t.Fatalf("the screen: %v %d %s", err, a.status, a.body)
		}
		if got := socket.Subprotocol(); got != offered {
			t.Errorf("of %q the service selected %q", offered, got)
		}
		_ = socket.Close(websocket.StatusNormalClosure, "")
	}

	l.virsh("undefine", screen) // the domain is transient from now on
	until(t, promptly, said("the domain is transient"), func() bool { return !l.node(screen).Persist })
	if n := l.act(screen, "stop", forced); n.ID != screen || n.State != "stopped" || n.VNC != nil {
		t.Errorf("the transient domain that was stopped is %+v", n)
	}
	l.refused(http.MethodGet, "/api/nodes/"+screen, nil, refusal{http.StatusNotFound, "node_not_found", ""})
	l.stop()
}

// TestPatchesAtOnce repeatedly sends the same part of an upload in several concurrent
// requests. Each time, exactly one of them succeeds.
func TestPatchesAtOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	data := l.sparseImage()
	for range 15 {
		u := l.beginUpload(int64(len(data)))
		var statuses [4]int
		var senders sync.WaitGroup
		for i := range statuses {
			senders.Go(func() {
				a, err := l.try(http.MethodPatch, u.path, bytes.NewReader(data), "Tus-Resumable", "1.0.0", "Upload-Offset", "0", "Content-Type", "application/offset+octet-stream")
				if err == nil { // the connection of a refused request may close before everything is sent
					statuses[i] = a.status
				}
			})
		}
		senders.Wait()
		won := 0
		for _, status := range statuses {
			if status == http.StatusNoContent {
				won++
			} else if status >= http.StatusInternalServerError {
				t.Errorf("one of them was answered %d", status)
			}
		}
		if img := u.settled(); won != 1 || img.State != "ready" {
			t.Fatalf("%d of them won (%v), and the image is %s (%s)", won, statuses, img.State, img.Reason)
		}
	}
	l.stop()
}

// TestMethodOverride uploads and cancels with X-HTTP-Method-Override, like clients behind
// a proxy that allows only GET and POST.
func TestMethodOverride(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	data := l.qemuImage("1M")
	u := l.beginUpload(int64(len(data)))
	post := func(method string, body []byte, header ...string) answer {
		t.Helper()
		return l.send(http.MethodPost, u.path, bytes.NewReader(body), append(header, "Tus-Resumable", "1.0.0", "X-HTTP-Method-Override", method)...)
	}
	half := len(data) / 2
	if a := post("PATCH", data[:half], "Upload-Offset", "0", "Content-Type", "application/offset+octet-stream"); a.status != http.StatusNoContent || u.offset() != int64(half) {
		t.Errorf("half of it: %d %s", a.status, a.body)
	}
	if a := post("DELETE", nil); a.status != http.StatusNoContent || u.offset() != -1 {
		t.Errorf("its end: %d %s", a.status, a.body)
	}
	refusal{http.StatusMethodNotAllowed, "method_not_allowed", "not POST"}.check(t, "a method that uploads do not have", post("PUT", nil))
	l.refused(http.MethodPost, "/api/uploads", nil, refusal{http.StatusUnprocessableEntity, "invalid_request", "Give Upload-Length"}, "Tus-Resumable", "1.0.0", "Upload-Defer-Length", "1")
	// Other endpoints ignore the header.
	l.call(http.MethodPost, "/api/nodes/nosuch/run", nil, http.StatusNotFound, nil, "X-HTTP-Method-Override", "DELETE")
	l.stop()
}

// TestIfMatch changes and deletes objects that another user has changed since they were
// read. With If-Match, no change is lost, even if both requests arrive at once.
func TestIfMatch(t *testing.T) {
	t.Parallel()
	s := openSchool(newLab(t))
	who := s.as(admin)
	s.enrol("ann", "student")
	node, image, drawn := s.nodeOf(admin, "one").ID, s.imageOf(admin, s.qemuImage("1M")).ID, s.labOf(admin, "one")
	for path, edits := range map[string][2]request{
		"/api/nodes/" + node:   {{"description": "mine"}, {"tags": []string{"theirs"}}},
		"/api/images/" + image: {{"description": "mine"}, {"tags": []string{"theirs"}}},
		"/api/labs/" + drawn:   {{"name": "mine"}, {"name": "theirs"}},
		"/api/users/ann":       {{"role": "viewer"}, {"quota": request{"nodes": 3}}},
	} {
		read := s.call(http.MethodGet, path, nil, http.StatusOK, nil, who...)
		tag := read.header.Get("ETag")
		var body struct {
			Version string `json:"version"`
		}
		if err := read.decode(&body); err != nil || tag != `"`+body.Version+`"` || body.Version == "" {
			t.Errorf("%s: ETag %s, version %q", path, tag, body.Version)
		}
		changed := s.call(http.MethodPatch, path, edits[1], http.StatusOK, nil, append(who, "If-Match", tag)...)
		stale := refusal{http.StatusPreconditionFailed, "changed_meanwhile", "Reload it"}
		stale.check(t, path, s.send(http.MethodPatch, path, edits[0], append(who, "If-Match", tag)...))
		after := s.call(http.MethodGet, path, nil, http.StatusOK, nil, who...).header.Get("ETag")
		if after != changed.header.Get("ETag") || after == tag {
			t.Errorf("%s: the ETag was %s, PATCH answered %s, and now it is %s", path, tag, changed.header.Get("ETag"), after)
		}
		// Of several concurrent changes, only one succeeds.
		var statuses [4]int
		var editors sync.WaitGroup
		for i := range statuses {
			editors.Go(func() {
				a, err := s.try(http.MethodPatch, path, edits[0], append(who, "If-Match", after)...)
				if err != nil {
					t.Errorf("%s: %v", path, err)
				}
				statuses[i] = a.status
			})
		}
		editors.Wait()
		slices.Sort(statuses[:])
		if statuses != [4]int{200, 412, 412, 412} {
			t.Errorf("%s: four at once were answered %v", path, statuses)
		}
		for _, condition := range []string{"", "*", `"x", W/%s`} {
			now := s.call(http.MethodGet, path, nil, http.StatusOK, nil, who...).header.Get("ETag")
			s.call(http.MethodPatch, path, edits[1], http.StatusOK, nil, append(who, "If-Match", strings.Replace(condition, "%s", now, 1))...)
		}
		stale.check(t, "DELETE "+path, s.send(http.MethodDelete, path, nil, append(who, "If-Match", tag)...))
		now := s.call(http.MethodGet, path, nil, http.StatusOK, nil, who...).header.Get("ETag")
		s.call(http.MethodDelete, path, nil, http.StatusNoContent, nil, append(who, "If-Match", now)...)
	}
	s.stop()
}

// TestCloudInitOfANode sends input that users commonly paste: an SSH key with a trailing
// newline, gzip-compressed user data, and network configuration nested in the key network.
// It also sends a misspelled key.
func TestCloudInitOfANode(t *testing.T) {
	t.Parallel()
	l := newRunningLab(t)
	body := request{"name": l.name("told"), "baseImage": "micro", "resources": request{"ram": 64}, "cloudInit": request{
		"sshKeys":  []string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBvnz4JHgQFKvPEJHXUFpKGbUJtrSGLXIVFMdPZhPtkU ann\n"},
		"userData": "#cloud-config\npackage: [vim]\n", "vendorData": "#!/bin/sh\n", "networkConfig": "network: {version: 2}\n",
	}}
	var n api.Node
	l.call(http.MethodPost, "/api/nodes", body, http.StatusCreated, &n)
	if len(n.Warnings) != 1 || !strings.Contains(n.Warnings[0], `"package"`) {
		t.Errorf("the warnings are %q", n.Warnings)
	}
	seed := filepath.Join(t.TempDir(), "seed.iso")
	l.virsh("vol-download", "--pool", l.nodesPool(), n.ID+"-seed.iso", seed)
	content, err := os.ReadFile(seed)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ann\n", "#!/bin/sh\n", "package: [vim]", "version: 2"} {
		if !bytes.Contains(content, []byte(want)) {
			t.Errorf("the seed lacks %q", want)
		}
	}
	if bytes.Contains(content, []byte("network: {")) {
		t.Error("the seed has the key network around the network")
	}
	body["cloudInit"] = request{"userData": "# mine\n#cloud-config\n"}
	l.refused(http.MethodPost, "/api/nodes", body, refusal{http.StatusUnprocessableEntity, "invalid_request", "without a comment before it"})
	l.delete(n.ID)
	l.stop()
}

// apiDocument contains the parts of the OpenAPI document that TestAPIDocument checks.
type apiDocument struct {
	Servers []struct{ URL string }
	Paths   map[string]map[string]struct {
		OperationID string `json:"operationId"`
		Security    []map[string][]string
		Responses   map[string]struct {
			Ref string `json:"$ref"`
		}
	}
	Components struct {
		Schemas         map[string]any
		SecuritySchemes map[string]any `json:"securitySchemes"`
		Responses       map[string]struct {
			Content map[string]struct{ Example api.Problem }
		}
	}
}

// TestAPIDocument checks that code generators can use the document: schema names are valid
// identifiers and do not collide with names that generators derive from operation IDs,
// errors have an example for each status, and authentication is described.
func TestAPIDocument(t *testing.T) {
	t.Parallel()
	text, code := newLab(t).run("openapi")
	var doc apiDocument
	if err := json.Unmarshal([]byte(text), &doc); err != nil || code != 0 {
		t.Fatalf("exit code %d, %v", code, err)
	}
	if len(doc.Servers) == 0 || len(doc.Components.SecuritySchemes) < 2 {
		t.Errorf("servers %v, security %v", doc.Servers, doc.Components.SecuritySchemes)
	}
	word := regexp.MustCompile(`^[A-Z][A-Za-z0-9]*$`)
	made := map[string]bool{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			name := ""
			for part := range strings.SplitSeq(op.OperationID, "-") {
				name += strings.ToUpper(part[:1]) + part[1:]
			}
			for _, suffix := range []string{"Response", "Params", "Request", "JSONBody", "JSONRequestBody"} {
				made[strings.ToLower(name+suffix)] = true
			}
			for status, r := range op.Responses {
				if ref, ok := strings.CutPrefix(r.Ref, "#/components/responses/"); ok {
					example := doc.Components.Responses[ref].Content["application/problem+json"].Example
					if strconv.Itoa(example.Status) != status || example.Code == "" || example.Detail == "" {
						t.Errorf("%s %s: the example for %s is %+v", method, path, status, example)
					}
				}
			}
			if _, ok := op.Responses["500"]; !ok {
				t.Errorf("%s %s lists no 500", method, path)
			}
			open := len(op.Security) == 1 && len(op.Security[0]) == 0
			if _, lists := op.Responses["401"]; lists == open && path != "/api/auth/login" {
				t.Errorf("%s %s: 401 is listed: %v, and anybody may: %v", method, path, lists, open)
			}
			if _, lists := op.Responses["404"]; strings.Contains(path, "{") && !lists {
				t.Errorf("%s %s lists no 404", method, path)
			}
		}
	}
	for name := range doc.Components.Schemas {
		if !word.MatchString(name) || made[strings.ToLower(name)] {
			t.Errorf("schema %q is not a word, or has the name of what a generator makes", name)
		}
	}
}
