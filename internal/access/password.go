package access

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/argon2"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// minPasswordBytes is the least length of a password.
const minPasswordBytes = 12

// MaxPasswordBytes only bounds the work that a password makes.
const MaxPasswordBytes = 1024

// passwordCost is RFC 9106's choice for machines that cannot spare 2 GiB, with two lanes
// instead of four because small hosts have two cores. It takes some 0.1 s, which a person
// does not notice, and makes a stolen table dear to guess at; sign-ins are rare, since a
// session lasts a day.
var passwordCost = argon2id.Params{
	Memory:      64 * 1024, // KiB
	Iterations:  3,
	Parallelism: 2,
	SaltLength:  16, // bytes
	KeyLength:   32, // bytes
}

// hash returns the argon2id hash of a password, in its usual encoding.
func (s *Service) hash(ctx context.Context, password string) (string, error) {
	leave, err := s.hashing.enter(ctx, "", true)
	if err != nil {
		return "", err
	}
	defer leave()
	hash, err := argon2id.CreateHash(password, &passwordCost)
	if err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	return hash, nil
}

// RandomPassword returns a password of 125 random bits in five groups that can
// be read aloud and typed.
func RandomPassword() string {
	text := strings.ToLower(rand.Text()) // base32, at least 26 characters
	groups := make([]string, 5)
	for i := range groups {
		groups[i] = text[i*5 : i*5+5]
	}
	return strings.Join(groups, "-")
}

// unusableHash returns a hash that costs as much to compare with as any other
// and that no known password fits: its key is random rather than computed.
func unusableHash() string {
	encode := func(size uint32) string {
		b := make([]byte, size)
		_, _ = rand.Read(b) // never fails
		return base64.RawStdEncoding.EncodeToString(b)
	}
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		passwordCost.Memory, passwordCost.Iterations, passwordCost.Parallelism,
		encode(passwordCost.SaltLength), encode(passwordCost.KeyLength))
}

// tooMany returns a fault.TooManyRequests that says when to come back.
func tooMany(wait time.Duration, reason string) error {
	seconds := int64((wait + time.Second - 1) / time.Second)
	err := fault.New(fault.TooManyRequests, "%s Try again in %d s.", reason, seconds)
	err.RetryAfter = wait
	return err
}
