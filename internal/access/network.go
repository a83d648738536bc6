package access

import (
	"context"
	"fmt"
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

const (
	// maxNetworks bounds the networks that are remembered of an account: the latest.
	maxNetworks     = 32
	maxNetworkBytes = 64
)

// knownNetwork is a network that an account was signed in to from.
type knownNetwork struct {
	UserID  string `gorm:"primaryKey"`
	Network string `gorm:"primaryKey"` // see NetworkOf
	Used    time.Time
}

// TableName names the table.
func (knownNetwork) TableName() string { return "known_networks" }

func networksMigration() *gormigrate.Migration {
	return &gormigrate.Migration{
		ID: "2026113019_known_networks",
		Migrate: func(tx *gorm.DB) error {
			type User struct {
				ID string `gorm:"primaryKey;type:varchar(36)"`
			}
			type KnownNetwork struct {
				UserID  string    `gorm:"primaryKey;type:varchar(36)"`
				User    User      `gorm:"constraint:OnDelete:CASCADE"`
				Network string    `gorm:"primaryKey;type:varchar(64)"`
				Used    time.Time `gorm:"not null"`
			}
			return tx.Migrator().CreateTable(&KnownNetwork{})
		},
	}
}

// attemptOf describes a sign-in to an account from an address.
func (s *Service) attemptOf(ctx context.Context, name, address string) (attempt, error) {
	a := attempt{name: name, network: brief(NetworkOf(address), maxNetworkBytes)}
	var n int64
	err := s.db.WithContext(ctx).Model(&knownNetwork{}).Joins("JOIN users ON users.id = known_networks.user_id").
		Where("users.name = ? AND known_networks.network = ?", a.name, a.network).Count(&n).Error
	if err != nil {
		return a, fmt.Errorf("look whether an account is known at a network: %w", err)
	}
	a.known = n > 0
	return a, nil
}

// remember notes that an account was signed in to from an address.
func (s *Service) remember(ctx context.Context, userID, address string) error {
	db := s.db.WithContext(ctx)
	row := knownNetwork{UserID: userID, Network: brief(NetworkOf(address), maxNetworkBytes), Used: s.now()}
	err := db.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "user_id"}, {Name: "network"}},
		DoUpdates: clause.AssignmentColumns([]string{"used"}),
	}).Create(&row).Error
	if err != nil {
		return fmt.Errorf("remember the network of a sign-in: %w", err)
	}
	latest := s.db.Model(&knownNetwork{}).Select("network").Where("user_id = ?", userID).Order("used DESC, network").Limit(maxNetworks)
	if err := db.Where("user_id = ? AND network NOT IN (?)", userID, latest).Delete(&knownNetwork{}).Error; err != nil {
		return fmt.Errorf("forget old networks of sign-ins: %w", err)
	}
	return nil
}
