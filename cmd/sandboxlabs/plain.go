package main

import (
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// plainWriter makes what commands print plain text: much of it comes from services,
// hosts, images and guests, and a terminal obeys what it is sent. Lines and tabs stay;
// what a terminal would act upon, or what changes the order of a text, is spelled out.
type plainWriter struct{ to io.Writer }

// Write writes all of p, and reports errors as of the whole.
func (w plainWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.to, plainText(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// plainText spells out all but text, lines and tabs.
func plainText(text string) string {
	if strings.IndexFunc(text, isActive) < 0 && utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		if isActive(r) || (r == utf8.RuneError && size == 1) {
			quoted := strconv.QuoteToASCII(text[:size])
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteString(text[:size])
		}
		text = text[size:]
	}
	return b.String()
}

// plainLine is plainText in one line.
func plainLine(text string) string {
	return plainText(strings.NewReplacer("\n", `\n`, "\t", " ").Replace(text))
}

// isActive returns whether a character does something other than to be shown: control
// characters of both sets, marks of direction, and others without a shape.
func isActive(r rune) bool {
	return r != '\n' && r != '\t' && (unicode.Is(unicode.C, r) || r == '\u2028' || r == '\u2029')
}
