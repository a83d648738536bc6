package store

import (
	"context"
	"log/slog"
	"time"

	"gorm.io/gorm/logger"
)

// slowStatement is the duration from which a statement is logged as slow.
const slowStatement = time.Second

// statementLog is GORM's logger. It logs slow statements and GORM's own warnings and errors, all as
// warnings. It does not log statement errors, which the callers get anyway. It never logs the
// values of a statement, which include password hashes, token hashes and users' data.
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

// LogMode returns the logger unchanged: the level is fixed.
func (l statementLog) LogMode(logger.LogLevel) logger.Interface { return l }

// Info logs nothing.
func (l statementLog) Info(context.Context, string, ...any) {}

// Warn logs GORM's message without its values.
func (l statementLog) Warn(ctx context.Context, text string, _ ...any) {
	l.log.WarnContext(ctx, "database layer", "complaint", text)
}

// Error logs GORM's message without its values.
func (l statementLog) Error(ctx context.Context, text string, values ...any) {
	l.Warn(ctx, text, values...)
}

// Trace logs slow statements.
func (l statementLog) Trace(ctx context.Context, begin time.Time, statement func() (sql string, rows int64), _ error) {
	took := time.Since(begin)
	if took < l.slow {
		return
	}
	sql, rows := statement()
	l.log.WarnContext(ctx, "slow database statement", "sql", sql, "rows", rows, "took", took)
}

// ParamsFilter keeps the values out of a statement's logged text.
func (l statementLog) ParamsFilter(_ context.Context, sql string, _ ...any) (string, []any) {
	return sql, nil
}
