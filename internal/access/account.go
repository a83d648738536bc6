package access

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// NamePattern is what names of accounts and groups match, in lower case. They stand in
// addresses, in the metadata of nodes and in Guacamole: they are plain words, and never change.
const NamePattern = `^[a-z0-9][a-z0-9._@+-]*$`

var plainName = regexp.MustCompile(NamePattern)

// validName returns fault.Invalid when an account or a group cannot have that name.
func validName(name string) error {
	if len(name) > MaxNameBytes || !plainName.MatchString(name) || uuid.Validate(name) == nil {
		return fault.Field("name", "Use 1 to %d letters (a to z), digits, dots, hyphens, underscores, plus and at signs. Start with a letter or digit. UUIDs are not allowed.", MaxNameBytes)
	}
	return nil
}

func validRole(r Role) error {
	if !r.Valid() {
		return fault.Field("role", "The role must be admin, instructor, student or viewer.")
	}
	return nil
}

// NewUser describes an account to create.
type NewUser struct {
	Name       string
	Role       Role
	Password   string // empty: a random one
	MustChange bool   // the owner has to change it at the first sign-in
	Quota      Quota
}

// CreateUser creates an account. A random password is returned and kept nowhere. It returns
// fault.Invalid for a bad name, role, password or quota, and fault.NameTaken.
func (s *Service) CreateUser(ctx context.Context, n NewUser) (a Account, made string, err error) {
	name, role, password := n.Name, n.Role, n.Password
	name = canonical(name)
	if err := errors.Join(validName(name), validRole(role), n.Quota.check()); err != nil {
		return Account{}, "", err
	}
	if password == "" {
		password = RandomPassword()
		made = password
	}
	if err := checkPassword(password, name); err != nil {
		return Account{}, "", err
	}
	hash, err := s.hash(ctx, password)
	if err != nil {
		return Account{}, "", err
	}
	u := user{ID: newID(), Name: name, Role: role, Password: hash, Epoch: 1, Created: s.now(), MustChange: n.MustChange, Quota: n.Quota}
	err = s.db.WithContext(ctx).Create(&u).Error
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return Account{}, "", fault.New(fault.NameTaken, "Account %q already exists.", name)
	}
	if err != nil {
		return Account{}, "", fmt.Errorf("create an account: %w", err)
	}
	s.log.InfoContext(ctx, "account created", "user", name, "role", role)
	return u.account(), made, nil
}

// UserChange is a change of an account; nil fields are not changed.
type UserChange struct {
	Role     *Role
	Disabled *bool
	Quota    *Quota
	Password *string // ends the account's sessions, and its tokens unless KeepTokens
	// MustChange makes the owner change Password before anything else.
	MustChange bool
	// KeepTokens keeps the tokens when Password changes.
	KeepTokens bool
	// Check, which may be nil, sees the account right before the change, which its error ends.
	Check func(Account) error
}

// ChangeUser changes an account, for its sessions and tokens at once: all of what is asked
// for, or nothing. It returns fault.NotFound, fault.Invalid, and fault.LastAdmin when no
// administrator would be left.
func (s *Service) ChangeUser(ctx context.Context, name string, c UserChange) (Account, error) {
	updates := map[string]any{}
	if c.Role != nil {
		if err := validRole(*c.Role); err != nil {
			return Account{}, err
		}
		updates["role"] = *c.Role
	}
	if c.Disabled != nil {
		updates["disabled"] = *c.Disabled
	}
	if c.Quota != nil {
		if err := c.Quota.check(); err != nil {
			return Account{}, err
		}
		for column, value := range c.Quota.columns() {
			updates[column] = value
		}
	}
	var hash string
	if c.Password != nil {
		if err := checkPassword(*c.Password, canonical(name)); err != nil {
			return Account{}, err
		}
		var err error
		if hash, err = s.hash(ctx, *c.Password); err != nil {
			return Account{}, err
		}
	}
	var after user
	err := s.changeUser(ctx, name, func(tx *gorm.DB, u user) error {
		if c.Check != nil {
			if err := c.Check(u.account()); err != nil {
				return err
			}
		}
		if c.Password != nil {
			if err := storePassword(tx, u.ID, hash, c.MustChange, c.KeepTokens); err != nil {
				return err
			}
		}
		if len(updates) > 0 {
			if err := tx.Model(&user{}).Where("id = ?", u.ID).Updates(updates).Error; err != nil {
				return err
			}
		}
		var err error
		after, _, err = one[user](tx.Where("id = ?", u.ID))
		return err
	})
	if err != nil {
		return Account{}, err
	}
	s.log.InfoContext(ctx, "account changed", "user", after.Name, "role", after.Role, "disabled", after.Disabled, "password", c.Password != nil)
	return after.account(), nil
}

// DeleteUser deletes an account with its sessions, tokens, memberships and what was shared
// with it; its name stays on record for what it owned. It returns fault.NotFound and
// fault.LastAdmin. What the account owns stays, and belongs to no one: see to that first.
// checks see the account right before; the error of one ends the deletion.
func (s *Service) DeleteUser(ctx context.Context, name string, checks ...func(Account) error) error {
	err := s.changeUser(ctx, name, func(tx *gorm.DB, u user) error {
		for _, check := range checks {
			if err := check(u.account()); err != nil {
				return err
			}
		}
		if err := rememberName(tx, u); err != nil {
			return err
		}
		return tx.Where("id = ?", u.ID).Delete(&user{}).Error
	})
	if err == nil {
		s.log.InfoContext(ctx, "account deleted", "user", canonical(name))
	}
	return err
}

// changeUser runs change in a transaction, which it undoes when no administrator
// is left.
func (s *Service) changeUser(ctx context.Context, name string, change func(tx *gorm.DB, u user) error) error {
	if name = canonical(name); !storable(name, MaxNameBytes) {
		return errNoAccount()
	}
	err := s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		// The administrators' rows are locked, so that of two who are demoted at
		// once one stays, and so is the account's own. SQLite has one writer at a time.
		if tx.Name() == "postgres" {
			if err := tx.Exec("SELECT id FROM users WHERE role = ? OR name = ? ORDER BY id FOR UPDATE", RoleAdmin, name).Error; err != nil {
				return err
			}
		}
		u, found, err := one[user](tx.Where("name = ?", name))
		if err != nil {
			return err
		}
		if !found {
			return errNoAccount()
		}
		if err := change(tx, u); err != nil {
			return err
		}
		var left int64
		if err := tx.Model(&user{}).Where("role = ? AND NOT disabled", RoleAdmin).Count(&left).Error; err != nil {
			return err
		}
		if left == 0 {
			return fault.New(fault.LastAdmin, "%q is the last administrator. Create another one first.", u.Name)
		}
		return nil
	})
	if fault.CodeOf(err) == fault.Internal {
		return fmt.Errorf("change account %q: %w", name, err)
	}
	return err
}
