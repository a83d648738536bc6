package images

import (
	"os"
	"strings"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/download"
)

// TestKeys has the key of Ubuntu's images check what Ubuntu has published, and
// every file of keys be read. What was signed with SHA-1, as in 2022, is refused.
func TestKeys(t *testing.T) {
	t.Parallel()
	files, err := Keys.ReadDir("keys")
	if err != nil || len(files) < 2 {
		t.Fatalf("%d files of keys: %v", len(files), err)
	}
	for _, file := range files {
		if _, err := download.ParseKeys(read(t, Keys.ReadFile, "keys/"+file.Name())); err != nil {
			t.Errorf("%s: %v", file.Name(), err)
		}
	}
	keys, err := download.ParseKeys(read(t, Keys.ReadFile, "keys/ubuntu-cloud-images.asc"))
	if err != nil {
		t.Fatal(err)
	}
	list, signature := read(t, os.ReadFile, "testdata/SHA256SUMS"), read(t, os.ReadFile, "testdata/SHA256SUMS.gpg")
	if err := keys.Check(list, signature); err != nil {
		t.Error(err)
	}
	if err := keys.Check(read(t, os.ReadFile, "testdata/SHA256SUMS.2022"), read(t, os.ReadFile, "testdata/SHA256SUMS.2022.gpg")); err == nil || !strings.Contains(err.Error(), "SHA-1") {
		t.Errorf("a signature with SHA-1: %v", err)
	}
	list[0] ^= 1
	if keys.Check(list, signature) == nil {
		t.Error("a changed list passes")
	}
}

func read(t *testing.T, from func(string) ([]byte, error), name string) []byte {
	t.Helper()
	text, err := from(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
