package access

import (
	"context"
	"fmt"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// Account is somebody who may sign in.
type Account struct {
	ID       string
	Name     string
	Role     Role
	Disabled bool
	Created  time.Time
	Quota    Quota `gorm:"embedded;embeddedPrefix:quota_"`
}

// Users returns all accounts by name.
func (s *Service) Users(ctx context.Context) ([]Account, error) {
	var accounts []Account
	if err := s.db.WithContext(ctx).Model(&user{}).Order("name").Find(&accounts).Error; err != nil {
		return nil, fmt.Errorf("list the accounts: %w", err)
	}
	return accounts, nil
}

// User returns an account by name; fault.NotFound when there is none.
func (s *Service) User(ctx context.Context, name string) (Account, error) {
	if name = canonical(name); !storable(name, maxNameBytes) {
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
	return Account{ID: u.ID, Name: u.Name, Role: u.Role, Disabled: u.Disabled, Created: u.Created.UTC(), Quota: u.Quota}
}

func errNoAccount() error { return fault.New(fault.NotFound, "There is no account of that name.") }
