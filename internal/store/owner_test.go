package store_test

import (
	"slices"
	"testing"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/store"
	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

// TestOwnersByID replaces names with ids, and gives nobody an object that is not theirs.
func TestOwnersByID(t *testing.T) {
	const ann, bob = "0199aaaa-0000-7000-8000-000000000001", "0199aaaa-0000-7000-8000-000000000002"
	storetest.Each(t, func(t *testing.T, url string) {
		steps := []*gormigrate.Migration{{
			ID: "1",
			Migrate: func(tx *gorm.DB) error {
				type users struct{ ID, Name string }
				type things struct {
					ID    int
					Owner string
				}
				if err := tx.Migrator().CreateTable(&users{}, &things{}); err != nil {
					return err
				}
				if err := tx.Create([]users{{ann, "ann"}, {bob, "bob"}}).Error; err != nil {
					return err
				}
				return tx.Create([]things{{1, "ann"}, {2, "bob"}, {3, "ann"}, {4, "operator"}, {5, ""}, {6, bob}}).Error
			},
		}, {ID: "2", Migrate: func(tx *gorm.DB) error { return store.OwnersByID(tx, "things") }}}
		db, err := store.Open(t.Context(), url, nil, steps...)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = store.Close(db) }()
		var got []string
		if err := db.Table("things").Order("id").Pluck("owner", &got).Error; err != nil {
			t.Fatal(err)
		}
		if want := []string{ann, bob, ann, "operator", "", ""}; !slices.Equal(got, want) {
			t.Errorf("the owners are %q, want %q", got, want)
		}
	})
}
