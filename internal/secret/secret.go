// Package secret encrypts what has to be stored and read again, such as the
// shared secrets of second factors, by the keys in a file. Whoever has the
// database only, or a copy of it, can read none of it.
package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Prefix begins every sealed text.
const Prefix = "sealed:"

const (
	keyBytes = 32 // AES-256
	idBytes  = 4  // names a key; nothing is derived from it
	fileMode = 0o600
	maxKeys  = 64
)

// ErrUnknownKey is returned for a text whose key is not in the file.
var ErrUnknownKey = errors.New("the key that it was encrypted by is not in the key file")

// key is one key of a file.
type key struct {
	id   string // hex
	aead cipher.AEAD
	text string // as it stands in the file
}

// Keys are the keys of one file, the newest first: it encrypts, the others still
// decrypt. The file is read when it is needed, and again when a text's key is not
// known, since another process may have added one. All methods may be called from
// any goroutine.
type Keys struct {
	path string

	mu   sync.Mutex
	list []key // nil: not read yet
}

// In returns the keys of the file "secrets.key" in a folder. Nothing is read or
// made yet.
func In(dir string) *Keys { return &Keys{path: filepath.Join(dir, "secrets.key")} }

// Path is where the key file is.
func (k *Keys) Path() string { return k.path }

// IsSealed returns whether a text looks like one that Seal returned.
func IsSealed(text string) bool { return strings.HasPrefix(text, Prefix) }

// Seal encrypts a text for one purpose: Open wants the same one, so that a text
// that is moved elsewhere in the database opens nothing. The file and its first
// key are made when they are absent.
func (k *Keys) Seal(purpose, text string) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	// Read each time: a process that has run since before a rotation must not continue
	// with the key before.
	if err := k.read(); err != nil {
		return "", err
	}
	if len(k.list) == 0 {
		if err := k.add(); err != nil {
			return "", err
		}
	}
	newest := k.list[0]
	box := newest.aead.Seal(nil, nil, []byte(text), []byte(purpose))
	return Prefix + newest.id + ":" + base64.RawURLEncoding.EncodeToString(box), nil
}

// Open decrypts what Seal returned. It answers ErrUnknownKey when the file lacks
// the key, and another error for a text that was changed or is for something else.
func (k *Keys) Open(purpose, sealed string) (string, error) {
	id, box, err := parse(sealed)
	if err != nil {
		return "", err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	i := k.index(id)
	if i < 0 {
		if err := k.read(); err != nil {
			return "", err
		}
		if i = k.index(id); i < 0 {
			return "", fmt.Errorf("%w %s; copy the file from the backup or the replica that has it", ErrUnknownKey, k.path)
		}
	}
	text, err := k.list[i].aead.Open(nil, nil, box, []byte(purpose))
	if err != nil {
		return "", errors.New("an encrypted text was changed, or belongs to something else")
	}
	return string(text), nil
}

// IsNewest returns whether a sealed text is encrypted by the newest key.
func (k *Keys) IsNewest(sealed string) (bool, error) {
	id, _, err := parse(sealed)
	if err != nil {
		return false, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.read(); err != nil {
		return false, err
	}
	return len(k.list) > 0 && k.list[0].id == id, nil
}

// Rotate adds a key, which encrypts from then on; those before it stay until Prune.
func (k *Keys) Rotate() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.read(); err != nil {
		return err
	}
	if len(k.list) >= maxKeys {
		return fmt.Errorf("the key file %s holds %d keys: remove the old ones first", k.path, len(k.list))
	}
	return k.add()
}

// Prune removes all keys but the newest, and returns how many. What they
// encrypted cannot be read any more.
func (k *Keys) Prune() (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.read(); err != nil || len(k.list) < 2 {
		return 0, err
	}
	removed := len(k.list) - 1
	return removed, k.write(k.list[:1])
}

// add makes a key and writes the file; the caller holds the lock.
func (k *Keys) add() error {
	raw := make([]byte, idBytes+keyBytes)
	_, _ = rand.Read(raw) // never fails
	fresh, err := newKey(hex.EncodeToString(raw[:idBytes]) + ":" + base64.RawURLEncoding.EncodeToString(raw[idBytes:]))
	if err != nil {
		return err
	}
	return k.write(append([]key{fresh}, k.list...))
}

// read reads the file; a file that is not there holds no key.
func (k *Keys) read() error {
	content, err := os.ReadFile(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		k.list = nil
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the key file: %w", err)
	}
	var list []key
	for line := range strings.FieldsSeq(string(content)) {
		one, err := newKey(line)
		if err != nil {
			return fmt.Errorf("the key file %s is damaged: restore it from a backup", k.path)
		}
		list = append(list, one)
	}
	k.list = list
	return nil
}

// write replaces the file by one of these keys, at once or not at all. The first
// file of all is only made where there is none: of two processes that do so at
// once, the later one takes over what the other made.
func (k *Keys) write(list []key) error {
	if err := os.MkdirAll(filepath.Dir(k.path), 0o700); err != nil {
		return fmt.Errorf("make the folder of the key file: %w", err)
	}
	temporary, err := os.CreateTemp(filepath.Dir(k.path), ".secrets-*") // 0600
	if err != nil {
		return fmt.Errorf("write the key file: %w", err)
	}
	defer func() { _ = os.Remove(temporary.Name()) }() // gone already after a rename
	for _, one := range list {
		if _, err = temporary.WriteString(one.text + "\n"); err != nil {
			break
		}
	}
	err = errors.Join(err, giveToOwner(temporary), temporary.Chmod(fileMode), temporary.Sync(), temporary.Close())
	if err != nil {
		return fmt.Errorf("write the key file: %w", err)
	}
	if len(k.list) == 0 {
		err = os.Link(temporary.Name(), k.path)
		if errors.Is(err, fs.ErrExist) {
			return k.read()
		}
	} else {
		err = os.Rename(temporary.Name(), k.path)
	}
	if err != nil {
		return fmt.Errorf("write the key file: %w", err)
	}
	k.list = list
	return nil
}

// giveToOwner gives a file that root makes to the owner of its folder: a command is
// run by root, where the service runs as a separate user.
func giveToOwner(f *os.File) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(filepath.Dir(f.Name()))
	if err != nil {
		return err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		return f.Chown(int(owner.Uid), int(owner.Gid))
	}
	return nil
}

func (k *Keys) index(id string) int {
	return slices.IndexFunc(k.list, func(one key) bool { return one.id == id })
}

// newKey reads a line of the file: the key's name and the key.
func newKey(line string) (key, error) {
	id, text, found := strings.Cut(line, ":")
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if !found || err != nil || len(raw) != keyBytes || len(id) != 2*idBytes {
		return key{}, errors.New("not a key")
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return key{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return key{id: id, aead: aead, text: line}, err
}

// parse takes a sealed text apart.
func parse(sealed string) (id string, box []byte, err error) {
	rest, found := strings.CutPrefix(sealed, Prefix)
	id, text, cut := strings.Cut(rest, ":")
	if !found || !cut {
		return "", nil, errors.New("not an encrypted text")
	}
	box, err = base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return "", nil, errors.New("an encrypted text is damaged")
	}
	return id, box, nil
}
