package main

import (
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// plainWriter turns what commands print into plain text. Much of it comes from services,
// hosts, images and guests, and a terminal would act on escape sequences in it. Line
// breaks and tabs stay; characters that control a terminal or change the order of the text
// are escaped.
type plainWriter struct{ to io.Writer }

// Write writes all of p. An error applies to all of p.
func (w plainWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.to, plainText(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// plainText escapes everything except text, line breaks and tabs.
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

// plainLine is plainText on one line.
func plainLine(text string) string {
	return plainText(strings.NewReplacer("\n", `\n`, "\t", " ").Replace(text))
}

// isActive returns whether a character has an effect other than being displayed: control
// characters (C0 and C1), direction marks, and others without a glyph.
func isActive(r rune) bool {
	return r != '\n' && r != '\t' && (unicode.Is(unicode.C, r) || r == '\u2028' || r == '\u2029')
}
