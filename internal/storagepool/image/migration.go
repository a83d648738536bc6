package image

import (
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

// Migrations returns the migrations of this package's tables.
func Migrations() []*gormigrate.Migration {
	return []*gormigrate.Migration{{
		ID: "2026112302_images",
		Migrate: func(tx *gorm.DB) error {
			type images struct {
				Host        string `gorm:"primaryKey"`
				ID          string `gorm:"primaryKey"`
				Type        string `gorm:"not null"`
				Volume      string `gorm:"not null"`
				DisplayName string `gorm:"not null"`
				OSType      string
				State       string `gorm:"not null"`
				Reason      string
				SHA256      string
				Owner       string
				Created     time.Time `gorm:"not null"`
			}
			return tx.Migrator().CreateTable(&images{})
		},
		Rollback: func(tx *gorm.DB) error { return tx.Migrator().DropTable("images") },
	}, {
		ID: "2026112411_image_details",
		Migrate: func(tx *gorm.DB) error {
			type images struct {
				Format      string `gorm:"type:varchar(16)"`
				Description string `gorm:"type:text"`
				Tags        string `gorm:"type:text"`
			}
			return store.AddColumns(tx, &images{}, "Format", "Description", "Tags")
		},
	}, {
		ID: "2026112502_image_sources",
		Migrate: func(tx *gorm.DB) error {
			type images struct {
				SourceFormat string `gorm:"type:varchar(16)"`
			}
			return tx.Migrator().AddColumn(&images{}, "SourceFormat")
		},
	}, {
		ID:      "2026113011_image_owners",
		Migrate: func(tx *gorm.DB) error { return store.OwnersByID(tx, "images") },
	}, {
		ID: "2026113021_image_fingerprints",
		Migrate: func(tx *gorm.DB) error {
			type images struct {
				Fingerprint string `gorm:"type:varchar(128);not null;default:''"`
			}
			return tx.Migrator().AddColumn(&images{}, "Fingerprint")
		},
	}, {
		ID: "2026113022_image_firmware",
		Migrate: func(tx *gorm.DB) error {
			type images struct {
				Firmware string `gorm:"type:varchar(16);not null;default:''"`
				TPM      bool   `gorm:"not null;default:false"`
			}
			return store.AddColumns(tx, &images{}, "Firmware", "TPM")
		},
	}, {
		// "qcow2-snapshots.tar.gz" is longer than the column was. SQLite does not limit
		// text.
		ID: "2026113023_image_sources",
		Migrate: func(tx *gorm.DB) error {
			if tx.Name() != "postgres" {
				return nil
			}
			return tx.Exec("ALTER TABLE images ALTER COLUMN source_format TYPE varchar(64)").Error
		},
	}}
}
