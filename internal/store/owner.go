package store

import (
	"cmp"
	"slices"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// OwnersByID is for migrations: it replaces account names with account ids in the column owner of a
// table. Names without an account are kept, and belong to nobody.
func OwnersByID(tx *gorm.DB, table string) error {
	ids, err := AccountIDs(tx)
	if err != nil || len(ids) == 0 {
		return err
	}
	var owners []string
	if err := tx.Table(table).Distinct("owner").Where("owner IS NOT NULL").Pluck("owner", &owners).Error; err != nil {
		return err
	}
	// Names that look like ids are changed first, so that they cannot match another account's id.
	slices.SortFunc(owners, func(a, b string) int { return cmp.Compare(looksLikeName(a), looksLikeName(b)) })
	for _, name := range owners {
		id, known := ids[name]
		if !known && looksLikeName(name) == 1 {
			continue
		}
		if err := tx.Table(table).Where("owner = ?", name).Update("owner", id).Error; err != nil {
			return err
		}
	}
	return nil
}

// looksLikeName returns 0 for a text that looks like an id, else 1.
func looksLikeName(text string) int {
	if uuid.Validate(text) == nil {
		return 0
	}
	return 1
}

// AccountIDs is for migrations: it returns the accounts' ids by name. The result is empty if a
// package opens a database with only its own tables.
func AccountIDs(tx *gorm.DB) (map[string]string, error) {
	ids := map[string]string{}
	if !tx.Migrator().HasTable("users") {
		return ids, nil
	}
	var rows []struct{ ID, Name string }
	if err := tx.Table("users").Select("id", "name").Scan(&rows).Error; err != nil {
		return nil, err
	}
	for _, r := range rows {
		ids[r.Name] = r.ID
	}
	return ids, nil
}
