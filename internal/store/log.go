package store

import (
	"context"
	"log/slog"
	"time"

	"gorm.io/gorm/logger"
)

// slowStatement is the time from which a statement is worth a warning.
const slowStatement = time.Second

// statementLog is GORM's logger. It writes slow statements and GORM's own
// complaints, both as warnings. Errors are left to the callers, who get them
// anyway. The values of a statement are never written: passwords' hashes,
// tokens' hashes and users' data are among them.
type statementLog struct {
	log  *slog.Logger
	slow time.Duration
}

var (
	_ logger.Interface = statementLog{}
	_ interface {
		ParamsFilter(context.Context, string, ...any) (string, []any)
	} = statementLog{}
)

// LogMode returns the logger unchanged: what is written does not vary.
func (l statementLog) LogMode(logger.LogLevel) logger.Interface { return l }

// Info writes nothing.
func (l statementLog) Info(context.Context, string, ...any) {}

// Warn writes GORM's complaint without the values it is about.
func (l statementLog) Warn(ctx context.Context, text string, _ ...any) {
	l.log.WarnContext(ctx, "database layer", "complaint", text)
}

// Error writes GORM's complaint without the values it is about.
func (l statementLog) Error(ctx context.Context, text string, values ...any) {
	l.Warn(ctx, text, values...)
}

// Trace writes a statement that took long.
func (l statementLog) Trace(ctx context.Context, begin time.Time, statement func() (sql string, rows int64), _ error) {
	took := time.Since(begin)
	if took < l.slow {
		return
	}
	sql, rows := statement()
	l.log.WarnContext(ctx, "slow database statement", "sql", sql, "rows", rows, "took", took)
}

// ParamsFilter keeps a statement's values from being written into its text.
func (l statementLog) ParamsFilter(_ context.Context, sql string, _ ...any) (string, []any) {
	return sql, nil
}
