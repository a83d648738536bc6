package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

const (
	leaveKey = 0x1d // Ctrl-]
	takeKey  = 0x14 // Ctrl-T takes over the console from another program

	firstReconnect = 200 * time.Millisecond
	lastReconnect  = 5 * time.Second
	// returnPatience is how long to retry after a lost connection while the service refuses
	// the session: a starting service does not know its nodes at once.
	returnPatience = time.Minute
	pendingBytes   = 256 << 10 // limit of input not yet accepted by the service
)

func newConsoleCommand() *cobra.Command {
	var s consoleSession
	cmd := &cobra.Command{
		Use:   "console NODE",
		Short: "Open a node's serial console",
		Long: "Connects this terminal to the serial console of a node, given by name or id, through the\n" +
			"service's API. Others may watch and type at the same time. Ctrl-] leaves.\n\n" +
			"If another program, such as virsh console, uses the console, Ctrl-T takes it over.\n" +
			"The command keeps running while the node is stopped, and reconnects when the service\n" +
			"restarts; recent output is then shown again.\n\n" +
			"If standard input is not a terminal, all of it is sent unchanged once the\n" +
			"console is connected; the command ends when the console has then been quiet for\n" +
			"--linger.\n\n" +
			"Exit code: 0 after Ctrl-] or the end of the input, 1 for every other end.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if s.remote, err = newRemote(cmd); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGHUP, syscall.SIGQUIT)
			defer stop()
			if s.node, err = s.remote.node(ctx, args[0]); err != nil {
				return err
			}
			s.terminal = &localTerminal{in: os.Stdin, out: os.Stdout, notes: os.Stderr}
			return s.run(ctx)
		},
	}
	addRemoteFlags(cmd)
	cmd.Flags().StringVar(&s.port, "port", "", "serial port of the node, by name or position (default: the first)")
	cmd.Flags().BoolVar(&s.readOnly, "read-only", false, "watch only; send no input")
	cmd.Flags().BoolVar(&s.take, "take", false, "take over the console from another program")
	cmd.MarkFlagsMutuallyExclusive("read-only", "take")
	cmd.Flags().DurationVar(&s.linger, "linger", time.Second, "how long the console must be quiet after the end of input from a file or pipe; 0: never exit")
	return cmd
}

// consoleSession is one run of the console command. The goroutine of run owns all fields
// except terminal.
type consoleSession struct {
	remote   remote
	node     remoteNode
	terminal *localTerminal
	port     string
	readOnly bool
	take     bool // take over the console once, if it is in use
	linger   time.Duration

	interactive bool
	keys        chan []byte // typed input; closed at the end of the input
	ended       bool        // the input has ended
	pending     []byte      // typed but not yet sent
	resized     bool        // the service does not know the current terminal size
	state       string      // of the console; empty while unknown
}

// errLeave ends the session at the user's request.
var errLeave = errors.New("left")

// run works until the user leaves (it returns nil), the node is deleted, the service
// refuses the session, or a signal arrives.
func (s *consoleSession) run(ctx context.Context) error {
	defer s.terminal.restore()
	s.interactive = s.terminal.interactive()
	s.keys = make(chan []byte)
	resized := make(chan os.Signal, 1)
	if s.interactive {
		if err := s.terminal.makeRaw(); err != nil {
			return err
		}
		signal.Notify(resized, syscall.SIGWINCH)
		defer signal.Stop(resized)
	}
	// A read of standard input cannot be canceled. It ends with the process.
	go s.readKeys()
	retry, lost := firstReconnect, time.Time{}
	for {
		link, err := dialConsole(ctx, s.remote, s.node.ID, s.port, s.readOnly)
		if err == nil {
			retry, lost = firstReconnect, time.Time{}
			err = s.attend(ctx, link, resized)
		}
		switch {
		case errors.Is(err, errLeave):
			s.terminal.restore()
			s.terminal.note("Left the console of %s.", s.node.Name)
			return nil
		case ctx.Err() != nil:
			return errReported
		case link == nil && (lost.IsZero() || !mayReturn(err) || time.Since(lost) > returnPatience), link != nil && !errors.Is(err, errBroken):
			return err
		}
		if lost.IsZero() {
			lost = time.Now()
			s.terminal.note("The connection is lost; it is tried again.")
		}
		if s.pause(ctx, retry) != nil {
			return nil
		}
		retry = min(2*retry, lastReconnect)
	}
}

// mayReturn reports whether a service that is unreachable or refuses the session may
// accept it soon.
func mayReturn(err error) bool {
	var refused *refusedError
	return !errors.As(err, &refused) || (refused.status != http.StatusUnauthorized && refused.status != http.StatusForbidden)
}

