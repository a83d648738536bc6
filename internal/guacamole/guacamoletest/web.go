package guacamoletest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Key is the json-secret-key that tests use.
const Key = "4c0b569e4c96df157eee1b65dd0e4d41"

// OpenIdentity is what Guacamole does with sealed data: it decrypts it and checks the
// signature.
func OpenIdentity(key, data string) ([]byte, error) {
	raw, err := hex.DecodeString(key)
	if err != nil {
		return nil, err
	}
	sealed, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, err
	}
	if len(sealed) == 0 || len(sealed)%aes.BlockSize != 0 {
		return nil, errors.New("the length is wrong")
	}
	cipher.NewCBCDecrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(sealed, sealed)
	padding := int(sealed[len(sealed)-1])
	if padding > aes.BlockSize || len(sealed)-padding < sha256.Size {
		return nil, errors.New("the padding is wrong")
	}
	sealed = sealed[:len(sealed)-padding]
	text := sealed[sha256.Size:]
	mac := hmac.New(sha256.New, raw)
	mac.Write(text)
	if !hmac.Equal(mac.Sum(nil), sealed[:sha256.Size]) {
		return nil, errors.New("the signature is wrong")
	}
	return text, nil
}

// OpenScreen is a screen that is open in Guacamole.
type OpenScreen struct {
	Token      string
	Connection int
}

// Web answers as Guacamole's web application was seen to: it opens a session for an
// identity once, continues with a live one, shows a session its own open screens, and ends
// sessions and screens. It renders no pages.
type Web struct {
	URL string // with Guacamole's usual path

	key    string
	server *httptest.Server

	mu      sync.Mutex
	used    map[string]bool
	live    map[string]string // user by token
	open    map[string]OpenScreen
	opened  int
	posts   int // identities that were sent
	fail    int // a status to answer everything with; 0: none
	delay   time.Duration
	problem []string
}

// NewWeb starts one whose json-secret-key is Key. It ends with the test.
func NewWeb(t testing.TB) *Web {
	t.Helper()
	w := &Web{key: Key, used: map[string]bool{}, live: map[string]string{}, open: map[string]OpenScreen{}}
	w.server = httptest.NewServer(w)
	w.URL = w.server.URL + "/guacamole"
	t.Cleanup(func() {
		w.server.Close()
		for _, p := range w.problem {
			t.Error(p)
		}
	})
	return w
}

// Close has it refuse connections.
func (w *Web) Close() { w.server.Close() }

// Restart forgets all sessions, as Guacamole does at each start.
func (w *Web) Restart() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.live)
	clear(w.open)
}

// Fail has everything answered with a status; 0 ends that.
func (w *Web) Fail(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail = status
}

// Delay has every answer wait.
func (w *Web) Delay(by time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delay = by
}

// SetKey changes the json-secret-key.
func (w *Web) SetKey(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.key = key
}

// Live returns the users of all sessions, by token.
func (w *Web) Live() map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.live)
}

// Posts is how many identities were sent.
func (w *Web) Posts() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.posts
}

// Open opens a screen in a session, as its page would.
func (w *Web) Open(token string, connection int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opened++
	w.open[fmt.Sprintf("screen-%d", w.opened)] = OpenScreen{token, connection}
}

// Screens returns the connections whose screens a session has open.
func (w *Web) Screens(token string) []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []int
	for _, s := range w.open {
		if s.Token == token {
			list = append(list, s.Connection)
		}
	}
	slices.Sort(list)
	return list
}

// ServeHTTP answers a request.
func (w *Web) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	delay := w.delay
	w.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != 0 {
		http.Error(rw, "{}", w.fail)
		return
	}
	const data = "/guacamole/api/session/data/postgresql/"
	user := w.live[r.Header.Get("Guacamole-Token")]
	token, named := strings.CutPrefix(r.URL.Path, "/guacamole/api/tokens/")
	switch {
	case r.URL.Path == "/guacamole/":
		_, _ = rw.Write([]byte("<!DOCTYPE html>"))
	case named && r.Method == http.MethodDelete:
		w.end(rw, token)
	case r.URL.Path == "/guacamole/api/tokens" && r.Method == http.MethodPost:
		w.signIn(rw, r)
	case !strings.HasPrefix(r.URL.Path, data):
		http.NotFound(rw, r)
	case user == "":
		http.Error(rw, "{}", http.StatusForbidden)
	case r.URL.Path == data+"self":
		answer(rw, map[string]any{"username": user, "attributes": map[string]any{}})
	case r.URL.Path == data+"activeConnections" && r.Method == http.MethodGet:
		list := map[string]any{}
		for id, s := range w.open {
			one := map[string]any{"identifier": id, "connectionIdentifier": fmt.Sprint(s.Connection), "startDate": 1, "connectable": true, "username": nil}
			if w.live[s.Token] == user {
				one["username"] = user
			}
			list[id] = one
		}
		answer(rw, list)
	case r.URL.Path == data+"activeConnections" && r.Method == http.MethodPatch:
		w.closeScreens(rw, r, user)
	default:
		http.NotFound(rw, r)
	}
}

func answer(rw http.ResponseWriter, v any) { _ = json.NewEncoder(rw).Encode(v) }

func (w *Web) end(rw http.ResponseWriter, token string) {
	if w.live[token] == "" {
		http.Error(rw, "{}", http.StatusNotFound)
		return
	}
	delete(w.live, token)
	maps.DeleteFunc(w.open, func(_ string, s OpenScreen) bool { return s.Token == token })
	rw.WriteHeader(http.StatusNoContent)
}

func (w *Web) signIn(rw http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(rw, "{}", http.StatusBadRequest)
		return
	}
	token, data := r.PostForm.Get("token"), r.PostForm.Get("data")
	w.posts++
	if w.live[token] == "" {
		var id struct {
			Username    string                     `json:"username"`
			Expires     int64                      `json:"expires"`
			SingleUse   bool                       `json:"singleUse"`
			Connections map[string]json.RawMessage `json:"connections"`
		}
		text, err := OpenIdentity(w.key, data)
		if err != nil || json.Unmarshal(text, &id) != nil || w.used[data] || id.Expires < time.Now().UnixMilli() {
			http.Error(rw, "{}", http.StatusForbidden)
			return
		}
		if !id.SingleUse || id.Expires > time.Now().Add(2*time.Minute).UnixMilli() || id.Connections == nil || len(id.Connections) != 0 {
			w.problem = append(w.problem, "identity "+string(text))
		}
		w.used[data] = true
		w.opened++
		token = fmt.Sprintf("TOKEN%d", w.opened)
		w.live[token] = id.Username
	}
	answer(rw, map[string]any{"authToken": token, "username": w.live[token], "dataSource": "json", "availableDataSources": []string{"json", "postgresql"}})
}

func (w *Web) closeScreens(rw http.ResponseWriter, r *http.Request, user string) {
	var operations []struct{ Op, Path string }
	if err := json.NewDecoder(r.Body).Decode(&operations); err != nil {
		http.Error(rw, "{}", http.StatusBadRequest)
		return
	}
	for _, o := range operations {
		id := strings.TrimPrefix(o.Path, "/")
		s, there := w.open[id]
		switch {
		case o.Op != "remove" || !there:
			http.Error(rw, "{}", http.StatusNotFound)
			return
		case w.live[s.Token] != user:
			http.Error(rw, "{}", http.StatusForbidden)
			return
		}
		delete(w.open, id)
	}
	rw.WriteHeader(http.StatusOK)
}
