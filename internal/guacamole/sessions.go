package guacamole

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Vault encrypts the tokens of Guacamole's sessions. Open needs the purpose that was
// passed to Seal.
type Vault interface {
	Seal(purpose, text string) (string, error)
	Open(purpose, sealed string) (string, error)
}

// Migrations returns the migrations of the package's table, for store.Open. The table is
// in the service's own database.
func Migrations() []*gormigrate.Migration {
	return []*gormigrate.Migration{{
		ID: "2026113001_guacamole_sessions",
		Migrate: func(tx *gorm.DB) error {
			type session struct {
				ID       string    `gorm:"primaryKey;type:varchar(64)"`
				Account  string    `gorm:"type:varchar(64);not null;index:idx_guacamole_sessions_account"`
				Entry    string    `gorm:"type:varchar(255);not null"`
				Username string    `gorm:"type:varchar(255);not null"`
				Token    string    `gorm:"type:text;not null"`
				Ending   bool      `gorm:"not null"`
				Opened   time.Time `gorm:"not null"`
			}
			return tx.Table("guacamole_sessions").Migrator().CreateTable(&session{})
		},
	}}
}

// session is a session in Guacamole that the service opened for a user. It is stored until
// it is known to have ended, so that another replica, or the service after a restart, can
// end it.
type session struct {
	ID       string `gorm:"primaryKey"`
	Account  string // account id in the service
	Entry    string // what they signed in with; see Person
	Username string // in Guacamole
	Token    string // encrypted
	Ending   bool   // it must be ended, which has not succeeded yet
	Opened   time.Time
}

// TableName names the table.
func (session) TableName() string { return "guacamole_sessions" }

func (r session) purpose() string { return "guacamole:" + r.ID }

// id is the key of the person's row.
func (p Person) id() string {
	sum := sha256.Sum256([]byte(p.AccountID + "\x00" + p.Entry))
	return hex.EncodeToString(sum[:])
}

// sessions stores sessions. Its methods may be called from any goroutine.
type sessions struct {
	db    *gorm.DB
	vault Vault
}

// find returns a person's session and its token, which is empty if it cannot be decrypted
// any more; false without a session.
func (s sessions) find(ctx context.Context, p Person) (row session, token string, found bool, err error) {
	err = s.db.WithContext(ctx).Where("id = ?", p.id()).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return session{}, "", false, nil
	}
	if err != nil {
		return session{}, "", false, fmt.Errorf("read a session of Guacamole: %w", err)
	}
	if token, err = s.token(row); err != nil {
		return row, "", true, nil //nolint:nilerr // by a key that is gone: it is replaced
	}
	return row, token, true, nil
}

func (s sessions) token(row session) (string, error) {
	token, err := s.vault.Open(row.purpose(), row.Token)
	if err != nil {
		return "", fmt.Errorf("decrypt a session of Guacamole: %w", err)
	}
	return token, nil
}

// put replaces old, which is the zero value if there was no session, by a new session. It
// returns false if another request was faster.
func (s sessions) put(ctx context.Context, p Person, user, token string, old session) (bool, error) {
	row := session{ID: p.id(), Account: p.AccountID, Entry: p.Entry, Username: user, Opened: time.Now().UTC().Truncate(time.Microsecond)}
	var err error
	if row.Token, err = s.vault.Seal(row.purpose(), token); err != nil {
		return false, fmt.Errorf("encrypt a session of Guacamole: %w", err)
	}
	var result *gorm.DB
	if old.ID == "" {
		result = s.db.WithContext(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&row)
	} else {
		result = s.db.WithContext(ctx).Model(&session{}).Where("id = ? AND token = ? AND ending = ?", old.ID, old.Token, false).Select("*").Updates(row)
	}
	if result.Error != nil {
		return false, fmt.Errorf("store a session of Guacamole: %w", result.Error)
	}
	return result.RowsAffected > 0, nil
}

// all returns the sessions of the given accounts, or all if accounts is nil.
func (s sessions) all(ctx context.Context, accounts []string) (rows []session, err error) {
	query := s.db.WithContext(ctx)
	if accounts != nil {
		query = query.Where("account IN ?", accounts)
	}
	if err := query.Order("id").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list the sessions of Guacamole: %w", err)
	}
	return rows, nil
}

// markEnding marks a session to be ended, by a later pass if not at once.
func (s sessions) markEnding(ctx context.Context, row session) error {
	err := s.db.WithContext(ctx).Model(&session{}).Where("id = ? AND token = ?", row.ID, row.Token).Update("ending", true).Error
	if err != nil {
		return fmt.Errorf("mark a session of Guacamole to be ended: %w", err)
	}
	return nil
}

// forget removes a session that has ended.
func (s sessions) forget(ctx context.Context, row session) error {
	if err := s.db.WithContext(ctx).Where("id = ? AND token = ?", row.ID, row.Token).Delete(&session{}).Error; err != nil {
		return fmt.Errorf("forget a session of Guacamole: %w", err)
	}
	return nil
}

// Reseal encrypts all stored sessions with the vault's newest key, and returns how many
// there are. Sessions that cannot be decrypted are not changed. It may be interrupted and
// repeated.
func (s *Service) Reseal(ctx context.Context) (int, error) {
	rows, err := s.sessions.all(ctx, nil)
	if err != nil {
		return 0, err
	}
	for _, row := range rows {
		token, err := s.sessions.token(row)
		if err != nil {
			s.o.Log.WarnContext(ctx, "a session of Guacamole cannot be read", "account", row.Account, "error", err)
			continue
		}
		sealed, err := s.o.Vault.Seal(row.purpose(), token)
		if err != nil {
			return 0, fmt.Errorf("encrypt a session of Guacamole: %w", err)
		}
		if err := s.o.DB.WithContext(ctx).Model(&session{}).Where("id = ? AND token = ?", row.ID, row.Token).Update("token", sealed).Error; err != nil {
			return 0, fmt.Errorf("store a session of Guacamole: %w", err)
		}
	}
	return len(rows), nil
}
