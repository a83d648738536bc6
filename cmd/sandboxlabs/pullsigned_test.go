package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// signedLists are lists with the checksum of /good.qcow2, with valid and invalid
// signatures by a key that the catalogue trusts or by another one.
type signedLists struct {
	t            *testing.T
	known, other *openpgp.Entity
	files        map[string][]byte
	entries      []string // of the catalogue: the id, and the fields that give the checksum's location
}

func newSignedLists(t *testing.T, image []byte, url string) *signedLists {
	t.Helper()
	s := &signedLists{t: t, files: map[string][]byte{}}
	s.known, s.other = s.key(), s.key()
	list := fmt.Sprintf("SHA256 (good.qcow2) = %x\n", sha256.Sum256(image))
	wrong := "SHA256 (good.qcow2) = " + strings.Repeat("ab", 32) + "\n"
	detached := func(id, list string, signature []byte) {
		s.files["/"+id], s.files["/"+id+".gpg"] = []byte(list), signature
		s.entry(id, fmt.Sprintf("checksums: '%s/%s', signature: '%s/%s.gpg'", url, id, url, id))
	}
	inside := func(id, list string) {
		s.files["/"+id] = []byte(list)
		s.entry(id, fmt.Sprintf("checksums: '%s/%s'", url, id))
	}
	signature := s.detached(s.known, list)
	detached("signed", list, signature)
	detached("changed-list", list+wrong, signature)
	detached("other-key", list, s.detached(s.other, list))
	detached("other-file", list, s.detached(s.known, "another list\n"))
	detached("large-signature", list, bytes.Repeat(signature, 100))
	inside("clear-signed", wrong+s.clear(s.known, list)+wrong)
	inside("not-signed", list)
	inside("smuggled", strings.Replace(s.clear(s.known, "# nothing\n"), "\n\n", "\n"+list+"\n", 1))
	inside("smuggled-after", s.clear(s.known, "# nothing\n")+list)
	s.files["/no-signature"] = []byte(list)
	s.entry("no-signature", fmt.Sprintf("checksums: '%s/no-signature', signature: '%s/nowhere'", url, url))
	return s
}

// entry adds an image to the catalogue whose list must be signed by the trusted key.
func (s *signedLists) entry(id, more string) {
	s.entries = append(s.entries, fmt.Sprintf("- {id: %s, name: Test %s, format: qcow2, osType: linux, url: 'URL/good.qcow2', keys: known.asc, %s}\n", id, id, more))
}

func (s *signedLists) key() *openpgp.Entity {
	s.t.Helper()
	e, err := openpgp.NewEntity("Test", "", "test@example.org", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	if err != nil {
		s.t.Fatal(err)
	}
	return e
}

func (s *signedLists) detached(by *openpgp.Entity, text string) []byte {
	s.t.Helper()
	var out bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&out, []*openpgp.Entity{by}, strings.NewReader(text), nil); err != nil {
		s.t.Fatal(err)
	}
	return out.Bytes()
}

func (s *signedLists) clear(by *openpgp.Entity, text string) string {
	s.t.Helper()
	var out bytes.Buffer
	w, err := clearsign.Encode(&out, by.PrivateKey, nil)
	if err == nil {
		_, err = w.Write([]byte(text))
	}
	if err != nil || w.Close() != nil {
		s.t.Fatal(err)
	}
	return out.String()
}

// writeKeys writes the trusted key next to a catalogue.
func (s *signedLists) writeKeys(folder string) {
	s.t.Helper()
	var out bytes.Buffer
	w, err := armor.Encode(&out, openpgp.PublicKeyType, nil)
	if err == nil {
		err = s.known.Serialize(w)
	}
	if err != nil || w.Close() != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "known.asc"), out.Bytes(), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// pullSigned pulls images with valid signatures and expects the others to be refused.
func (l *lab) pullSigned() {
	l.t.Helper()
	for _, id := range []string{"signed", "clear-signed"} {
		l.awaitJob(l.startJob("/api/images/catalog/"+id+"/pull", nil).ID, "succeeded")
		l.call(http.MethodDelete, "/api/images/"+id, nil, http.StatusNoContent, nil)
	}
	for id, want := range map[string]string{
		"changed-list": "does not hold", "other-key": "none of the keys", "other-file": "does not hold", "large-signature": "larger than",
		"not-signed": "not signed", "smuggled": "not signed", "smuggled-after": "no single one", "no-signature": "404",
	} {
		j := l.awaitJob(l.startJob("/api/images/catalog/"+id+"/pull", nil).ID, "failed")
		if j.Error == nil || !strings.Contains(j.Error.Detail, want) || j.Attempt != 1 || (j.Error.Code != "signature_invalid" && j.Error.Code != "unsupported") {
			l.t.Errorf("%s: the job ended with %+v after %d attempts", id, j.Error, j.Attempt)
		}
	}
}
