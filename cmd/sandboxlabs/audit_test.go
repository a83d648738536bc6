package main

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

type auditPage struct {
	Entries    []api.AuditEntry `json:"entries"`
	NextCursor string           `json:"nextCursor"`
}

// awaitAudit waits until the audit has the wanted number of entries, not counting
// commands, and returns them. On a slow database, an entry is stored some time after the
// response to its request.
func (l *lab) awaitAudit(path string, want int) (page auditPage) {
	l.t.Helper()
	count := 0
	until(l.t, promptly, func() string { return fmt.Sprintf("the audit has %d entries, want %d: %+v", count, want, page.Entries) }, func() bool {
		page = auditPage{}
		l.call(http.MethodGet, path, nil, http.StatusOK, &page)
		count = 0
		for _, e := range page.Entries {
			if e.Via != "command" { // commands set up the lab
				count++
			}
		}
		return count == want
	})
	return page
}

// TestAudit checks the audit entries of a sign-in, of successful and failed changes, and
// of an opened console.
func TestAudit(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.addMicro()
	l.auth = true
	l.start()
	password := printedPassword.FindStringSubmatch(l.service.out.String())[1]
	l.refused(http.MethodPost, "/api/auth/login", request{"username": "admin", "password": "wrong secret"}, refusal{http.StatusUnauthorized, "unauthenticated", ""})
	l.refused(http.MethodPost, "/api/auth/login", request{"username": "a-secret-typed-here", "password": "x"}, refusal{http.StatusUnauthorized, "unauthenticated", ""})
	l.signIn("admin", password)
	var token api.Token
	l.call(http.MethodPost, "/api/tokens", request{"name": "=cmd|' /C calc'!A0"}, http.StatusCreated, &token)
	l.token, l.cookie = token.Secret, ""
	n := l.create("seen")
	l.refused(http.MethodPost, "/api/nodes", request{"name": n.Name, "baseImage": "micro"}, refusal{http.StatusConflict, "node_name_taken", ""})
	l.refused(http.MethodPost, "/api/nodes", request{"nome": "x"}, refusal{http.StatusUnprocessableEntity, "invalid_request", ""})
	socket, _, err := l.dialConsole(url.Values{"nodeId": {n.ID}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	l.delete(n.ID)
	_ = socket.CloseNow()
	l.token = ""
	l.refused(http.MethodDelete, "/api/nodes/"+n.ID, nil, refusal{http.StatusUnauthorized, "unauthenticated", ""})
	l.token = token.Secret

	want := []string{
		"admin,password,sign-in,auth,,unauthenticated",
		",password,sign-in,auth,,unauthenticated",
		"admin,password,sign-in,auth,,",
		"admin,session,create-token,tokens,=cmd|' /C calc'!A0,",
		"admin,token,create-node,nodes,NODE,",
		"admin,token,create-node,nodes,,node_name_taken",
		"admin,token,create-node,nodes,,invalid_request",
		"admin,token,open-console,nodes,NODE,",
		"admin,token,delete-node,nodes,NODE,",
	}
	page := l.awaitAudit("/api/audit", len(want))
	var got []string
	for _, e := range page.Entries {
		if e.Via == "command" {
			continue
		}
		line := strings.Join([]string{e.User, e.Via, e.Action, e.TargetKind, e.TargetName, e.Code}, ",")
		got = append([]string{strings.ReplaceAll(line, n.Name, "NODE")}, got...)
		if e.Address != "127.0.0.1" || e.Time.IsZero() || e.Status == 0 {
			t.Errorf("an entry lacks address, time or status: %+v", e)
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the audit says\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	// Search with paging.
	var found auditPage
	l.call(http.MethodGet, "/api/audit?limit=1&user=Admin&target="+n.ID, nil, http.StatusOK, &found)
	if len(found.Entries) != 1 || found.Entries[0].Action != "delete-node" || found.NextCursor == "" {
		t.Fatalf("the newest entry about the node: %+v", found)
	}
	l.call(http.MethodGet, "/api/audit?limit=1&user=Admin&target="+n.Name+"&cursor="+found.NextCursor, nil, http.StatusOK, &found)
	if len(found.Entries) != 1 || found.Entries[0].Action != "open-console" {
		t.Errorf("the entry before: %+v", found)
	}
	l.call(http.MethodGet, "/api/audit?since=2000-01-01T00:00:00Z&until=2001-01-01T00:00:00Z", nil, http.StatusOK, &found)
	if len(found.Entries) != 0 {
		t.Errorf("entries of long ago: %+v", found)
	}
	l.refused(http.MethodGet, "/api/audit?cursor=x", nil, refusal{http.StatusUnprocessableEntity, "invalid_request", "cursor"})

	// Export: no cell is a formula, and no secrets are included.
	a := l.call(http.MethodGet, "/api/audit/export?format=csv&action=create-token", nil, http.StatusOK, nil)
	rows, err := csv.NewReader(strings.NewReader(string(a.body))).ReadAll()
	if err != nil || len(rows) != 2 || rows[1][8] != "'=cmd|' /C calc'!A0" {
		t.Errorf("the export as CSV: %q, %v", rows, err)
	}
	l.awaitAudit("/api/audit", len(want)+1) // the first export has an entry, too
	a = l.call(http.MethodGet, "/api/audit/export", nil, http.StatusOK, nil)
	if lines := strings.Count(string(a.body), "\n") - strings.Count(string(a.body), `"via":"command"`); lines != len(want)+1 {
		t.Errorf("the export has %d lines: %s", lines, a.body)
	}
	for _, secret := range []string{password, token.Secret, "wrong secret", "a-secret-typed-here"} {
		if strings.Contains(string(a.body), secret) {
			t.Errorf("the audit holds the secret %q", secret)
		}
	}

	// Unauthenticated requests that are refused add no entries.
	l.token = ""
	tried, refused := 0, 0
	for ; refused < 20 && tried < 100; tried++ {
		if a := l.send(http.MethodPost, "/api/auth/login", request{"username": "nobody", "password": "x"}); a.status == http.StatusTooManyRequests {
			refused++
		}
	}
	l.token = token.Secret
	if refused != 20 {
		t.Errorf("of %d sign-ins, %d were refused unseen", tried, refused)
	}
	l.awaitAudit("/api/audit?action=sign-in&limit=100", 3+tried-refused)
}
