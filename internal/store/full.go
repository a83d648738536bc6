package store

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/mattn/go-sqlite3"
)

const postgresDiskFull = "53100"

// IsFull returns whether err means that the database has no space to write.
func IsFull(err error) bool {
	var embedded sqlite3.Error
	var server *pgconn.PgError
	switch {
	case errors.As(err, &embedded):
		return embedded.Code == sqlite3.ErrFull
	case errors.As(err, &server):
		return server.Code == postgresDiskFull
	}
	return false
}
