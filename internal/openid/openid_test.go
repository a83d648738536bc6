package openid

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/openid/openidtest"
	"github.com/sandboxlabs/sandboxlabs/internal/secret"
)

const callback = "http://127.0.0.1:9/api/auth/oidc/callback" // the tests' browsers do not go there

func newClient(t *testing.T, issuer string, change func(*Options)) *Client {
	t.Helper()
	o := Options{
		Issuer: issuer, ClientID: openidtest.ClientID, ClientSecret: openidtest.ClientSecret, RedirectURL: callback,
		Scopes: []string{"profile", "email"}, Vault: secret.In(t.TempDir()),
	}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// goThrough begins a flow and signs in at the provider.
func goThrough(t *testing.T, c *Client, p *openidtest.Provider, next, name, password string) (cookie string, a Answer) {
	t.Helper()
	to, cookie, err := c.Begin(t.Context(), next)
	if err != nil {
		t.Fatal(err)
	}
	back, err := p.SignIn(t.Context(), openidtest.Browser(), to, name, password)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(back)
	if err != nil || !strings.HasPrefix(back, callback+"?") {
		t.Fatalf("the provider sends the browser to %q, %v", back, err)
	}
	return cookie, Answer{State: u.Query().Get("state"), Code: u.Query().Get("code"), Error: u.Query().Get("error")}
}

func wantCode(t *testing.T, what string, err error, want fault.Code) {
	t.Helper()
	if fault.CodeOf(err) != want {
		t.Errorf("%s: error = %v, want code %q", what, err, want)
	}
}

// TestFlow goes through the whole flow with a provider, and through those that an
// attacker would like to.
func TestFlow(t *testing.T) {
	p := openidtest.Start(t, callback,
		openidtest.Person{ID: "1", Name: "ann", Password: "the password of ann", Groups: []string{"class", "staff"}},
		openidtest.Person{ID: "2", Name: "eve", Password: "the password of eve"},
	)
	ctx := t.Context()
	now := time.Now()
	c := newClient(t, p.Issuer, func(o *Options) { o.Now = func() time.Time { return now } })

	to, _, err := c.Begin(ctx, "/")
	if err != nil {
		t.Fatal(err)
	}
	asked, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	q := asked.Query()
	if q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) < 40 || len(q.Get("state")) < 20 || len(q.Get("nonce")) < 20 || q.Get("redirect_uri") != callback {
		t.Errorf("the browser is sent to %s", to)
	}

	cookie, a := goThrough(t, c, p, "/nodes?x=1", "ann", "the password of ann")
	for _, secret := range []string{a.State, "/nodes"} {
		if strings.Contains(cookie, secret) {
			t.Errorf("the cookie shows %q", secret)
		}
	}
	id, next, err := c.Finish(ctx, cookie, a)
	if err != nil {
		t.Fatal(err)
	}
	if id.Issuer != p.Issuer || id.Subject != "1" || id.Name != "ann" || !slices.Equal(id.Groups, []string{"class", "staff"}) || next != "/nodes?x=1" {
		t.Errorf("%+v, to %q", id, next)
	}
	_, _, err = c.Finish(ctx, cookie, a)
	wantCode(t, "the same code again", err, fault.Unauthenticated)

	// What does not belong together.
	mine, right := goThrough(t, c, p, "/", "ann", "the password of ann")
	evils, evil := goThrough(t, c, p, "/", "eve", "the password of eve")
	for what, try := range map[string]struct {
		cookie string
		Answer
	}{
		"no cookie":                                  {"", right},
		"another browser's cookie":                   {evils, right},
		"a cookie that was changed":                  {mine[:len(mine)-2] + "AA", right},
		"another state":                              {mine, Answer{State: "x" + right.State, Code: right.Code}},
		"no state":                                   {mine, Answer{Code: right.Code}},
		"another's code, put into my flow":           {mine, Answer{State: right.State, Code: evil.Code}},
		"a code that was guessed":                    {mine, Answer{State: right.State, Code: "guess"}},
		"refused at the provider":                    {mine, Answer{State: right.State, Error: "access_denied"}},
		"a refusal for another user, without cookie": {"", Answer{State: right.State, Error: "access_denied"}},
	} {
		id, _, err := c.Finish(ctx, try.cookie, try.Answer)
		wantCode(t, what, err, fault.Unauthenticated)
		if id.Subject != "" {
			t.Errorf("%s: %+v", what, id)
		}
	}
	other := newClient(t, p.Issuer, nil) // another service, with other keys
	_, _, err = other.Finish(ctx, mine, right)
	wantCode(t, "the cookie of another service", err, fault.Unauthenticated)

	cookie, a = goThrough(t, c, p, "/", "ann", "the password of ann")
	now = now.Add(FlowLifetime)
	_, _, err = c.Finish(ctx, cookie, a)
	wantCode(t, "too late", err, fault.Unauthenticated)

	_, _, err = c.Begin(ctx, "/"+strings.Repeat("x", 5000))
	wantCode(t, "a long way", err, fault.Invalid)
}

// TestProviderIsAway: the provider is asked when it is needed first, and again.
func TestProviderIsAway(t *testing.T) {
	p := openidtest.Start(t, callback, openidtest.Person{ID: "1", Name: "ann", Password: "the password of ann"})
	c := newClient(t, p.Issuer, nil)
	cookie, a := goThrough(t, c, p, "/", "ann", "the password of ann")
	p.Stop()
	_, _, err := c.Finish(t.Context(), cookie, a)
	wantCode(t, "the exchange", err, fault.SourceUnavailable)
	if strings.Contains(err.Error(), openidtest.ClientSecret) || strings.Contains(err.Error(), a.Code) {
		t.Errorf("the error tells secrets: %v", err)
	}
	_, _, err = newClient(t, p.Issuer, nil).Begin(t.Context(), "/")
	wantCode(t, "the description", err, fault.SourceUnavailable)
}

// TestWrongSecret: a client that the provider does not know learns nothing.
func TestWrongSecret(t *testing.T) {
	p := openidtest.Start(t, callback, openidtest.Person{ID: "1", Name: "ann", Password: "the password of ann"})
	c := newClient(t, p.Issuer, func(o *Options) { o.ClientSecret = "another-secret" })
	cookie, a := goThrough(t, c, p, "/", "ann", "the password of ann")
	_, _, err := c.Finish(t.Context(), cookie, a)
	wantCode(t, "the exchange", err, fault.Unauthenticated)
	if strings.Contains(err.Error(), "another-secret") {
		t.Errorf("the error tells the secret: %v", err)
	}
}

func TestNewNeedsItsOptions(t *testing.T) {
	if _, err := New(Options{Issuer: "https://id.example.org"}); err == nil {
		t.Error("New took no client")
	}
}
