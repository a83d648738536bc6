package api

import (
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// Paging has the parameters of a paged list. It is exported because huma only reads exported
// embedded structs.
type Paging struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"1000" doc:"Maximum number of entries."`
	Cursor string `query:"cursor" doc:"nextCursor of the previous page; leave it out for the first page."`
}

// Next has the cursor of the next page. It is exported because huma only reads exported embedded
// structs.
type Next struct {
	NextCursor string `json:"nextCursor,omitempty" doc:"Use it as cursor to read the next page; absent on the last page."`
}

// pageOf returns a page of a list, sorted by key, which must be unique. The cursor names the last
// returned item, so that items that are added or removed meanwhile do not shift the pages. A cursor
// is valid only for the list with that name. pageOf sorts the list in place.
func pageOf[T any](p Paging, name string, list []T, key func(T) string) ([]T, Next, error) {
	after, err := afterCursor(name, p.Cursor)
	if err != nil {
		return nil, Next{}, err
	}
	slices.SortFunc(list, func(a, b T) int { return strings.Compare(key(a), key(b)) })
	if p.Cursor != "" {
		begin, given := slices.BinarySearchFunc(list, after, func(v T, after string) int { return strings.Compare(key(v), after) })
		if given {
			begin++
		}
		list = list[begin:]
	}
	if len(list) <= p.Limit {
		return list, Next{}, nil
	}
	list = list[:p.Limit]
	return list, Next{cursorAt(name, key(list[p.Limit-1]))}, nil
}

// cursorAt returns the cursor that continues a list after a key.
func cursorAt(name, key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(sortKey(name, key)))
}

// afterCursor returns the key after which a list continues; empty without a cursor.
func afterCursor(name, cursor string) (string, error) {
	if cursor == "" {
		return "", nil
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	key, of := strings.CutPrefix(string(text), sortKey(name, ""))
	if err != nil || !of {
		return "", errCursor()
	}
	return key, nil
}

func errCursor() error {
	return fault.New(fault.Invalid, "cursor: use the nextCursor of the previous page of the same list, or leave it out to start again.")
}

// byTime is a time in a sort key, exact to a microsecond, as the databases keep it.
func byTime(t time.Time) string { return t.UTC().Format("20060102150405.000000") }

// sortKey combines the parts that a list is sorted by into one key. All parts but the last must not
// contain NUL.
func sortKey(parts ...string) string { return strings.Join(parts, "\x00") }
