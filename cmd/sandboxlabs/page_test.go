package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// listed are the paginated lists by path: the fields with the items, and the field that
// identifies an item.
var listed = map[string]struct {
	members []string
	field   string
}{
	"/api/users":    {[]string{"users"}, "name"},
	"/api/groups":   {[]string{"groups"}, "name"},
	"/api/tokens":   {[]string{"tokens"}, "id"},
	"/api/images":   {[]string{"baseImages", "customImages"}, "id"},
	"/api/labs":     {[]string{"labs"}, "id"},
	"/api/networks": {[]string{"networks"}, "name"},
	"/api/hosts":    {[]string{"hosts"}, "name"},
	"/api/nodes":    {[]string{"nodes"}, "name"},
	"/api/jobs":     {[]string{"jobs"}, "id"},
	"/api/audit":    {[]string{"entries"}, "id"},
}

// page reads a page of a list, and returns the items that choose selects.
func (l *lab) page(path string, query url.Values, choose func(string) bool) (names []string, next string) {
	l.t.Helper()
	var body map[string]any
	l.call(http.MethodGet, path+"?"+query.Encode(), nil, http.StatusOK, &body)
	for _, member := range listed[path].members {
		list, ok := body[member].([]any)
		if !ok {
			l.t.Fatalf("%s: %s is %v", path, member, body[member])
		}
		for _, v := range list {
			if name := fmt.Sprint(v.(map[string]any)[listed[path].field]); choose(name) {
				names = append(names, name)
			}
		}
	}
	next, _ = body["nextCursor"].(string)
	return names, next
}

// TestPagesOfLists reads each list at once, and page by page.
func TestPagesOfLists(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	s.token = s.bearer[admin]
	file := filepath.Join(t.TempDir(), "disk.qcow2")
	if err := os.WriteFile(file, s.qemuImage("1M"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := s.run("image", "add", file, "--base", "another"); code != 0 {
		t.Fatalf("image add: exit code %d\n%s", code, out)
	}
	s.call(http.MethodPost, "/api/hosts/local/refresh", nil, http.StatusOK, nil)
	for i := range 3 {
		n := fmt.Sprint(i)
		s.uploaded("disk"+n, s.qemuImage("1M"))
		s.call(http.MethodPost, "/api/users", request{"name": "person" + n, "role": "student"}, http.StatusCreated, nil)
		s.call(http.MethodPost, "/api/groups", request{"name": "group" + n}, http.StatusCreated, nil)
		s.call(http.MethodPost, "/api/tokens", request{"name": "all the same"}, http.StatusCreated, nil)
		s.call(http.MethodPost, "/api/labs/import", request{"sandboxlabs": "lab/1", "name": "all the same"}, http.StatusAccepted, nil)
		s.call(http.MethodPost, "/api/networks", request{"name": s.name("net" + n)}, http.StatusCreated, nil)
		s.call(http.MethodPost, "/api/nodes", request{"name": s.name("node" + n), "baseImage": "another", "resources": request{"ram": 64}}, http.StatusCreated, nil)
	}
	until(t, promptly, said("the labs are imported"), func() bool {
		var active struct{ Jobs []api.Job }
		s.call(http.MethodGet, "/api/jobs?state=active", nil, http.StatusOK, &active)
		return len(active.Jobs) == 0
	})
	for path := range listed {
		// Other tests on this machine create and delete nodes meanwhile.
		ours := func(name string) bool {
			return path != "/api/networks" && path != "/api/nodes" || strings.HasPrefix(name, s.prefix)
		}
		all, next := s.page(path, url.Values{}, ours)
		if next != "" && path != "/api/audit" {
			t.Errorf("%s is not answered as a whole", path)
		}
		want := map[string]int{"/api/hosts": 1, "/api/images": 5, "/api/users": 4, "/api/tokens": 4, "/api/audit": 24}
		if least, ok := want[path]; !ok && len(all) != 3 || ok && len(all) < least {
			t.Errorf("%s has %q", path, all)
		}
		for _, limit := range []string{"1", "2"} {
			var got []string
			query := url.Values{"limit": {limit}}
			for {
				some, next := s.page(path, query, ours)
				if len(some) > int(limit[0]-'0') {
					t.Errorf("%s: a page of %s has %q", path, limit, some)
				}
				if got = append(got, some...); next == "" {
					break
				}
				query.Set("cursor", next)
			}
			if !slices.Equal(got, all) {
				t.Errorf("%s by pages of %s is\n%q, as a whole\n%q", path, limit, got, all)
			}
		}
		bad := refusal{http.StatusUnprocessableEntity, "invalid_request", "cursor: use the nextCursor of the previous page"}
		for _, cursor := range []string{"..", "x", "bm8tbGlzdABh"} {
			s.refused(http.MethodGet, path+"?cursor="+cursor, nil, bad)
		}
		for _, limit := range []string{"0", "-1", "1001", "many"} {
			s.refused(http.MethodGet, path+"?limit="+limit, nil, refusal{http.StatusUnprocessableEntity, "invalid_request", ""})
		}
	}
	for i := range 3 {
		s.call(http.MethodDelete, "/api/networks/"+s.name("net"+fmt.Sprint(i)), nil, http.StatusNoContent, nil)
	}
}

// TestEveryListHasPages compares the OpenAPI document with listed, so that each new list
// is either paginated or bounded.
func TestEveryListHasPages(t *testing.T) {
	t.Parallel()
	// The catalogue file, the sessions and sign-in methods of one account, and the running
	// nodes limit these lists.
	bounded := []string{"/api/images/catalog", "/api/auth/sessions", "/api/auth/methods", "/api/figures", "/api/settings"}
	for path, item := range description(t).Paths {
		get, ok := item["get"]
		if !ok || strings.Contains(path, "{") || slices.Contains(bounded, path) {
			continue
		}
		_, paged := listed[path]
		paged = paged || path == "/api/changes" // TestPagesOfLists reads all of it
		var named []string
		for _, p := range get.Parameters {
			named = append(named, p.Name)
		}
		if has := slices.Contains(named, "limit") && slices.Contains(named, "cursor"); has != paged {
			t.Errorf("GET %s takes %q", path, named)
		}
	}
}
