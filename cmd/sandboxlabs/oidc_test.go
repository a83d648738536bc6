package main

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
	"github.com/sandboxlabs/sandboxlabs/internal/openid/openidtest"
)

// visitor is a browser that signs in with a provider.
type visitor struct {
	s *school
	*http.Client
}

// go1 requests one address, and returns where it redirects the browser to.
func (v visitor) go1(address string) (status int, location string, cookies []string) {
	v.s.t.Helper()
	req, err := http.NewRequestWithContext(v.s.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		v.s.t.Fatal(err)
	}
	res, err := v.Do(req)
	if err != nil {
		v.s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode, res.Header.Get("Location"), res.Header.Values("Set-Cookie")
}

// me returns who the browser is signed in as; the zero value when it is not.
func (v visitor) me() (m api.SignedIn) {
	v.s.t.Helper()
	req, err := http.NewRequestWithContext(v.s.t.Context(), http.MethodGet, v.s.url("/api/auth/me"), nil)
	if err != nil {
		v.s.t.Fatal(err)
	}
	res, err := v.Do(req)
	if err != nil {
		v.s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, _ := io.ReadAll(res.Body)
	if res.StatusCode == http.StatusOK {
		if err := (answer{body: text}).decode(&m); err != nil {
			v.s.t.Fatal(err)
		}
	}
	return m
}

// TestProvider signs people in at a real OpenID Connect provider.
func TestProvider(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	callback := l.url("/api/auth/oidc/callback")
	p := openidtest.Start(t, callback,
		openidtest.Person{ID: "1", Name: "Ann", Password: "pa", Groups: []string{"class", "cn=staff,dc=example"}},
		openidtest.Person{ID: "2", Name: "admin", Password: "pe", Groups: []string{"root"}},
		openidtest.Person{ID: "3", Name: "stranger", Password: "ps", Groups: []string{"others"}},
		openidtest.Person{ID: "4", Name: "heir", Password: "ph", Groups: []string{"class"}},
	)
	s := openSchool(l, "--oidc-issuer="+p.Issuer, "--oidc-client-id="+openidtest.ClientID, "--oidc-client-secret="+openidtest.ClientSecret,
		"--oidc-name=the school", "--oidc-roles=class=student,root=admin,cn=staff=viewer", "--oidc-scopes=profile email")
	var methods api.Methods
	if s.call(http.MethodGet, "/api/auth/methods", nil, http.StatusOK, &methods); methods.OIDC == nil || methods.OIDC.Name != "the school" || !methods.Password {
		t.Fatalf("methods: %+v", methods)
	}
	var codes []string
	// enter runs the complete sign-in flow as name, and returns the browser's last
	// address.
	enter := func(v visitor, next, name, password string) (end string) {
		t.Helper()
		status, to, cookies := v.go1(s.url("/api/auth/oidc/login?next=" + url.QueryEscape(next)))
		if status != http.StatusSeeOther || !strings.HasPrefix(to, p.Issuer+"/") || len(cookies) != 1 || !strings.Contains(cookies[0], "HttpOnly") || !strings.Contains(cookies[0], "SameSite=Lax") || !strings.Contains(cookies[0], "Path=/;") {
			t.Fatalf("the way to the provider: %d to %q, cookies %q", status, to, cookies)
		}
		back, err := p.SignIn(t.Context(), v.Client, to, name, password)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(back)
		if err != nil || !strings.HasPrefix(back, callback) {
			t.Fatalf("the provider sends the browser to %q", back)
		}
		codes = append(codes, u.Query().Get("code"))
		status, end, _ = v.go1(back)
		if status != http.StatusSeeOther {
			t.Fatalf("the callback answers %d", status)
		}
		return end
	}
	newVisitor := func() visitor { return visitor{s, openidtest.Browser()} }

	// An account is created with the role of its groups. Its session is a new one,
	// whatever cookie the browser had.
	ann := newVisitor()
	home, _ := url.Parse(s.url("/"))
	ann.Jar.SetCookies(home, []*http.Cookie{{Name: "sandboxlabs_session", Value: "planted", Path: "/"}})
	if end := enter(ann, "/nodes?state=running", "Ann", "pa"); end != "/nodes?state=running" {
		t.Errorf("ann ends at %q", end)
	}
	if me := ann.me(); me.User.Name != "ann" || me.User.Role != "student" || !me.External || me.MustChangePassword {
		t.Errorf("ann is %+v", me)
	}
	for _, c := range ann.Jar.Cookies(home) {
		if c.Value == "planted" {
			t.Error("the session is the one that was there before")
		}
	}
	s.refused(http.MethodPost, "/api/auth/login", request{"username": "ann", "password": ""}, refusal{http.StatusUnauthorized, "unauthenticated", ""})

	// Nobody is redirected to another site after signing in.
	for _, next := range []string{"https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example", "/%09/evil.example/..//x", "http:evil", "javascript:alert(1)", "/api/auth/oidc/login", "/login?problem=x", "/\r\nX-Evil: 1"} {
		end := enter(newVisitor(), next, "Ann", "pa")
		u, err := url.Parse(end)
		if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(end, "/") || strings.HasPrefix(end, "//") || strings.HasPrefix(end, "/api") || strings.HasPrefix(end, "/login") {
			t.Errorf("next %q ends at %q", next, end)
		}
	}

	// The role follows the groups. Users without a role cannot sign in.
	p.SetGroups("1", "root")
	enter(ann, "/", "Ann", "pa")
	if me := ann.me(); me.User.Role != "admin" {
		t.Errorf("with another group ann is %+v", me)
	}
	p.SetGroups("1")
	again := newVisitor()
	if end := enter(again, "/nodes", "Ann", "pa"); end != "/login?next=%2Fnodes&problem=forbidden" || again.me().User.Name != "" {
		t.Errorf("without groups ann ends at %q as %+v", end, again.me())
	}
	if end := enter(newVisitor(), "/", "stranger", "ps"); end != "/login?problem=forbidden" {
		t.Errorf("a stranger ends at %q", end)
	}

	// No existing account can be taken over, nor what a deleted account has left.
	evil := newVisitor()
	if end := enter(evil, "/", "admin", "pe"); end != "/login?problem=name_taken" || evil.me().User.Name != "" {
		t.Errorf("who is called admin ends at %q as %+v", end, evil.me())
	}
	s.bearer[owner] = s.enrol("heir", "instructor")
	n := s.nodeOf(owner, "left")
	if out, code := s.run("user", "link", "heir", "4", "--issuer="+p.Issuer); code != 0 {
		t.Errorf("user link: %d %s", code, out)
	}
	heir := newVisitor()
	if end := enter(heir, "/", "heir", "ph"); end != "/" || heir.me().User.Name != "heir" || heir.me().User.Role != "instructor" {
		t.Errorf("the linked one ends at %q as %+v", end, heir.me())
	}
	s.call(http.MethodDelete, "/api/nodes/"+n.ID, nil, http.StatusNoContent, nil, s.as(owner)...)

	// Only the browser's own flow can sign it in.
	other := newVisitor()
	_, to, _ := ann.go1(s.url("/api/auth/oidc/login"))
	back, err := p.SignIn(t.Context(), openidtest.Browser(), to, "admin", "pe")
	if err != nil {
		t.Fatal(err)
	}
	if _, end, _ := other.go1(back); end != "/login?problem=unauthenticated" || other.me().User.Name != "" {
		t.Errorf("another's answer ends at %q as %+v", end, other.me())
	}
	for _, query := range []string{"", "?state=x&code=y", "?error=access_denied&error_description=<b>", "?code=" + strings.Repeat("x", 5000)} {
		if status, end, _ := other.go1(callback + query); status != http.StatusSeeOther || end != "/login?problem=unauthenticated" {
			t.Errorf("callback%.40s: %d to %q", query, status, end)
		}
	}

	// The audit log has the sign-ins, without secrets.
	audited := string(s.call(http.MethodGet, "/api/audit/export", nil, http.StatusOK, nil, s.as(admin)...).body)
	for _, want := range []string{`"via":"oidc"`, `"code":"name_taken"`, `"user":"ann"`} {
		if !strings.Contains(audited, want) {
			t.Errorf("the audit lacks %s", want)
		}
	}
	p.Stop()
	if _, end, _ := other.go1(s.url("/api/auth/oidc/login")); !strings.HasPrefix(end, p.Issuer) {
		t.Errorf("with the provider away, whose description is known, the browser is sent to %q", end)
	}
	s.stop()
	for _, secret := range append(codes, openidtest.ClientSecret) {
		if secret != "" && (strings.Contains(s.service.log.String(), secret) || strings.Contains(audited, secret)) {
			t.Errorf("log or audit hold %q", secret)
		}
	}
	if len(codes) < 10 || codes[0] == "" {
		t.Errorf("codes: %q", codes)
	}
}
