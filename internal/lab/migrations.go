package lab

import (
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

// Migrations returns the migrations of the package's tables, for store.Open.
func Migrations() []*gormigrate.Migration {
	return []*gormigrate.Migration{{
		ID: "2026112520_labs",
		Migrate: func(tx *gorm.DB) error {
			type Lab struct {
				ID      string    `gorm:"primaryKey;type:varchar(36)"`
				Name    string    `gorm:"type:varchar(64);not null"`
				Owner   string    `gorm:"type:varchar(255);not null;index:idx_labs_owner"`
				Created time.Time `gorm:"not null"`
			}
			// A node or a network can be in only one lab.
			type LabPlace struct {
				Kind     string  `gorm:"primaryKey;type:varchar(16)"`
				ObjectID string  `gorm:"primaryKey;type:varchar(36)"`
				LabID    string  `gorm:"type:varchar(36);not null;index:idx_lab_places_lab_id"`
				Lab      Lab     `gorm:"constraint:OnDelete:CASCADE"`
				X        float64 `gorm:"not null"`
				Y        float64 `gorm:"not null"`
			}
			return tx.Migrator().CreateTable(&Lab{}, &LabPlace{})
		},
	}, {
		ID:      "2026113011_lab_owners",
		Migrate: func(tx *gorm.DB) error { return store.OwnersByID(tx, "labs") },
	}}
}
