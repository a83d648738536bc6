package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

// asChild is the environment variable that makes this binary a process of TestIntentSurvivesKill.
const asChild = "STORE_TEST_URL"

func TestMain(m *testing.M) {
	if url := os.Getenv(asChild); url != "" {
		beginAndWait(url)
	}
	os.Exit(storetest.Main(m))
}

func open(t *testing.T, url string, migrations ...*gormigrate.Migration) *gorm.DB {
	t.Helper()
	db, err := Open(t.Context(), url, nil, migrations...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Close(db); err != nil {
			t.Error(err)
		}
	})
	return db
}

// table is a migration that creates a table of unique names.
func table(id, name string, ran *atomic.Int64) *gormigrate.Migration {
	return &gormigrate.Migration{ID: id, Migrate: func(tx *gorm.DB) error {
		if ran != nil {
			ran.Add(1)
		}
		return tx.Exec("CREATE TABLE " + name + " (name varchar(20) PRIMARY KEY)").Error
	}}
}

func TestMigrationsRunInOrderAndOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		second := &gormigrate.Migration{ID: "2", Migrate: func(tx *gorm.DB) error {
			return tx.Exec("INSERT INTO things VALUES ('made by the second')").Error
		}}
		for range 2 {
			db, err := Open(ctx, url, nil, second, table("1", "things", nil))
			if err != nil {
				t.Fatal(err)
			}
			var rows int64
			if err := db.Table("things").Count(&rows).Error; err != nil || rows != 1 {
				t.Errorf("rows = %d, %v; want 1", rows, err)
			}
			err = db.Exec("INSERT INTO things VALUES ('made by the second')").Error
			if !errors.Is(err, gorm.ErrDuplicatedKey) {
				t.Errorf("inserted twice: %v, want gorm.ErrDuplicatedKey", err)
			}
			if err := Close(db); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestRacingMigrationsRunOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		var ran atomic.Int64
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				db, err := Open(t.Context(), url, nil, table("1", "things", &ran), table("2", "others", &ran))
				if err != nil {
					t.Error(err)
					return
				}
				if err := Close(db); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if ran.Load() != 2 {
			t.Errorf("%d migrations ran, want 2", ran.Load())
		}
	})
}

func TestFailedMigrationLeavesNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		broken := &gormigrate.Migration{ID: "2", Migrate: func(*gorm.DB) error { return errors.New("broken") }}
		if _, err := Open(t.Context(), url, nil, table("1", "things", nil), broken); err == nil {
			t.Fatal("a broken migration was accepted")
		}
		db := open(t, url)
		if db.Migrator().HasTable("things") {
			t.Error("the first migration's table is there although the second failed")
		}
	})
}

func TestNewerDatabaseIsRefused(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db, err := Open(t.Context(), url, nil, table("1", "things", nil), table("2", "others", nil))
		if err != nil {
			t.Fatal(err)
		}
		if err := Close(db); err != nil {
			t.Fatal(err)
		}
		_, err = Open(t.Context(), url, nil, table("1", "things", nil))
		if err == nil || !strings.Contains(err.Error(), "newer version") {
			t.Errorf("error = %v, want one about a newer version", err)
		}
	})
}

func TestSQLiteFilesAreTheOwnersAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made")
	path := filepath.Join(dir, "sandboxlabs.db")
	db, err := Open(t.Context(), "sqlite:"+path, nil, IntentMigrations()...)
	if err != nil {
		t.Fatal(err)
	}
	checkMode := func(path string, want os.FileMode) {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("mode of %s = %o, want %o", path, info.Mode().Perm(), want)
		}
	}
	checkMode(dir, 0o700)
	for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
		checkMode(path+suffix, 0o600)
	}
	if err := Close(db); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	open(t, path, IntentMigrations()...)
	checkMode(path, 0o600)
}

func TestSQLiteSettings(t *testing.T) {
	db := open(t, storetest.SQLite(t))
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "10000",
	} {
		var got string
		if err := db.Raw("PRAGMA " + pragma).Row().Scan(&got); err != nil || got != want {
			t.Errorf("%s = %q, %v; want %q", pragma, got, err, want)
		}
	}
}

func TestSQLiteTakesAnyFileName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "50%25 of it? #1 & more.db")
	open(t, "sqlite:"+path)
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

