// Package openid authenticates users at an OpenID Connect provider: with the code flow,
// PKCE, state and nonce.
//
// A flow is the browser's own: what belongs to it is encrypted in a cookie, so that the
// answer of a flow that another browser began is refused, and the service keeps nothing of
// flows that no one ends.
package openid

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/outbound"
)

const (
	// FlowLifetime limits the time for the sign-in at the provider.
	FlowLifetime = 10 * time.Minute

	answerTimeout  = 15 * time.Second // of an answer of the provider
	maxAnswerBytes = 1 << 20
	flowPurpose    = "openid-flow"
	maxFlowBytes   = 3500 // of a cookie, which browsers bound at 4096
	maxGroups      = 1000
)

// Vault encrypts the flow in the browser's cookie.
type Vault interface {
	Seal(purpose, text string) (sealed string, err error)
	Open(purpose, sealed string) (text string, err error)
}

// Options are what a Client works with; all but GroupsClaim, Scopes, Roots, Now and
// Timeout are required.
type Options struct {
	Issuer       string // the provider's URL, as its discovery document has it
	ClientID     string
	ClientSecret string
	RedirectURL  string // of the service, that the provider sends the browser back to
	Scopes       []string
	GroupsClaim  string         // "groups" when empty
	Roots        *x509.CertPool // that the provider's HTTPS is checked by; nil: the system's
	Vault        Vault
	Now          func() time.Time // nil is time.Now
	Timeout      time.Duration    // of an answer of the provider; 0 is 15 s
}

// Identity is a user according to the provider.
type Identity struct {
	Issuer, Subject string
	Name            string // preferred_username, else the e-mail address; may be empty
	Groups          []string
}

// Client asks one provider. It reads the provider's description when it is needed
// first, and again until it has it. All methods may be called from any goroutine.
type Client struct {
	o    Options
	http *http.Client

	turn     chan struct{}  // one slot: who holds it may look at provider
	provider *oidc.Provider // nil: not known yet
}

// flow is what the browser keeps between leaving and coming back.
type flow struct {
	State    string    `json:"state"`
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"`
	Next     string    `json:"next"`
	Expires  time.Time `json:"expires"`
}

// New returns a Client. It asks the provider nothing yet.
func New(o Options) (*Client, error) {
	if o.Issuer == "" || o.ClientID == "" || o.ClientSecret == "" || o.RedirectURL == "" || o.Vault == nil {
		return nil, errors.New("openid: an option is missing")
	}
	if o.GroupsClaim == "" {
		o.GroupsClaim = "groups"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if !slices.Contains(o.Scopes, oidc.ScopeOpenID) {
		o.Scopes = append([]string{oidc.ScopeOpenID}, o.Scopes...)
	}
	if o.Timeout == 0 {
		o.Timeout = answerTimeout
	}
	client := outbound.NewClient(outbound.Options{Timeout: o.Timeout, MaxBytes: maxAnswerBytes, Roots: o.Roots})
	return &Client{o: o, http: client, turn: make(chan struct{}, 1)}, nil
}

// Begin returns where to send the browser, and the cookie's value for Finish. next is
// handed back by Finish. It returns fault.SourceUnavailable when the provider does not
// answer.
func (c *Client) Begin(ctx context.Context, next string) (url, cookie string, err error) {
	config, _, err := c.config(ctx)
	if err != nil {
		return "", "", err
	}
	f := flow{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Next: next, Expires: c.o.Now().Add(FlowLifetime)}
	text, err := json.Marshal(f)
	if err != nil {
		return "", "", fmt.Errorf("encode a sign-in at the provider: %w", err)
	}
	if cookie, err = c.o.Vault.Seal(flowPurpose, string(text)); err != nil {
		return "", "", fmt.Errorf("encrypt a sign-in at the provider: %w", err)
	}
	if len(cookie) > maxFlowBytes {
		return "", "", fault.Field("next", "The address in \"next\" is too long.")
	}
	return config.AuthCodeURL(f.State, oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)), cookie, nil
}

// Answer is what the provider sent the browser back with.
type Answer struct {
	State, Code string
	Error       string // the provider's word for why there is no code
}

