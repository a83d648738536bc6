// Package guacamoletest gives tests what Guacamole consists of, except its web
// application: a PostgreSQL database with its tables, and a guacd with a client
// that speaks its protocol.
package guacamoletest

import (
	"context"
	_ "embed" // the schema
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

//go:embed schema.sql
var schema string

// grants is where the rights of our role are, in the module.
const grants = "deploy/compose/guacamole-role.sql"

// role is our role's name in that file. Roles are the server's and not the database's, so
// each database has its own.
const role = "sandboxlabs_guacamole"

// Database is Guacamole's database on a server of the test's own.
type Database struct {
	t testing.TB
	// Owner is the URL for the database's owner.
	Owner string
	// URL is for a role that has the rights which the documentation asks for, and
	// no others.
	URL string
	// Role is that role's name.
	Role string
}

const limit = 30 * time.Second // for a statement

// NewDatabase creates a database with Guacamole's tables and the administrator "guacadmin".
// It is gone when the test ends. It skips the test where PostgreSQL is not installed.
func NewDatabase(t testing.TB) *Database {
	t.Helper()
	d := &Database{t: t, Owner: storetest.Postgres(t)}
	d.Exec(schema)
	d.Exec(`INSERT INTO guacamole_entity (name, type) VALUES ('guacadmin', 'USER');
		INSERT INTO guacamole_user (entity_id, password_hash, password_date) SELECT entity_id, sha256('guacadmin'), now() FROM guacamole_entity;
		INSERT INTO guacamole_system_permission SELECT entity_id, 'ADMINISTER' FROM guacamole_entity`)
	u, err := url.Parse(d.Owner)
	if err != nil {
		t.Fatal(err)
	}
	d.Role = role + "_" + strings.TrimPrefix(u.Path, "/")
	rights, err := os.ReadFile(filepath.Join(module(t), grants))
	if err != nil {
		t.Fatal(err)
	}
	d.Exec(fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD 'guest'", d.Role))
	t.Cleanup(func() { d.Exec("DROP OWNED BY " + d.Role + "; DROP ROLE " + d.Role) })
	d.Exec(strings.ReplaceAll(string(rights), role, d.Role))
	u.User = url.UserPassword(d.Role, "guest")
	d.URL = u.String()
	return d
}

// module is the folder of go.mod.
func module(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	for err == nil {
		if _, absent := os.Stat(filepath.Join(dir, "go.mod")); absent == nil {
			return dir
		}
		if filepath.Dir(dir) == dir {
			t.Fatal("there is no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
	t.Fatal(err)
	return ""
}

// do runs f with a connection of the owner. Each has its own: the server may
// have been down since the last one.
func (d *Database) do(f func(ctx context.Context, c *pgx.Conn) error) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	c, err := pgx.Connect(ctx, d.Owner)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = c.Close(ctx) }()
	if err := f(ctx, c); err != nil {
		d.t.Fatal(err)
	}
}

// Exec runs statements as the database's owner.
func (d *Database) Exec(sql string, args ...any) {
	d.t.Helper()
	d.do(func(ctx context.Context, c *pgx.Conn) error {
		if _, err := c.Exec(ctx, sql, args...); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
		return nil
	})
}

// One returns the only value that a query gives.
func One[T any](d *Database, sql string, args ...any) (v T) {
	d.t.Helper()
	d.do(func(ctx context.Context, c *pgx.Conn) error {
		if err := c.QueryRow(ctx, sql, args...).Scan(&v); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
		return nil
	})
	return v
}

// Connection is a connection as Guacamole would open it.
type Connection struct {
	ID         int
	Name       string
	Protocol   string
	Group      string
	Parameters map[string]string
	Readers    []string // who may open it
	Guacd      string   // host, port and encryption of a separate guacd; empty without one
}

// Connections returns all connections by name.
func (d *Database) Connections() map[string]Connection {
	d.t.Helper()
	byName := map[string]Connection{}
	d.do(func(ctx context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, `
			SELECT connection_id, connection_name, protocol, COALESCE(connection_group_name, ''),
			       COALESCE((SELECT json_object_agg(parameter_name, parameter_value) FROM guacamole_connection_parameter p WHERE p.connection_id = c.connection_id), '{}'),
			       ARRAY(SELECT e.name FROM guacamole_connection_permission m JOIN guacamole_entity e USING (entity_id)
			              WHERE m.connection_id = c.connection_id AND m.permission = 'READ' ORDER BY 1),
			       concat_ws(' ', proxy_hostname, proxy_port, proxy_encryption_method)
			  FROM guacamole_connection c LEFT JOIN guacamole_connection_group g ON g.connection_group_id = c.parent_id`)
		if err != nil {
			return err
		}
		list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Connection])
		for _, r := range list {
			if _, twice := byName[r.Name]; twice {
				d.t.Errorf("two connections are called %q", r.Name)
			}
			byName[r.Name] = r
		}
		return err
	})
	return byName
}

// Snapshot is everything that the tables hold, for comparison.
func (d *Database) Snapshot() string {
	d.t.Helper()
	var all []string
	for _, table := range []string{
		"connection_group", "connection_group_attribute", "connection_group_permission", "connection", "connection_attribute",
		"connection_parameter", "connection_permission", "entity", "user", "user_attribute", "system_permission", "user_permission",
	} {
		all = append(all, One[string](d, `SELECT COALESCE(string_agg(t::text, E'\n' ORDER BY t::text), '') FROM guacamole_`+table+` t`))
	}
	return strings.Join(all, "\n")
}
