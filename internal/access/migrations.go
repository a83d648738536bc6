package access

import (
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/store"
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
	}, rightsMigration(), signInMigration(), namesMigration(), freshMigration(), networksMigration(), reservationsMigration()}
}

// rightsMigration adds groups, shares, quotas and scopes.
func rightsMigration() *gormigrate.Migration {
	return &gormigrate.Migration{
		ID: "2026112420_rights",
		Migrate: func(tx *gorm.DB) error {
			type User struct {
				ID             string `gorm:"primaryKey;type:varchar(36)"`
				Disabled       bool   `gorm:"not null;default:false"`
				QuotaNodes     *int64
				QuotaRunning   *int64
				QuotaCPUs      *int64 `gorm:"column:quota_cpus"`
				QuotaRAMMiB    *int64 `gorm:"column:quota_ram_mib"`
				QuotaDiskBytes *int64
				QuotaUploads   *int64
			}
			type Token struct {
				Scopes string `gorm:"type:varchar(64);not null;default:''"`
			}
			type Group struct {
				ID      string    `gorm:"primaryKey;type:varchar(36)"`
				Name    string    `gorm:"type:varchar(64);not null;uniqueIndex:idx_groups_name"`
				Created time.Time `gorm:"not null"`
			}
			type GroupMember struct {
				GroupID string `gorm:"primaryKey;type:varchar(36)"`
				Group   Group  `gorm:"constraint:OnDelete:CASCADE"`
				UserID  string `gorm:"primaryKey;type:varchar(36);index:idx_group_members_user_id"`
				User    User   `gorm:"constraint:OnDelete:CASCADE"`
			}
			// Of UserID and GroupID one is set. NULLs differ from each other, so that each
			// unique index only applies to its kind of rows.
			type Share struct {
				ID       string    `gorm:"primaryKey;type:varchar(36)"`
				Kind     string    `gorm:"type:varchar(16);not null;uniqueIndex:idx_shares_user;uniqueIndex:idx_shares_group"`
				ObjectID string    `gorm:"type:varchar(255);not null;uniqueIndex:idx_shares_user;uniqueIndex:idx_shares_group"`
				UserID   *string   `gorm:"type:varchar(36);uniqueIndex:idx_shares_user;index:idx_shares_user_id"`
				User     *User     `gorm:"constraint:OnDelete:CASCADE"`
				GroupID  *string   `gorm:"type:varchar(36);uniqueIndex:idx_shares_group;index:idx_shares_group_id"`
				Group    *Group    `gorm:"constraint:OnDelete:CASCADE"`
				Level    int       `gorm:"not null"`
				Created  time.Time `gorm:"not null"`
			}
			m := tx.Migrator()
			if err := store.AddColumns(tx, &User{}, "Disabled", "QuotaNodes", "QuotaRunning", "QuotaCPUs", "QuotaRAMMiB", "QuotaDiskBytes", "QuotaUploads"); err != nil {
				return err
			}
			if err := m.AddColumn(&Token{}, "Scopes"); err != nil {
				return err
			}
			return m.CreateTable(&Group{}, &GroupMember{}, &Share{})
		},
	}
}

// signInMigration adds second factors, identities at providers, SSH keys, and details of
// sessions. Older sessions lack the details: they end, and users sign in again.
func signInMigration() *gormigrate.Migration {
	return &gormigrate.Migration{
		ID: "2026112515_sign_in",
		Migrate: func(tx *gorm.DB) error {
			type User struct {
				ID         string `gorm:"primaryKey;type:varchar(36)"`
				MustChange bool   `gorm:"not null;default:false"`
				TOTPSecret string `gorm:"column:totp_secret;type:varchar(255);not null;default:''"`
				TOTPOn     bool   `gorm:"column:totp_on;not null;default:false"`
				TOTPStep   int64  `gorm:"column:totp_step;not null;default:0"`
				SSHKeys    string `gorm:"column:ssh_keys;type:text;not null;default:''"`
			}
			type Session struct {
				ID       string    `gorm:"primaryKey;type:varchar(64)"`
				PublicID string    `gorm:"type:varchar(36);not null"`
				UserID   string    `gorm:"type:varchar(36);not null;index:idx_sessions_user_id"`
				User     User      `gorm:"constraint:OnDelete:CASCADE"`
				Data     []byte    `gorm:"not null"`
				Created  time.Time `gorm:"not null"`
				Used     time.Time `gorm:"not null"`
				Expires  time.Time `gorm:"not null;index:idx_sessions_expires"`
				Address  string    `gorm:"type:varchar(64);not null"`
				Agent    string    `gorm:"type:varchar(255);not null"`
			}
			type RecoveryCode struct {
				UserID string `gorm:"primaryKey;type:varchar(36)"`
				User   User   `gorm:"constraint:OnDelete:CASCADE"`
				Hash   string `gorm:"primaryKey;type:varchar(64)"`
			}
			type Identity struct {
				Issuer  string    `gorm:"primaryKey;type:varchar(255)"`
				Subject string    `gorm:"primaryKey;type:varchar(255)"`
				UserID  string    `gorm:"type:varchar(36);not null;index:idx_identities_user_id"`
				User    User      `gorm:"constraint:OnDelete:CASCADE"`
				Created time.Time `gorm:"not null"`
			}
			m := tx.Migrator()
			if err := store.AddColumns(tx, &User{}, "MustChange", "TOTPSecret", "TOTPOn", "TOTPStep", "SSHKeys"); err != nil {
				return err
			}
			if err := m.DropTable("sessions"); err != nil {
				return err
			}
			return m.CreateTable(&Session{}, &RecoveryCode{}, &Identity{})
		},
	}
}
