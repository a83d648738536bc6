// Package storetest gives tests real databases: SQLite files, and PostgreSQL
// databases on a server of the test's own.
package storetest

import (
	"path/filepath"
	"testing"
)

// Main runs a package's tests and shuts down the PostgreSQL server that they
// started. Packages whose tests call Each or Postgres need it:
//
//	func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }
func Main(m *testing.M) (exitCode int) {
	server.managed = true
	defer server.stop()
	return m.Run()
}

// Each runs a test on an empty database of every kind, as the subtests "sqlite"
// and "postgres". The latter is skipped where PostgreSQL is not installed.
func Each(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, Postgres(t)) })
}

// SQLite returns the URL of a SQLite file that does not exist yet, in a
// directory that goes away with the test.
func SQLite(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "sandboxlabs.db")
}
