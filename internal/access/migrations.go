package access

import (
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// Migrations returns the migrations of the package's tables, for store.Open.
// Each spells its tables out, so that it stays what it was when the types that
// the package works with change.
func Migrations() []*gormigrate.Migration {
	return []*gormigrate.Migration{{
		ID: "2026112302_accounts",
		Migrate: func(tx *gorm.DB) error {
			type User struct {
				ID       string    `gorm:"primaryKey;type:varchar(36)"`
				Name     string    `gorm:"type:varchar(64);not null;uniqueIndex:idx_users_name"`
				Role     string    `gorm:"type:varchar(16);not null"`
				Password string    `gorm:"type:varchar(255);not null"`
				Epoch    int64     `gorm:"not null"`
				Created  time.Time `gorm:"not null"`
			}
			type Session struct {
				ID      string    `gorm:"primaryKey;type:varchar(64)"`
				Data    []byte    `gorm:"not null"`
				Used    time.Time `gorm:"not null"`
				Expires time.Time `gorm:"not null;index:idx_sessions_expires"`
			}
			type Token struct {
				ID      string    `gorm:"primaryKey;type:varchar(36)"`
				UserID  string    `gorm:"type:varchar(36);not null;index:idx_tokens_user_id"`
				User    User      `gorm:"constraint:OnDelete:CASCADE"`
				Name    string    `gorm:"type:varchar(255);not null"`
				Hash    string    `gorm:"type:varchar(64);not null;uniqueIndex:idx_tokens_hash"`
				Created time.Time `gorm:"not null"`
				Expires *time.Time
				Used    *time.Time
			}
			return tx.Migrator().CreateTable(&User{}, &Session{}, &Token{})
		},
	}}
}
