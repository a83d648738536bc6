package job

import (
	"testing"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/store"
	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

// TestOwnersOfJobsBecomeIDs migrates jobs that have not ended, and one that has: what they create
// afterwards belongs to the account's id.
func TestOwnersOfJobsBecomeIDs(t *testing.T) {
	const ann = "0199aaaa-0000-7000-8000-000000000001"
	storetest.Each(t, func(t *testing.T, url string) {
		users := &gormigrate.Migration{ID: "2026112302_accounts", Migrate: func(tx *gorm.DB) error {
			type users struct{ ID, Name string }
			if err := tx.Migrator().CreateTable(&users{}); err != nil {
				return err
			}
			return tx.Create(&users{ann, "ann"}).Error
		}}
		all := Migrations()
		before, err := store.Open(t.Context(), url, nil, users, all[0], all[2]) // rows have no checkpoints
		if err != nil {
			t.Fatal(err)
		}
		for id, r := range map[string]row{
			"1": {State: Running, Owner: "ann", Args: `{"id":"x","owner":"ann","n":9007199254740993}`},
			"2": {State: Queued, Owner: "operator", Args: `{"owner":"operator"}`},
			"3": {State: Queued, Owner: "ann", Args: `[]`},
			"4": {State: Succeeded, Owner: "ann", Args: `{"owner":"ann"}`},
		} {
			r.ID, r.Created = id, now()
			if err := before.Create(&r).Error; err != nil {
				t.Fatal(err)
			}
		}
		if err := store.Close(before); err != nil {
			t.Fatal(err)
		}
		db, err := store.Open(t.Context(), url, nil, append(all, users)...)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = store.Close(db) }()
		var rows []row
		if err := db.Order("id").Find(&rows).Error; err != nil {
			t.Fatal(err)
		}
		for i, want := range [][2]string{
			{ann, `{"id":"x","n":9007199254740993,"owner":"` + ann + `"}`}, {"operator", `{"owner":"operator"}`}, {ann, `[]`}, {ann, `{"owner":"ann"}`},
		} {
			if rows[i].Owner != want[0] || rows[i].Args != want[1] {
				t.Errorf("job %s is %q's and works on %s, want %q", rows[i].ID, rows[i].Owner, rows[i].Args, want)
			}
		}
	})
}
