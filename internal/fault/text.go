package fault

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of what users write about nodes and images.
const (
	MaxTags             = 32
	MaxTagLength        = 64
	MaxDescriptionBytes = 4096
)

// maxMessageBytes bounds an error's message: it may quote text of a guest or of
// libvirt, which is as long as they like.
const maxMessageBytes = 2048

// sentence formats an error's message. Text that a guest, a peer or another program
// wrote cannot break the line, control a terminal, or reverse what follows: such
// characters are replaced.
func sentence(format string, args ...any) string {
	text := fmt.Sprintf(format, args...)
	if len(text) > maxMessageBytes {
		text = text[:maxMessageBytes] + "…"
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || unicode.In(r, unicode.Zl, unicode.Zp):
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd"))
}

// CheckDescription answers Invalid when a text is not fit to describe something.
func CheckDescription(text string) error {
	if len(text) > MaxDescriptionBytes || !IsPlain(text, "\n\t") {
		return Field("description", "The description is plain text of at most %d bytes.", MaxDescriptionBytes)
	}
	return nil
}

// CheckTags answers Invalid when something cannot have these tags.
func CheckTags(tags []string) error {
	if len(tags) > MaxTags {
		return Field("tags", "There are %d tags; at most %d are allowed.", len(tags), MaxTags)
	}
	for _, tag := range tags {
		if tag == "" || utf8.RuneCountInString(tag) > MaxTagLength || !IsPlain(tag, "") || strings.TrimSpace(tag) != tag {
			return Field("tags", "A tag has 1 to %d characters, and no spaces around it.", MaxTagLength)
		}
	}
	return nil
}

// IsPlain returns whether a text is UTF-8 without control characters other than those
// allowed, and without what XML cannot hold.
func IsPlain(text, allowed string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool {
		return (unicode.IsControl(r) && !strings.ContainsRune(allowed, r)) || r == '\ufffe' || r == '\uffff'
	})
}
