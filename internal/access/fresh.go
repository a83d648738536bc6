package access

import (
	"context"
	"fmt"
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

// SessionFresh is the default time after a sign-in or Confirm in which a session may create
// tokens and set up a second factor.
const SessionFresh = 10 * time.Minute

// freshMigration records when the owner of a session last showed the password, and
// which token made another one.
func freshMigration() *gormigrate.Migration {
	return &gormigrate.Migration{
		ID: "2026113012_fresh_sessions",
		Migrate: func(tx *gorm.DB) error {
			type Session struct {
				Confirmed *time.Time
			}
			type Token struct {
				ParentID string `gorm:"type:varchar(36);not null;default:'';index:idx_tokens_parent_id"`
			}
			if err := store.AddColumns(tx, &Session{}, "Confirmed"); err != nil {
				return err
			}
			if err := store.AddColumns(tx, &Token{}, "ParentID"); err != nil {
				return err
			}
			return tx.Migrator().CreateIndex(&Token{}, "idx_tokens_parent_id")
		},
	}
}

// Confirm makes p's session fresh, if the password is right, and the code where the account
// has a second factor. It returns the errors of SignIn, and fault.Unsupported without a
// session or a password.
func (s *Service) Confirm(ctx context.Context, p Principal, c Credentials) error {
	own, err := s.own(ctx, p)
	switch {
	case err != nil:
		return err
	case p.SessionID == "":
		return fault.New(fault.Unsupported, "Only a session can be confirmed. Sign in with your password.")
	case own.Password == "":
		return fault.New(fault.Unsupported, "Your account signs in through a provider. Sign out, and sign in again.")
	}
	c.Name = own.Name
	u, err := s.verify(ctx, c)
	if err == nil {
		err = s.secondFactor(ctx, u, c)
	}
	if err != nil {
		return err
	}
	if err := s.forgetFailures(ctx, u, c); err != nil {
		return err
	}
	err = s.db.WithContext(ctx).Model(&session{}).Where("id = ? AND user_id = ?", p.sessionKey, u.ID).Update("confirmed", s.now()).Error
	if err != nil {
		return fmt.Errorf("confirm a session: %w", err)
	}
	return nil
}

// checkFresh returns fault.ConfirmationRequired if p uses a session that is not fresh: with
// a stolen session, one must not be able to create lasting access.
func (s *Service) checkFresh(ctx context.Context, p Principal) error {
	if p.SessionID == "" {
		return nil
	}
	row, found, err := one[session](s.db.WithContext(ctx).Where("id = ?", p.sessionKey))
	if err != nil {
		return fmt.Errorf("read a session: %w", err)
	}
	if !found {
		return errNoSession()
	}
	shown := row.Created
	if row.Confirmed != nil && row.Confirmed.After(shown) {
		shown = *row.Confirmed
	}
	if s.now().Sub(shown) >= s.fresh {
		return fault.New(fault.ConfirmationRequired, "Your sign-in is too old for this. Confirm your password, or sign in again.")
	}
	return nil
}
