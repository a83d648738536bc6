package upload

import (
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

// Migrations returns the migrations of this package's table.
func Migrations() []*gormigrate.Migration {
	return []*gormigrate.Migration{{
		ID: "2026112410_uploads",
		Migrate: func(tx *gorm.DB) error {
			type uploads struct {
				ID       string    `gorm:"primaryKey;type:varchar(255)"`
				Host     string    `gorm:"primaryKey;type:varchar(255)"`
				Owner    string    `gorm:"type:varchar(255);not null"`
				Volume   string    `gorm:"type:varchar(255);not null"`
				Format   string    `gorm:"type:varchar(16);not null"`
				Size     int64     `gorm:"not null"`
				Stored   int64     `gorm:"not null"`
				Head     []byte    //
				Hash     []byte    //
				SHA256   string    `gorm:"column:sha256;type:varchar(64);not null"`
				Metadata string    `gorm:"type:text;not null"`
				Once     bool      `gorm:"not null"`
				Complete bool      `gorm:"not null"`
				Holder   string    `gorm:"type:varchar(36);not null"`
				Expires  time.Time `gorm:"not null"`
			}
			return tx.Migrator().CreateTable(&uploads{})
		},
		Rollback: func(tx *gorm.DB) error { return tx.Migrator().DropTable("uploads") },
	}, {
		ID: "2026112501_converted_uploads",
		Migrate: func(tx *gorm.DB) error {
			type uploads struct {
				Result string `gorm:"type:varchar(255);not null;default:''"`
				Pulled bool   `gorm:"not null;default:false"`
			}
			return store.AddColumns(tx, &uploads{}, "Result", "Pulled")
		},
	}, {
		ID: "2026112503_parts",
		Migrate: func(tx *gorm.DB) error {
			type uploads struct {
				Part     bool   `gorm:"not null;default:false"`
				JoinedTo string `gorm:"type:varchar(255);not null;default:''"`
				Parts    string `gorm:"type:text;not null;default:''"`
			}
			return store.AddColumns(tx, &uploads{}, "Part", "JoinedTo", "Parts")
		},
	}, {
		ID: "2026113021_taken_by_uploads",
		Migrate: func(tx *gorm.DB) error {
			type uploads struct {
				Taken int64 `gorm:"not null;default:0"`
			}
			return store.AddColumns(tx, &uploads{}, "Taken")
		},
	}, {
		ID:      "2026113011_upload_owners",
		Migrate: func(tx *gorm.DB) error { return store.OwnersByID(tx, "uploads") },
	}}
}
