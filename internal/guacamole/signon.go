package guacamole

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/outbound"
)

const (
	// dataSource is the name under which Guacamole knows its PostgreSQL database.
	dataSource = "postgresql"
	// identityLife is how long an identity that nobody used is good for. Clocks of
	// two machines may differ by some of it.
	identityLife = time.Minute
	// signOnTimeout bounds a request to Guacamole.
	signOnTimeout = 3 * time.Second
	// tokenLife is after how much silence a token is forgotten; Guacamole's own
	// default is an hour.
	tokenLife = 12 * time.Hour
	// maxAnswerBytes bounds what is read of an answer of Guacamole's.
	maxAnswerBytes = 64 << 10
)

// Secret is the key of Guacamole's JSON sign-on. It is never printed.
type Secret struct{ key []byte }

// ParseSecret reads the 32 hexadecimal digits of Guacamole's json-secret-key.
// An empty text is no key.
func ParseSecret(text string) (Secret, error) {
	if text == "" {
		return Secret{}, nil
	}
	key, err := hex.DecodeString(text)
	if err != nil || len(key) != aes.BlockSize {
		return Secret{}, errors.New("the key must be 32 hexadecimal digits, as in Guacamole's json-secret-key; `openssl rand -hex 16` makes one")
	}
	return Secret{key}, nil
}

// String hides the key.
func (s Secret) String() string { return "(secret)" }

// GoString hides the key.
func (s Secret) GoString() string { return s.String() }

func (s Secret) empty() bool { return len(s.key) == 0 }

// identity tells Guacamole who somebody is. It holds no connections: what a
// person may open is in the database.
type identity struct {
	Username    string   `json:"username"`
	Expires     int64    `json:"expires"` // ms since 1970
	SingleUse   bool     `json:"singleUse"`
	Connections struct{} `json:"connections"`
}

// seal signs and encrypts a text in the way of Guacamole's JSON sign-on: HMAC and
// text, AES-128-CBC with one key for both and no IV, in base64.
func (s Secret) seal(text []byte) (string, error) {
	block, err := aes.NewCipher(s.key)
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, s.key)
	mac.Write(text)
	plain := append(mac.Sum(nil), text...)
	padding := aes.BlockSize - len(plain)%aes.BlockSize
	plain = append(plain, bytes.Repeat([]byte{byte(padding)}, padding)...)
	cipher.NewCBCEncrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(plain, plain)
	return base64.StdEncoding.EncodeToString(plain), nil
}

// clientURL is the address of a connection's screen. It grants nothing: Guacamole
// asks whether the person may open the connection.
func (s *Service) clientURL(connectionID int) string {
	id := base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(connectionID) + "\x00c\x00" + dataSource))
	return s.base() + "/#/client/" + id
}

func (s *Service) base() string { return strings.TrimRight(s.o.URL.String(), "/") }

// Person is who wants to see a screen.
type Person struct {
	AccountID string
	// Session names what they signed in with; SignOut ends what was opened by it.
	Session string
	// Ended tells that it is over, by whatever way: what was opened by it ends within
	// seconds. Nil: it never is.
	Ended func(context.Context) bool
}

func (p Person) key() string { return p.AccountID + "\x00" + p.Session }

// token is a session of Guacamole's.
type token struct {
	person Person
	value  string
	used   time.Time
}

// SignOn returns an address that takes a person straight to a node's screen.
//
// It signs the person in to Guacamole and hands the session over, so that the
// browser shows what this person may see, whoever used Guacamole in it before.
// The session is one for all screens that the person opens: a new one would cut
// off the screens of the old. Where Guacamole does not answer the service, the
// browser signs in by itself: the address carries an identity that is good once,
// for a minute, but has no effect on somebody who is signed in to Guacamole.
//
// It answers fault.GuacamoleAway, and fault.Unsupported for a node
// without a screen.
func (s *Service) SignOn(ctx context.Context, p Person, nodeID string) (string, error) {
	link, user, err := s.find(ctx, p, nodeID)
	if err != nil {
		return "", err
	}
	if s.o.JSONSecret.empty() {
		return link.URL, nil
	}
	text, err := json.Marshal(identity{Username: user, Expires: time.Now().Add(identityLife).UnixMilli(), SingleUse: true})
	if err != nil {
		return "", err
	}
	data, err := s.o.JSONSecret.seal(text)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	old := s.tokens[p.key()].value
	s.mu.Unlock()
	value, err := s.session(ctx, user, data, old)
	var away *url.Error
	switch {
	case errors.As(err, &away) && ctx.Err() == nil:
		s.o.Log.InfoContext(ctx, "Guacamole does not answer the service: the browser signs in to it by itself", "error", away.Err)
		return link.URL + "?data=" + url.QueryEscape(data), nil
	case err != nil:
		return "", err
	}
	s.mu.Lock()
	for key, t := range s.tokens {
		if time.Since(t.used) > tokenLife {
			delete(s.tokens, key)
		}
	}
	s.tokens[p.key()] = token{p, value, time.Now()}
	s.mu.Unlock()
	return link.URL + "?token=" + url.QueryEscape(value), nil
}

