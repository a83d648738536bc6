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
	"math/rand/v2"
	"net/url"
	"strconv"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

const (
	// dataSource is Guacamole's name for its PostgreSQL database.
	dataSource = "postgresql"
	// identityLife is how long an unused identity is valid. It allows for some difference
	// between the clocks of two machines.
	identityLife = time.Minute
)

// Secret is the key of Guacamole's JSON sign-on. It is never printed.
type Secret struct{ key []byte }

// ParseSecret parses the 32 hexadecimal digits of Guacamole's json-secret-key. It rejects
// an empty text.
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

// identity tells Guacamole who a user is. It contains no connections: the database has
// what the user may open.
type identity struct {
	Username    string   `json:"username"`
	Expires     int64    `json:"expires"` // ms since 1970
	SingleUse   bool     `json:"singleUse"`
	Connections struct{} `json:"connections"`
}

// seal signs and encrypts a text for Guacamole's JSON sign-on: HMAC and text, AES-128-CBC
// with the same key for both and a zero IV, in base64.
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

// clientURL returns the address of a connection's screen. It grants no access: Guacamole
// checks whether the user may open the connection.
func (s *Service) clientURL(connectionID int) string {
	id := base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(connectionID) + "\x00c\x00" + dataSource))
	return s.web.base + "/#/client/" + id
}

// Person is a user who wants to see a screen.
type Person struct {
	AccountID string
	// Entry names the session or token that they signed in with. SignOut ends what was
	// opened with it, as does a pass once Options.Ended reports that it has ended.
	Entry string
}

// SignOn returns an address that opens a node's screen directly.
//
// It signs the person in to Guacamole and passes the session to the browser, which then
// shows what this person may see, whoever used Guacamole in it before. All screens that
// the person opens share one session, across all replicas, since a new session would
// disconnect the screens of the old one. If the service cannot reach Guacamole, the
// browser signs in itself: the address contains an identity that can be used once, within
// a minute, but has no effect for someone who is already signed in to Guacamole.
//
// It fails with fault.GuacamoleAway, or fault.Unsupported for a node without a screen.
func (s *Service) SignOn(ctx context.Context, p Person, nodeID string) (string, error) {
	link, user, err := s.find(ctx, p, nodeID)
	if err != nil {
		return "", err
	}
	if s.o.JSONSecret.empty() {
		return link.URL, nil
	}
	data, err := s.identify(user)
	if err != nil {
		return "", err
	}
	token, err := s.session(ctx, p, user, data)
	switch {
	case errors.Is(err, errUnreachable) && ctx.Err() == nil:
		s.o.Log.InfoContext(ctx, "the service can't reach Guacamole: the browser signs in directly", "error", err)
		return link.URL + "?data=" + url.QueryEscape(data), nil
	case err != nil:
		return "", err
	}
	return link.URL + "?token=" + url.QueryEscape(token), nil
}

// identify returns the sealed identity of a user.
func (s *Service) identify(user string) (string, error) {
	// Guacamole accepts each identity once, and identities that two replicas create in the
	// same millisecond would be equal.
	life := identityLife - rand.N(identityLife/6) //nolint:gosec // it has to differ, and is not a secret
	text, err := json.Marshal(identity{Username: user, Expires: time.Now().Add(life).UnixMilli(), SingleUse: true})
	if err != nil {
		return "", err
	}
	return s.o.JSONSecret.seal(text)
}

// find returns a node's link and a person's user. If one is missing or may be out of date,
// it runs a pass first.
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

// known returns the same as find from memory; ok reports that both exist and are up to
// date.
func (s *Service) known(p Person, nodeID string) (link Link, user string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	link, user = s.links[nodeID], s.names[p.AccountID]
	return link, user, link.ConnectionID != 0 && user != "" && !s.dirty[nodeID]
}

