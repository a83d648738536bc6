package main

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// printedPassword matches the administrator's password in a command's output.
var printedPassword = regexp.MustCompile(`(?m)^ +password: (\S+)$`)

// TestAccess checks who can sign in, and with which credentials.
func TestAccess(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.addMicro()
	l.auth = true
	l.start()
	out := l.service.out.String()
	match := printedPassword.FindStringSubmatch(out)
	if match == nil || !strings.Contains(out, "user:     admin\n") || strings.Count(out, match[1]) != 1 {
		t.Fatalf("the first start printed %q", out)
	}
	password := match[1]
	unknown := refusal{http.StatusUnauthorized, "unauthenticated", "Sign in first"}

	open := map[string]bool{"/api/health": true, "/api/auth/login": true, "/api/auth/methods": true, "/api/auth/oidc/login": true, "/api/auth/oidc/callback": true}
	tried := 0
	for _, op := range l.operations() {
		if open[op.path] {
			continue
		}
		tried++
		path := strings.ReplaceAll(op.path, "{id}", "00000000-0000-4000-8000-000000000000")
		if op.method == http.MethodHead { // responses to HEAD have no body with details
			for _, header := range [][]string{nil, {"Authorization", "Bearer sbx_wrong"}, {"Cookie", "sandboxlabs_session=wrong"}} {
				if a := l.send(op.method, path, nil, header...); a.status != http.StatusUnauthorized {
					t.Errorf("HEAD %s with %q: %d", path, header, a.status)
				}
			}
			continue
		}
		l.refused(op.method, path, nil, unknown)
		l.refused(op.method, path, nil, refusal{http.StatusUnauthorized, "unauthenticated", ""}, "Authorization", "Bearer sbx_wrong")
		l.refused(op.method, path, nil, refusal{http.StatusUnauthorized, "unauthenticated", ""}, "Cookie", "sandboxlabs_session=wrong")
	}
	if tried < 25 {
		t.Errorf("only %d operations were found in the OpenAPI document", tried)
	}
	for _, path := range []string{"/api/", "/api/nope", "/ws/nope", "/api//nodes", "/api/health/../nodes"} {
		if a := l.send(http.MethodGet, path, nil); a.status != http.StatusUnauthorized {
			t.Errorf("GET %s without credentials: %d", path, a.status)
		}
	}
	if _, a, err := l.dialConsole(url.Values{"nodeId": {"x"}}, nil); err == nil || a.status != http.StatusUnauthorized {
		t.Errorf("a console without credentials: %v, %d", err, a.status)
	}
	for _, path := range []string{"/api/health", "/api/openapi.json", "/api/docs", "/"} {
		l.call(http.MethodGet, path, nil, http.StatusOK, nil)
	}

	// Sessions.
	l.refused(http.MethodPost, "/api/auth/login", request{"username": "admin", "password": "wrong"}, refusal{http.StatusUnauthorized, "unauthenticated", ""})
	l.refused(http.MethodPost, "/api/auth/login", request{"username": "nobody", "password": password}, refusal{http.StatusUnauthorized, "unauthenticated", ""})
	var me struct {
		User api.User `json:"user"`
		Auth string   `json:"auth"`
	}
	a := l.call(http.MethodPost, "/api/auth/login", request{"username": "admin", "password": password}, http.StatusOK, &me)
	if me.User.Name != "admin" || me.User.Role != "admin" || me.Auth != "on" {
		t.Errorf("sign-in answers %+v", me)
	}
	set := a.header.Get("Set-Cookie")
	cookie, _, _ := strings.Cut(set, ";")
	if !strings.Contains(set, "HttpOnly") || !strings.Contains(set, "SameSite=Lax") || !strings.Contains(set, "Path=/") || len(cookie) < 40 {
		t.Errorf("the cookie is %q", set)
	}
	if l.call(http.MethodGet, "/api/auth/me", nil, http.StatusOK, &me, "Cookie", cookie); me.User.Name != "admin" {
		t.Errorf("me is %+v", me)
	}

	// Tokens.
	var token api.Token
	l.call(http.MethodPost, "/api/tokens", request{"name": "script"}, http.StatusCreated, &token, "Cookie", cookie)
	if !strings.HasPrefix(token.Secret, "sbx_") {
		t.Errorf("the token is %+v", token)
	}
	l.call(http.MethodPost, "/api/auth/logout", nil, http.StatusNoContent, nil, "Cookie", cookie)
	l.refused(http.MethodGet, "/api/auth/me", nil, refusal{http.StatusUnauthorized, "unauthenticated", ""}, "Cookie", cookie)
	l.token = token.Secret
	l.call(http.MethodGet, "/api/auth/me", nil, http.StatusOK, &me)
	if list := l.call(http.MethodGet, "/api/tokens", nil, http.StatusOK, nil); strings.Contains(string(list.body), token.Secret) || !strings.Contains(string(list.body), token.ID) {
		t.Errorf("the tokens are listed as %s", list.body)
	}

	// A ticket is valid once, only for its node, and not for the rest of the API.
	n := l.create("ticket")
	vnc := l.definition(n.ID, "--security-info").Devices.Graphics[0].VNC
	ticket := func() string {
		var made api.Ticket
		l.call(http.MethodPost, "/api/nodes/"+n.ID+"/tickets", nil, http.StatusCreated, &made)
		return made.Ticket
	}
	first, second := ticket(), ticket()
	l.token = ""
	enter := func(id, ticket string, header http.Header) (int, error) {
		socket, a, err := l.dialConsole(url.Values{"nodeId": {id}, "ticket": {ticket}}, header)
		if err == nil {
			_ = socket.CloseNow()
		}
		return a.status, err
	}
	if _, err := enter(n.ID, first, nil); err != nil {
		t.Errorf("the ticket does not let in: %v", err)
	}
	if status, err := enter(n.ID, first, nil); err == nil || status != http.StatusUnauthorized {
		t.Errorf("the used ticket: %d, %v", status, err)
	}
	if status, err := enter("00000000-0000-4000-8000-000000000000", second, nil); err == nil || status != http.StatusUnauthorized {
		t.Errorf("the ticket with another node: %d, %v", status, err)
	}
	l.refused(http.MethodGet, "/api/nodes?ticket="+second, nil, unknown)

	// Requests from other origins.
	l.token = token.Secret
	crossed := refusal{http.StatusForbidden, "cross_origin", "Requests from other origins"}
	body := request{"name": l.name("evil"), "baseImage": "micro"}
	l.refused(http.MethodPost, "/api/nodes", body, crossed, "Origin", "https://evil.example")
	l.refused(http.MethodPost, "/api/nodes", body, crossed, "Sec-Fetch-Site", "cross-site")
	l.refused(http.MethodPost, "/api/nodes", body, crossed, "Sec-Fetch-Site", "same-site")
	l.refused(http.MethodPost, "/api/nodes", body, crossed, "Origin", "null")
	l.refused(http.MethodDelete, "/api/nodes/"+n.ID, nil, crossed, "Origin", "https://evil.example")
	l.refused(http.MethodPost, "/api/auth/login", request{"username": "admin", "password": password}, crossed, "Origin", "https://evil.example")
	l.refused(http.MethodGet, "/api/nodes", nil, refusal{http.StatusMisdirectedRequest, "host_not_allowed", `"evil.example"`}, "Host", "evil.example")
	l.refused(http.MethodGet, "/", nil, refusal{http.StatusMisdirectedRequest, "host_not_allowed", "public-url"}, "Host", "evil.example:3001")
	for _, origin := range []string{"https://evil.example", "http://" + l.address + ".evil.example", "null"} {
		if status, err := enter(n.ID, "", http.Header{"Origin": {origin}}); err == nil || status != http.StatusForbidden {
			t.Errorf("a console from a page of %s: %d, %v", origin, status, err)
		}
	}
	if _, err := enter(n.ID, "", http.Header{"Origin": {"http://" + l.address}}); err != nil {
		t.Errorf("a console from a page of our own: %v", err)
	}
	l.call(http.MethodGet, "/api/nodes", nil, http.StatusOK, nil, "Origin", "http://"+l.address, "Sec-Fetch-Site", "same-origin")
	l.delete(n.ID)

	// Password guessing is rate limited.
	slowed := false
	for range 20 {
		if a := l.send(http.MethodPost, "/api/auth/login", request{"username": "admin", "password": "guess"}); a.status == http.StatusTooManyRequests {
			slowed = a.header.Get("Retry-After") != ""
			break
		}
	}
	if !slowed {
		t.Error("twenty wrong passwords were tried without a pause")
	}
	log := l.service.log.String()
	l.stop()
	l.start()
	if out := l.service.out.String(); strings.Contains(out, "password") {
		t.Errorf("the second start printed %q", out)
	}
	l.call(http.MethodGet, "/api/auth/me", nil, http.StatusOK, &me) // the token survives a restart, but not the recovery below
	l.stop()

	// The operator recovers the administrator's account, which revokes the previous
	// credentials.
	recovered, code := l.run("recover-admin")
	again := printedPassword.FindStringSubmatch(recovered)
	if code != 0 || again == nil || again[1] == password {
		t.Fatalf("recover-admin: exit code %d\n%s", code, recovered)
	}
	l.start()
	l.token = ""
	l.refused(http.MethodPost, "/api/auth/login", request{"username": "admin", "password": password}, refusal{http.StatusUnauthorized, "unauthenticated", ""})
	l.call(http.MethodPost, "/api/auth/login", request{"username": "admin", "password": again[1]}, http.StatusOK, nil)
	log += l.service.log.String()
	l.stop()

	for what, secret := range map[string]string{
		"password": password, "recovered password": again[1], "token": token.Secret, "cookie": strings.TrimPrefix(cookie, "sandboxlabs_session="),
		"ticket": first, "screen's password": vnc.Passwd, "guess": "guess",
	} {
		if secret == "" || strings.Contains(log, secret) {
			t.Errorf("the log holds the %s", what)
		}
	}
	if info, err := os.Stat(filepath.Join(l.dataDir, "sandboxlabs.db")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the database: %v, %v", info, err)
	}
}

