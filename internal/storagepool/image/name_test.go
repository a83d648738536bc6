package image

import (
	"strings"
	"testing"
)

func TestSafeStem(t *testing.T) {
	for name, want := range map[string]string{
		"custom.qcow2":                      "custom",
		"../../etc/passwd":                  "passwd",
		`C:\images\my disk.QCOW2`:           "my_disk",
		"a.tar.img":                         "a.tar",
		"":                                  "image",
		"...":                               "image",
		".hidden.qcow2":                     "hidden",
		"-rf":                               "rf",
		"x\r\nSet-Cookie: a=b":              "x_Set-Cookie_a_b",
		"<b>&amp;</b>":                      "b",
		"grüße.qcow2":                       "gr_e",
		strings.Repeat("a", 300) + ".qcow2": strings.Repeat("a", 64),
	} {
		if got := safeStem(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestShownName(t *testing.T) {
	for name, want := range map[string]string{
		"My Lab Disk.qcow2":                  "My Lab Disk",
		"My_Lab_Disk.vmdk.xz":                "My_Lab_Disk",
		`C:\images\my disk.QCOW2`:            "my disk",
		"../../etc/passwd":                   "passwd",
		"Übung – 課題 ①.img":                   "Übung – 課題 ①",
		"नमस्ते 👨\u200d\U0001f469.iso":       "नमस्ते \U0001f468\u200d\U0001f469",
		"a\u202eexe.qcow2":                   "aexe",      // the rest would be shown backwards
		"\u2066a\u2069\u200f\u200e\u061cb":   "ab",        // likewise
		"a\u200b\ufeff\u2060\U000e0041b.img": "ab",        // they are invisible
		"a\x00b\x1b[31mc\u0085d.raw":         "ab[31mc d", // U+0085 is a new line
		"a\r\nSet-Cookie:\tb\u2028c":         "a Set-Cookie: b c",
		"  a\u00a0 \u3000b  .qcow2":          "a b",
		"caf\xe9\xff.img":                    "caf",
		"\xff\xfe.img":                       "image",
		"\u202e.qcow2":                       "image",
		"":                                   "image",
		" .qcow2":                            "image",
		"\ue000\ufffe.img":                   "image", // a private-use character and a noncharacter
		"<b>&amp;</b>":                       "b>",
		strings.Repeat("ü", 300) + ".qcow2":  strings.Repeat("ü", MaxDisplayNameLength),
		strings.Repeat("ab ", 300):           strings.TrimSpace(strings.Repeat("ab ", 33)) + " a",
	} {
		got := shownName(name)
		if got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
		if err := checkDisplayName("name", got); err != nil {
			t.Errorf("%q: %q could not be given by hand: %v", name, got, err)
		}
	}
	for _, name := range []string{"a\u202eb", "a\u200bb", "a\x00", "a\xff", "a\nb", " a"} {
		if checkDisplayName("name", name) == nil {
			t.Errorf("%q is taken", name)
		}
	}
}
