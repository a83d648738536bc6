package access

import (
	"context"
	"fmt"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// Credentials are what somebody shows at sign-in, and from where.
type Credentials struct {
	Name     string // compared without regard to case
	Password string
	Address  string // of the client; failures are counted by it, too
}

// SignIn opens a session for an account and returns the session's token, the
// time at which it ends at the latest, and whom it stands for.
//
// A wrong name and a wrong password take the same time and give the same
// fault.Unauthenticated. After several failures on one account, from one
// address, or in all, and while too many others sign in, it answers
// fault.TooManyRequests with RetryAfter set, without looking at the password.
// With an error, the principal names the account whose password was wrong, if it
// exists: for the audit alone.
func (s *Service) SignIn(ctx context.Context, c Credentials) (sessionToken string, expires time.Time, p Principal, err error) {
	u, err := s.verify(ctx, c)
	if err != nil {
		return "", time.Time{}, u.principal(), err
	}
	s.attempts.succeeded(u.Name)
	return s.openSession(ctx, u)
}

// ChangePassword gives the account a new password, if the current one is right,
// and ends all its sessions; its tokens stay. It answers like SignIn for a wrong
// password, and like SetPassword for a bad new one.
func (s *Service) ChangePassword(ctx context.Context, c Credentials, password string) error {
	u, err := s.verify(ctx, c)
	if err != nil {
		return err
	}
	s.attempts.succeeded(u.Name)
	return s.SetPassword(ctx, u.Name, password)
}

// verify returns the account that a name and a password belong to. With an error
// it may return the account of the name, whose password was another.
func (s *Service) verify(ctx context.Context, c Credentials) (user, error) {
	name := canonical(c.Name)
	if !storable(name, maxNameBytes) || len(c.Password) > maxPasswordBytes {
		return user{}, errWrongPassword()
	}
	if err := s.attempts.check(name, c.Address); err != nil {
		return user{}, err
	}
	leave, err := s.hashing.enter(ctx)
	if err != nil {
		return user{}, err
	}
	defer leave()
	// Once more: those who waited with us may have failed meanwhile.
	if err := s.attempts.check(name, c.Address); err != nil {
		return user{}, err
	}
	u, found, err := s.userByName(ctx, name)
	if err != nil {
		return user{}, fmt.Errorf("sign in: %w", err)
	}
	hash := s.nobody
	if found {
		hash = u.Password
	}
	match, err := s.compare(c.Password, hash)
	if err != nil {
		return user{}, fmt.Errorf("sign in: compare the password of account %s: %w", u.ID, err)
	}
	if match && found && u.Disabled { // told to those alone who know the password
		return u, fault.New(fault.Unauthenticated, "This account is disabled. Ask an administrator.")
	}
	if match && found {
		return u, nil
	}
	s.attempts.failed(name, c.Address)
	if found { // other names stay out of the log: they may be a password typed in the wrong box
		s.log.WarnContext(ctx, "sign-in refused: wrong password", "user", u.Name, "from", c.Address)
	}
	return u, errWrongPassword()
}

func errWrongPassword() error {
	return fault.New(fault.Unauthenticated, "The name or the password is wrong.")
}