// find returns a node's link and a person's user. What is not there yet, or may
// be out of date, is brought in step first.
func (s *Service) find(ctx context.Context, p Person, nodeID string) (Link, string, error) {
	link, user, ok := s.known(p, nodeID)
	if !ok {
		if _, err := s.Sync(ctx); err != nil {
			return Link{}, "", fault.Wrap(err, fault.GuacamoleAway, "Guacamole's database does not answer. The node itself is not affected; try again later.")
		}
		link, user, _ = s.known(p, nodeID)
	}
	switch {
	case link.ConnectionID == 0:
		return Link{}, "", fault.New(fault.Unsupported, "The node has no VNC screen that Guacamole could show.")
	case user == "":
		return Link{}, "", fault.New(fault.GuacamoleAway, "Your account has no user in Guacamole yet. The service's log says why.")
	}
	return link, user, nil
}

// known is find from memory; ok tells that both are there and up to date.
func (s *Service) known(p Person, nodeID string) (link Link, user string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	link, user = s.links[nodeID], s.names[p.AccountID]
	return link, user, link.ConnectionID != 0 && user != "" && !s.dirty[nodeID]
}

// session signs a user in to Guacamole, or finds that the session old is still
// good. It answers *url.Error when Guacamole cannot be reached.
func (s *Service) session(ctx context.Context, user, data, old string) (string, error) {
	form := url.Values{"data": {data}}
	if old != "" {
		form.Set("token", old)
	}
	status, answer, err := s.post(ctx, form)
	if errors.Is(err, outbound.ErrRedirect) {
		return "", fault.Wrap(outbound.ErrRedirect, fault.GuacamoleAway, "Guacamole redirects the sign-on to another server, so it was not sent. An administrator should set guacamole-url to the address that Guacamole has.")
	}
	if errors.Is(err, outbound.ErrTooLarge) {
		return "", badAnswer(outbound.ErrTooLarge)
	}
	if err != nil {
		return "", err
	}
	var session struct {
		Token string `json:"authToken"`
		User  string `json:"username"`
	}
	if status != http.StatusOK || json.Unmarshal(answer, &session) != nil || session.Token == "" || session.User != user {
		if old != "" { // somebody else's by now, or broken: begin anew
			return s.session(ctx, user, data, "")
		}
		cause := fmt.Errorf("POST %s/api/tokens answered %d", s.base(), status)
		return "", fault.Wrap(cause, fault.GuacamoleAway, "Guacamole did not accept the sign-on. An administrator should compare guacamole-json-secret with Guacamole's json-secret-key, and the clocks.")
	}
	return session.Token, nil
}

func (s *Service) post(ctx context.Context, form url.Values) (status int, answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, signOnTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base()+"/api/tokens", strings.NewReader(form.Encode()))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := s.http.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if answer, err = io.ReadAll(resp.Body); err != nil {
		return 0, nil, badAnswer(err)
	}
	return resp.StatusCode, answer, nil
}

func badAnswer(cause error) error {
	return fault.Wrap(cause, fault.GuacamoleAway, "Guacamole's answer to the sign-on is too large or not complete. Try again; if it stays, an administrator should check guacamole-url.")
}

// signOutEnded ends what was opened by sessions that are over: by a changed password,
// an account that is disabled, or a token that is revoked, of which nobody tells.
func (s *Service) signOutEnded(ctx context.Context) {
	s.mu.Lock()
	var people []Person
	for _, t := range s.tokens {
		if t.person.Ended != nil {
			people = append(people, t.person)
		}
	}
	s.mu.Unlock()
	for _, p := range people {
		if p.Ended(ctx) {
			s.SignOut(ctx, p)
		}
	}
}

// SignOut ends what a person opened in Guacamole by this session, open screens
// included. A Guacamole that does not answer is not waited for: its session ends
// by its own time limit.
func (s *Service) SignOut(ctx context.Context, p Person) {
	s.mu.Lock()
	t, there := s.tokens[p.key()]
	delete(s.tokens, p.key())
	s.mu.Unlock()
	if !there {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, signOnTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodDelete, s.base()+"/api/tokens/"+url.PathEscape(t.value), nil)
	if err == nil {
		var resp *http.Response
		if resp, err = s.http.Do(r); err == nil {
			err = resp.Body.Close()
		}
	}
	var away *url.Error
	if errors.As(err, &away) {
		err = away.Err // without the address, which holds the token
	}
	if err != nil {
		s.o.Log.WarnContext(ctx, "a session in Guacamole could not be ended", "error", err)
	}
}
