package access

import (
	"context"
	"errors"
	"fmt"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// Credentials are the input of a sign-in, and its origin.
type Credentials struct {
	Name     string // compared without regard to case
	Password string
	Code     string // of the second factor, or a recovery code; empty without one
	Visit
}

// SignIn opens a session for an account: always a new one, whatever session the
// client had.
//
// A wrong name and a wrong password take the same time and give the same
// fault.Unauthenticated. After several failures on one account or from one address, and
// while too many others sign in, it returns fault.TooManyRequests with RetryAfter set,
// without looking at the password. Where the account was signed in to before from the same
// network, only failures of this account from there count, and it goes before strangers. An
// account with a second factor gets fault.SecondFactorRequired without its code, once the
// password is right; a wrong code counts as a failure like a wrong password. With an error,
// the principal is the requested account, if it exists, only for the audit log.
func (s *Service) SignIn(ctx context.Context, c Credentials) (Opened, error) {
	u, err := s.verify(ctx, c)
	if err == nil {
		err = s.secondFactor(ctx, u, c)
	}
	if err != nil {
		return Opened{Principal: u.principal()}, err
	}
	if err := s.forgetFailures(ctx, u, c); err != nil {
		return Opened{Principal: u.principal()}, err
	}
	return s.openSession(ctx, u, c.Visit)
}

// forgetFailures records a successful sign-in.
func (s *Service) forgetFailures(ctx context.Context, u user, c Credentials) error {
	a, err := s.attemptOf(ctx, u.Name, c.Address)
	if err != nil {
		return err
	}
	s.attempts.succeeded(a)
	return s.remember(ctx, u.ID, c.Address)
}

// ChangePassword gives p's account a new password, if the current one is right, and ends
// all its sessions; its tokens stay. Where p came in by a session, another one is opened in
// its place. It returns the errors of SignIn for a wrong password, like SetPassword for a
// bad new one, and fault.Invalid for one that is the old one.
func (s *Service) ChangePassword(ctx context.Context, p Principal, c Credentials, password string) (Opened, error) {
	c.Name = p.Name
	u, err := s.verify(ctx, c)
	if err != nil {
		return Opened{}, err
	}
	if !u.TOTPOn { // otherwise a correct password would clear failures of the second factor
		if err := s.forgetFailures(ctx, u, c); err != nil {
			return Opened{}, err
		}
	}
	if password == c.Password {
		return Opened{}, fault.Field("new", "The new password must differ from the current one.")
	}
	if err := s.SetPassword(ctx, u.Name, password, false, true); err != nil || p.SessionID == "" {
		return Opened{}, err
	}
	u, found, err := s.userByID(ctx, u.ID)
	if err != nil || !found || u.Disabled {
		return Opened{}, errors.Join(err, errNoSession())
	}
	return s.openSession(ctx, u, c.Visit)
}

// verify returns the account that a name and a password belong to. With an error
// it may return the account of the name, whose password was another.
func (s *Service) verify(ctx context.Context, c Credentials) (user, error) {
	name := canonical(c.Name)
	if !storable(name, MaxNameBytes) || len(c.Password) > MaxPasswordBytes {
		return user{}, errWrongPassword()
	}
	a, err := s.attemptOf(ctx, name, c.Address)
	if err != nil {
		return user{}, fmt.Errorf("sign in: %w", err)
	}
	if err := s.attempts.check(a); err != nil {
		return user{}, err
	}
	leave, err := s.hashing.enter(ctx, a.network, a.known)
	if err != nil {
		return user{}, err
	}
	defer leave()
	// Check again: other waiting sign-ins may have failed meanwhile.
	if err := s.attempts.check(a); err != nil {
		return user{}, err
	}
	u, found, err := s.userByName(ctx, name)
	if err != nil {
		return user{}, fmt.Errorf("sign in: %w", err)
	}
	hash := s.nobody
	if found && u.Password != "" {
		hash = u.Password
	}
	match, err := s.compare(c.Password, hash)
	if err != nil {
		return user{}, fmt.Errorf("sign in: compare the password of account %s: %w", u.ID, err)
	}
	if match && found && u.Disabled { // only reported to callers with the correct password
		return u, fault.New(fault.Unauthenticated, "This account is disabled. Ask an administrator.")
	}
	if match && found {
		return u, nil
	}
	s.attempts.failed(a)
	if found { // unknown names are not logged: they may be passwords
		s.log.WarnContext(ctx, "sign-in refused: wrong password", "user", u.Name, "from", c.Address)
	}
	return u, errWrongPassword()
}

func errWrongPassword() error {
	return fault.New(fault.Unauthenticated, "Wrong user name or password.")
}
