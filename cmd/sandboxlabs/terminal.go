package main

import (
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/term"
)

// localTerminal is the user's end of a console: standard input and output, which may be a
// terminal, a file or a pipe.
type localTerminal struct {
	in, out *os.File
	notes   io.Writer // for messages that are not output of the node

	mu     sync.Mutex
	before *term.State // not nil while the terminal is in raw mode
}

// interactive reports whether standard input is a terminal, so that a person may be
// typing.
func (t *localTerminal) interactive() bool { return term.IsTerminal(int(t.in.Fd())) }

// size returns the size of the terminal in characters; ok is false without a terminal.
func (t *localTerminal) size() (cols, rows int, ok bool) {
	cols, rows, err := term.GetSize(int(t.out.Fd()))
	return cols, rows, err == nil && cols > 0 && rows > 0
}

// makeRaw puts the terminal into raw mode, so that every key reaches us. The caller must
// call restore on every path.
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

// restore restores the terminal's previous mode. It may be called more than once, and from
// any goroutine.
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

// note prints a message of this program, separate from what the node prints.
func (t *localTerminal) note(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	line := "[sandboxlabs] " + plainLine(fmt.Sprintf(format, args...))
	if t.before != nil {
		line = "\r\n" + line + "\r"
	}
	_, _ = fmt.Fprintln(t.notes, line) // a terminal in raw mode needs the carriage return
}
