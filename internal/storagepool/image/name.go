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

// MaxDisplayNameLength is in characters.
const MaxDisplayNameLength = 100

var (
	isoName      = regexp.MustCompile(`(?i)\.iso(\.(gz|xz|zst))?$`)
	unsafeInName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)
	extensions   = regexp.MustCompile(`(?i)(\.(qcow2?|img|iso|raw|vmdk|vdi|vhdx?|gz|xz|zst))+$`)
)

// safeStem makes a volume name's first part from a client's file name: no path,
// no extension, only letters, digits, dots, dashes and underscores.
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

// shownName is the name that an image is shown by, of a client's file name: as it
// was written, but for path, extension, and what is not seen or turns the text
// around it; at most MaxDisplayNameLength characters.
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

// bareName is a file name without path and extension.
func bareName(fileName string) string {
	return extensions.ReplaceAllString(fileName[strings.LastIndexAny(fileName, `/\`)+1:], "")
}

// checkDisplayName answers fault.Invalid about a field for a name that is not one.
func checkDisplayName(field, name string) error {
	hidden := func(r rune) bool { return !isShown(r) }
	if name == "" || !utf8.ValidString(name) || utf8.RuneCountInString(name) > MaxDisplayNameLength || strings.ContainsFunc(name, hidden) || strings.TrimSpace(name) != name {
		return fault.Field(field, "The name that is shown has 1 to %d characters, none of them hidden, and no spaces around it.", MaxDisplayNameLength)
	}
	return nil
}

// isShown tells of a character whether people see it, or see what it does to its
// neighbours alone: those that change the direction of what follows are not among
// them, nor are those of no width. Some scripts and emoji need the two joiners.
func isShown(r rune) bool {
	const nonJoiner, joiner = '\u200c', '\u200d'
	return unicode.IsGraphic(r) || r == nonJoiner || r == joiner
}

// uniqueMilli is the time in Unix milliseconds, made unique within the process,
// so that two uploads of one name never meet.
func (s *Service) uniqueMilli(now time.Time) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastMilli = max(now.UnixMilli(), s.lastMilli+1)
	return s.lastMilli
}

// VolumeOf names the volume of an image: its id, with the format that it has.
func VolumeOf(id, format string) string {
	return strings.TrimSuffix(strings.TrimSuffix(id, "."+diskimage.QCOW2), "."+diskimage.ISO) + "." + format
}
