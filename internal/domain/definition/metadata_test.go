package definition

import (
	"encoding/xml"
	"strings"
	"testing"
	"time"
)

func TestFindMetadata(t *testing.T) {
	ours, err := xml.Marshal(NewMetadata(Owner{Name: "ann"}, "", ImageRef{}, time.Unix(0, 0)))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text  string
		found bool
		owner string
	}{
		"alone":                  {string(ours), true, "ann"},
		"beside others":          {`<a:x xmlns:a="urn:a"><a:node>no</a:node></a:x>` + string(ours), true, "ann"},
		"with a prefix":          {`<s:node xmlns:s="` + Namespace + `"><s:owner>bob</s:owner><s:created>2026-01-01T00:00:00Z</s:created></s:node>`, true, "bob"},
		"garbled by others":      {`<node xmlns="` + Namespace + `"><owner>cy</owner><created>soon</created></node>`, true, "cy"},
		"with content of others": {`<node xmlns="` + Namespace + `"><x xmlns="urn:x"/><owner>dan</owner></node>`, true, "dan"},
		"another namespace":      {`<node xmlns="urn:x"><owner>eve</owner></node>`, false, ""},
		"nested in another":      {`<x xmlns="urn:x">` + string(ours) + `</x>`, false, ""},
		"none":                   {"", false, ""},
		"broken":                 {"<a", false, ""},
	} {
		m, found := FindMetadata(c.text)
		if found != c.found || m.Owner.Name != c.owner {
			t.Errorf("%s: found %v, owner %q", name, found, m.Owner.Name)
		}
	}
}

// TestOwnersInMetadata writes and reads owners, including those in the format of earlier
// versions.
func TestOwnersInMetadata(t *testing.T) {
	const id = "0199aaaa-0000-7000-8000-000000000001"
	written, err := xml.Marshal(NewMetadata(Owner{ID: id, Name: "ann"}, "", ImageRef{}, time.Unix(0, 0)))
	if err != nil {
		t.Fatal(err)
	}
	if want := `<owner id="` + id + `">ann</owner>`; !strings.Contains(string(written), want) {
		t.Errorf("the metadata is %s, without %s", written, want)
	}
	nobody, err := xml.Marshal(NewMetadata(Owner{}, "", ImageRef{}, time.Unix(0, 0)))
	if err != nil || strings.Contains(string(nobody), "owner") {
		t.Errorf("nobody's node has %s, %v", nobody, err)
	}
	for text, want := range map[string]Owner{
		`<owner id="` + id + `">ann</owner>`: {ID: id, Name: "ann"},
		`<owner>ann</owner>`:                 {Name: "ann"},
		`<owner id="ann">ann</owner>`:        {Name: "ann"}, // a name is not a valid id
		`<owner id="">ann</owner>`:           {Name: "ann"},
		`<owner/>`:                           {},
		``:                                   {},
		`<owner id="` + id + `"><b>x</b></owner>`: {ID: id},
	} {
		m, ok := FindMetadata(`<node xmlns="` + Namespace + `">` + text + `</node>`)
		if !ok || m.Owner != want {
			t.Errorf("%s is read as %+v, %v", text, m.Owner, ok)
		}
	}
}
