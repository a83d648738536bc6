package guacamole

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	connections      = 2 // to Guacamole's database; a pass uses one
	connectTimeout   = 3 * time.Second
	statementTimeout = "5000" // ms
	workTimeout      = 10 * time.Second
	// writeLock is the advisory lock for writing our rows, so that two services writing at
	// the same time end up with one row each. The number is arbitrary but must never
	// change.
	writeLock int64 = 0x5342_4c47_5541_4301
)

// newPool creates a connection pool without connecting.
func newPool(url string, sent *statementCount) (*pgxpool.Pool, error) {
	c, err := pgxpool.ParseConfig(url)
	if err != nil {
		// The parser's own error may contain the URL with its password.
		return nil, errors.New("guacamole-database: the URL cannot be read; write postgres://user:password@host:port/name and percent-encode the password's special characters")
	}
	c.MaxConns = connections
	c.ConnConfig.ConnectTimeout = connectTimeout
	c.ConnConfig.RuntimeParams["application_name"] = "sandboxlabs"
	c.ConnConfig.RuntimeParams["statement_timeout"] = statementTimeout
	c.ConnConfig.Tracer = sent
	// The context is only for the pool's background tasks, which Close ends.
	return pgxpool.NewWithConfig(context.Background(), c)
}

// inTransaction runs f in a transaction, one at a time among the services that write our
// rows. When it returns, the transaction is committed or rolled back.
func (s *Service) inTransaction(ctx context.Context, f func(tx pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, workTimeout)
	defer cancel()
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// The following statements see everything that the previous lock holder committed:
		// each statement has its own snapshot.
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", writeLock); err != nil {
			return err
		}
		return f(tx)
	})
}

// sendAll runs statements without results in one round trip.
func sendAll(ctx context.Context, tx pgx.Tx, b *pgx.Batch) error {
	if b.Len() == 0 {
		return nil
	}
	return tx.SendBatch(ctx, b).Close()
}

// explain adds to an error of the database what to do about it.
func (s *Service) explain(err error) error {
	if err == nil {
		return nil
	}
	c := s.pool.Config().ConnConfig
	server := fmt.Sprintf("Guacamole's database %q at %s:%d", c.Database, c.Host, c.Port)
	var refusal *pgconn.PgError
	if !errors.As(err, &refusal) || strings.HasPrefix(refusal.Code, "57P") { // the server is shutting down or starting
		return fmt.Errorf("no connection to %s; check that it runs and that guacamole-database names it: %w", server, err)
	}
	switch refusal.Code {
	case "28P01", "28000": // invalid_password, invalid_authorization_specification
		return fmt.Errorf("%s refuses the user %q; check user and password: %w", server, c.User, err)
	case "3D000": // invalid_catalog_name
		return fmt.Errorf("%s does not exist: %w", server, err)
	case "42P01", "42703": // undefined_table, undefined_column
		return fmt.Errorf("%s does not have the tables of Guacamole 1.0 or newer; its initdb.sh writes them: %w", server, err)
	case "42501": // insufficient_privilege
		return fmt.Errorf("%s does not give the user %q all rights that deploy/compose/guacamole-role.sql lists: %w", server, c.User, err)
	}
	return fmt.Errorf("%s: %w", server, err)
}

// statementCount counts the statements that are sent.
type statementCount struct{ n atomic.Int64 }

var (
	_ pgx.QueryTracer = (*statementCount)(nil)
	_ pgx.BatchTracer = (*statementCount)(nil)
)

// TraceQueryStart counts a statement.
func (c *statementCount) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n.Add(1)
	return ctx
}

// TraceQueryEnd does nothing.
func (c *statementCount) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TraceBatchStart counts the statements of a batch.
func (c *statementCount) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	c.n.Add(int64(data.Batch.Len()))
	return ctx
}

// TraceBatchQuery does nothing: TraceBatchStart has counted it.
func (c *statementCount) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd does nothing.
func (c *statementCount) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}
