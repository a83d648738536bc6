package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// Identity is a user of a provider: issuer and subject identify them permanently, Name is
// their current name.
type Identity struct {
	Issuer  string
	Subject string
	Name    string // preferred name of the account; never compared
	Role    Role   // from the provider's groups; empty if none of them has a role
}

// identityRow links an identity to an account.
type identityRow struct {
	Issuer  string `gorm:"primaryKey"`
	Subject string `gorm:"primaryKey"`
	UserID  string
	Created time.Time
}

// TableName names the table.
func (identityRow) TableName() string { return "identities" }

// reservedNames are not used for accounts from providers: they have a special meaning.
var reservedNames = []string{adminName, Open().Name, "operator"}

// maxSubjectBytes bounds issuer and subject; OpenID Connect has 255 for the latter.
const maxSubjectBytes = 255

// SignInAs opens a session for the account of an identity. The first time, an account
// without a password is made for it. An identity is never
// taken for an account that is there, whatever names or addresses they share: that
// takes LinkIdentity.
//
// An account that has no password gets the identity's role each time; one that has keeps
// its own. It returns fault.Forbidden when the identity has no role, fault.NameTaken when
// its name is an account's or a reserved one, fault.LastAdmin, fault.Unauthenticated for a
// disabled account. With an error, the principal names the account, if there is one, only
// for the audit log.
func (s *Service) SignInAs(ctx context.Context, id Identity, from Visit) (Opened, error) {
	if !storable(id.Subject, maxSubjectBytes) || !storable(id.Issuer, maxSubjectBytes) {
		return Opened{}, fault.New(fault.Unauthenticated, "The provider's response contains no user.")
	}
	u, found, err := s.identified(s.db.WithContext(ctx), id)
	if err != nil {
		return Opened{}, fmt.Errorf("look an identity up: %w", err)
	}
	switch {
	case found && u.Disabled:
		return Opened{Principal: u.principal()}, fault.New(fault.Unauthenticated, "This account is disabled. Ask an administrator.")
	case id.Role == "":
		return Opened{Principal: u.principal()}, fault.New(fault.Forbidden, "None of your groups has access. Ask an administrator.")
	case !found:
		u, err = s.makeExternal(ctx, id)
	case u.Password == "" && u.Role != id.Role:
		before := u
		role := id.Role
		_, err = s.ChangeUser(ctx, u.Name, UserChange{Role: &role})
		if u.Role = role; err != nil {
			u = before
		}
	}
	if err != nil {
		return Opened{Principal: u.principal()}, err
	}
	return s.openSession(ctx, u, from)
}

// LinkIdentity lets an identity sign in as an account that is there. It returns
// fault.NotFound, and fault.NameTaken when the identity is another account's.
func (s *Service) LinkIdentity(ctx context.Context, name, issuer, subject string) error {
	if !storable(subject, maxSubjectBytes) || !storable(issuer, maxSubjectBytes) {
		return fault.Field("subject", "Issuer and subject must have 1 to %d bytes.", maxSubjectBytes)
	}
	if name = canonical(name); !storable(name, MaxNameBytes) {
		return errNoAccount()
	}
	err := s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		u, found, err := one[user](tx.Where("name = ?", name))
		if err != nil {
			return err
		}
		if !found {
			return errNoAccount()
		}
		has, found, err := s.identified(tx, Identity{Issuer: issuer, Subject: subject})
		if err != nil || (found && has.ID == u.ID) {
			return err
		}
		if found {
			return fault.New(fault.NameTaken, "This identity is linked to account %q. Delete that account first.", has.Name)
		}
		return tx.Create(&identityRow{Issuer: issuer, Subject: subject, UserID: u.ID, Created: s.now()}).Error
	})
	if fault.CodeOf(err) == fault.Internal {
		return fmt.Errorf("link an identity: %w", err)
	}
	if err == nil {
		s.log.InfoContext(ctx, "identity linked", "user", name, "issuer", issuer, "subject", subject)
	}
	return err
}

// identified returns the account that an identity is.
func (s *Service) identified(tx *gorm.DB, id Identity) (u user, found bool, err error) {
	row, found, err := one[identityRow](tx.Where("issuer = ? AND subject = ?", id.Issuer, id.Subject))
	if err != nil || !found {
		return user{}, false, err
	}
	return one[user](tx.Where("id = ?", row.UserID))
}

// makeExternal creates an account for an identity without one.
func (s *Service) makeExternal(ctx context.Context, id Identity) (user, error) {
	name := nameFor(id)
	taken := fault.New(fault.NameTaken, "Account %q already exists and is not linked to you. Ask an administrator to link it, or to change your name at the provider.", name)
	if slices.Contains(reservedNames, name) {
		return user{}, taken
	}
	if err := errors.Join(validName(name), validRole(id.Role)); err != nil {
		return user{}, err
	}
	u := user{ID: newID(), Name: name, Role: id.Role, Epoch: 1, Created: s.now()}
	err := s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := tx.Create(&u).Error; err != nil {
			return err
		}
		return tx.Create(&identityRow{Issuer: id.Issuer, Subject: id.Subject, UserID: u.ID, Created: u.Created}).Error
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		s.log.WarnContext(ctx, "sign-in refused: the name is another account's; link it by `sandboxlabs user link`", "user", name, "issuer", id.Issuer, "subject", id.Subject)
		return user{}, taken
	}
	if err != nil {
		return user{}, fmt.Errorf("create an account for an identity: %w", err)
	}
	s.log.InfoContext(ctx, "account created for an identity", "user", name, "role", id.Role, "issuer", id.Issuer, "subject", id.Subject)
	return u, nil
}

// nameFor creates an account's name of the one that a provider tells.
func nameFor(id Identity) string {
	name := strings.Map(func(r rune) rune {
		if plainName.MatchString("a" + string(r)) {
			return r
		}
		return '-'
	}, canonical(id.Name))
	name = strings.TrimLeft(name, "-._@+")
	if len(name) > MaxNameBytes {
		name = name[:MaxNameBytes]
	}
	if name == "" {
		name = "user-" + hashSecret(id.Issuer + "\n" + id.Subject)[:12]
	}
	return name
}
