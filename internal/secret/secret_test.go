package secret

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	k := In(t.TempDir())
	sealed, err := k.Seal("totp:ann", "the secret")
	if err != nil {
		t.Fatal(err)
	}
	if !IsSealed(sealed) || strings.Contains(sealed, "the secret") {
		t.Fatalf("sealed as %q", sealed)
	}
	if again, err := k.Seal("totp:ann", "the secret"); err != nil || again == sealed {
		t.Errorf("sealing twice gives the same: %v", err)
	}
	if info, err := os.Stat(k.Path()); err != nil || info.Mode().Perm() != fileMode {
		t.Errorf("the key file: %v, %v", info, err)
	}
	other := In(filepath.Dir(k.Path())) // another process
	if text, err := other.Open("totp:ann", sealed); err != nil || text != "the secret" {
		t.Errorf("opened as %q, %v", text, err)
	}
	if _, err := k.Open("totp:bob", sealed); err == nil {
		t.Error("it opens for another purpose")
	}
	for _, bad := range []string{"", "the secret", "sealed:", sealed[:len(sealed)-4], sealed[:len(sealed)-1] + "%", strings.ToUpper(sealed[:20]) + sealed[20:]} {
		if text, err := k.Open("totp:ann", bad); err == nil {
			t.Errorf("%q opened as %q", bad, text)
		}
	}
	if _, err := In(t.TempDir()).Open("totp:ann", sealed); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("without the key file: %v", err)
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	k := In(t.TempDir())
	running := In(filepath.Dir(k.Path())) // a service that has read the keys before
	before, err := running.Seal("x", "one")
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Rotate(); err != nil {
		t.Fatal(err)
	}
	if newest, err := k.IsNewest(before); err != nil || newest {
		t.Errorf("the key before is the newest: %v", err)
	}
	after, err := k.Seal("x", "two")
	if err != nil {
		t.Fatal(err)
	}
	for sealed, want := range map[string]string{before: "one", after: "two"} {
		for _, keys := range []*Keys{k, running} {
			if text, err := keys.Open("x", sealed); err != nil || text != want {
				t.Errorf("opened as %q, %v; want %q", text, err, want)
			}
		}
	}
	fresh, err := running.Seal("x", "three")
	if err != nil {
		t.Fatal(err)
	}
	if newest, err := k.IsNewest(fresh); err != nil || !newest {
		t.Errorf("the running service seals by a key before: %v", err)
	}
	if n, err := k.Prune(); err != nil || n != 1 {
		t.Errorf("removed %d keys, %v", n, err)
	}
	if _, err := In(filepath.Dir(k.Path())).Open("x", before); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("a removed key opens: %v", err)
	}
	if n, err := k.Prune(); err != nil || n != 0 {
		t.Errorf("removed %d keys again, %v", n, err)
	}
}

// TestFirstKeyIsMadeOnce has several processes seal at once where there is no key yet.
func TestFirstKeyIsMadeOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sealed := make([]string, 16)
	var all sync.WaitGroup
	for i := range sealed {
		all.Go(func() {
			var err error
			if sealed[i], err = In(dir).Seal("x", "text"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, text := range sealed {
		if _, err := In(dir).Open("x", text); err != nil {
			t.Errorf("a text cannot be opened: %v", err)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("in the folder are %v, %v", left, err)
	}
}

func TestDamagedFile(t *testing.T) {
	t.Parallel()
	k := In(t.TempDir())
	if err := os.WriteFile(k.Path(), []byte("no key\n"), fileMode); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Seal("x", "text"); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("a damaged file: %v", err)
	}
}
