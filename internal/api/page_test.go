package api

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// TestPages reads a list page by page, also while it changes.
func TestPages(t *testing.T) {
	itself := func(s string) string { return s }
	list := func() []string { // as no database is sure to order it
		return []string{"ä", "b", "a", "Z", "c\x00d", "c", "ab"}
	}
	want := slices.Sorted(slices.Values(list()))
	for limit := 1; limit <= len(want)+1; limit++ {
		t.Run(fmt.Sprintf("of %d", limit), func(t *testing.T) {
			var got []string
			p := Paging{Limit: limit}
			for {
				page, next, err := pageOf(p, "letters", list(), itself)
				if err != nil || len(page) > limit || len(page) == 0 {
					t.Fatalf("%q, %v", page, err)
				}
				got = append(got, page...)
				if p.Cursor = next.NextCursor; p.Cursor == "" {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("read %q, want %q", got, want)
			}
		})
	}
	t.Run("that changes", func(t *testing.T) {
		page, next, err := pageOf(Paging{Limit: 2}, "letters", []string{"b", "d", "f"}, itself)
		if err != nil || strings.Join(page, "") != "bd" {
			t.Fatalf("%q, %v", page, err)
		}
		// The last one that was given is gone, one has come before it and one behind.
		page, next, err = pageOf(Paging{Limit: 2, Cursor: next.NextCursor}, "letters", []string{"a", "b", "e", "f"}, itself)
		if err != nil || strings.Join(page, "") != "ef" || next.NextCursor != "" {
			t.Errorf("%q, %q, %v", page, next.NextCursor, err)
		}
	})
	t.Run("that became empty", func(t *testing.T) {
		page, next, err := pageOf(Paging{Limit: 2, Cursor: cursorAt("letters", "b")}, "letters", nil, itself)
		if err != nil || len(page) > 0 || next.NextCursor != "" {
			t.Errorf("%q, %q, %v", page, next.NextCursor, err)
		}
	})
	for what, cursor := range map[string]string{
		"no Base64":       "!",
		"padded":          base64.URLEncoding.EncodeToString([]byte("letters\x00ab")),
		"of another list": cursorAt("numbers", "a"),
		"made up":         base64.RawURLEncoding.EncodeToString([]byte("a")),
	} {
		if _, _, err := pageOf(Paging{Limit: 1, Cursor: cursor}, "letters", list(), itself); fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), "use the nextCursor") {
			t.Errorf("a cursor that is %s: %v", what, err)
		}
	}
}
