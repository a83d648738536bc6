package domain

import (
	"encoding/xml"
	"strings"
	"testing"
	"time"
)

// noAccounts is a service without accounts.
type noAccounts struct{}

func (noAccounts) OwnerName(id string) string     { return id }
func (noAccounts) FormerOwner(string) (id string) { return "" }

// TestOwnersInMetadata writes owners and reads them, those of earlier versions too.
func TestOwnersInMetadata(t *testing.T) {
	const id = "0199aaaa-0000-7000-8000-000000000001"
	written, err := xml.Marshal(newMetadata(owner{ID: id, Name: "ann"}, "", ImageRef{}, time.Unix(0, 0)))
	if err != nil {
		t.Fatal(err)
	}
	if want := `<owner id="` + id + `">ann</owner>`; !strings.Contains(string(written), want) {
		t.Errorf("the metadata is %s, without %s", written, want)
	}
	nobody, err := xml.Marshal(newMetadata(owner{}, "", ImageRef{}, time.Unix(0, 0)))
	if err != nil || strings.Contains(string(nobody), "owner") {
		t.Errorf("nobody's node has %s, %v", nobody, err)
	}
	for text, want := range map[string]owner{
		`<owner id="` + id + `">ann</owner>`: {ID: id, Name: "ann"},
		`<owner>ann</owner>`:                 {Name: "ann"},
		`<owner id="ann">ann</owner>`:        {Name: "ann"}, // a name is not an id
		`<owner id="">ann</owner>`:           {Name: "ann"},
		`<owner/>`:                           {},
		``:                                   {},
		`<owner id="` + id + `"><b>x</b></owner>`: {ID: id},
	} {
		m, ok := findMetadata(`<node xmlns="` + Namespace + `">` + text + `</node>`)
		if !ok || m.Owner != want {
			t.Errorf("%s is read as %+v, %v", text, m.Owner, ok)
		}
	}
}

// TestNetworkMetadata finds our element among what others wrote.
func TestNetworkMetadata(t *testing.T) {
	ours := `<s:network xmlns:s="` + networkNamespace + `"><s:owner>ann</s:owner></s:network>`
	for _, text := range []string{ours, `<x xmlns="urn:x"><network/></x>` + ours, " \n" + ours + `<y xmlns="urn:y"/>`} {
		start, end, m, ok := findNetworkMetadata(text)
		if !ok || m.Owner.Name != "ann" || text[start:end] != ours {
			t.Errorf("%s: %+v, %v, at %q", text, m, ok, text[start:end])
		}
	}
	for _, text := range []string{"", "<a", `<network xmlns="urn:x"><owner>eve</owner></network>`, `<x xmlns="urn:x">` + ours + `</x>`} {
		if _, _, m, ok := findNetworkMetadata(text); ok {
			t.Errorf("%s is read as %+v", text, m)
		}
	}
}
