package console

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// wantAnswer expects libvirtd to answer, on a new connection and on the managed one.
func (l *lab) wantAnswer() {
	l.t.Helper()
	list := func(c *libvirt.Connect) error {
		_, err := c.ListAllDomains(0)
		return err
	}
	asked := make(chan error, 2)
	go func() { asked <- l.hosts.Do(context.Background(), hostName, "test", list) }()
	go func() { asked <- l.hosts.Dial(context.Background(), hostName, list) }()
	for range 2 {
		select {
		case err := <-asked:
			if err != nil {
				l.t.Errorf("libvirtd: %v", err)
			}
		case <-time.After(promptly):
			l.t.Fatal("libvirtd does not answer")
		}
	}
}

// crash kills the guest's QEMU as an internal fault would.
func (g *guest) crash() {
	g.t.Helper()
	text, err := os.ReadFile("/run/libvirt/qemu/" + g.name + ".pid")
	if errors.Is(err, os.ErrPermission) {
		g.t.Skip("only root may end a QEMU of the system")
	}
	if err != nil {
		g.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		g.t.Fatal(err)
	}
	if err := unix.Kill(pid, unix.SIGSEGV); err != nil {
		g.t.Fatal(err)
	}
}

// A guest that does not read its serial port must not delay other operations on its host,
// prevent the console from closing, or crash libvirtd when it ends.
func TestInputThatTheGuestDoesNotRead(t *testing.T) {
	g := defineGuest(t, "") // its firmware does not read
	l := newLab(t, systemURI, Options{})
	l.add(g.id)
	v := l.watch(g.id, ViewerOptions{})
	v.state(Offline)
	paste := make([]byte, 1<<20)

	for _, c := range []struct {
		name string
		goes func()
	}{
		{"virsh destroys it", func() { g.virsh("destroy") }},
		{"its QEMU crashes", g.crash},
		{"we destroy it", func() {
			back := l.LetGo(context.Background(), g.id, true)
			eventually(t, "the console is free", promptly, func() bool { return consoleIsFree(t, g) })
			g.virsh("destroy")
			back()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g.virsh("start")
			v.state(Connected)
			second := l.watch(g.id, ViewerOptions{})
			second.state(Connected)
			var both sync.WaitGroup
			for _, w := range []*watcher{v, second} {
				both.Go(func() {
					n, err := w.Write(paste)
					if fault.CodeOf(err) != fault.GuestNotReading || n > intakeWindow {
						t.Errorf("Write of %d bytes took %d, and gave %v", len(paste), n, err)
					}
				})
			}
			both.Wait()
			l.wantAnswer()
			c.goes()
			v.state(Offline)
			second.leave()
			l.wantAnswer()
		})
	}

	t.Run("it is paused", func(t *testing.T) {
		g.virsh("start", "--paused")
		v.notes.expect(t, "connected paused\n", promptly)
		if n, err := v.Write(paste); n != 0 || fault.CodeOf(err) != fault.NodePaused {
			t.Errorf("Write took %d, and gave %v", n, err)
		}
		g.virsh("resume")
		v.state(Connected)
		if n, err := v.Write(make([]byte, 100)); n != 100 || err != nil {
			t.Errorf("Write took %d, and gave %v", n, err)
		}
		g.virsh("suspend")
		v.notes.expect(t, "connected paused\n", promptly)
		late := l.watch(g.id, ViewerOptions{})
		late.notes.expect(t, "connected paused\n", promptly)
		late.leave()
	})

	t.Run("what was typed does not keep the console", func(t *testing.T) {
		v.leave()
		eventually(t, "the console is free", promptly, func() bool { return consoleIsFree(t, g) })
		again := l.watch(g.id, ViewerOptions{})
		again.notes.expect(t, "connected paused\n", promptly)
	})

	// A domain that matches only the UUID or only the name is another one, and is not
	// opened.
	onSystem(t, func(c *libvirt.Connect) {
		if err := newLine().open(c, g.id, g.name+"x", "", true); err == nil || !strings.Contains(err.Error(), "was meant") {
			t.Errorf("a domain of another name: %v", err)
		}
		if err := newLine().open(c, "00000000-0000-4000-8000-000000000000", g.name, "", true); !errors.Is(err, libvirt.ERR_NO_DOMAIN) {
			t.Errorf("a domain of another UUID: %v", err)
		}
	})
}

// TestLetGo closes consoles for operations on a node while someone types.
func TestLetGo(t *testing.T) {
	g := defineMicro(t)
	g.virsh("start")
	l := newLab(t, systemURI, Options{})
	l.add(g.id)
	v := l.watch(g.id, ViewerOptions{})
	v.state(Connected)
	v.login()

	back := l.LetGo(context.Background(), g.id, false)
	v.state(Reconnecting)
	eventually(t, "the console is free", promptly, func() bool { return consoleIsFree(t, g) })
	late := l.watch(g.id, ViewerOptions{})
	late.state(Reconnecting)
	typed := make(chan error, 1)
	go func() {
		_, err := v.Write([]byte("echo $((6*7))\n"))
		typed <- err
	}()
	second := l.LetGo(context.Background(), g.id, false)
	back()
	select {
	case err := <-typed:
		t.Fatalf("what was typed while the console is let go did not wait: %v", err)
	default:
	}
	second()
	v.state(Connected)
	late.state(Connected)
	if err := <-typed; err != nil {
		t.Errorf("what was typed meanwhile: %v", err)
	}
	v.expect("\n42\r\n")

	back = l.LetGo(context.Background(), g.id, false)
	v.state(Reconnecting)
	if _, err := v.Write([]byte("lost\n")); fault.CodeOf(err) != fault.ConsoleReconnecting {
		t.Errorf("Write gave %v", err)
	}
	back()
	v.state(Connected)
	if strings.Contains(v.notes.tail(), string(Taken)) {
		t.Errorf("the viewer was told: %s", v.notes.tail())
	}

	// A long paste is read completely, with and without echo.
	v.enter("cat > /tmp/paste; wc -c /tmp/paste")
	long := strings.Repeat("0123456789abcdefghijklmnopqrstu\n", 512)
	if _, err := v.Write([]byte(long)); err != nil {
		t.Error(err)
	}
	v.screen.expect(t, "stu\r\n", patiently)
	v.Write([]byte{4})
	v.screen.expect(t, "16384 /tmp/paste", patiently)
	v.enter("stty -echo; cat > /tmp/paste; wc -c /tmp/paste; stty echo")
	v.expect("stty echo\r\n")
	if _, err := v.Write([]byte(long)); err != nil {
		t.Error(err)
	}
	v.Write([]byte{4})
	v.screen.expect(t, "16384 /tmp/paste", patiently)
}
