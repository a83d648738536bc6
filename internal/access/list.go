package access

import (
	"context"
	"fmt"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// Account is someone who may sign in.
type Account struct {
	ID       string
	Name     string
	Role     Role
	Disabled bool
	Created  time.Time
	Quota    Quota
	// MustChange: the account's owner has to change the password at the next sign-in.
	MustChange bool
	TOTP       bool // it signs in with a second factor
	External   bool // it has no password: a provider lets it in
}

// Users returns all accounts by name.
func (s *Service) Users(ctx context.Context) ([]Account, error) {
	var rows []user
	if err := s.db.WithContext(ctx).Order("name").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list the accounts: %w", err)
	}
	accounts := make([]Account, len(rows))
	for i, u := range rows {
		accounts[i] = u.account()
	}
	return accounts, nil
}

// User returns an account by name; fault.NotFound when there is none.
func (s *Service) User(ctx context.Context, name string) (Account, error) {
	if name = canonical(name); !storable(name, MaxNameBytes) {
		return Account{}, errNoAccount()
	}
	u, found, err := s.userByName(ctx, name)
	switch {
	case err != nil:
		return Account{}, fmt.Errorf("read an account: %w", err)
	case !found:
		return Account{}, errNoAccount()
	}
	return u.account(), nil
}

func (u user) account() Account {
	return Account{
		ID: u.ID, Name: u.Name, Role: u.Role, Disabled: u.Disabled, Created: u.Created.UTC(), Quota: u.Quota,
		MustChange: u.MustChange, TOTP: u.TOTPOn, External: u.Password == "",
	}
}

func errNoAccount() error { return fault.New(fault.NotFound, "Account not found.") }
