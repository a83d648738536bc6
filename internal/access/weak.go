package access

import (
	"bytes"
	"compress/gzip"
	_ "embed" // for the list
	"io"
	"strings"
	"sync"
	"unicode"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// commonGzip is Royce Williams's list of the most common passwords in lower case, one
// a line, as Django ships it (see common-passwords.LICENSE).
//
//go:embed common-passwords.txt.gz
var commonGzip []byte

// commonPasswords are the words of the list.
var commonPasswords = sync.OnceValue(func() map[string]bool {
	r, err := gzip.NewReader(bytes.NewReader(commonGzip))
	if err != nil {
		panic("access: the list of common passwords is damaged: " + err.Error())
	}
	text, err := io.ReadAll(r)
	if err != nil {
		panic("access: the list of common passwords is damaged: " + err.Error())
	}
	words := map[string]bool{}
	for word := range strings.Lines(string(text)) {
		words[strings.TrimSpace(word)] = true
	}
	return words
})

const (
	minDistinct = 5 // characters that a password has at least
	minRest     = 8 // characters that it has besides the account's name
)

// checkPassword returns fault.Invalid with what is wrong with a new password of an account:
// its length, or that it is among the first that someone would guess.
func checkPassword(password, name string) error {
	weak := func(why string) error {
		return fault.Field("password", "This password is easy to guess: %s. Choose another one.", why)
	}
	if len(password) < minPasswordBytes || len(password) > MaxPasswordBytes {
		return fault.Field("password", "The password must be %d to %d bytes long.", minPasswordBytes, MaxPasswordBytes)
	}
	lower := []rune(strings.ToLower(password))
	switch {
	case distinct(lower) < minDistinct:
		return weak("it has only a few different characters")
	case isSequence(lower):
		return weak("its characters follow each other")
	case isCommon(string(lower)):
		return weak("it is a common password, or one with digits added")
	case isCommon(string(lower[:period(lower)])) || period(lower)*3 <= len(lower):
		return weak("it repeats itself")
	case len(name) >= 3 && len([]rune(strings.ReplaceAll(string(lower), name, ""))) < minRest && strings.Contains(string(lower), name):
		return weak("it is the account's name with little added")
	}
	return nil
}

// isCommon returns whether a word is on the list, with or without the digits and
// punctuation around it.
func isCommon(word string) bool {
	core := strings.TrimFunc(word, func(r rune) bool { return !unicode.IsLetter(r) })
	return commonPasswords()[word] || (len(core) >= minDistinct && commonPasswords()[core])
}

// distinct counts the different characters of a text.
func distinct(text []rune) int {
	seen := map[rune]bool{}
	for _, r := range text {
		seen[r] = true
	}
	return len(seen)
}

// isSequence returns whether all but a few characters of a text are neighbours of those
// before them, as in 123456789012.
func isSequence(text []rune) bool {
	steps := 0
	for i := 1; i < len(text); i++ {
		if d := text[i] - text[i-1]; d >= -1 && d <= 1 {
			steps++
		}
	}
	return steps*4 >= (len(text)-1)*3
}

// period is the length of the shortest part that a text consists of, repeated; the last
// one may be cut short.
func period(text []rune) int {
	// The borders of its prefixes, as Knuth, Morris and Pratt compute them.
	border := make([]int, len(text)+1)
	for i, k := 1, 0; i < len(text); i++ {
		for k > 0 && text[i] != text[k] {
			k = border[k]
		}
		if text[i] == text[k] {
			k++
		}
		border[i+1] = k
	}
	return len(text) - border[len(text)]
}
