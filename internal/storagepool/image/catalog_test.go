package image

import (
	"os"
	"strings"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/images"
)

func TestParseCatalog(t *testing.T) {
	t.Parallel()
	key, err := images.Keys.ReadFile("keys/fedora-43.asc")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"key.asc": key, "empty.asc": nil}
	read := func(name string) ([]byte, error) {
		if text, ok := files[name]; ok {
			return text, nil
		}
		return nil, os.ErrNotExist
	}
	const list, sum = "checksums: 'https://a/SUMS'", "checksum: '" + "abababababababababababababababababababababababababababababababab" + "'"
	for _, test := range []struct{ name, entry, refused string }{
		{"nothing to pull", "id: a", ""},
		{"a checksum", "id: a, url: 'https://a/b', " + sum, ""},
		{"a list", "id: a, url: 'https://a/b', " + list, ""},
		{"a list that holds its signature", "id: a, url: 'https://a/b', keys: key.asc, " + list, ""},
		{"a signature beside it", "id: a, url: 'https://a/b', keys: key.asc, signature: 'https://a/SUMS.gpg', " + list, ""},
		{"neither", "id: a, url: 'https://a/b'", "neither checksum nor checksums"},
		{"a checksum of another length", "id: a, url: 'https://a/b', checksum: abab", "SHA-256"},
		{"a file of this machine", "id: a, url: 'file:///etc/passwd', " + sum, "its url"},
		{"a list of this machine", "id: a, url: 'https://a/b', checksums: 'file:///etc/passwd'", "its checksums"},
		{"a signature of this machine", "id: a, url: 'https://a/b', keys: key.asc, signature: 'file:///etc/passwd', " + list, "its signature"},
		{"a signature by nobody", "id: a, url: 'https://a/b', signature: 'https://a/SUMS.gpg', " + list, "no keys"},
		{"keys, and no list", "id: a, url: 'https://a/b', keys: key.asc, " + sum, "could have signed"},
		{"keys that are not there", "id: a, url: 'https://a/b', keys: other.asc, " + list, "its keys"},
		{"keys that are none", "id: a, url: 'https://a/b', keys: empty.asc, " + list, "its keys"},
		{"a path for an id", "id: ../a", "not a plain name"},
		{"an id twice", "id: a}\n- {id: a", "there twice"},
		{"no list of images", "id: [", "read the catalogue"},
	} {
		entries, err := ParseCatalog([]byte("- {"+test.entry+"}\n"), read)
		if test.refused == "" {
			if err != nil || len(entries) != 1 || entries[0].Signed() != strings.Contains(test.entry, "keys:") {
				t.Errorf("%s: %+v, %v", test.name, entries, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), test.refused) {
			t.Errorf("%s: %v, want …%s…", test.name, err, test.refused)
		}
	}
	entries, err := ParseCatalog(images.Catalog, images.Keys.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if want := strings.HasPrefix(e.ID, "ubuntu") || strings.HasPrefix(e.ID, "fedora"); e.Signed() != want {
			t.Errorf("%s: signed is %v", e.ID, e.Signed())
		}
	}
}