// TestOpenServiceStaysLocal checks that the service refuses auth=off on a public address.
func TestOpenServiceStaysLocal(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:80", "example.org:80"} {
		p := l.spawn(nil, append(append([]string{"serve"}, l.flags()...), "--listen="+address)...)
		if code := p.code(t, promptly); code == 0 || !strings.Contains(p.log.String(), "set listen to 127.0.0.1:3001, or auth to on") {
			t.Errorf("listen %s with auth off: exit code %d\n%s%s", address, code, p.out, p.log)
		}
	}
}

// TestConfiguration checks the precedence of flag, environment and file, and the errors
// for invalid values. It uses a command that needs no libvirt.
func TestConfiguration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := &lab{t: t}
	t.Cleanup(func() {
		for _, p := range l.all {
			p.kill()
		}
	})
	write := func(text string) string {
		file := filepath.Join(t.TempDir(), "sandboxlabs.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	// The database is created in data-dir, which shows whose value was used.
	file := write("data-dir: " + dir + "/file\nauth: off\nhosts:\n  local: qemu:///system\n  other: test:///default\n")
	made := func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name, "sandboxlabs.db"))
		return err == nil
	}
	for _, c := range []struct {
		name string
		env  []string
		args []string
	}{
		{"file", nil, nil},
		{"env", []string{"SANDBOXLABS_DATA_DIR=" + dir + "/env"}, nil},
		{"flag", []string{"SANDBOXLABS_DATA_DIR=" + dir + "/env2"}, []string{"--data-dir=" + dir + "/flag"}},
	} {
		p := l.spawn(c.env, append([]string{"user", "init", "--config=" + file}, c.args...)...)
		if code := p.code(t, promptly); code != 0 || !made(c.name) {
			t.Errorf("%s: exit code %d, database there: %v\n%s%s", c.name, code, made(c.name), p.out, p.log)
		}
	}
	if made("env2") {
		t.Error("the environment counted although there was a flag")
	}
	p := l.spawn([]string{"SANDBOXLABS_CONFIG=" + write("data-dir: "+dir+"/named\n")}, "user", "init")
	if code := p.code(t, promptly); code != 0 || !made("named") {
		t.Errorf("SANDBOXLABS_CONFIG: exit code %d\n%s", code, p.log)
	}
	for _, c := range []struct{ text, want string }{
		{"data-dri: /tmp\n", `unknown option "data-dri"`},
		{"config: other.yaml\n", `unknown option "config"`},
		{"listen: [\n", "read the configuration"},
		{"listen: 3001\n", `"3001" is not of the form address:port`},
		{"hosts: qemu:///system\n", `is not of the form name=libvirt-uri`},
		{"hosts: a=x,a=y\n", `the name "a" is there twice`},
		{"auth: maybe\n", `"maybe" must be on or off`},
		{"public-url: labs.example.org\n", "is not an address such as"},
		{"log-level: loud\n", "log-level"},
		{"accelerator: tcg\n", `"tcg" is none of auto, kvm, qemu`},
		{"images-pool: a\nnodes-pool: a\n", "two different names"},
		{"images-pool: ../a\n", "letters, digits"},
		{"data-dir: /proc/nope\n", "data-dir"},
	} {
		args := []string{"user", "init", "--config=" + write(c.text)}
		if !strings.Contains(c.text, "data-dir") {
			args = append(args, "--data-dir="+dir+"/bad")
		}
		p := l.spawn(nil, args...)
		if code := p.code(t, promptly); code != 1 || !strings.Contains(p.log.String(), c.want) || strings.Contains(p.log.String(), "goroutine") {
			t.Errorf("%q: exit code %d, want 1 and …%s…\n%s", c.text, code, c.want, p.log)
		}
	}
	p = l.spawn(nil, "user", "init", "--config="+dir+"/none.yaml")
	if code := p.code(t, promptly); code != 1 || !strings.Contains(p.log.String(), "none.yaml") {
		t.Errorf("a file that is not there: exit code %d\n%s", code, p.log)
	}
}
