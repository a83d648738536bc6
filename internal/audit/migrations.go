package audit

import (
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// Migrations returns the migrations of the package's table, for store.Open. The
// database itself refuses to change an entry.
func Migrations() []*gormigrate.Migration {
	return []*gormigrate.Migration{{
		ID: "2026112411_audit",
		Migrate: func(tx *gorm.DB) error {
			type entry struct {
				ID         int64     `gorm:"primaryKey;autoIncrement"`
				Time       time.Time `gorm:"not null;index:idx_audit_time"`
				Actor      string    `gorm:"type:varchar(255);not null;index:idx_audit_actor"`
				ActorID    string    `gorm:"type:varchar(255);not null"`
				Via        string    `gorm:"type:varchar(255);not null"`
				Action     string    `gorm:"type:varchar(255);not null;index:idx_audit_action"`
				TargetKind string    `gorm:"type:varchar(255);not null"`
				TargetID   string    `gorm:"type:varchar(255);not null;index:idx_audit_target_id"`
				TargetName string    `gorm:"type:varchar(255);not null;index:idx_audit_target_name"`
				Detail     string    `gorm:"type:varchar(255);not null"`
				Address    string    `gorm:"type:varchar(255);not null"`
				Status     int       `gorm:"not null"`
				Code       string    `gorm:"type:varchar(255);not null"`
			}
			if err := tx.Table("audit_entries").Migrator().CreateTable(&entry{}); err != nil {
				return err
			}
			statements := []string{
				`CREATE TRIGGER audit_entries_stay BEFORE UPDATE ON audit_entries BEGIN SELECT RAISE(ABORT, 'audit entries are never changed'); END`,
			}
			if tx.Name() == "postgres" {
				statements = []string{
					`CREATE FUNCTION audit_entries_stay() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'audit entries are never changed'; END $$`,
					`CREATE TRIGGER audit_entries_stay BEFORE UPDATE ON audit_entries FOR EACH ROW EXECUTE FUNCTION audit_entries_stay()`,
				}
			}
			for _, statement := range statements {
				if err := tx.Exec(statement).Error; err != nil {
					return err
				}
			}
			return nil
		},
	}}
}
