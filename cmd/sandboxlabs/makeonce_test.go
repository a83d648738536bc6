package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

// openAPI is the part of the OpenAPI document that tests read.
type openAPI struct {
	Paths map[string]map[string]struct {
		Description string `json:"description"`
		Parameters  []struct {
			Name string `json:"name"`
			In   string `json:"in"`
		} `json:"parameters"`
	} `json:"paths"`
}

// description returns the OpenAPI document that the browser UI is generated from.
func description(t *testing.T) (doc openAPI) {
	t.Helper()
	text, err := os.ReadFile("../../web/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// TestEveryMakingTakesAKey classifies each POST: either it takes an Idempotency-Key, or
// repeating it leaves nothing extra.
func TestEveryMakingTakesAKey(t *testing.T) {
	t.Parallel()
	without := []string{
		// They change a state. A second request finds it changed.
		"/api/nodes/{id}/run", "/api/nodes/{id}/stop", "/api/nodes/{id}/reboot", "/api/nodes/{id}/reset", "/api/nodes/{id}/pause", "/api/nodes/{id}/resume", "/api/nodes/{id}/suspend", "/api/nodes/{id}/discard-saved-state",
		"/api/nodes/{id}/wipe", "/api/nodes/{id}/adopt", "/api/nodes/{id}/snapshots/{name}/revert", "/api/jobs/{id}/cancel",
		"/api/hosts/{host}/refresh", "/api/changes/{id}/finish", "/api/guacamole/sync",
		// What they hand out expires soon, or is replaced by the next one.
		"/api/auth/login", "/api/auth/logout", "/api/auth/password", "/api/auth/totp", "/api/auth/totp/confirm", "/api/auth/confirm", "/api/nodes/{id}/guacamole",
		// See their descriptions.
		"/api/nodes/{id}/tickets", "/api/images/custom", "/api/uploads",
	}
	explained := without[len(without)-3:]
	for path, item := range description(t).Paths {
		post, ok := item["post"]
		if !ok {
			continue
		}
		has := 0
		for _, p := range post.Parameters {
			if p.Name == "Idempotency-Key" && p.In == "header" {
				has++
			}
		}
		if excepted := slices.Contains(without, path); has > 1 || (has == 1) == excepted {
			t.Errorf("POST %s takes %d keys", path, has)
		}
		if slices.Contains(explained, path) && !strings.Contains(post.Description, "Accepts no Idempotency-Key") {
			t.Errorf("POST %s does not say that it takes no key: %s", path, post.Description)
		}
	}
}

// TestMakeOnce repeats requests: at once, later, after a restart, and as another user.
func TestMakeOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, database string) {
		l := newLab(t)
		l.auth = true
		l.launch(nil, "--database="+database)
		l.awaitHealth("ok")
		s := &school{lab: l}
		s.bearer[admin] = s.tokenOf("admin", printedPassword.FindStringSubmatch(l.service.out.String())[1], nil)
		key := func(who int, key string) []string { return append(s.as(who), "Idempotency-Key", key) }
		inProgress := refusal{http.StatusConflict, "request_in_progress", "Retry in a moment"}
		reused := refusal{http.StatusUnprocessableEntity, "idempotency_key_reused", "Use a new key"}

		// At once: all receive the same generated password.
		user := request{"name": "once", "role": "instructor", "mustChangePassword": false}
		answers := make([]answer, 10)
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() { answers[i], _ = l.try(http.MethodPost, "/api/users", user, key(admin, "k1")...) })
		}
		all.Wait()
		var made, replayed []answer
		for _, a := range answers {
			switch {
			case a.status == http.StatusConflict:
				inProgress.check(t, "at once", a)
				if a.header.Get("Retry-After") == "" {
					t.Error("nothing tells when to come again")
				}
			case a.header.Get("Idempotency-Replayed") == "":
				made = append(made, a)
			default:
				replayed = append(replayed, a)
			}
		}
		if len(made) != 1 || made[0].status != http.StatusCreated {
			t.Fatalf("%d of 10 requests made it: %+v", len(made), answers)
		}
		var account api.Account
		if err := made[0].decode(&account); err != nil || account.Password == "" {
			t.Fatalf("%v %s", err, made[0].body)
		}
		replayed = append(replayed, l.send(http.MethodPost, "/api/users", user, key(admin, "k1")...))
		reused.check(t, "another body", l.send(http.MethodPost, "/api/users", request{"name": "twice", "role": "student"}, key(admin, "k1")...))
		reused.check(t, "another route", l.send(http.MethodPost, "/api/groups", user, key(admin, "k1")...))

		// Refused requests are not kept.
		l.refused(http.MethodPost, "/api/users", user, refusal{http.StatusConflict, "name_taken", ""}, key(admin, "k2")...)
		l.call(http.MethodPost, "/api/groups", request{"name": "group"}, http.StatusCreated, nil, key(admin, "k2")...)

		// Another account, and another token of the same account.
		s.bearer[instructor] = s.tokenOf("once", account.Password, nil)
		narrow := s.furtherToken(admin, request{"scopes": []string{"admin"}})
		var first, own api.Token
		token := request{"name": "made once"}
		l.call(http.MethodPost, "/api/tokens", token, http.StatusCreated, &first, key(admin, "k3")...)
		l.call(http.MethodPost, "/api/tokens", token, http.StatusCreated, &own, key(instructor, "k3")...)
		if own.User != "once" || own.Secret == first.Secret {
			t.Errorf("another account was answered with %+v", own)
		}
		reused.check(t, "a token with fewer rights", l.send(http.MethodPost, "/api/tokens", token, "Authorization", "Bearer "+narrow, "Idempotency-Key", "k3"))

		l.stop()
		if path, ok := strings.CutPrefix(database, "sqlite:"); ok {
			files, _ := filepath.Glob(path + "*")
			for _, file := range files {
				content, _ := os.ReadFile(file) // path.holders is a folder, and reads as empty
				for _, secret := range []string{account.Password, first.Secret, own.Secret} {
					if bytes.Contains(content, []byte(secret)) {
						t.Errorf("%s holds a secret in the clear", file)
					}
				}
			}
		}
		for _, verb := range []string{"rotate", "prune"} { // the stored answers stay readable
			if out, code := l.run("secret", verb, "--database="+database); code != 0 {
				t.Fatalf("secret %s: exit code %d\n%s", verb, code, out)
			}
		}
		l.launch(nil, "--database="+database)
		l.awaitHealth("ok")
		replayed = append(replayed, l.send(http.MethodPost, "/api/users", user, key(admin, "k1")...))
		for _, a := range replayed {
			if a.status != http.StatusCreated || !bytes.Equal(a.body, made[0].body) || a.header.Get("Idempotency-Replayed") != "true" ||
				a.header.Get("Location") != "/api/users/once" || a.header.Get("Content-Type") != made[0].header.Get("Content-Type") {
				t.Errorf("repeated it is answered with %d %v %s; at first with %v %s", a.status, a.header, a.body, made[0].header, made[0].body)
			}
		}
		var again api.Token
		l.call(http.MethodPost, "/api/tokens", token, http.StatusCreated, &again, key(admin, "k3")...)
		if again.Secret != first.Secret {
			t.Errorf("the token is %+v, and was %+v", again, first)
		}
		var page auditPage
		l.call(http.MethodGet, "/api/audit?action=create-user&limit=1000", nil, http.StatusOK, &page, s.as(admin)...)
		var done, told int
		for _, e := range page.Entries {
			if e.Status == http.StatusCreated && e.Detail == "replayed" {
				told++
			} else if e.Status == http.StatusCreated {
				done++
			}
		}
		if done != 1 || told != len(replayed) {
			t.Errorf("the audit reports %d accounts made and %d answers repeated, of which there were %d", done, told, len(replayed))
		}
		l.stop()
	})
}

// TestMakeOnceAfterKill kills the service while it answers. The next service runs the same
// request again, after undoing what the first one did.
func TestMakeOnceAfterKill(t *testing.T) {
	t.Parallel()
	l := newRunningLab(t)
	n := l.create("source")
	path, body := "/api/nodes/"+n.ID+"/clone", request{"name": l.name("clone")}
	l.stop()
	l.dieDuring(beforeClone, http.MethodPost, path, body, "Idempotency-Key", "k")
	l.start()
	l.awaitNodes()
	var first, second api.Node
	if a := l.call(http.MethodPost, path, body, http.StatusCreated, &first, "Idempotency-Key", "k"); a.header.Get("Idempotency-Replayed") != "" {
		t.Errorf("what was cut off is answered with %v", a.header)
	}
	if a := l.call(http.MethodPost, path, body, http.StatusCreated, &second, "Idempotency-Key", "k"); a.header.Get("Idempotency-Replayed") != "true" || second.ID != first.ID {
		t.Errorf("then it is answered with %v %s", a.header, fmt.Sprint(second.ID, first.ID))
	}
	l.delete(first.ID)
	l.delete(n.ID)
	l.stop()
}
