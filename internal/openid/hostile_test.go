package openid

import (
	"encoding/json"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/openid/openidtest"
	"github.com/sandboxlabs/sandboxlabs/internal/outbound/outboundtest"
)

const discovery = "/.well-known/openid-configuration"

// endpointsOf are the paths of a provider that the service itself asks.
func endpointsOf(t *testing.T, p *openidtest.Provider) map[string]string {
	t.Helper()
	res, err := http.Get(p.Issuer + discovery)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var document map[string]any
	if err := json.NewDecoder(res.Body).Decode(&document); err != nil {
		t.Fatal(err)
	}
	endpoints := map[string]string{"discovery": discovery}
	for name, field := range map[string]string{"JWKS": "jwks_uri", "token": "token_endpoint", "userinfo": "userinfo_endpoint"} {
		u, err := url.Parse(text(document[field]))
		if err != nil || u.Path == "" {
			t.Fatalf("%s: %v, %v", field, document[field], err)
		}
		endpoints[name] = u.Path
	}
	return endpoints
}

// TestHostileProvider lets one endpoint of a real provider misbehave, each in each way:
// the sign-in fails, little is read, and another origin gets neither code nor secret.
func TestHostileProvider(t *testing.T) {
	const most = maxAnswerBytes + 64<<20 // what the sockets on the way may hold besides
	for _, name := range []string{"discovery", "JWKS", "token", "userinfo"} {
		for _, kind := range outboundtest.Kinds() {
			t.Run(name+", "+string(kind), func(t *testing.T) {
				p := openidtest.Start(t, callback, openidtest.Person{ID: "1", Name: "ann", Password: "the password of ann"})
				hostile, asked := outboundtest.New(t, kind), atomic.Bool{}
				path := endpointsOf(t, p)[name]
				p.Replace(path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					asked.Store(true)
					hostile.ServeHTTP(w, r)
				}))
				c := newClient(t, p.Issuer, func(o *Options) {
					if kind == outboundtest.Silent {
						o.Timeout = 3 * time.Second
					}
				})
				want := fault.SourceUnavailable
				switch name {
				case "discovery":
					_, _, err := c.Begin(t.Context(), "/")
					wantCode(t, name, err, want)
				case "JWKS": // the library's error does not say that the keys are missing
					want = fault.Unauthenticated
					fallthrough
				default:
					cookie, a := goThrough(t, c, p, "/", "ann", "the password of ann")
					id, _, err := c.Finish(t.Context(), cookie, a)
					wantCode(t, name, err, want)
					if id.Subject != "" {
						t.Errorf("signed in as %+v", id)
					}
				}
				if !asked.Load() {
					t.Errorf("%s was not asked", path)
				}
				if hostile.Followed.Load() != 0 {
					t.Error("the request was sent to another origin")
				}
				if sent := hostile.Sent.Load(); sent > most {
					t.Errorf("the provider could send %d bytes", sent)
				}
			})
		}
	}
}
