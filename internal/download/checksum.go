package download

import (
	"encoding/hex"
	"regexp"
	"strings"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// The forms of a line in a list of checksums: those of sha256sum and of BSD's
// sha256.
var (
	sumLine = regexp.MustCompile(`^([0-9a-fA-F]{64}|[0-9a-fA-F]{128})\s+\*?(\S.*)$`)
	bsdLine = regexp.MustCompile(`^SHA(256|512) \((.+)\) = ([0-9a-fA-F]+)$`)
	bare    = regexp.MustCompile(`^([0-9a-fA-F]{64}|[0-9a-fA-F]{128})$`)
)

// Digest is a SHA-256 or a SHA-512, in lower-case hex; its length says which.
type Digest string

// ParseDigest reads a digest; fault.Unsupported when it is none.
func ParseDigest(text string) (Digest, error) {
	text = strings.ToLower(strings.TrimSpace(text))
	if raw, err := hex.DecodeString(text); err != nil || len(raw) != 32 && len(raw) != 64 {
		return "", fault.New(fault.Unsupported, "A checksum is a SHA-256 or a SHA-512 in hexadecimal digits.")
	}
	return Digest(text), nil
}

// IsSHA512 tells the two kinds apart.
func (d Digest) IsSHA512() bool { return len(d) == 128 }

// FindDigest finds a file's digest in a list of checksums: lines of sha256sum or
// sha512sum, of BSD's, signed or not, or only a digest. A file that is in it
// twice with two digests is as good as not there.
func FindDigest(list []byte, file string) (Digest, error) {
	found := map[string]bool{}
	for line := range strings.Lines(string(list)) {
		line = strings.TrimSpace(line)
		if m := sumLine.FindStringSubmatch(line); len(m) == 3 && strings.TrimPrefix(m[2], "./") == file {
			found[strings.ToLower(m[1])] = true
		} else if m := bsdLine.FindStringSubmatch(line); len(m) == 4 && m[2] == file {
			found[strings.ToLower(m[3])] = true
		}
	}
	if text := strings.TrimSpace(string(list)); len(found) == 0 && bare.MatchString(text) {
		found[strings.ToLower(text)] = true
	}
	if len(found) != 1 {
		return "", fault.New(fault.Unsupported, "The list of checksums has no single one for %q. The catalogue's entry may be out of date.", file)
	}
	for text := range found {
		return ParseDigest(text)
	}
	return "", nil
}
