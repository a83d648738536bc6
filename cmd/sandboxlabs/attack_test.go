package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// TestAttacks tries to get more than one was given: by texts that would be more
// than text elsewhere, by names that lead elsewhere, and by sessions that an
// attacker knows.
func TestAttacks(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	s.bearer[owner], s.bearer[student] = s.enrol("owner", "instructor"), s.enrol("ann", "student")
	s.share("nodes", s.nodeOf(owner, "shared").ID, "users/ann", "use")

	t.Run("markup in metadata", func(t *testing.T) {
		evil := `</osType><owner>` + s.name("ann") + `</owner><osType>]]>&lt;"'`
		var n api.Node
		s.call(http.MethodPost, "/api/nodes", request{"name": s.name("markup"), "baseImage": "micro", "osType": evil, "resources": request{"ram": 64}}, http.StatusCreated, &n, s.as(owner)...)
		if n.Owner != s.name("owner") || n.OSType != evil {
			t.Errorf("the node is %q's, and of the type %q", n.Owner, n.OSType)
		}
		s.call(http.MethodPatch, "/api/nodes/"+n.ID, request{"description": evil + "\n</description></domain>", "tags": []string{"a"}}, http.StatusOK, &n, s.as(owner)...)
		if n.Owner != s.name("owner") || n.OSType != evil {
			t.Errorf("changed, the node is %q's, and of the type %q", n.Owner, n.OSType)
		}
		if d := s.definition(n.ID); d.Metadata == nil || strings.Count(d.Metadata.XML, "<sandboxlabs:owner") != 1 || d.Description != evil+"\n</description></domain>" {
			t.Errorf("libvirt has the metadata %+v and the description %q", d.Metadata, d.Description)
		}
		s.refused(http.MethodGet, "/api/nodes/"+n.ID, nil, refusal{http.StatusNotFound, "node_not_found", ""}, s.as(student)...)
	})
	t.Run("more than a word in cloud-init", func(t *testing.T) {
		for field, evil := range map[string]any{
			"hostname": "web1\nruncmd: [reboot]", "sshKeys": []string{"ssh-ed25519 AAAA\nssh_pwauth: true"}, "userData": "runcmd: [reboot]",
		} {
			s.refused(http.MethodPost, "/api/nodes", request{"name": s.name("cloud"), "baseImage": "micro", "cloudInit": request{field: evil}},
				refusal{http.StatusUnprocessableEntity, "invalid_request", ""}, s.as(owner)...)
		}
	})
	t.Run("names of accounts, groups and tokens", func(t *testing.T) {
		bad := refusal{http.StatusUnprocessableEntity, "invalid_request", ""}
		for _, evil := range []string{"../admin", "a/b", "a\r\nSet-Cookie: x=y", "<script>", "a b", "a\x00b", strings.Repeat("a", 65), "-rf", "${HOME}", "аdmin"} {
			s.refused(http.MethodPost, "/api/users", request{"name": evil, "role": "student"}, bad, s.as(admin)...)
			s.refused(http.MethodPost, "/api/groups", request{"name": evil}, bad, s.as(admin)...)
		}
		s.refused(http.MethodPost, "/api/tokens", request{"name": "a\r\nb"}, bad, s.as(student)...)
		s.refused(http.MethodPost, "/api/users", request{"name": " Admin ", "role": "student"}, refusal{http.StatusConflict, "name_taken", `"admin"`}, s.as(admin)...)
		s.refused(http.MethodPatch, "/api/users/"+s.name("ann"), request{"role": "root"}, bad, s.as(admin)...)
	})
	t.Run("paths that lead elsewhere", func(t *testing.T) {
		for _, id := range []string{"..", ".", "..%2f..%2fetc%2fpasswd", "%2e%2e%2f", "..%5c..", "%00", "a%0d%0aX-Evil:%201", "*", "%25", strings.Repeat("a", 5000)} {
			for _, op := range s.operations() {
				if !strings.Contains(op.path, "{") {
					continue
				}
				path := placeholder.ReplaceAllLiteralString(op.path, id) + "?text=x"
				a := s.send(op.method, path, request{"level": "use"}, s.as(admin)...)
				if a.status < 400 || a.status >= 500 || a.header.Get("X-Evil") != "" {
					t.Errorf("%s %.80s: status %d: %.200s", op.method, path, a.status, a.body)
				}
			}
		}
	})
	t.Run("a session that was known before", func(t *testing.T) {
		const planted = "sandboxlabs_session=00000000000000000000000000000000000000000000"
		a := s.call(http.MethodPost, "/api/auth/login", request{"username": s.name("ann"), "password": "the password of ann"}, http.StatusOK, nil, "Cookie", planted)
		first, _, _ := strings.Cut(a.header.Get("Set-Cookie"), ";")
		if first == planted {
			t.Errorf("the sign-in left the cookie %q", first)
		}
		s.refused(http.MethodGet, "/api/auth/me", nil, refusal{http.StatusUnauthorized, "unauthenticated", ""}, "Cookie", planted)
		a = s.call(http.MethodPost, "/api/auth/login", request{"username": "admin", "password": s.password}, http.StatusOK, nil, "Cookie", first)
		if second, _, _ := strings.Cut(a.header.Get("Set-Cookie"), ";"); second == first {
			t.Error("another person's sign-in goes on with the session that was there")
		}
		var me struct{ User api.User }
		if s.call(http.MethodGet, "/api/auth/me", nil, http.StatusOK, &me, "Cookie", first); me.User.Name != s.name("ann") {
			t.Errorf("the first session has become %q's", me.User.Name)
		}
	})
	t.Run("pages of others", func(t *testing.T) {
		var list struct{ Nodes []api.Node }
		s.call(http.MethodGet, "/api/nodes", nil, http.StatusOK, &list, s.as(student)...)
		cookie := s.signIn(s.name("ann"), "the password of ann")
		for _, path := range []string{"/ws/console", "/ws/vnc"} {
			for _, origin := range []string{"https://evil.example", "null", "http://" + s.address + ".evil.example"} {
				_, a, err := s.dialSocket(path, url.Values{"nodeId": {list.Nodes[0].ID}}, http.Header{"Origin": {origin}, "Cookie": {cookie}})
				if err == nil || a.status != http.StatusForbidden {
					t.Errorf("%s from a page of %s: %v, %d", path, origin, err, a.status)
				}
			}
			_, a, err := s.dialSocket(path, url.Values{"nodeId": {list.Nodes[0].ID}}, http.Header{"Host": {"evil.example"}, "Cookie": {cookie}})
			if err == nil || a.status != http.StatusMisdirectedRequest {
				t.Errorf("%s under another name: %v, %d", path, err, a.status)
			}
		}
		for _, op := range s.operations() {
			if op.method == http.MethodGet || op.method == http.MethodHead {
				continue
			}
			s.refused(op.method, placeholder.ReplaceAllLiteralString(op.path, noID), nil, refusal{http.StatusForbidden, "cross_origin", ""}, "Cookie", cookie, "Sec-Fetch-Site", "cross-site")
		}
	})
}
