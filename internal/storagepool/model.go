package storagepool

import (
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
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
}

func (record) TableName() string { return "images" }

// Migrations returns the steps of this package's tables.
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
	}}
}
