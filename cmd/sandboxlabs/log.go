package main

import (
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strings"
)

const (
	redacted = "[redacted]"
	// maxAttrBytes limits each attribute of a log line, since errors quote what clients
	// send.
	maxAttrBytes = 16 << 10
)

// secretKeys are the attributes that are never logged.
var secretKeys = []string{"password", "passwd", "secret", "ticket", "cookie", "authorization"}

// secretTexts match secrets within a text. Errors should not contain any, but those of
// other libraries quote their input.
var secretTexts = []struct {
	what *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`sbx_[A-Za-z0-9_-]{16,}`), "sbx_" + redacted},
	{regexp.MustCompile(`(://[^\s:/@"']*:)[^\s@/"']+@`), "${1}" + redacted + "@"},
	{regexp.MustCompile(`(?i)\b(bearer|basic) +[A-Za-z0-9+/=._~-]{8,}`), "${1} " + redacted},
	{regexp.MustCompile(`(?i)\b((?:[a-z]+_)?(?:ticket|token|password|passwd|secret)=)(?:"[^"]*"|'[^']*'|[^&\s"']+)`), "${1}" + redacted},
	// Sign-in codes are longer than libvirt's error numbers, which are useful in a log.
	{regexp.MustCompile(`(?i)\b((?:[a-z]+_)?code=)(?:"[^"]*"|'[^']*'|[^&\s"']{4,})`), "${1}" + redacted},
}

// newLog returns a logger that writes text without secrets.
func newLog(out io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: level, ReplaceAttr: redact}))
}

// redact removes secrets from an attribute and truncates it.
func redact(_ []string, a slog.Attr) slog.Attr {
	if slices.Contains(secretKeys, strings.ToLower(a.Key)) {
		return slog.String(a.Key, redacted)
	}
	var text string
	switch a.Value.Kind() {
	case slog.KindString:
		text = a.Value.String()
	case slog.KindAny:
		if a.Key == slog.LevelKey {
			return a
		}
		text = fmt.Sprintf("%+v", a.Value.Any()) // as the handler would write it
	default:
		return a
	}
	clean := text
	if len(clean) > maxAttrBytes {
		clean = fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(clean[:maxAttrBytes], ""), len(text))
	}
	for _, s := range secretTexts {
		clean = s.what.ReplaceAllString(clean, s.with)
	}
	if clean == text {
		return a
	}
	return slog.String(a.Key, clean)
}
