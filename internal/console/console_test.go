package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// All parts of this test share one guest, because booting it is slow.
func TestConsole(t *testing.T) {
	g := defineMicro(t)
	l := newLab(t, systemURI, Options{HistoryBytes: 64 << 10, ViewerQueueBytes: 128 << 10})
	l.add(g.id)

	first := l.watch(g.id, ViewerOptions{})
	first.state(Offline)
	if _, err := first.Write([]byte("x")); fault.CodeOf(err) != fault.NodeNotRunning {
		t.Fatalf("Write to a stopped node gave %v", err)
	}
	g.virsh("start")
	first.state(Connected)
	first.login()

	t.Run("what is typed comes back", func(t *testing.T) {
		first.enter("echo $((6*7))")
		first.expect("\n42\r\n")
	})

	t.Run("all viewers see the same", func(t *testing.T) {
		second := l.watch(g.id, ViewerOptions{})
		first.notes.expect(t, "viewers 2\n", promptly)
		second.notes.expect(t, "viewers 2\n", promptly)
		second.expect("\n42\r\n") // the history
		second.state(Connected)
		second.enter("echo $((6*8))")
		first.expect("\n48\r\n")
		second.expect("\n48\r\n")
		if n := l.Viewers(g.id); n != 2 {
			t.Errorf("Viewers = %d", n)
		}
		second.leave()
		first.notes.expect(t, "viewers 1\n", promptly)
	})

	t.Run("a read-only viewer only reads", func(t *testing.T) {
		guest := l.watch(g.id, ViewerOptions{ReadOnly: true})
		if _, err := guest.Write([]byte("reboot\n")); fault.CodeOf(err) != fault.Forbidden {
			t.Errorf("Write gave %v", err)
		}
		if err := guest.Take(); fault.CodeOf(err) != fault.Forbidden {
			t.Errorf("Take gave %v", err)
		}
		first.enter("echo $((7*7))")
		guest.expect("\n49\r\n")
		guest.leave()
	})

	t.Run("only stalled viewers lag", func(t *testing.T) {
		// A part is smaller than a viewer's queue, and the next one begins when every
		// reader has it, so that no reader lags, however slow this process is.
		const part, last = 10_000, 60_000
		var stalled []*Viewer
		for range 10 {
			v, err := l.Attach(context.Background(), g.id, ViewerOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			stalled = append(stalled, v)
		}
		var readers []*watcher
		for range 40 {
			readers = append(readers, l.watch(g.id, ViewerOptions{}))
		}
		before := heap()
		readers[0].enter(fmt.Sprintf("for i in $(seq %d %d %d); do seq $((i-%d)) $i; read x; done; echo $((5*5))-end", part, part, last, part-1))
		want := sequence(1, last)
		for shown := part; shown <= last; shown += part {
			for _, r := range readers {
				r.screen.expect(t, fmt.Sprintf("\n%d\r\n", shown), time.Minute)
			}
			readers[0].enter("")
		}
		for _, r := range readers {
			r.screen.expect(t, "\n25-end", time.Minute)
		}
		// The test itself keeps the output once for each reader.
		if grown := int64(heap()) - int64(before) - int64(40*3*len(want)); grown > 8<<20 {
			t.Errorf("memory grew by %d bytes", grown)
		}
		for i, r := range readers {
			if strings.Contains(r.notes.tail(), "lagged") {
				t.Errorf("reader %d lagged: %s", i, r.notes.tail())
			}
			for from := 1; from < last; from += part {
				if !r.screen.contains(sequence(from, from+part-1)) {
					t.Errorf("reader %d did not get the lines from %d on whole", i, from)
				}
			}
			r.leave()
		}
		for i, v := range stalled {
			lagged, data := readRest(t, v)
			if lagged < int64(len(want))-128<<10 {
				t.Errorf("stalled viewer %d reports %d lost bytes of %d", i, lagged, len(want))
			}
			if len(data) > 128<<10+messageBytes || !strings.Contains(data, "\n25-end") {
				t.Errorf("stalled viewer %d was given %d bytes", i, len(data))
			}
		}
		eventually(t, "the others have left", promptly, func() bool { return l.Viewers(g.id) == 11 })
	})

	t.Run("who comes first keeps the console from virsh", func(t *testing.T) {
		virsh := g.console()
		virsh.expect("Active console session exists")
		virsh.exits()
		first.enter("echo $((7*8))")
		first.expect("\n56\r\n")
	})

	t.Run("virsh takes the console by force and gives it back", func(t *testing.T) {
		virsh := g.console("--force")
		first.state(Taken)
		virsh.expect("Escape character is")
		if _, err := first.Write([]byte("x")); fault.CodeOf(err) != fault.NodeBusy {
			t.Errorf("Write while taken gave %v", err)
		}
		io.WriteString(virsh.tty, "echo $((9*9))\r")
		virsh.expect("\n81\r")
		io.WriteString(virsh.tty, "\x1d") // Ctrl-]
		virsh.exits()
		first.state(Connected)
		first.enter("echo $((8*8))")
		first.expect("\n64\r\n")
	})

	t.Run("a viewer takes the console from virsh", func(t *testing.T) {
		first.leave()
		var virsh *operator
		// The console becomes free shortly after the last viewer has left.
		eventually(t, "virsh gets the console", promptly, func() bool {
			virsh = g.console()
			return virsh.granted()
		})
		v := l.watch(g.id, ViewerOptions{})
		v.state(Taken)
		if err := v.Take(); err != nil {
			t.Fatal(err)
		}
		v.state(Connected)
		virsh.exits()
		v.enter("echo $((3*3))x")
		v.expect("\n9x\r\n")
		first = v
	})

	t.Run("the node stops and starts under virsh", func(t *testing.T) {
		g.virsh("destroy")
		first.state(Offline)
		g.virsh("start")
		first.state(Connected)
		first.login()
		first.enter("echo $((4*4))y")
		first.expect("\n16y\r\n")
	})

	t.Run("the guest powers itself off", func(t *testing.T) {
		first.enter("poweroff")
		first.stateWithin(Offline, patiently)
	})

	t.Run("the node is deleted", func(t *testing.T) {
		g.virsh("undefine")
		select {
		case <-first.ended:
		case <-time.After(promptly):
			t.Fatal("the viewer was not told")
		}
		if fault.CodeOf(first.end) != fault.NodeNotFound {
			t.Errorf("the viewer was told %v", first.end)
		}
		if _, err := l.Attach(context.Background(), g.id, ViewerOptions{}); fault.CodeOf(err) != fault.NodeNotFound {
			t.Errorf("Attach gave %v", err)
		}
	})
}

// readRest reads the pending messages of a viewer.
func readRest(t *testing.T, v *Viewer) (lagged int64, data string) {
	t.Helper()
	for {
		m, ok, err := v.poll()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return lagged, data
		}
		lagged += m.Lagged
		data += string(m.Data)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// consoleIsFree opens the console as virsh does, and closes it.
func consoleIsFree(t *testing.T, g *guest) (free bool) {
	onSystem(t, func(c *libvirt.Connect) {
		l := newLine()
		err := l.open(c, g.id, g.name, "", false)
		if errors.Is(err, libvirt.ERR_OPERATION_FAILED) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		l.close()
		free = true
	})
	return free
}

func TestConnectionLost(t *testing.T) {
	g := defineGuest(t, "")
	g.virsh("start")
	wire := newWire(t)
	l := newLab(t, "qemu+unix:///system?socket="+wire.path, Options{})
	l.add(g.id)
	v := l.watch(g.id, ViewerOptions{})
	v.state(Connected)
	wire.cut()
	v.state(Reconnecting)
	if _, err := v.Write([]byte("x")); fault.CodeOf(err) != fault.ConsoleReconnecting {
		t.Errorf("Write gave %v", err)
	}
	wire.mend(t)
	v.stateWithin(Connected, patiently)
}

func TestShutdown(t *testing.T) {
	g := defineGuest(t, "")
	g.virsh("start")
	l := newLab(t, systemURI, Options{})
	l.add(g.id)
	m, err := New(Options{Hosts: l.hosts, Nodes: l})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- m.Run(ctx) }()
	v := (&lab{t: t, Manager: m}).watch(g.id, ViewerOptions{})
	v.state(Connected)
	cancel()
	if err := <-stopped; err != nil {
		t.Errorf("Run gave %v", err)
	}
	<-v.ended
	if !errors.Is(v.end, ErrShutdown) {
		t.Errorf("the viewer was told %v", v.end)
	}
	if _, err := m.Attach(context.Background(), g.id, ViewerOptions{}); !errors.Is(err, ErrShutdown) {
		t.Errorf("Attach gave %v", err)
	}
	eventually(t, "the console is given back", promptly, func() bool { return consoleIsFree(t, g) })
}

// wire forwards libvirt's protocol to the real libvirtd, and can be cut.
type wire struct {
	path string
	stop func()
}

func newWire(t *testing.T) *wire {
	w := &wire{path: filepath.Join(t.TempDir(), "sock")}
	w.mend(t)
	t.Cleanup(w.cut)
	return w
}

// mend listens again.
func (w *wire) mend(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("unix", w.path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("unix", "/var/run/libvirt/libvirt-sock")
			if err != nil {
				near.Close()
				continue
			}
			unhook := context.AfterFunc(ctx, func() { near.Close(); far.Close() })
			end := func() { unhook(); near.Close(); far.Close() }
			work.Go(func() { io.Copy(near, far); end() })
			work.Go(func() { io.Copy(far, near); end() })
		}
	})
	w.stop = func() {
		listener.Close()
		cancel()
		work.Wait()
	}
}

// cut breaks all connections and refuses new ones.
func (w *wire) cut() { w.stop() }
