package access

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// adminName is the account that EnsureAdmin and RecoverAdmin make.
const adminName = "admin"

// MaxNameBytes bounds the name of an account.
const MaxNameBytes = 64

// user is an account as it is stored.
type user struct {
	ID       string `gorm:"primaryKey"`
	Name     string // canonical
	Role     Role
	Password string // argon2id hash; empty if it only signs in through a provider
	// Epoch grows with each change of the password. A session remembers the
	// epoch in which it was opened and ends with it, even one whose sign-in was
	// under way while the password changed.
	Epoch    int64
	Created  time.Time
	Disabled bool  // can't sign in
	Quota    Quota `gorm:"embedded;embeddedPrefix:quota_"`
	// MustChange: another user set the password.
	MustChange bool
	// TOTPSecret is encrypted; empty if there is no second factor. TOTPOn reports
	// that it was confirmed, TOTPStep which of its codes was used last.
	TOTPSecret string `gorm:"column:totp_secret"`
	TOTPOn     bool   `gorm:"column:totp_on"`
	TOTPStep   int64  `gorm:"column:totp_step"`
	SSHKeys    string `gorm:"column:ssh_keys"` // one a line
}

// TableName names the table.
func (user) TableName() string { return "users" }

// EnsureAdmin makes the account "admin" with a random password when no
// administrator exists, and says so by created; otherwise it returns the first
// administrator's name and no password. When several processes do it at once,
// one of them creates. The password is kept nowhere: a caller who loses it
// calls RecoverAdmin.
func (s *Service) EnsureAdmin(ctx context.Context) (name, password string, created bool, err error) {
	u, found, err := s.firstAdmin(ctx)
	if err != nil {
		return "", "", false, fmt.Errorf("look for an administrator: %w", err)
	}
	if found {
		return u.Name, "", false, nil
	}
	u, password, err = s.newAdmin(ctx)
	if err != nil {
		return "", "", false, err
	}
	result := s.db.WithContext(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&u)
	if result.Error != nil {
		return "", "", false, fmt.Errorf("create the administrator: %w", result.Error)
	}
	if result.RowsAffected == 1 {
		s.log.InfoContext(ctx, "administrator created", "user", u.Name)
		return u.Name, password, true, nil
	}
	u, found, err = s.firstAdmin(ctx)
	if err != nil {
		return "", "", false, fmt.Errorf("look for an administrator: %w", err)
	}
	if !found {
		return "", "", false, fault.New(fault.Internal, "Account %q is not an administrator, and there is no other. Run sandboxlabs recover-admin on the service's machine.", adminName)
	}
	return u.Name, "", false, nil
}

// RecoverAdmin gives the first administrator a new random password, takes its second
// factor away and ends its sessions, and its tokens unless keepTokens. Without an administrator, the
// account "admin" is made, or made one. The password is kept nowhere.
func (s *Service) RecoverAdmin(ctx context.Context, keepTokens bool) (name, password string, err error) {
	fresh, password, err := s.newAdmin(ctx)
	if err != nil {
		return "", "", err
	}
	u, found, err := s.firstAdmin(ctx)
	if err != nil {
		return "", "", fmt.Errorf("look for an administrator: %w", err)
	}
	if found {
		fresh.Name = u.Name
	}
	err = s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		err := tx.Clauses(clause.OnConflict{
			Columns: []clause.Column{{Name: "name"}},
			DoUpdates: clause.Assignments(map[string]any{
				"role":        RoleAdmin,
				"disabled":    false,
				"password":    fresh.Password,
				"must_change": false,
				"epoch":       gorm.Expr("users.epoch + 1"),
			}),
		}).Create(&fresh).Error
		if err != nil {
			return err
		}
		u, _, err := one[user](tx.Where("name = ?", fresh.Name))
		if err != nil {
			return err
		}
		if !keepTokens {
			err = revokeTokens(tx, u.ID)
		}
		return errors.Join(err, dropTOTP(tx, u.ID), endSessions(tx, u.ID))
	})
	if err != nil {
		return "", "", fmt.Errorf("recover the administrator: %w", err)
	}
	s.log.WarnContext(ctx, "administrator recovered: new password, sessions ended", "user", fresh.Name)
	return fresh.Name, password, nil
}

// SetPassword gives an account a new password of 12 to 1024 bytes and ends the account's
// sessions, and its tokens unless keepTokens. mustChange has the account's owner change it
// before anything else. It returns fault.Invalid for another length and for a password that
// is easy to guess, and fault.NotFound for an unknown account.
func (s *Service) SetPassword(ctx context.Context, name, password string, mustChange, keepTokens bool) error {
	if name = canonical(name); !storable(name, MaxNameBytes) {
		return errNoAccount()
	}
	if err := checkPassword(password, name); err != nil {
		return err
	}
	hash, err := s.hash(ctx, password)
	if err != nil {
		return err
	}
	err = s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		u, found, err := one[user](tx.Where("name = ?", name))
		if err != nil {
			return err
		}
		if !found {
			return errNoAccount()
		}
		return storePassword(tx, u.ID, hash, mustChange, keepTokens)
	})
	if fault.CodeOf(err) == fault.Internal {
		return fmt.Errorf("set a password: %w", err)
	}
	if err != nil {
		return err
	}
	s.log.InfoContext(ctx, "password changed, sessions ended", "user", name, "tokens-kept", keepTokens)
	return nil
}

// storePassword gives an account a password by its hash, and ends its sessions, and
// its tokens unless keepTokens.
func storePassword(tx *gorm.DB, id, hash string, mustChange, keepTokens bool) error {
	// A session that is opened meanwhile, by the password before, ends by its epoch.
	err := tx.Model(&user{}).Where("id = ?", id).
		Updates(map[string]any{"password": hash, "must_change": mustChange, "epoch": gorm.Expr("epoch + 1")}).Error
	if err != nil {
		return err
	}
	if !keepTokens {
		if err := revokeTokens(tx, id); err != nil {
			return err
		}
	}
	return endSessions(tx, id)
}

// revokeTokens ends all tokens of an account.
func revokeTokens(tx *gorm.DB, userID string) error {
	return tx.Where("user_id = ?", userID).Delete(&tokenRow{}).Error
}

// newAdmin returns an administrator that is not stored yet, and its password.
func (s *Service) newAdmin(ctx context.Context) (user, string, error) {
	password := RandomPassword()
	hash, err := s.hash(ctx, password)
	if err != nil {
		return user{}, "", err
	}
	return user{ID: newID(), Name: adminName, Role: RoleAdmin, Password: hash, Epoch: 1, Created: s.now()}, password, nil
}

// newID returns a UUID that sorts after those made before it in this process.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

func (s *Service) firstAdmin(ctx context.Context) (u user, found bool, err error) {
	return one[user](s.db.WithContext(ctx).Where("role = ? AND NOT disabled", RoleAdmin).Order("created, id"))
}

func (s *Service) userByName(ctx context.Context, name string) (u user, found bool, err error) {
	return one[user](s.db.WithContext(ctx).Where("name = ?", name))
}

func (s *Service) userByID(ctx context.Context, id string) (u user, found bool, err error) {
	return one[user](s.db.WithContext(ctx).Where("id = ?", id))
}

// one returns the first row of a query, if there is any.
func one[T any](query *gorm.DB) (row T, found bool, err error) {
	err = query.Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return row, false, nil
	}
	return row, err == nil, err
}
