package download

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// signer makes a key. Without a config it is valid, from an hour ago.
func signer(t *testing.T, config *packet.Config) *openpgp.Entity {
	t.Helper()
	if config == nil {
		config = at(-time.Hour)
	}
	config.Algorithm = packet.PubKeyAlgoEdDSA
	e, err := openpgp.NewEntity("Signer", "", "signer@example.org", config)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func at(ago time.Duration) *packet.Config {
	return &packet.Config{Time: func() time.Time { return time.Now().Add(ago) }}
}

// exported is what `gpg --armor --export` writes.
func exported(t *testing.T, secret bool, list ...*openpgp.Entity) []byte {
	t.Helper()
	kind := openpgp.PublicKeyType
	if secret {
		kind = openpgp.PrivateKeyType
	}
	var text bytes.Buffer
	w, err := armor.Encode(&text, kind, nil)
	for _, e := range list {
		if err != nil {
			break
		}
		if err = e.Serialize(w); secret {
			err = e.SerializePrivate(w, nil)
		}
	}
	if err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

func signature(t *testing.T, by *openpgp.Entity, text string, config *packet.Config, armored bool) []byte {
	t.Helper()
	var out bytes.Buffer
	sign := openpgp.DetachSignWithParams
	if armored {
		sign = openpgp.ArmoredDetachSign
	}
	if err := sign(&out, []*openpgp.Entity{by}, strings.NewReader(text), &openpgp.SignParams{Config: config}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func clearSigned(t *testing.T, by *openpgp.Entity, text string) string {
	t.Helper()
	var out bytes.Buffer
	w, err := clearsign.Encode(&out, by.PrivateKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	return out.String()
}

func parsed(t *testing.T, list ...*openpgp.Entity) *Keys {
	t.Helper()
	k, err := ParseKeys(exported(t, false, list...))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestCheckingASignature(t *testing.T) {
	t.Parallel()
	const list = "abcd  f.img\n"
	good, other := signer(t, nil), signer(t, nil)
	expired := signer(t, &packet.Config{Time: at(-48 * time.Hour).Time, KeyLifetimeSecs: 24 * 60 * 60})
	revoked := signer(t, nil)
	byRevoked := signature(t, revoked, list, nil, true)
	if err := revoked.Revoke(packet.KeyCompromised, "", nil); err != nil {
		t.Fatal(err)
	}
	keys := parsed(t, other, good)
	for _, test := range []struct {
		name      string
		keys      *Keys
		list      string
		signature []byte
		detail    string // empty: it holds
	}{
		{"armoured", keys, list, signature(t, good, list, nil, true), ""},
		{"not armoured", keys, list, signature(t, good, list, nil, false), ""},
		{"the list was changed", keys, "abce  f.img\n", signature(t, good, list, nil, true), "does not hold"},
		{"the list has a line more", keys, list + "abcd  g.img\n", signature(t, good, list, nil, true), "does not hold"},
		{"of another file", keys, list, signature(t, good, "another list\n", nil, true), "does not hold"},
		{"by another key", parsed(t, other), list, signature(t, good, list, nil, true), "none of the keys"},
		{"from the future", keys, list, signature(t, good, list, at(time.Hour), true), "does not hold"},
		{"its own time is over", keys, list, signature(t, good, list, &packet.Config{Time: at(-30 * time.Minute).Time, SigLifetimeSecs: 60}, true), "does not hold"},
		{"the key has expired since", parsed(t, expired), list, signature(t, expired, list, at(-36*time.Hour), true), "expired"},
		{"the key was revoked", parsed(t, revoked), list, byRevoked, "revoked"},
		{"empty", keys, list, nil, "none of the keys"},
		{"a web page", keys, list, []byte("<html>not found</html>"), "does not hold"},
		{"half a signature", keys, list, signature(t, good, list, nil, true)[:120], "does not hold"},
		{"a key in its place", keys, list, exported(t, false, good), "is none"},
		{"none, in its armour", keys, list, []byte("-----BEGIN PGP SIGNATURE-----\n"), "is none"},
	} {
		err := test.keys.Check([]byte(test.list), test.signature)
		if test.detail == "" && err == nil {
			continue
		}
		if test.detail == "" || fault.CodeOf(err) != fault.SignatureInvalid || !strings.Contains(err.Error(), test.detail) {
			t.Errorf("%s: %v, want …%s…", test.name, err, test.detail)
		}
	}
}

// TestWhatOfAListIsSigned has lists that hold their signature, with more around it.
func TestWhatOfAListIsSigned(t *testing.T) {
	t.Parallel()
	const list = "SHA256 (f.img) = abcd\n- a line with a hyphen\n"
	const more = "SHA256 (f.img) = ef01\n"
	good := signer(t, nil)
	keys, signed := parsed(t, good), clearSigned(t, good, list)
	for name, text := range map[string]string{
		"alone":               signed,
		"a line before it":    more + signed,
		"a line after it":     signed + more,
		"another one's after": signed + clearSigned(t, signer(t, nil), more),
	} {
		got, err := keys.Signed([]byte(text))
		if plain := strings.ReplaceAll(string(got), "\r\n", "\n"); err != nil || strings.TrimSuffix(plain, "\n") != strings.TrimSuffix(list, "\n") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for name, text := range map[string]string{
		"not signed":           list,
		"a line in it":         strings.Replace(signed, "SHA256 (f.img) = abcd\n", "SHA256 (f.img) = abcd\n"+more, 1),
		"a line in its header": strings.Replace(signed, "\n\n", "\n"+more+"\n", 1),
		"a changed line":       strings.Replace(signed, "= abcd", "= abce", 1),
		"another one's before": clearSigned(t, signer(t, nil), more) + signed,
		"no signature":         signed[:strings.Index(signed, "-----BEGIN PGP SIGNATURE")],
		"an empty signature":   signed[:strings.Index(signed, "-----BEGIN PGP SIGNATURE")] + "-----BEGIN PGP SIGNATURE-----\n\n-----END PGP SIGNATURE-----\n",
	} {
		if got, err := keys.Signed([]byte(text)); fault.CodeOf(err) != fault.SignatureInvalid {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestParseKeys(t *testing.T) {
	t.Parallel()
	one := exported(t, false, signer(t, nil))
	for name, text := range map[string][]byte{
		"empty": nil, "text": []byte("a key"), "two blocks": append(append([]byte{}, one...), one...),
		"a secret key": exported(t, true, signer(t, nil)), "cut off": one[:len(one)/2],
	} {
		if _, err := ParseKeys(text); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
