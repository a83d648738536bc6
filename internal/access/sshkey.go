package access

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// MaxSSHKeys is how many SSH keys an account may have.
const MaxSSHKeys = 32

const maxSSHKeyBytes = 8 << 10

// SSHKeys returns the public keys of p's account, which its new nodes may take.
func (s *Service) SSHKeys(ctx context.Context, p Principal) ([]string, error) {
	u, err := s.own(ctx, p)
	if err != nil {
		return nil, err
	}
	return strings.FieldsFunc(u.SSHKeys, func(r rune) bool { return r == '\n' }), nil
}

// SetSSHKeys replaces the public keys of p's account. Each is a line as in authorized_keys,
// without options; it is stored in its usual spelling, once. It returns fault.Invalid for
// another line and for too many.
func (s *Service) SetSSHKeys(ctx context.Context, p Principal, keys []string) error {
	u, err := s.own(ctx, p)
	if err != nil {
		return err
	}
	if len(keys) > MaxSSHKeys {
		return fault.Field("sshKeys", "Keep at most %d SSH keys.", MaxSSHKeys)
	}
	var lines []string
	seen := map[string]bool{}
	for i, text := range keys {
		line, key, err := publicKey(text)
		if err != nil {
			return fault.Field(fmt.Sprintf("sshKeys[%d]", i), "%s", err.Error())
		}
		if !seen[key] {
			seen[key] = true
			lines = append(lines, line)
		}
	}
	err = s.db.WithContext(ctx).Model(&user{}).Where("id = ?", u.ID).Update("ssh_keys", strings.Join(lines, "\n")).Error
	if err != nil {
		return fmt.Errorf("store the SSH keys: %w", err)
	}
	return nil
}

// publicKey reads one line of authorized_keys: the line to store, and only the key. Its
// errors are written for users.
func publicKey(text string) (line, key string, err error) {
	text = strings.TrimSpace(text)
	switch {
	case strings.Contains(text, "PRIVATE KEY"):
		return "", "", fmt.Errorf("this is a private key, which you must keep secret. Enter the public key from the file that ends in .pub")
	case !storable(text, maxSSHKeyBytes):
		return "", "", fmt.Errorf("an SSH key is one line of at most %d bytes, as in ~/.ssh/id_ed25519.pub", maxSSHKeyBytes)
	}
	parsed, comment, options, rest, err := ssh.ParseAuthorizedKey([]byte(text))
	if err != nil || len(options) > 0 || len(rest) > 0 {
		return "", "", fmt.Errorf("this is not a valid public SSH key. Enter a line as in ~/.ssh/id_ed25519.pub, without options")
	}
	key = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(parsed)))
	return strings.TrimSpace(key + " " + comment), key, nil
}