// pause waits before the next attempt. It returns errLeave if the user leaves.
func (s *consoleSession) pause(ctx context.Context, d time.Duration) error {
	s.state = ""
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return nil // run handles it
		case keys, ok := <-s.openKeys():
			if err := s.typed(keys, ok); err != nil {
				return err
			}
		}
	}
}

// readKeys reads the input until it ends.
func (s *consoleSession) readKeys() {
	defer s.terminal.guard()
	defer close(s.keys)
	for {
		buf := make([]byte, 4<<10)
		n, err := s.terminal.in.Read(buf)
		if n > 0 {
			s.keys <- buf[:n]
		}
		if err != nil {
			return
		}
	}
}

// openKeys returns the channel to read input from. Piped input waits until it can be sent.
// Terminal input is always read, so that Ctrl-] works at any time.
func (s *consoleSession) openKeys() <-chan []byte {
	if s.ended || (!s.interactive && !s.readOnly && (s.state != "connected" || len(s.pending) > 0)) {
		return nil
	}
	return s.keys
}

// typed handles input; ok is false at the end of the input.
func (s *consoleSession) typed(keys []byte, ok bool) error {
	if !ok {
		s.ended = true
		if s.interactive {
			return errLeave // the terminal was closed
		}
		return nil
	}
	leave := false
	if s.interactive {
		if i := bytes.IndexByte(keys, leaveKey); i >= 0 {
			keys, leave = keys[:i], true
		}
		s.take = s.take || (s.state == "taken" && bytes.IndexByte(keys, takeKey) >= 0)
	}
	// While the service reconnects to the host, it buffers the input.
	live := s.state == "connected" || s.state == "reconnecting"
	if !s.readOnly && live && len(s.pending)+len(keys) <= pendingBytes {
		s.pending = append(s.pending, keys...)
	}
	if leave {
		return errLeave
	}
	return nil
}

// attend connects the terminal to the console until one of them ends, and closes the link.
func (s *consoleSession) attend(ctx context.Context, link *consoleLink, resized <-chan os.Signal) (err error) {
	link.start(s.terminal)
	defer func() { link.close(s.pending) }()
	s.resized = true
	quiet := time.NewTimer(s.linger)
	defer quiet.Stop()
	for {
		var outbox chan<- frame
		next, waiting := s.next()
		if waiting {
			outbox = link.outbox
		}
		var over <-chan time.Time
		if s.ended && !waiting && s.linger > 0 {
			over = quiet.C
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-link.broken:
			return err
		case c := <-link.controls:
			s.told(c)
		case <-link.heard:
			quiet.Reset(s.linger)
		case keys, ok := <-s.openKeys():
			quiet.Reset(s.linger)
			if err := s.typed(keys, ok); err != nil {
				return err
			}
		case <-resized:
			s.resized = true
		case outbox <- next:
			s.sent(next)
			quiet.Reset(s.linger)
		case <-over:
			return errLeave
		}
	}
}

// next returns the next frame to send to the service.
func (s *consoleSession) next() (f frame, ok bool) {
	if s.take && s.state == "taken" {
		return controlFrame(consoleControl{Type: "take"}), true
	}
	if s.resized {
		if cols, rows, ok := s.terminal.size(); ok && !s.readOnly {
			return controlFrame(consoleControl{Type: "resize", Cols: cols, Rows: rows}), true
		}
	}
	if len(s.pending) == 0 {
		return frame{}, false
	}
	return frame{data: s.pending[:min(len(s.pending), frameBytes)]}, true
}

// sent records that the frame was sent to the service.
func (s *consoleSession) sent(f frame) {
	switch {
	case !f.text:
		s.pending = s.pending[len(f.data):]
	case s.take && s.state == "taken":
		s.take = false
	default:
		s.resized = false
	}
}

// told prints the service's control messages to the user.
func (s *consoleSession) told(c consoleControl) {
	switch c.Type {
	case "status":
		s.state = c.State
		switch c.State {
		case "connected":
			switch {
			case c.Paused:
				s.terminal.note("%s is paused; it reads nothing before it is resumed.", s.node.Name)
			case c.By != "":
				s.terminal.note("%s took the console of %s back.", c.By, s.node.Name)
			default:
				s.terminal.note("Connected to the console of %s. Ctrl-] leaves.", s.node.Name)
			}
		case "reconnecting":
			s.terminal.note("The service is reconnecting to the console of %s.", s.node.Name)
		case "offline":
			s.terminal.note("%s is off; its console is joined when it runs.", s.node.Name)
		case "taken":
			if s.readOnly {
				s.terminal.note("Another program has the console of %s.", s.node.Name)
			} else {
				s.terminal.note("Another program has the console of %s. Ctrl-T takes it.", s.node.Name)
			}
		}
	case "lagged":
		s.terminal.note("%d bytes were left out: they came faster than they were taken.", c.Bytes)
	case "error":
		s.terminal.note("%s", c.Message)
	}
}
