package main

import (
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// login is the response to signing in.
type login struct {
	answer
	api.SignedIn
	cookie string
}

func (l *lab) tryLogin(body request, header ...string) login {
	l.t.Helper()
	a := login{answer: l.send(http.MethodPost, "/api/auth/login", body, header...)}
	if a.status == http.StatusOK {
		if err := a.decode(&a.SignedIn); err != nil {
			l.t.Fatal(err)
		}
		a.cookie, _, _ = strings.Cut(a.header.Get("Set-Cookie"), ";")
	}
	return a
}

// TestForcedChangeAndSessions uses an account that an administrator created: it must set
// its own password first, and can list and end its sessions.
func TestForcedChangeAndSessions(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	n := s.nodeOf(admin, "seen")
	var made api.Account
	s.call(http.MethodPost, "/api/users", request{"name": "ann", "role": "student"}, http.StatusCreated, &made, s.as(admin)...)
	if made.Password == "" || !made.MustChange {
		t.Fatalf("made %+v", made)
	}
	s.call(http.MethodPut, "/api/nodes/"+n.ID+"/shares/users/ann", request{"level": "use"}, http.StatusNoContent, nil, s.as(admin)...)

	// Signing in replaces a session that an attacker has put into the browser.
	planted := "sandboxlabs_session=" + strings.Repeat("A", 43)
	first := s.tryLogin(request{"username": "ann", "password": made.Password}, "Cookie", planted)
	if first.status != http.StatusOK || first.cookie == planted || !first.MustChangePassword {
		t.Fatalf("sign-in: %d %s, cookie %q", first.status, first.body, first.cookie)
	}
	s.refused(http.MethodGet, "/api/auth/me", nil, refusal{http.StatusUnauthorized, "unauthenticated", ""}, "Cookie", planted)

	// Everything else is refused before that.
	for _, op := range s.operations() {
		rule := routeTable[op.method+" "+op.path]
		if op.method == http.MethodHead || strings.HasPrefix(rule.may, "+") || strings.HasPrefix(op.path, "/api/auth/") && (op.path == "/api/auth/logout" || op.path == "/api/auth/password" || op.method == http.MethodGet && op.path == "/api/auth/me") {
			continue
		}
		path := placeholder.ReplaceAllString(strings.Replace(op.path, "{id}", n.ID, 1), "x")
		s.refused(op.method, path, nil, refusal{http.StatusForbidden, "password_change_required", "Change your initial password first"}, "Cookie", first.cookie)
	}
	if _, a, err := s.dialConsole(url.Values{"nodeId": {n.ID}}, http.Header{"Cookie": {first.cookie}}); err == nil || a.status != http.StatusForbidden {
		t.Errorf("a console before: %v, %d", err, a.status)
	}
	password := "a password of ann's own"
	s.refused(http.MethodPost, "/api/auth/password", request{"current": made.Password, "new": made.Password}, refusal{http.StatusUnprocessableEntity, "invalid_request", "must differ from the current one"}, "Cookie", first.cookie)
	a := s.call(http.MethodPost, "/api/auth/password", request{"current": made.Password, "new": password}, http.StatusNoContent, nil, "Cookie", first.cookie)
	here, _, _ := strings.Cut(a.header.Get("Set-Cookie"), ";")
	if here == first.cookie || !strings.Contains(a.header.Get("Set-Cookie"), "HttpOnly") {
		t.Errorf("after the change the cookie is %q", a.header.Get("Set-Cookie"))
	}
	s.refused(http.MethodGet, "/api/auth/me", nil, refusal{http.StatusUnauthorized, "unauthenticated", ""}, "Cookie", first.cookie)
	var me api.SignedIn
	if s.call(http.MethodGet, "/api/auth/me", nil, http.StatusOK, &me, "Cookie", here); me.MustChangePassword || me.User.Name != "ann" {
		t.Errorf("me: %+v", me)
	}

	// Another session can be listed and ended here, including its open streams.
	there := s.tryLogin(request{"username": "ann", "password": password}, "User-Agent", "A phone").cookie
	watching := s.watch(n.ID, "Cookie", there)
	watching.status("offline")
	var list struct{ Sessions []api.Session }
	s.call(http.MethodGet, "/api/auth/sessions", nil, http.StatusOK, &list, "Cookie", here)
	if len(list.Sessions) != 2 {
		t.Fatalf("sessions: %+v", list.Sessions)
	}
	for _, v := range list.Sessions {
		if v.Current == (v.Agent == "A phone") || v.Address != "127.0.0.1" || v.Expires.Before(time.Now()) {
			t.Errorf("session %+v", v)
		}
		if strings.Contains(here, v.ID) || strings.Contains(there, v.ID) {
			t.Error("the id of a session is a part of what opens it")
		}
		s.refused(http.MethodDelete, "/api/auth/sessions/"+v.ID, nil, refusal{http.StatusNotFound, "not_found", ""}, s.as(admin)...)
	}
	for _, v := range list.Sessions {
		if !v.Current {
			s.call(http.MethodDelete, "/api/auth/sessions/"+v.ID, nil, http.StatusNoContent, nil, "Cookie", here)
		}
	}
	watching.endsWith("session ended", 4401)
	s.refused(http.MethodGet, "/api/auth/me", nil, refusal{http.StatusUnauthorized, "unauthenticated", ""}, "Cookie", there)

	// The profile's SSH keys.
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBvnz4JHgQFKvPEJHXUFpKGbUJtrSGLXIVFMdPZhPtkU ann@example.org"
	s.call(http.MethodPatch, "/api/auth/me", request{"sshKeys": []string{key}}, http.StatusOK, &me, "Cookie", here)
	if len(me.SSHKeys) != 1 || me.SSHKeys[0] != key {
		t.Errorf("keys: %q", me.SSHKeys)
	}
	s.refused(http.MethodPatch, "/api/auth/me", request{"sshKeys": []string{key, "evil\nkey"}}, refusal{http.StatusUnprocessableEntity, "invalid_request", "an SSH key is one line"}, "Cookie", here)
	s.stop()
}

// TestSecondFactorAtSignIn uses a second factor from its set-up until it is lost, and
// expects that none of its secrets is stored in the clear.
func TestSecondFactorAtSignIn(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	password := "the password of ann"
	s.enrol("ann", "student")
	cookie := s.signIn("ann", password)
	var e api.Enrolment
	s.call(http.MethodPost, "/api/auth/totp", nil, http.StatusOK, &e, "Cookie", cookie)
	codeAt := func(later time.Duration) string {
		t.Helper()
		code, err := totp.GenerateCode(e.Secret, time.Now().Add(later))
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	s.refused(http.MethodPost, "/api/auth/totp/confirm", request{"code": "000000"}, refusal{http.StatusUnprocessableEntity, "invalid_request", "Code incorrect"}, "Cookie", cookie)
	var r api.Recovery
	confirming := codeAt(0)
	s.call(http.MethodPost, "/api/auth/totp/confirm", request{"code": confirming}, http.StatusOK, &r, "Cookie", cookie)
	if len(r.RecoveryCodes) != 10 {
		t.Fatalf("recovery codes: %q", r.RecoveryCodes)
	}
	s.refused(http.MethodPost, "/api/auth/totp", nil, refusal{http.StatusConflict, "unsupported", "already"}, "Cookie", cookie)

	asked := refusal{http.StatusUnauthorized, "second_factor_required", ""}
	s.refused(http.MethodPost, "/api/auth/login", request{"username": "ann", "password": password}, asked)
	s.refused(http.MethodPost, "/api/auth/login", request{"username": "ann", "password": "wrong", "code": codeAt(0)}, refusal{http.StatusUnauthorized, "unauthenticated", ""})
	s.refused(http.MethodPost, "/api/auth/login", request{"username": "ann", "password": password, "code": confirming}, asked)
	code := codeAt(30 * time.Second)
	if a := s.tryLogin(request{"username": "ann", "password": password, "code": code}); a.status != http.StatusOK || !a.TOTP || a.RecoveryCodes != 10 {
		t.Errorf("with a code: %d %s", a.status, a.body)
	}
	s.refused(http.MethodPost, "/api/auth/login", request{"username": "ann", "password": password, "code": code}, asked) // replayed code
	if a := s.tryLogin(request{"username": "ann", "password": password, "code": r.RecoveryCodes[0]}); a.status != http.StatusOK || a.RecoveryCodes != 9 {
		t.Errorf("with a recovery code: %d %s", a.status, a.body)
	}
	s.refused(http.MethodPost, "/api/auth/login", request{"username": "ann", "password": password, "code": r.RecoveryCodes[0]}, asked)

	s.refused(http.MethodDelete, "/api/auth/totp", request{"password": "wrong"}, refusal{http.StatusUnauthorized, "unauthenticated", ""}, "Cookie", cookie)
	var account api.Account
	if s.call(http.MethodGet, "/api/users/ann", nil, http.StatusOK, &account, s.as(admin)...); !account.TOTP {
		t.Errorf("an administrator sees %+v", account)
	}
	s.call(http.MethodDelete, "/api/users/ann/totp", nil, http.StatusNoContent, nil, s.as(admin)...)
	s.call(http.MethodPost, "/api/auth/login", request{"username": "ann", "password": password}, http.StatusOK, nil)
	s.call(http.MethodPost, "/api/auth/totp", nil, http.StatusOK, &e, "Cookie", cookie)
	s.call(http.MethodPost, "/api/auth/totp/confirm", request{"code": codeAt(0)}, http.StatusOK, nil, "Cookie", cookie)
	s.call(http.MethodDelete, "/api/auth/totp", request{"password": password}, http.StatusNoContent, nil, "Cookie", cookie)
	s.call(http.MethodPost, "/api/auth/login", request{"username": "ann", "password": password}, http.StatusOK, nil)
	s.call(http.MethodPost, "/api/auth/totp", nil, http.StatusOK, &e, "Cookie", cookie)
	s.call(http.MethodPost, "/api/auth/totp/confirm", request{"code": codeAt(0)}, http.StatusOK, nil, "Cookie", cookie)

	audited := string(s.call(http.MethodGet, "/api/audit/export", nil, http.StatusOK, nil, s.as(admin)...).body)
	for _, action := range []string{"begin-second-factor", "confirm-second-factor", "remove-second-factor", "reset-second-factor"} {
		if !strings.Contains(audited, action) {
			t.Errorf("the audit lacks %s", action)
		}
	}
	s.stop()
	kept := s.service.log.String() + audited
	for _, name := range []string{"sandboxlabs.db", "sandboxlabs.db-wal"} {
		content, err := os.ReadFile(filepath.Join(s.dataDir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		kept += string(content)
	}
	if !strings.Contains(kept, "argon2id") {
		t.Error("not even the hashes were found: the test looks in the wrong place")
	}
	for what, secret := range map[string]string{"secret": e.Secret, "recovery code": r.RecoveryCodes[5], "password": password} {
		if strings.Contains(kept, secret) {
			t.Errorf("log, audit or database hold the %s", what)
		}
	}
	if info, err := os.Stat(filepath.Join(s.dataDir, "secrets.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key file: %v, %v", info, err)
	}
}
