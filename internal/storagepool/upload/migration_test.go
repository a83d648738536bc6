package upload

import (
	"encoding/json"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/diskimage"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// TestOldUploads migrates uploads from before conversions and parts existed: they
// continue, and new uploads can have parts.
func TestOldUploads(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		opened := func(migrations []*gormigrate.Migration) *gorm.DB {
			db, err := store.Open(t.Context(), url, nil, migrations...)
			if err != nil {
				t.Fatal(err)
			}
			return db
		}
		before := slices.DeleteFunc(slices.Concat(image.Migrations(), Migrations()), func(m *gormigrate.Migration) bool { return m.ID > "2026112411_image_details" })
		if len(before) != 3 {
			t.Fatalf("%d migrations are that old", len(before))
		}
		db := opened(before)
		now := time.Now().UTC().Truncate(time.Second)
		old := map[string]any{
			"id": "old_1.qcow2", "host": "local", "owner": "ann", "volume": "old_1.qcow2", "format": diskimage.QCOW2, "size": 100, "stored": 60, "hash": []byte{1},
			"sha256": "", "metadata": `{"filename":"old.qcow2"}`, "once": false, "complete": false, "holder": "", "expires": now.Add(time.Hour),
		}
		if err := db.Table("uploads").Create(old).Error; err != nil {
			t.Fatal(err)
		}
		if err := store.Close(db); err != nil {
			t.Fatal(err)
		}

		db = opened(slices.Concat(image.Migrations(), Migrations()))
		t.Cleanup(func() {
			if err := store.Close(db); err != nil {
				t.Error(err)
			}
		})
		s := &Service{o: Options{DB: db}}
		list, err := s.UploadsOf(t.Context(), "ann")
		if err != nil || len(list) != 1 || list[0].OffsetBytes != 60 || list[0].Part || len(list[0].Parts) > 0 || list[0].Metadata["filename"] != "old.qcow2" || !list[0].Expires.Equal(now.Add(time.Hour)) {
			t.Fatalf("the old uploads are %+v, %v", list, err)
		}
		if row, err := s.upload(t.Context(), "local", "old_1.qcow2"); err != nil || row.Pulled || row.Result != "" || row.JoinedTo != "" {
			t.Errorf("the old one is %+v, %v", row, err)
		}

		add := func(u record) record {
			t.Helper()
			u.Host, u.Owner, u.Metadata, u.Expires = "local", "ann", "null", now
			if err := db.Create(&u).Error; err != nil {
				t.Fatal(err)
			}
			return u
		}
		parts := []record{add(record{ID: "a", Size: 10, Part: true}), add(record{ID: "b", Size: 20, Part: true})}
		whole := add(record{ID: "whole", Size: 30, Parts: "a b", Pulled: true, Result: "whole.qcow2"})
		if err := claim(db, whole, parts); err != nil {
			t.Fatal(err)
		}
		err = db.Transaction(func(tx *gorm.DB) error { return claim(tx, record{ID: "other"}, parts) })
		if fault.CodeOf(err) != fault.UploadBusy {
			t.Errorf("parts were claimed twice: %v", err)
		}
		in, err := s.Upload(t.Context(), "local", "whole")
		if err != nil || !slices.Equal(in.Parts, []string{"a", "b"}) {
			text, _ := json.Marshal(in)
			t.Errorf("what is made of parts is %s, %v", text, err)
		}
		if list, err = s.Uploads(t.Context()); err != nil || len(list) != 2 {
			t.Errorf("the uploads are %+v, %v; their parts are theirs", list, err)
		}
		if err := s.recoverParts(t.Context(), "local"); err != nil {
			t.Error(err)
		}
		if row, err := s.upload(t.Context(), "local", "b"); err != nil || row.JoinedTo != "whole" {
			t.Errorf("a part that is needed was given up: %+v, %v", row, err)
		}
		if bytes, err := s.promised(t.Context(), "local"); err != nil || bytes != 40+60 {
			t.Errorf("%d bytes are still to come, %v", bytes, err)
		}
	})
}
