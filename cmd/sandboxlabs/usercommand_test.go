package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// runWith runs a command with input as its standard input.
func (l *lab) runWith(input string, args ...string) (out string, code int) {
	l.t.Helper()
	file := filepath.Join(l.t.TempDir(), "input")
	if err := os.WriteFile(file, []byte(input), 0o600); err != nil {
		l.t.Fatal(err)
	}
	l.within = []string{"sh", "-c", `exec "$@" < "$0"`, file}
	defer func() { l.within = nil }()
	return l.run(args...)
}

// TestOperatorCommands changes accounts and tokens while the service is running. The
// changes take effect immediately.
func TestOperatorCommands(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	n := s.nodeOf(admin, "shared")
	must := func(want string, args ...string) string {
		t.Helper()
		out, code := s.run(args...)
		if code != 0 || !strings.Contains(out, want) {
			t.Fatalf("%q: exit code %d\n%s", args, code, out)
		}
		return out
	}
	fails := func(want string, args ...string) {
		t.Helper()
		if out, code := s.run(args...); code != 1 || !strings.Contains(out, want) {
			t.Errorf("%q: exit code %d, want 1 and …%s…\n%s", args, code, want, out)
		}
	}
	made := printedPassword.FindStringSubmatch(must("Created account ann with the role student", "user", "add", "Ann"))
	if made == nil {
		t.Fatal("no password was printed")
	}
	if a := s.tryLogin(request{"username": "ann", "password": made[1]}); a.status != http.StatusOK || !a.MustChangePassword {
		t.Errorf("ann signs in: %d %s", a.status, a.body)
	}
	fails("already exists", "user", "add", "ann")
	fails("The role must be", "user", "add", "bob", "--role=root")
	fails("Start with a letter or digit", "user", "add", "../bob")
	fails("Account not found", "user", "role", "bob", "viewer")
	if out, code := s.runWith("a password that is said\n", "user", "password", "ann", "--stdin", "--final"); code != 0 || strings.Contains(out, "said") {
		t.Errorf("user password --stdin: %d %s", code, out)
	}
	ann := s.tryLogin(request{"username": "ann", "password": "a password that is said"})
	if ann.status != http.StatusOK || ann.MustChangePassword {
		t.Fatalf("ann signs in: %d %s", ann.status, ann.body)
	}
	s.call(http.MethodPut, "/api/nodes/"+n.ID+"/shares/users/ann", request{"level": "use"}, http.StatusNoContent, nil, s.as(admin)...)

	// A new role takes effect at once, and a disabled account's console is closed.
	writing := s.watch(n.ID, "Cookie", ann.cookie)
	writing.status("offline")
	must("has the role viewer", "user", "role", "ann", "viewer")
	writing.endsWith("student becomes viewer", 4403)
	watching := s.watch(n.ID, "Cookie", ann.cookie)
	must("is disabled", "user", "disable", "ann")
	watching.endsWith("account disabled", 4401)
	if out := must("admin", "user", "list"); !strings.Contains(out, "ann") || !strings.Contains(out, "disabled") {
		t.Errorf("user list: %s", out)
	}
	must("is enabled", "user", "enable", "ann")
	s.call(http.MethodGet, "/api/auth/me", nil, http.StatusOK, nil, "Cookie", ann.cookie)
	fails("is the last administrator", "user", "disable", "admin")
	fails("is the last administrator", "user", "role", "admin", "viewer")

	// Tokens.
	secret := strings.TrimSpace(must("sbx_", "token", "create", "--name=of-the-operator", "--user=ann", "--scopes=read"))
	var me api.SignedIn
	if s.call(http.MethodGet, "/api/auth/me", nil, http.StatusOK, &me, "Authorization", "Bearer "+secret); me.User.Name != "ann" {
		t.Errorf("the token stands for %+v", me.User)
	}
	id := ""
	list := must("of-the-operator", "token", "list")
	if strings.Contains(list, secret) {
		t.Error("the list shows the secret")
	}
	for line := range strings.Lines(list) {
		if strings.Contains(line, "of-the-operator") {
			id = strings.Fields(line)[0]
		}
	}
	must("revoked", "token", "revoke", id)
	s.refused(http.MethodGet, "/api/auth/me", nil, refusal{http.StatusUnauthorized, "unauthenticated", ""}, "Authorization", "Bearer "+secret)
	fails("Token not found", "token", "revoke", id)

	// Keys: secrets of the configuration, and their rotation.
	const plain = "0123456789abcdef0123456789abcdef"
	sealed, code := s.runWith(plain+"\n", "secret", "seal", "guacamole-json-secret")
	if sealed = strings.TrimSpace(sealed); code != 0 || !strings.HasPrefix(sealed, "sealed:") || strings.Contains(sealed, plain) {
		t.Fatalf("secret seal: %d %s", code, sealed)
	}
	fails("is none of", "secret", "seal", "listen")
	with := "--guacamole-json-secret=" + sealed
	must("admin", "user", "list", with)
	fails("belongs to something else", "user", "list", "--oidc-issuer=https://id.example.org", "--oidc-client-id=x", "--oidc-client-secret="+sealed)
	if out := must("Created a new key", "secret", "rotate", with); !strings.Contains(out, "guacamole-json-secret is encrypted with an old key") {
		t.Errorf("secret rotate: %s", out)
	}
	fails("guacamole-json-secret would be lost", "secret", "prune", with)
	must("Removed 1 old keys", "secret", "prune")
	fails("is not in the key file", "user", "list", with)

	// A lost password.
	again := printedPassword.FindStringSubmatch(must("Password changed", "recover-admin", "--keep-tokens"))
	if again == nil {
		t.Fatal("no password was printed")
	}
	s.call(http.MethodPost, "/api/auth/login", request{"username": "admin", "password": again[1]}, http.StatusOK, nil)

	// The audit log has all of it, without secrets.
	audited := string(s.call(http.MethodGet, "/api/audit/export", nil, http.StatusOK, nil, s.as(admin)...).body)
	for _, action := range []string{"user add", "user password", "user role", "user disable", "user enable", "token create", "token revoke", "secret rotate", "secret prune", "recover-admin"} {
		if !strings.Contains(audited, `"action":"`+action+`"`) {
			t.Errorf("the audit lacks %q", action)
		}
	}
	for _, secret := range []string{made[1], again[1], "a password that is said", secret, plain} {
		if strings.Contains(audited, secret) || strings.Contains(s.service.log.String(), secret) {
			t.Errorf("audit or log hold %q", secret)
		}
	}
	s.stop()
}
