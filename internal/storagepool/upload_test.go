package storagepool

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
