package fault

import (
	"strings"
	"testing"
)

func TestMessagesAreOneLineOfPlainText(t *testing.T) {
	const guest = "guest says:\x1b[2J\x07 <b>\n\u202egnorw\u2028\u2066\xff\x00"
	const shown = "guest says:\ufffd[2J\ufffd <b> \ufffdgnorw\ufffd\ufffd\ufffd\ufffd"
	for name, err := range map[string]*Error{
		"New":   New(Hypervisor, "%s", guest),
		"Wrap":  Wrap(nil, Hypervisor, "%s", guest),
		"Field": Field("name", "%s", guest),
	} {
		if err.Message != shown {
			t.Errorf("%s: %q, want %q", name, err.Message, shown)
		}
	}
	if got := New(Hypervisor, "%s", strings.Repeat("ä", 1<<20)).Message; len(got) > maxMessageBytes+len("…")+len("\ufffd") || !strings.HasPrefix(got, "ää") {
		t.Errorf("a long message has %d bytes: %.20q", len(got), got)
	}
}
