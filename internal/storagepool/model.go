package storagepool

import (
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

// record is what the database knows of an image and libvirt cannot: where it
// came from and what was found in it. Host and ID are its key.
type record struct {
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
	// Format is what its first bytes said when it was verified; empty for records
	// of the time before it was written down, whose images are qcow2.
	Format      string `gorm:"type:varchar(16)"`
	Description string `gorm:"type:text"`
	Tags        string `gorm:"type:text"` // one on each line
	// SourceFormat is what came: "vmdk", "raw.xz". Empty where it is not known.
	SourceFormat string `gorm:"type:varchar(64)"`
	// Firmware is what its nodes boot with, empty for the default; TPM says that they have
	// a TPM 2.0.
	Firmware string `gorm:"type:varchar(16);not null;default:''"`
	TPM      bool   `gorm:"not null;default:false"`
	// Fingerprint is that of the file that was found good; see fingerprintOf. Empty for
	// records of the time before it was written down, until the pool is read.
	Fingerprint string `gorm:"type:varchar(128);not null;default:''"`
}

func (record) TableName() string { return "images" }

// Migrations returns the steps of this package's tables.
func Migrations() []*gormigrate.Migration {
	return append([]*gormigrate.Migration{{
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
		// "qcow2-snapshots.tar.gz" is longer than sources were. SQLite bounds no text.
		ID: "2026113023_image_sources",
		Migrate: func(tx *gorm.DB) error {
			if tx.Name() != "postgres" {
				return nil
			}
			return tx.Exec("ALTER TABLE images ALTER COLUMN source_format TYPE varchar(64)").Error
		},
	}}, uploadMigrations()...)
}
