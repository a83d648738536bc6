package domain

import (
	"testing"
)

// noAccounts implements Accounts without any account.
type noAccounts struct{}

func (noAccounts) OwnerName(id string) string     { return id }
func (noAccounts) FormerOwner(string) (id string) { return "" }

// TestNetworkMetadata finds the SandboxLabs element among those of other programs.
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
