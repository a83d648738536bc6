package image

import (
	"os"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/diskimage"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// TestLongSources stores the longest possible source format.
func TestLongSources(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		db, err := store.Open(t.Context(), url, nil, Migrations()...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := store.Close(db); err != nil {
				t.Error(err)
			}
		})
		row := Record{Host: "local", ID: "a", Type: Base, State: string(Ready), SourceFormat: diskimage.SnapshotsQCOW2 + ".tar.bz2", Created: time.Now().UTC()}
		if err := db.Create(&row).Error; err != nil {
			t.Error(err)
		}
	})
}
