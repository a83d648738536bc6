package main

import (
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/term"
)

// localTerminal is the user's end of a console: standard input and output, which
// may be a terminal, a file or a pipe.
type localTerminal struct {
	in, out *os.File
	notes   io.Writer // takes what is not the node's

	mu     sync.Mutex
	before *term.State // not nil while the terminal is raw
}

// interactive reports whether someone types.
func (t *localTerminal) interactive() bool { return term.IsTerminal(int(t.in.Fd())) }

// size is that of the terminal, in characters; ok is false where there is none.
func (t *localTerminal) size() (cols, rows int, ok bool) {
	cols, rows, err := term.GetSize(int(t.out.Fd()))
	return cols, rows, err == nil && cols > 0 && rows > 0
}

// makeRaw has every key reach us. Call restore, whatever happens.
func (t *localTerminal) makeRaw() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	before, err := term.MakeRaw(int(t.in.Fd()))
	if err != nil {
		return fmt.Errorf("set up the terminal: %w", err)
	}
	t.before = before
	return nil
}

// restore makes the terminal what it was. It may be called again, and from any
// goroutine.
func (t *localTerminal) restore() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.before != nil {
		_ = term.Restore(int(t.in.Fd()), t.before)
		t.before = nil
	}
}

// guard restores the terminal when the goroutine that defers it panics.
func (t *localTerminal) guard() {
	if r := recover(); r != nil {
		t.restore()
		panic(r)
	}
}

// note prints our line, apart from what the node prints.
func (t *localTerminal) note(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	line := "[sandboxlabs] " + plainLine(fmt.Sprintf(format, args...))
	if t.before != nil {
		line = "\r\n" + line + "\r"
	}
	_, _ = fmt.Fprintln(t.notes, line) // raw: a return is needed where the terminal is
}
