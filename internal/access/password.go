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

// The lengths of a password. The upper one only bounds the work.
const (
	minPasswordBytes = 12
	maxPasswordBytes = 1024
)

// passwordCost is RFC 9106's choice for machines that cannot spare 2 GiB, with
// two lanes in place of four because small hosts have two cores. It takes some
// 0.1 s, which a person does not notice, and makes a stolen table dear to guess
// at; sign-ins are rare, since a session lasts a day.
var passwordCost = argon2id.Params{
	Memory:      64 * 1024, // KiB
	Iterations:  3,
	Parallelism: 2,
	SaltLength:  16, // bytes
	KeyLength:   32, // bytes
}

const (
	hashesAtOnce = 2  // so that sign-ins take 128 MiB at most
	hashesQueued = 32 // waiting behind them; more are turned away
)

// hash returns the argon2id hash of a password, in its usual encoding.
func (s *Service) hash(ctx context.Context, password string) (string, error) {
	leave, err := s.hashing.enter(ctx)
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

// gate bounds how many passwords are hashed at once, and how many wait for it.
type gate struct {
	inside chan struct{} // those who hash
	queued chan struct{} // those who hash or wait
}

func newGate() *gate {
	return &gate{
		inside: make(chan struct{}, hashesAtOnce),
		queued: make(chan struct{}, hashesAtOnce+hashesQueued),
	}
}

// enter waits for a place; leave, which must be called, gives it back. It
// answers fault.TooManyRequests when the queue is full, or ctx's error.
func (g *gate) enter(ctx context.Context) (leave func(), err error) {
	select {
	case g.queued <- struct{}{}:
	default:
		return nil, tooMany(time.Second, "Too many people sign in at this moment.")
	}
	select {
	case g.inside <- struct{}{}:
		return func() { <-g.inside; <-g.queued }, nil
	case <-ctx.Done():
		<-g.queued
		return nil, ctx.Err()
	}
}

// tooMany returns a fault.TooManyRequests that says when to come back.
func tooMany(wait time.Duration, reason string) error {
	seconds := int64((wait + time.Second - 1) / time.Second)
	err := fault.New(fault.TooManyRequests, "%s Try again in %d s.", reason, seconds)
	err.RetryAfter = wait
	return err
}
