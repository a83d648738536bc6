package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
)

const (
	postgresConns    = 16 // per process; a server allows 100 by default
	postgresIdle     = 5 * time.Minute
	postgresLifetime = 30 * time.Minute // so that connections follow a server that has moved
)

func openPostgres(ctx context.Context, url string, log *slog.Logger, migrations []*gormigrate.Migration) (*gorm.DB, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		// The parser's own error may quote the URL with the password.
		return nil, errors.New("open the database: the PostgreSQL URL cannot be read; write postgres://user:password@host:port/name and percent-encode the password's special characters")
	}
	conns := stdlib.OpenDB(*config)
	conns.SetMaxOpenConns(postgresConns)
	conns.SetMaxIdleConns(postgresConns)
	conns.SetConnMaxIdleTime(postgresIdle)
	conns.SetConnMaxLifetime(postgresLifetime)
	if err := conns.PingContext(ctx); err != nil {
		return nil, errors.Join(postgresError(config, err), conns.Close())
	}
	return finish(ctx, postgres.New(postgres.Config{Conn: conns}), conns, log, migrations)
}

// postgresError explains what to do if a server refuses the connection.
func postgresError(config *pgx.ConnConfig, err error) error {
	server := fmt.Sprintf("PostgreSQL at %s:%d", config.Host, config.Port)
	var refusal *pgconn.PgError
	if errors.As(err, &refusal) {
		switch refusal.Code {
		case "28P01", "28000": // invalid_password, invalid_authorization_specification
			return fmt.Errorf("open the database: %s refuses the user %q; check user, password and pg_hba.conf: %w", server, config.User, err)
		case "3D000": // invalid_catalog_name
			return fmt.Errorf("open the database: %s has no database %q; make it with createdb: %w", server, config.Database, err)
		}
	}
	return fmt.Errorf("open the database: no connection to %s; check that it runs and that the database setting names it: %w", server, err)
}
