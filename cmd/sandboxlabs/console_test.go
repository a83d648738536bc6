package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// person is a user of the program in a terminal.
type person struct {
	t      *testing.T
	tty    *os.File // the user's end of the terminal
	stdin  *os.File // the program's end of the terminal
	before *term.State
	cmd    *exec.Cmd
	exited chan struct{}
	read   chan struct{}

	mu    sync.Mutex
	shown []byte
	fresh chan struct{}
}

// sits runs a command of the program in a terminal of 100 × 30 characters.
func (l *lab) sits(args ...string) *person {
	l.t.Helper()
	p := &person{t: l.t, exited: make(chan struct{}), read: make(chan struct{}), fresh: make(chan struct{}, 1)}
	var err error
	if p.tty, p.stdin, err = pty.Open(); err != nil {
		l.t.Fatal(err)
	}
	if err := pty.Setsize(p.tty, &pty.Winsize{Cols: 100, Rows: 30}); err != nil {
		l.t.Fatal(err)
	}
	if p.before, err = term.GetState(int(p.stdin.Fd())); err != nil {
		l.t.Fatal(err)
	}
	p.cmd = exec.Command(os.Args[0], append(args, "--url=http://"+l.address)...)
	p.cmd.Env = append(os.Environ(), runVariable+"=1", tokenVariable+"="+l.token)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = p.stdin, p.stdin, p.stdin
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	go p.look()
	l.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.exited
		_ = p.stdin.Close()
		<-p.read
		_ = p.tty.Close()
		if text := string(p.shown); strings.Contains(text, "DATA RACE") || strings.Contains(text, "panic: ") || l.t.Failed() {
			l.t.Errorf("%q showed:\n%s", args, tail(text))
		}
	})
	return p
}

// look reads the terminal's output until no process has it open.
func (p *person) look() {
	defer close(p.read)
	buf := make([]byte, 32<<10)
	for {
		n, err := p.tty.Read(buf)
		p.mu.Lock()
		p.shown = append(p.shown, buf[:n]...)
		p.mu.Unlock()
		select {
		case p.fresh <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// sees waits for a text after the previous match.
func (p *person) sees(text string) {
	p.t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	exited := p.exited
	for !p.has(text) {
		select {
		case <-p.fresh:
		case <-exited:
			exited = nil
			limit.Reset(time.Second) // for the last output
		case <-limit.C:
			p.mu.Lock()
			defer p.mu.Unlock()
			p.t.Fatalf("the terminal has not shown %q; it shows:\n%s", text, tail(string(p.shown)))
		}
	}
}

// has searches for a text after the previous match, and moves past it.
func (p *person) has(text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := bytes.Index(p.shown, []byte(text))
	if i >= 0 {
		p.shown = p.shown[i+len(text):]
	}
	return i >= 0
}

func (p *person) types(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.tty, text); err != nil {
		p.t.Fatal(err)
	}
}

// leaves waits until the program exits, and checks that the terminal is restored.
func (p *person) leaves(code int) {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(promptly):
		p.t.Fatal("the program does not end")
	}
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.t.Errorf("the program ended with %d, want %d", got, code)
	}
	after, err := term.GetState(int(p.stdin.Fd()))
	if err != nil {
		p.t.Fatal(err)
	}
	if *after != *p.before {
		p.t.Errorf("the terminal was left as %+v, was %+v", *after, *p.before)
	}
}

// TestConsoleCommand uses a node from a terminal: keys, Ctrl-], other programs that take
// over the console, a restart of the service, and pipes.
func TestConsoleCommand(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.addMicro()
	takeGuest(t)
	l.auth = true
	token, code := l.run("token", "create", "--name", "too early")
	if code != 1 || !strings.Contains(token, "user init") {
		t.Errorf("a token without an account: %d %s", code, token)
	}
	l.start()
	out := l.spawn(nil, append([]string{"token", "create", "--name", "tests", "--expires", "1h"}, l.flags()...)...)
	if code := out.code(t, patience); code != 0 || !strings.HasPrefix(out.out.String(), "sbx_") {
		t.Fatalf("token create: %d %s%s", code, out.out, out.log)
	}
	l.token = strings.TrimSpace(out.out.String())
	n := l.create("worked-in")

	p := l.sits("console", n.Name)
	p.sees(n.Name + " is off")
	p.types("ignored\r")
	l.act(n.ID, "run", nil)
	p.sees("Connected to the console of " + n.Name)
	p.sees("login: ")
	p.types("root\r")
	p.sees("# ")
	p.types("echo it=$((40+2))\r")
	p.sees("it=42")
	p.sees("# ")
	// Keys that a terminal would handle itself reach the guest.
	p.types("sh -c 'trap \"echo caught=$((2+2)); exit\" INT; echo asleep=$((1+1)); while :; do sleep 1; done'\r")
	p.sees("asleep=2")
	p.types("\x03")
	p.sees("caught=4")
	p.sees("# ")
	p.types("printf '\\344\\270\\255\\033[0m\\n'\r")
	p.sees("中\x1b[0m")

	l.sizes(p, n.ID)

	// Another program takes over the console, and the user takes it back.
	virsh := exec.Command("virsh", "-c", libvirtURI, "console", "--force", n.ID)
	virshTTY, err := pty.Start(virsh)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = virsh.Process.Kill(); _ = virsh.Wait(); _ = virshTTY.Close() }()
	p.sees("Ctrl-T takes it")
	p.types("\x14")
	p.sees("took the console of " + n.Name + " back")
	p.types("echo back=$((50+5))\r")
	p.sees("back=55")

	// The service restarts: recent output is shown again, and the session continues.
	l.stop()
	p.sees("The connection is lost")
	l.launch(nil)
	l.awaitHealth("ok")
	p.sees("Connected to the console")
	p.sees("back=55")
	p.types("echo again=$((60+6))\r")
	p.sees("again=66")
	p.types("echo la'st'\x1d")
	p.sees("Left the console")
	p.leaves(0)

	l.leavesBySignal(n.ID)
	l.onlyReads(n.ID)
	l.pipes(n)
	l.areRefused(n.ID)

	p = l.sits("console", n.ID)
	p.sees("Connected")
	l.delete(n.ID)
	p.sees("The node was deleted")
	p.leaves(1)
	l.stop()
}

