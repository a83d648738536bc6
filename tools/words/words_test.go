package main

import (
	"reflect"
	"testing"
)

// TestCheck finds bad wording, and lets good English pass.
func TestCheck(t *testing.T) {
	for _, bad := range []string{
		"The list is read anew.", "It is for administrators alone.", "isReady tells whether it is ready.", "It answers fault.Invalid.",
		"The nodes go on.", "overlays that lie on it", "This is no domain XML.", "Who creates it sees it.", "It is full. Who waits is served",
		"the mode shall be otherwise", "There is no room.", "the figures of a node", "after the patience", "Nothing is at work.",
		"a network of its own", "The switch did not work.", "The node stays as it is", "There is no such page.", "somebody else", "You may not do that.",
		"It is tried again by itself.", "the present password", "pull the plug", "a network card", "No node fits", "The host is away.",
		"deleted for good", "a name in place of an id", "kept in step", "Make a node", "anew, and alone",
	} {
		if len(check(bad)) == 0 {
			t.Errorf("nothing found in %q", bad)
		}
	}
	for _, good := range []string{
		"Leave the others alone.", "a stand-alone file", "There is no node yet.", "It is no longer used.", "Who did what?", "who did what",
		"GET /api/figures", "figures-interval", "the last step", "a bathroom", "in places of",
	} {
		if found := check(good); len(found) > 0 {
			t.Errorf("%q in %q", found, good)
		}
	}
}

// TestExtract reads prose with its line and kind, and no code.
func TestExtract(t *testing.T) {
	for _, c := range []struct {
		name, content string
		want          []text
	}{
		{"a.md", "A `code` b\n```sh\nno prose\n```\nC", []text{{1, docs, "A ` b"}, {5, docs, "C"}}},
		{"a.go", "package a\n\n// B is it.\nconst B = \"two words\" + \"one\"\n", []text{{3, comments, "// B is it."}, {4, literals, "two words"}}},
		{"a.sh", "# comment\necho hello", []text{{1, comments, "# comment"}, {2, literals, "echo hello"}}},
		{"a.png", "x y", nil},
	} {
		got, err := extract(c.name, []byte(c.content))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v (%v), not %+v", c.name, got, err, c.want)
		}
	}
}

// TestLater covers folders, files and kinds, and nothing beside them.
func TestLater(t *testing.T) {
	l := parseLater("# why\ninternal/api comments\nMakefile strings\n")
	for _, c := range []struct {
		file string
		kind kind
		want bool
	}{
		{"internal/api/a.go", comments, true}, {"internal/api/a.go", literals, false}, {"internal/apis/a.go", comments, false},
		{"Makefile", literals, true}, {"Makefile", comments, false},
	} {
		if _, got := l.entry(c.file, c.kind); got != c.want {
			t.Errorf("%s %s: %v", c.file, c.kind, got)
		}
	}
}

// TestAbsentFiles finds a file that a document names and that was renamed.
func TestAbsentFiles(t *testing.T) {
	got := absentFiles("See `internal/store/renamed.go`, docs/x.go and https://example.org/a.sh.")
	if !reflect.DeepEqual(got, []string{"internal/store/renamed.go"}) {
		t.Errorf("absent are %q", got)
	}
}