// Finish ends the flow that Begin's cookie is of, and returns who came back and where they
// wanted to go. It returns fault.Unauthenticated for an answer that does not belong to the
// cookie's flow, or that the provider does not stand by, and fault.SourceUnavailable when
// the provider cannot be asked.
func (c *Client) Finish(ctx context.Context, cookie string, a Answer) (id Identity, next string, err error) {
	f, err := c.flowOf(cookie, a.State)
	if err != nil {
		return Identity{}, "", err
	}
	if a.Error != "" || a.Code == "" {
		return Identity{}, f.Next, fault.Wrap(fmt.Errorf("the provider answered %q", brief(a.Error)), fault.Unauthenticated, "The provider refused the sign-in.")
	}
	config, provider, err := c.config(ctx)
	if err != nil {
		return Identity{}, f.Next, err
	}
	ctx = oidc.ClientContext(ctx, c.http)
	token, err := config.Exchange(ctx, a.Code, oauth2.VerifierOption(f.Verifier))
	if err != nil {
		return Identity{}, f.Next, explain(err)
	}
	raw, _ := token.Extra("id_token").(string)
	proof, err := provider.Verifier(&oidc.Config{ClientID: c.o.ClientID, Now: c.o.Now}).Verify(ctx, raw)
	if err != nil {
		return Identity{}, f.Next, refused(errors.New(brief(err.Error())))
	}
	if subtle.ConstantTimeCompare([]byte(proof.Nonce), []byte(f.Nonce)) != 1 {
		return Identity{}, f.Next, refused(errors.New("the nonce is another"))
	}
	claims := map[string]any{}
	if err := proof.Claims(&claims); err != nil {
		return Identity{}, f.Next, refused(err)
	}
	if err := c.addUserInfo(ctx, provider, token, proof.Subject, claims); err != nil {
		return Identity{}, f.Next, err
	}
	name := text(claims["preferred_username"])
	if name == "" {
		name = text(claims["email"])
	}
	return Identity{Issuer: proof.Issuer, Subject: proof.Subject, Name: name, Groups: texts(claims[c.o.GroupsClaim])}, f.Next, nil
}

// addUserInfo adds claims that many providers only return from the user info endpoint, such
// as groups.
func (c *Client) addUserInfo(ctx context.Context, provider *oidc.Provider, token *oauth2.Token, subject string, claims map[string]any) error {
	if provider.UserInfoEndpoint() == "" {
		return nil
	}
	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return explain(err)
	}
	if info.Subject != subject {
		return refused(errors.New("the user info is of another subject"))
	}
	more := map[string]any{}
	if err := info.Claims(&more); err != nil {
		return refused(err)
	}
	for name, value := range more {
		if _, told := claims[name]; !told { // what is signed comes first
			claims[name] = value
		}
	}
	return nil
}

// flowOf opens the cookie of a flow that is not over, and whose state came back.
func (c *Client) flowOf(cookie, state string) (flow, error) {
	over := fault.New(fault.Unauthenticated, "This sign-in was started in another browser, or took too long. Start again.")
	opened, err := c.o.Vault.Open(flowPurpose, cookie)
	if err != nil {
		return flow{}, over
	}
	var f flow
	if err := json.Unmarshal([]byte(opened), &f); err != nil || !c.o.Now().Before(f.Expires) {
		return flow{}, over
	}
	if subtle.ConstantTimeCompare([]byte(f.State), []byte(state)) != 1 {
		return flow{}, over
	}
	return f, nil
}

// config reads the provider's description, unless it is known.
func (c *Client) config(ctx context.Context) (*oauth2.Config, *oidc.Provider, error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	if c.provider == nil {
		// Not by the request's own context, which the provider would keep.
		provider, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), c.http), c.o.Issuer)
		if err != nil {
			return nil, nil, away(errors.New(brief(err.Error())))
		}
		c.provider = provider
	}
	return &oauth2.Config{
		ClientID: c.o.ClientID, ClientSecret: c.o.ClientSecret, Endpoint: c.provider.Endpoint(), RedirectURL: c.o.RedirectURL, Scopes: c.o.Scopes,
	}, c.provider, nil
}

// explain distinguishes a provider that refuses from one that is unreachable.
func explain(err error) error {
	var answer *oauth2.RetrieveError
	if errors.As(err, &answer) && answer.Response != nil && answer.Response.StatusCode < http.StatusInternalServerError {
		return refused(fmt.Errorf("status %d, %q", answer.Response.StatusCode, brief(answer.ErrorCode))) // its body may hold what we sent
	}
	cause := errors.New("the exchange with the provider failed")
	if why := outbound.Reason(err); why != nil {
		cause = fmt.Errorf("%w: %w", cause, why)
	}
	return away(cause)
}

func away(cause error) error {
	return fault.Wrap(cause, fault.SourceUnavailable, "The sign-in provider doesn't respond. Try again in a moment, or sign in with a password.")
}

func refused(cause error) error {
	return fault.Wrap(cause, fault.Unauthenticated, "The provider's response is not valid, so you are not signed in. Try again; if it happens again, ask an administrator.")
}

// brief cuts what the provider said for the log.
func brief(word string) string {
	const most = 400
	if len(word) > most {
		word = word[:most]
	}
	return strings.ToValidUTF8(word, "?")
}

func text(claim any) string {
	s, _ := claim.(string)
	return s
}

// texts reads a claim that is one text, or a list of them.
func texts(claim any) []string {
	switch v := claim.(type) {
	case string:
		return []string{v}
	case []any:
		var list []string
		for _, one := range v[:min(len(v), maxGroups)] {
			if s, ok := one.(string); ok {
				list = append(list, s)
			}
		}
		return list
	}
	return nil
}
