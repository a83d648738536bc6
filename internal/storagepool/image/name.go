package image

import (
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sandboxlabs/sandboxlabs/internal/diskimage"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// MaxDisplayNameLength is the maximum length of a display name, in characters.
const MaxDisplayNameLength = 100

var (
	isoName      = regexp.MustCompile(`(?i)\.iso(\.(gz|xz|zst))?$`)
	unsafeInName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)
	extensions   = regexp.MustCompile(`(?i)(\.(qcow2?|img|iso|raw|vmdk|vdi|vhdx?|gz|xz|zst))+$`)
)

// safeStem returns the first part of a volume name, derived from a client's file name:
// without path and extension, only letters, digits, dots, dashes and underscores.
func safeStem(fileName string) string {
	name := bareName(fileName)
	name = unsafeInName.ReplaceAllString(name, "_")
	name = strings.Trim(name, "._-")
	if len(name) > 64 {
		name = strings.TrimRight(name[:64], "._-")
	}
	if name == "" {
		return "image"
	}
	return name
}

// shownName returns an image's display name, derived from a client's file name: without
// path, extension, invisible characters, and characters that change the text direction; at
// most MaxDisplayNameLength characters.
func shownName(fileName string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !isShown(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(bareName(fileName), ""))
	name = strings.Join(strings.Fields(name), " ")
	if runes := []rune(name); len(runes) > MaxDisplayNameLength {
		name = strings.TrimSpace(string(runes[:MaxDisplayNameLength]))
	}
	if name == "" {
		return safeStem(fileName)
	}
	return name
}

// bareName returns a file name without path and extension.
func bareName(fileName string) string {
	return extensions.ReplaceAllString(fileName[strings.LastIndexAny(fileName, `/\`)+1:], "")
}

// checkDisplayName returns fault.Invalid for the field if name is not a valid display
// name.
func checkDisplayName(field, name string) error {
	hidden := func(r rune) bool { return !isShown(r) }
	if name == "" || !utf8.ValidString(name) || utf8.RuneCountInString(name) > MaxDisplayNameLength || strings.ContainsFunc(name, hidden) || strings.TrimSpace(name) != name {
		return fault.Field(field, "The name that is shown has 1 to %d characters, none of them hidden, and no spaces around it.", MaxDisplayNameLength)
	}
	return nil
}

// isShown returns whether a character is visible. Characters that change the text
// direction and zero-width characters are not, except for the two joiners, which some
// scripts and emoji need.
func isShown(r rune) bool {
	const nonJoiner, joiner = '\u200c', '\u200d'
	return unicode.IsGraphic(r) || r == nonJoiner || r == joiner
}

// uniqueMilli returns the time in Unix milliseconds, made unique within the process, so
// that two uploads with the same name get different volumes.
func (s *Service) uniqueMilli(now time.Time) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastMilli = max(now.UnixMilli(), s.lastMilli+1)
	return s.lastMilli
}

// VolumeOf returns the name of an image's volume: its id with the extension of the format.
func VolumeOf(id, format string) string {
	return strings.TrimSuffix(strings.TrimSuffix(id, "."+diskimage.QCOW2), "."+diskimage.ISO) + "." + format
}
