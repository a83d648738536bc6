package guacamole

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/guacamole/guacamoletest"
)

const testKey = "4c0b569e4c96df157eee1b65dd0e4d41"

func TestSeal(t *testing.T) {
	secret, err := ParseSecret(testKey)
	if err != nil {
		t.Fatal(err)
	}
	got, err := secret.seal([]byte(`{"username":"alice","expires":1800000000000,"singleUse":true,"connections":{"vm-42":{"protocol":"vnc","parameters":{"hostname":"127.0.0.1","port":"5900"}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	// This is what openssl makes of it (dgst -mac HMAC, then enc -aes-128-cbc).
	const want = "wmnnBkohRwAw3D3EF16KXzA0bFr+7LFcs9gdbAO9riDsWWbB7GWntMHsQ2KMHRNvbZBsFd7CQsp7n9muOgq7cnCzlUo8E1+2vq+x7L+B0zjTHzwLndon5QSqtfMxZig/" +
		"TK5vIfjo2w/hr/Z5Kw6PABWBmyy0lKrZ3AehTwPFg2eHVaRnlgEWr/k7Mbot+9GLefHioMt9HXtuZjsJ8s0aFRK/IcFugBUKnGgjJGmuRwW3mjfcBxZ4+3QtbbR94VkV"
	if got != want {
		t.Errorf("sealed\n%s, want\n%s", got, want)
	}
	for size := range 40 { // every padding
		text := bytes.Repeat([]byte{'x'}, size)
		data, err := secret.seal(text)
		if err != nil {
			t.Fatal(err)
		}
		if opened, err := open(secret, data); err != nil || !bytes.Equal(opened, text) {
			t.Errorf("%d bytes: %q, %v", size, opened, err)
		}
	}
}

// open is what Guacamole does with sealed data.
func open(s Secret, data string) ([]byte, error) {
	sealed, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(s.key)
	if err != nil {
		return nil, err
	}
	cipher.NewCBCDecrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(sealed, sealed)
	padding := int(sealed[len(sealed)-1])
	if padding > aes.BlockSize || len(sealed)-padding < sha256.Size {
		return nil, errors.New("the padding is wrong")
	}
	sealed = sealed[:len(sealed)-padding]
	text := sealed[sha256.Size:]
	mac := hmac.New(sha256.New, s.key)
	mac.Write(text)
	if !hmac.Equal(mac.Sum(nil), sealed[:sha256.Size]) {
		return nil, errors.New("the signature is wrong")
	}
	return text, nil
}

func TestSecretIsNotPrinted(t *testing.T) {
	secret, err := ParseSecret(testKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprint(secret), fmt.Sprintf("%+v", Options{JSONSecret: secret}), fmt.Sprintf("%#v", secret)} {
		if strings.Contains(text, testKey[:6]) || strings.Contains(text, "76 11 86") {
			t.Errorf("printed: %s", text)
		}
	}
	for _, bad := range []string{"12", testKey + "00", strings.Replace(testKey, "4", "g", 1)} {
		if _, err := ParseSecret(bad); err == nil || strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestClientURL(t *testing.T) {
	for _, base := range []string{"https://host/guacamole", "https://host/guacamole/"} {
		u, err := url.Parse(base)
		if err != nil {
			t.Fatal(err)
		}
		s := &Service{o: Options{URL: u}}
		if got := s.clientURL(42); got != "https://host/guacamole/#/client/NDIAYwBwb3N0Z3Jlc3Fs" {
			t.Errorf("%s: %s", base, got)
		}
	}
}

func TestNames(t *testing.T) {
	long := strings.Repeat("ä", 200)
	for name, n := range map[string]Node{
		"plain": {ID: nodeID(1), Name: "web1", Host: "local"}, "long": {ID: nodeID(1), Name: long, Host: "local"},
		"long host": {ID: nodeID(1), Name: "web1", Host: long}, "broken": {ID: nodeID(1), Name: "a\x00\xff\nb", Host: "local"},
		"nothing": {ID: nodeID(1), Name: "\x00", Host: "local"},
	} {
		for _, off := range []bool{false, true} {
			names := connectionNames(n, off)
			for _, got := range names {
				if !utf8.ValidString(got) || utf8.RuneCountInString(got) > maxNameRunes || strings.ContainsAny(got, "\x00\n") || got == "" {
					t.Errorf("%s: %q", name, got)
				}
			}
			if last := names[len(names)-1]; !strings.Contains(last, n.ID) || strings.HasSuffix(last, offMark) != off {
				t.Errorf("%s: the last resort is %q", name, last)
			}
		}
	}
	if got := connectionNames(Node{ID: "1", Name: "web1", Host: "h"}, true)[0]; got != "web1 (off)" {
		t.Errorf("off: %q", got)
	}
}

func TestEscapeTokens(t *testing.T) {
	for value, want := range map[string]string{
		"plain12": "plain12", "$": "$", "${": "${", "a${GUAC_USERNAME}b": "a$${GUAC_USERNAME}b",
		"${A}${B:x}": "$${A}$${B:x}", "$${A}": "$$${A}", "${a b}": "${a b}",
	} {
		if got := escapeTokens(value); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

func TestAddress(t *testing.T) {
	for name, c := range map[string]struct {
		hosts        map[string]string
		listen, want string
	}{
		"as it listens":       {nil, "192.0.2.7", "192.0.2.7"},
		"anywhere":            {nil, "0.0.0.0", "127.0.0.1"},
		"anywhere, IPv6":      {nil, "::", "127.0.0.1"},
		"unknown":             {nil, "", "127.0.0.1"},
		"for all":             {map[string]string{"": "vm.example.org"}, "127.0.0.1", "vm.example.org"},
		"for this host":       {map[string]string{"": "x", "local": "y"}, "127.0.0.1", "y"},
		"for another, not it": {map[string]string{"other": "y"}, "127.0.0.1", "127.0.0.1"},
	} {
		s := &Service{o: Options{VNCHosts: c.hosts}}
		if got := s.address("local", c.listen); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// tokens answers POST and DELETE /api/tokens by Guacamole's rules: data opens a
// session once; with the token of a live session, that one goes on.
type tokens struct {
	t      *testing.T
	secret Secret

	mu     sync.Mutex
	used   map[string]bool
	live   map[string]string // user by token
	opened int
}

func (k *tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if token, ok := strings.CutPrefix(r.URL.Path, "/guacamole/api/tokens/"); ok && r.Method == http.MethodDelete {
		delete(k.live, token)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if r.Method != http.MethodPost || r.URL.Path != "/guacamole/api/tokens" || r.ParseForm() != nil {
		http.NotFound(w, r)
		return
	}
	token, data := r.PostForm.Get("token"), r.PostForm.Get("data")
	if k.live[token] == "" {
		var id struct {
			Username    string                     `json:"username"`
			Expires     int64                      `json:"expires"`
			SingleUse   bool                       `json:"singleUse"`
			Connections map[string]json.RawMessage `json:"connections"`
		}
		text, err := open(k.secret, data)
		if err != nil || json.Unmarshal(text, &id) != nil || k.used[data] || id.Expires < time.Now().UnixMilli() {
			http.Error(w, "{}", http.StatusForbidden)
			return
		}
		if !id.SingleUse || id.Expires > time.Now().Add(2*identityLife).UnixMilli() || id.Connections == nil || len(id.Connections) != 0 {
			k.t.Errorf("identity %s", text)
		}
		k.used[data] = true
		k.opened++
		token = fmt.Sprintf("TOKEN%d", k.opened)
		k.live[token] = id.Username
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"authToken": token, "username": k.live[token], "dataSource": "json", "availableDataSources": []string{"json", "postgresql"}})
}

func TestSignOn(t *testing.T) {
	secret, err := ParseSecret(testKey)
	if err != nil {
		t.Fatal(err)
	}
	k := &tokens{t: t, secret: secret, used: map[string]bool{}, live: map[string]string{}}
	web := httptest.NewServer(k)
	defer web.Close()
	g, l := guacamoletest.NewDatabase(t), newLab("ann", "bob")
	s := newService(t, g, l, func(o *Options) {
		o.JSONSecret = secret
		if o.URL, err = url.Parse(web.URL + "/guacamole"); err != nil {
			t.Fatal(err)
		}
	})
	one, two := l.run(1, "web1", 5901), l.run(2, "web2", 5902)
	ann, bob := Person{AccountID: "id-of-ann", Session: "s1"}, Person{AccountID: "id-of-bob", Session: "s2"}

	// Nothing was synced yet: the sign-on sees to it.
	first, err := s.SignOn(t.Context(), ann, one)
	if err != nil {
		t.Fatal(err)
	}
	link, _ := s.Link(one)
	if first != link.URL+"?token=TOKEN1" || k.live["TOKEN1"] != "ann" {
		t.Errorf("first: %s, %v", first, k.live)
	}
	// A second screen goes by the same session: the first one stays open.
	if second, err := s.SignOn(t.Context(), ann, two); err != nil || !strings.HasSuffix(second, "?token=TOKEN1") {
		t.Errorf("second: %s, %v", second, err)
	}
	// Another person is another one, in the same browser too.
	if other, err := s.SignOn(t.Context(), bob, one); err != nil || !strings.HasSuffix(other, "?token=TOKEN2") || k.live["TOKEN2"] != "bob" {
		t.Errorf("bob: %s, %v", other, err)
	}
	// Guacamole forgot its sessions, as at each start.
	k.mu.Lock()
	clear(k.live)
	k.mu.Unlock()
	if again, err := s.SignOn(t.Context(), ann, one); err != nil || !strings.HasSuffix(again, "?token=TOKEN3") {
		t.Errorf("after Guacamole's restart: %s, %v", again, err)
	}
	s.SignOut(t.Context(), ann)
	if len(k.live) != 0 {
		t.Errorf("after signing out: %v", k.live)
	}
	// Whose session ends without a word, by another password say, is signed out too.
	over := false
	carl := Person{AccountID: "id-of-ann", Session: "s3", Ended: func(context.Context) bool { return over }}
	if _, err := s.SignOn(t.Context(), carl, one); err != nil {
		t.Fatal(err)
	}
	if s.signOutEnded(t.Context()); len(k.live) != 1 {
		t.Errorf("while the session lasts: %v", k.live)
	}
	over = true
	if s.signOutEnded(t.Context()); len(k.live) != 0 {
		t.Errorf("after the session's end: %v", k.live)
	}

	if _, err := s.SignOn(t.Context(), ann, nodeID(9)); fault.CodeOf(err) != fault.Unsupported {
		t.Errorf("no screen: %v", err)
	}
	if _, err := s.SignOn(t.Context(), Person{AccountID: "stranger", Session: "s"}, one); fault.CodeOf(err) != fault.GuacamoleAway {
		t.Errorf("no user: %v", err)
	}
	k.secret = Secret{bytes.Repeat([]byte{1}, 16)}
	if _, err := s.SignOn(t.Context(), ann, one); fault.CodeOf(err) != fault.GuacamoleAway {
		t.Errorf("another key: %v", err)
	}

	// Guacamole cannot be reached from here: the browser takes the identity along.
	web.Close()
	alone, err := s.SignOn(t.Context(), ann, one)
	if err != nil {
		t.Fatal(err)
	}
	_, query, _ := strings.Cut(alone, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	text, err := open(secret, values.Get("data"))
	if err != nil || !strings.HasPrefix(alone, link.URL+"?") || !strings.Contains(string(text), `"username":"ann"`) ||
		!strings.Contains(string(text), `"singleUse":true,"connections":{}`) {
		t.Errorf("the browser's own: %s, %s, %v", alone, text, err)
	}
	s.o.JSONSecret = Secret{}
	if plain, err := s.SignOn(t.Context(), ann, one); err != nil || plain != link.URL {
		t.Errorf("without a key: %s, %v", plain, err)
	}
}