// session returns the token of the person's session in Guacamole. It opens a session if
// there is no live one. It returns errUnreachable when Guacamole cannot be reached.
func (s *Service) session(ctx context.Context, p Person, user, data string) (string, error) {
	old, token, found, err := s.sessions.find(ctx, p)
	if err != nil {
		return "", err
	}
	if found {
		if old.Ending {
			return "", fault.New(fault.GuacamoleAway, "Your earlier session in Guacamole is being ended. Sign in again, or try again in a moment.")
		}
	}
	if token != "" {
		if live, err := s.web.alive(ctx, user, token); err != nil || live {
			return token, err
		}
	}
	fresh, err := s.web.signIn(ctx, user, data)
	if err != nil {
		return "", err
	}
	won, err := s.sessions.put(ctx, p, user, fresh, old)
	if won && err == nil {
		if token != "" { // of a renamed account, if it is live at all
			s.endQuietly(ctx, token)
		}
		return fresh, nil
	}
	// A session that is not stored could not be ended later.
	s.endQuietly(ctx, fresh)
	if err != nil {
		return "", err
	}
	_, token, found, err = s.sessions.find(ctx, p)
	if err == nil && !found {
		err = fault.New(fault.GuacamoleAway, "Your session in Guacamole has just been ended. Try again.")
	}
	return token, err
}

// endQuietly ends a session that is not stored.
func (s *Service) endQuietly(ctx context.Context, token string) {
	if err := s.web.end(context.WithoutCancel(ctx), token); err != nil {
		s.o.Log.WarnContext(ctx, "a session in Guacamole could not be ended; it ends by Guacamole's own time limit", "error", err)
	}
}

// endOver ends what was opened with sessions or tokens that have ended: because of signing
// out, a changed password, a disabled account or a revoked token. The next pass retries
// what could not be ended.
func (s *Service) endOver(ctx context.Context) {
	rows, err := s.sessions.all(ctx, nil)
	if err != nil {
		s.o.Log.WarnContext(ctx, "the sessions in Guacamole cannot be looked through", "error", err)
		return
	}
	for _, row := range rows {
		over := row.Ending
		if !over {
			if over, err = s.o.Ended(ctx, row.Entry); err != nil {
				s.o.Log.WarnContext(ctx, "whether a session has ended cannot be told", "account", row.Account, "error", err)
				continue
			}
		}
		if over {
			s.end(ctx, row)
		}
	}
}

// end ends a stored session, and deletes its row once it has ended.
func (s *Service) end(ctx context.Context, row session) {
	token, err := s.sessions.token(row)
	if err != nil {
		s.o.Log.WarnContext(ctx, "a session in Guacamole cannot be ended; it ends by Guacamole's own time limit", "account", row.Account, "error", err)
	} else {
		err = s.web.end(ctx, token)
	}
	if err == nil || token == "" {
		err = s.sessions.forget(ctx, row)
	}
	if err != nil {
		s.o.Log.WarnContext(ctx, "a session in Guacamole could not be ended yet; the next pass tries again", "account", row.Account, "error", err)
	}
}

// SignOut ends what a person opened in Guacamole with this session, including open
// screens. While Guacamole does not answer, each pass retries.
func (s *Service) SignOut(ctx context.Context, p Person) {
	row, _, found, err := s.sessions.find(ctx, p)
	if err == nil && found {
		err = s.sessions.markEnding(ctx, row)
	}
	if err != nil {
		s.o.Log.WarnContext(ctx, "a session in Guacamole could not be ended", "error", err)
		return
	}
	if found {
		s.end(ctx, row)
	}
}

// closeScreens closes the screens of a connection that some accounts have open. It must be
// called before their right is revoked, because Guacamole does not list the screens of
// connections that a user must not open. If it fails, the whole session is ended.
func (s *Service) closeScreens(ctx context.Context, connectionID int, accounts []string, report *Report) error {
	if s.o.JSONSecret.empty() || len(accounts) == 0 {
		return nil
	}
	rows, err := s.sessions.all(ctx, accounts)
	if err != nil {
		return err
	}
	for _, row := range rows {
		err := report.webProblem // tried once per pass, so that revoking rights does not wait for it
		if err == nil {
			var token string
			if token, err = s.sessions.token(row); err == nil {
				err = s.web.closeScreens(ctx, row.Username, token, connectionID)
				report.webProblem = err
			}
		}
		if err == nil {
			continue
		}
		s.o.Log.InfoContext(ctx, "the screens of a revoked right could not be closed one by one: the session is ended", "account", row.Account, "error", err)
		if err := s.sessions.markEnding(ctx, row); err != nil {
			return err
		}
	}
	return nil
}
