package store

import "gorm.io/gorm"

// AddColumns is for migrations: it adds the columns of those fields to a model's table.
func AddColumns(tx *gorm.DB, model any, fields ...string) error {
	for _, field := range fields {
		if err := tx.Migrator().AddColumn(model, field); err != nil {
			return err
		}
	}
	return nil
}
