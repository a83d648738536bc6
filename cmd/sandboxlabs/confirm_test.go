package main

import (
	"database/sql"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// inDatabase runs a statement on the database of the running service.
func (l *lab) inDatabase(statement string, args ...any) {
	l.t.Helper()
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(l.dataDir, "sandboxlabs.db")+"?_busy_timeout=10000")
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(l.t.Context(), statement, args...); err != nil {
		l.t.Fatal(err)
	}
}

// TestConfirmation checks that neither an old session nor a stolen one can create
// credentials that outlive it without the password.
func TestConfirmation(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	s.enrol("ann", "instructor")
	password := "the password of ann"
	cookie := []string{"Cookie", s.signIn("ann", password)}
	confirm := refusal{http.StatusForbidden, "confirmation_required", "Confirm your password"}
	s.call(http.MethodPost, "/api/auth/totp", nil, http.StatusOK, nil, cookie...)
	s.inDatabase("UPDATE sessions SET created = ?", time.Now().UTC().Add(-11*time.Minute))

	s.refused(http.MethodPost, "/api/auth/totp", nil, confirm, cookie...)
	s.refused(http.MethodPost, "/api/auth/totp/confirm", request{"code": "123456"}, confirm, cookie...)
	for _, scopes := range [][]string{nil, {"nodes"}, {"read", "images"}, {"admin"}} {
		s.refused(http.MethodPost, "/api/tokens", request{"name": "t", "scopes": scopes}, confirm, cookie...)
	}
	s.call(http.MethodPost, "/api/tokens", request{"name": "t", "scopes": []string{"read"}}, http.StatusCreated, nil, cookie...)
	s.refused(http.MethodPost, "/api/auth/password", request{"current": "x", "new": "another password of ann"}, refusal{http.StatusUnauthorized, "unauthenticated", ""}, cookie...)
	s.refused(http.MethodDelete, "/api/auth/totp", request{"password": "x"}, refusal{http.StatusUnauthorized, "unauthenticated", ""}, cookie...)
	s.refused(http.MethodPost, "/api/auth/confirm", request{"password": "x"}, refusal{http.StatusUnauthorized, "unauthenticated", ""}, cookie...)
	s.refused(http.MethodPost, "/api/tokens", request{"name": "t"}, confirm, cookie...)

	s.call(http.MethodPost, "/api/auth/confirm", request{"password": password}, http.StatusNoContent, nil, cookie...)
	s.call(http.MethodPost, "/api/auth/totp", nil, http.StatusOK, nil, cookie...)
	var made, further api.Token
	s.call(http.MethodPost, "/api/tokens", request{"name": "t"}, http.StatusCreated, &made, cookie...)

	// A token can create other tokens, which end with it, but cannot set up a second factor.
	bearer := []string{"Authorization", "Bearer " + made.Secret}
	s.call(http.MethodPost, "/api/tokens", request{"name": "further"}, http.StatusCreated, &further, bearer...)
	s.refused(http.MethodPost, "/api/auth/totp", nil, refusal{http.StatusForbidden, "forbidden", "Tokens can't"}, bearer...)
	s.call(http.MethodDelete, "/api/tokens/"+made.ID, nil, http.StatusNoContent, nil, cookie...)
	s.refused(http.MethodGet, "/api/auth/me", nil, refusal{http.StatusUnauthorized, "unauthenticated", ""}, "Authorization", "Bearer "+further.Secret)
}

// TestResetEndsTokens resets a password as an administrator, with and without keeping the
// tokens. A forced password change must apply to the tokens, too.
func TestResetEndsTokens(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	n := s.nodeOf(admin, "seen")
	gone := refusal{http.StatusUnauthorized, "unauthenticated", ""}
	for name, c := range map[string]struct {
		body request
		want *refusal
	}{
		"reset":  {request{"password": "what the admin says"}, &gone},
		"forced": {request{"password": "what the admin says", "keepTokens": true}, &refusal{http.StatusForbidden, "password_change_required", ""}},
		"kept":   {request{"password": "what the admin says", "keepTokens": true, "mustChangePassword": false}, nil},
	} {
		token := []string{"Authorization", "Bearer " + s.enrol(name, "student")}
		s.call(http.MethodPut, "/api/nodes/"+n.ID+"/shares/users/"+name, request{"level": "use"}, http.StatusNoContent, nil, s.as(admin)...)
		watching := s.watch(n.ID, token...)
		watching.status("offline")
		s.call(http.MethodPatch, "/api/users/"+name, c.body, http.StatusOK, nil, s.as(admin)...)
		if c.want == nil {
			s.call(http.MethodGet, "/api/nodes/"+n.ID, nil, http.StatusOK, nil, token...)
			continue
		}
		s.refused(http.MethodGet, "/api/nodes/"+n.ID, nil, *c.want, token...)
		watching.endsWith("the token's end", 4401)
		if name == "forced" {
			s.call(http.MethodPost, "/api/auth/password", request{"current": "what the admin says", "new": "only ann knows it"}, http.StatusNoContent, nil, token...)
			s.call(http.MethodGet, "/api/nodes/"+n.ID, nil, http.StatusOK, nil, token...)
		}
	}
	if out, code := s.run("user", "password", "kept", "--keep-tokens", "--final"); code != 0 {
		t.Error(out)
	}
	var list struct{ Tokens []api.Token }
	of := func(name string) (n int) {
		s.call(http.MethodGet, "/api/tokens", nil, http.StatusOK, &list, s.as(admin)...)
		for _, token := range list.Tokens {
			if token.User == name {
				n++
			}
		}
		return n
	}
	if of("kept") != 1 || of("forced") != 1 || of("reset") != 0 {
		t.Errorf("the tokens are %+v", list.Tokens)
	}
	if out, code := s.run("user", "password", "kept"); code != 0 || of("kept") != 0 {
		t.Errorf("%s; %+v", out, list.Tokens)
	}
}
