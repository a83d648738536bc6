// Package openidtest runs a real OpenID Connect provider on its own port, for tests: the
// certified library of Zitadel with people that a test chooses.
package openidtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"sync"
	"testing"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// The client that the provider knows.
const (
	ClientID     = "sandboxlabs"
	ClientSecret = "a-secret-of-the-client"
)

// Person is someone who may sign in at the provider.
type Person struct {
	ID, Name, Password string
	Groups             []string
}

// Provider is a running one.
type Provider struct {
	Issuer string
	server *httptest.Server
	people []Person

	replaced sync.Map // handlers by path
}

var setUp sync.Mutex

// Start starts a provider that sends browsers back only to redirect, and stops it when the
// test ends.
func Start(t testing.TB, redirect string, people ...Person) *Provider {
	t.Helper()
	var handler http.Handler
	p := &Provider{people: people}
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if other, ok := p.replaced.Load(r.URL.Path); ok {
			other.(http.Handler).ServeHTTP(w, r)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(p.server.Close)
	p.Issuer = p.server.URL
	clients := map[string]*storage.Client{ClientID: storage.WebClient(ClientID, ClientSecret, redirect)}
	store := groupStorage{storage.NewStorageWithClients(p, clients), p}
	// The library's set-up writes a variable that all its providers share.
	setUp.Lock()
	defer setUp.Unlock()
	handler = exampleop.SetupServer(p.Issuer, store, slog.New(slog.DiscardHandler), false)
	return p
}

// Stop takes the provider off the network; the test's end does so, too.
func (p *Provider) Stop() { p.server.Close() }

// Replace lets another handler answer at one path of the provider.
func (p *Provider) Replace(path string, h http.Handler) { p.replaced.Store(path, h) }

// SetGroups changes the groups of a person at the provider.
func (p *Provider) SetGroups(id string, groups ...string) {
	for i := range p.people {
		if p.people[i].ID == id {
			p.people[i].Groups = groups
		}
	}
}

// Browser is a client that keeps cookies, and follows redirects only when it is told.
func Browser() *http.Client {
	jar, _ := cookiejar.New(nil) // it never fails without options
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

var requestID = regexp.MustCompile(`name="id" value="([^"]+)"`)

// SignIn goes from the provider's address, to which a service sent the browser, through
// the provider's own sign-in to the address that it sends the browser back to.
func (p *Provider) SignIn(ctx context.Context, browser *http.Client, address, name, password string) (back string, err error) {
	page, location, err := get(ctx, browser, address)
	if err != nil {
		return "", err
	}
	if location == "" {
		return "", fmt.Errorf("the provider shows no sign-in but %q", page)
	}
	if page, _, err = get(ctx, browser, location); err != nil {
		return "", err
	}
	id := requestID.FindStringSubmatch(page)
	if id == nil {
		return "", fmt.Errorf("the provider's page asks for no sign-in: %q", page)
	}
	form := url.Values{"id": {id[1]}, "username": {name}, "password": {password}}
	res, err := browser.PostForm(p.Issuer+"/login/username", form) //nolint:noctx // a test's browser
	if err != nil {
		return "", err
	}
	_ = res.Body.Close()
	location = res.Header.Get("Location")
	if location == "" {
		return "", errors.New("the provider does not take name and password")
	}
	_, back, err = get(ctx, browser, location)
	return back, err
}

// get reads a page, or where it sends the browser.
func get(ctx context.Context, browser *http.Client, address string) (page, location string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", "", err
	}
	res, err := browser.Do(req)
	if err != nil {
		return "", "", err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return "", "", err
	}
	if location := res.Header.Get("Location"); location != "" {
		absolute, err := req.URL.Parse(location)
		return "", absolute.String(), err
	}
	return string(body), "", nil
}

var _ storage.UserStore = (*Provider)(nil)

// GetUserByID returns one of the provider's people.
func (p *Provider) GetUserByID(id string) *storage.User {
	for _, one := range p.people {
		if one.ID == id {
			return &storage.User{ID: one.ID, Username: one.Name, Password: one.Password, Email: one.ID + "@example.org"}
		}
	}
	return nil
}

// GetUserByUsername returns one of the provider's people.
func (p *Provider) GetUserByUsername(name string) *storage.User {
	for _, one := range p.people {
		if one.Name == name {
			return p.GetUserByID(one.ID)
		}
	}
	return nil
}

// ExampleClientID is a service's that does not sign in here.
func (p *Provider) ExampleClientID() string { return "none" }

// groupStorage tells groups, too.
type groupStorage struct {
	*storage.Storage
	provider *Provider
}

var _ op.Storage = groupStorage{}

// SetUserinfoFromToken adds the groups to what the user info endpoint tells.
func (s groupStorage) SetUserinfoFromToken(ctx context.Context, info *oidc.UserInfo, tokenID, subject, origin string) error {
	if err := s.Storage.SetUserinfoFromToken(ctx, info, tokenID, subject, origin); err != nil {
		return err
	}
	for _, one := range s.provider.people {
		if one.ID == subject {
			info.AppendClaims("groups", one.Groups)
		}
	}
	return nil
}
