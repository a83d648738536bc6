package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// TestHostileNames sends names with path traversal, line breaks and XML markup in every
// path parameter, as an administrator, and requests every change from another origin.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	s.token = s.bearer[admin]
	hostile := []string{
		"../../../etc/passwd", `..\..\x`, "a\r\nX-Evil: 1", "a\x00b", `"/><devices/>`, "' OR '1'='1", "$(reboot)", "-rf", "%2e%2e%2f", strings.Repeat("x", 3000),
	}
	tried := 0
	for _, op := range s.operations() {
		if op.method != http.MethodGet && op.method != http.MethodHead {
			path := placeholder.ReplaceAllString(op.path, noID)
			s.refused(op.method, path, nil, refusal{http.StatusForbidden, "cross_origin", "Requests from other origins"}, "Origin", "https://evil.example")
		}
		if !placeholder.MatchString(op.path) {
			continue
		}
		for _, name := range hostile {
			tried++
			path := placeholder.ReplaceAllLiteralString(op.path, url.PathEscape(name)) + "?text=x"
			a := s.send(op.method, path, nil)
			// Some operations return success if the object does not exist.
			gone := op.method == http.MethodDelete && a.status == http.StatusNoContent
			if (a.status < 400 || a.status >= 500) && !gone {
				t.Errorf("%s %s with %.40q: status %d: %.200s", op.method, op.path, name, a.status, a.body)
			}
			if a.header.Get("X-Evil") != "" || strings.Contains(string(a.body), "root:x:0:") {
				t.Errorf("%s %s with %.40q: %v %.200s", op.method, op.path, name, a.header, a.body)
			}
		}
	}
	if tried < 300 {
		t.Errorf("only %d names were tried", tried)
	}

	// Text in the domain XML stays text.
	n := s.create("text")
	text := `]]></description><devices><disk type='file'><source file='/etc/shadow'/></disk></devices><!--`
	before := len(s.definition(n.ID).Devices.Disks)
	var after api.Node
	s.call(http.MethodPatch, "/api/nodes/"+n.ID, request{"description": text}, http.StatusOK, &after)
	def := s.definition(n.ID)
	if after.Description != text || def.Description != text || len(def.Devices.Disks) != before {
		t.Errorf("the description is %q, in libvirt %q beside %d disks", after.Description, def.Description, len(def.Devices.Disks))
	}
	for field, value := range map[string]string{"hostname": "a\nruncmd: [reboot]", "networkConfig": "version: 3", "userData": "no kind"} {
		s.refused(http.MethodPost, "/api/nodes", request{"name": s.name("seed"), "baseImage": "micro", "cloudInit": request{field: value}}, refusal{http.StatusUnprocessableEntity, "invalid_request", ""})
	}
	s.refused(http.MethodPost, "/api/nodes", request{"name": s.name("seed"), "baseImage": "micro", "cloudInit": request{"sshKeys": []string{"ssh-ed25519 AAAA x\n- evil"}}}, refusal{http.StatusUnprocessableEntity, "invalid_request", ""})
	s.delete(n.ID)
	s.stop()
}