// TestSQLiteWritersWaitForEachOther also reads before it writes: a transaction that began as a
// reader would fail if another one has written in between.
func TestSQLiteWritersWaitForEachOther(t *testing.T) {
	url := storetest.SQLite(t)
	var group sync.WaitGroup
	for range 2 {
		db := open(t, url, IntentMigrations()...)
		for range 6 {
			group.Go(func() {
				for range 10 {
					err := db.Transaction(func(tx *gorm.DB) error {
						intents := NewIntents(tx, NewLease(tx))
						if _, err := intents.Pending(t.Context(), ""); err != nil {
							return err
						}
						_, err := intents.Begin(t.Context(), "test", "", nil)
						return err
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	group.Wait()
}

func TestOpenSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	noise := filepath.Join(dir, "noise.db")
	if err := os.WriteFile(noise, bytes.Repeat([]byte("not a database "), 300), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, url, want string }{
		{"empty", "", "use sqlite:"},
		{"another kind", "mysql://me:Sesam-Oeffne@host/name", `"mysql"`},
		{"no kind", "me:Sesam-Oeffne@host/name", "use sqlite:"},
		{"no file", "sqlite:", "names no file"},
		{"a folder", "sqlite:" + dir, "is not a file"},
		{"not a database", "sqlite:" + noise, "restore a backup"},
		{"folder cannot be made", "sqlite:" + filepath.Join(noise, "deeper", "x.db"), "data-dir"},
		{"bad escape", "postgres://me:Sesam-Oeffne%zz@127.0.0.1/name", "percent-encode"},
		{"bad port", "postgres://me:Sesam-Oeffne@127.0.0.1:port/name", "percent-encode"},
		{"nobody there", "postgres://me:Sesam-Oeffne@127.0.0.1:1/name?sslmode=disable", "check that it runs"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			db, err := Open(t.Context(), test.url, nil)
			if err == nil {
				t.Fatal("opened", errors.Join(Close(db)))
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q does not say %q", err, test.want)
			}
			if strings.Contains(err.Error(), "Sesam") {
				t.Errorf("the password is in the error %q", err)
			}
		})
	}
}

func TestPostgresRefusalsSayWhatToDo(t *testing.T) {
	good, err := url.Parse(storetest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	right, _ := good.User.Password()
	tests := []struct {
		name, want string
		change     func(*url.URL)
	}{
		{"wrong password", "check user, password", func(u *url.URL) { u.User = url.UserPassword("sandboxlabs", "Sesam-Oeffne") }},
		{"no such database", "createdb", func(u *url.URL) { u.Path = "/absent" }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bad := *good
			test.change(&bad)
			var log bytes.Buffer
			_, err := Open(t.Context(), bad.String(), slog.New(slog.NewTextHandler(&log, nil)))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v does not say %q", err, test.want)
			}
			for _, secret := range []string{right, "Sesam"} {
				if strings.Contains(fmt.Sprint(err)+log.String(), secret) {
					t.Errorf("the password is in %q or the log %q", err, log.String())
				}
			}
		})
	}
}

func TestOpeningCanBeCancelled(t *testing.T) {
	url := storetest.SQLite(t)
	lock, err := os.OpenFile(strings.TrimPrefix(url, "sqlite:")+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Open(ctx, url, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %v, want context.DeadlineExceeded", err)
	}
}

func TestLogHoldsNoValues(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		var log bytes.Buffer
		db := open(t, url, table("1", "things", nil))
		db = db.Session(&gorm.Session{Logger: statementLog{log: slog.New(slog.NewTextHandler(&log, nil))}})
		if err := db.Exec("INSERT INTO things VALUES (?)", "Sesam").Error; err != nil {
			t.Fatal(err)
		}
		if err := db.Table("things").Where("name = ?", "Sesam").Update("name", "Sesam 2").Error; err != nil {
			t.Fatal(err)
		}
		db.Logger.Error(t.Context(), "complaint about %v", "Sesam")
		for _, want := range []string{"INSERT INTO things", "UPDATE", "complaint about", "level=WARN"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%q is not in the log:\n%s", want, log.String())
			}
		}
		if strings.Contains(log.String(), "Sesam") {
			t.Errorf("a value is in the log:\n%s", log.String())
		}
	})
}