// sizes checks that the guest agent applies the terminal's size in the guest, including a
// size that was set before the agent started.
func (l *lab) sizes(p *person, id string) {
	l.t.Helper()
	resize := func(cols, rows uint16) {
		l.t.Helper()
		if err := pty.Setsize(p.tty, &pty.Winsize{Cols: cols, Rows: rows}); err != nil {
			l.t.Fatal(err)
		}
	}
	await := func(size string) {
		l.t.Helper()
		p.types("until [ \"$(stty size)\" = '" + size + "' ]; do usleep 200000; done; echo size=$((7+7))\r")
		p.sees("size=14")
		p.sees("# ")
	}
	await("30 100") // the size was set before the guest started
	resize(132, 50)
	await("50 132")

	reader := l.consoleAt(url.Values{"nodeId": {id}, "readonly": {"true"}})
	reader.status("connected")
	reader.tells(`{"type":"resize","cols":10,"rows":10}`)
	connected := func() bool {
		return strings.Contains(l.virsh("dumpxml", id), "org.qemu.guest_agent.0' state='connected'")
	}
	p.types("agent=$(tr '\\0' ' ' </proc/$(pidof qemu-ga)/cmdline); killall qemu-ga; echo killed=$((1+1))\r")
	p.sees("killed=2")
	until(l.t, promptly, said("the agent is gone"), func() bool { return !connected() })
	resize(90, 40)
	p.types("stty size; $agent; echo started=$((2+2))\r")
	p.sees("\n50 132\r\n")
	p.sees("started=4")
	await("40 90")
	_ = reader.socket.CloseNow()
}

func (l *lab) leavesBySignal(id string) {
	l.t.Helper()
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGHUP} {
		p := l.sits("console", id)
		p.sees("Connected")
		if err := p.cmd.Process.Signal(sig); err != nil {
			l.t.Fatal(err)
		}
		p.leaves(1)
	}
}

func (l *lab) onlyReads(id string) {
	l.t.Helper()
	p := l.sits("console", "--read-only", id)
	p.sees("back=55") // from the history
	p.sees("Connected")
	p.types("echo never=$((1+1))\r")
	p.types("\x1d")
	p.leaves(0)
	if a := l.send(http.MethodGet, "/api/nodes/"+id+"/console/log/search?text=never", nil); !strings.Contains(string(a.body), `"matches":[]`) {
		l.t.Errorf("what a reader typed has reached the guest: %s", a.body)
	}
}

func (l *lab) pipes(n api.Node) {
	l.t.Helper()
	file := filepath.Join(l.t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(l.token+"\n"), 0o600); err != nil {
		l.t.Fatal(err)
	}
	out, err := l.pipe("\x15echo piped=$((70+7))\r", "console", n.Name, "--token-file="+file, "--linger=3s")
	if err != nil || !strings.Contains(out, "piped=77") {
		l.t.Errorf("%v\n%s", err, out)
	}
}

func (l *lab) areRefused(id string) {
	l.t.Helper()
	for _, c := range []struct{ want, args string }{
		{"not found", "console nowhere"},
		{"Serial port", "console " + id + " --port=7"},
		{"not found", "console 00000000-0000-4000-8000-000000000000"},
		{"is the service running there?", "console x --url=http://127.0.0.1:1"},
		{"is not of the form", "console x --url=ftp://x"},
	} {
		out, err := l.pipe("", strings.Fields(c.args)...)
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(out, c.want) {
			l.t.Errorf("%s: %v\n%s", c.args, err, out)
		}
	}
	token := l.token
	l.token = "sbx_wrong"
	if out, err := l.pipe("", "console", id); err == nil || !strings.Contains(out, "sandboxlabs token create") {
		l.t.Errorf("a wrong token: %v\n%s", err, out)
	}
	l.token = token
}

// pipe runs the program with an input that is not a terminal, and returns its output.
func (l *lab) pipe(input string, args ...string) (string, error) {
	if !strings.Contains(strings.Join(args, " "), "--url=") {
		args = append(args, "--url=http://"+l.address)
	}
	cmd := exec.CommandContext(l.t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), runVariable+"=1")
	if !strings.Contains(strings.Join(args, " "), "--token-file") {
		cmd.Env = append(cmd.Env, tokenVariable+"="+l.token)
	}
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
