package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
	"github.com/sandboxlabs/sandboxlabs/internal/testground"
)

const (
	systemURI = "qemu:///system"
	hostName  = "lab"
	promptly  = 10 * time.Second // for what takes milliseconds on an idle machine
	patiently = 3 * time.Minute  // for an emulated boot, or libvirtd noticing the end of its QEMU, on a busy machine
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// libvirt's event loop never ends.
		goleak.IgnoreAnyFunction("libvirt.org/go/libvirt.EventRunDefaultImpl"))
}

// lab is a manager that runs on real hosts.
type lab struct {
	t     *testing.T
	hosts *hypervisor.Set
	*Manager

	mu     sync.Mutex
	active map[string]bool // the nodes of the lab
	names  map[string]string

	changed chan string // UUIDs to look up
}

// newLab connects to a libvirt URI until the test ends.
func newLab(t *testing.T, uri string, o Options) *lab {
	t.Helper()
	hosts, err := hypervisor.New(hypervisor.Options{Addresses: []hypervisor.Address{{Name: hostName, URI: uri}}})
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, hosts: hosts, active: make(map[string]bool), names: make(map[string]string), changed: make(chan string, 1024)}
	o.Hosts, o.Nodes = hosts, l
	if l.Manager, err = New(o); err != nil {
		t.Fatal(err)
	}
	hosts.Listen(l)
	l.run(hosts.Run)
	l.run(func(ctx context.Context) error {
		for {
			select {
			case id := <-l.changed:
				l.look(id)
			case <-ctx.Done():
				return nil
			}
		}
	})
	l.run(l.Run)
	eventually(t, "the host is connected", patiently, func() bool {
		return hosts.Hosts()[0].Status().State == hypervisor.Connected
	})
	return l
}

// run runs f until the test ends, and waits for it.
func (l *lab) run(f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	l.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			l.t.Error(err)
		}
	})
}

func (l *lab) Place(id string) (p Place, ok bool) {
	away := l.hosts.Hosts()[0].Status().State != hypervisor.Connected
	l.mu.Lock()
	defer l.mu.Unlock()
	active, ok := l.active[id]
	return Place{Host: hostName, Name: l.names[id], Active: active && !away, Away: away}, ok
}

func (l *lab) HostUp(ctx context.Context, h *hypervisor.Host) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.active {
		l.changed <- id
	}
}

func (l *lab) HostDown(*hypervisor.Host) {
	l.mu.Lock()
	ids := slices.Collect(maps.Keys(l.active))
	l.mu.Unlock()
	for _, id := range ids {
		l.NodeChanged(id)
	}
}

func (l *lab) DomainChanged(_ *hypervisor.Host, id string) { l.changed <- id }

// look reads the state of a node from libvirt and notifies the manager.
func (l *lab) look(id string) {
	l.mu.Lock()
	_, ours := l.active[id]
	l.mu.Unlock()
	if !ours {
		return
	}
	var active bool
	var name string
	err := l.hosts.Do(context.Background(), hostName, "test", func(c *libvirt.Connect) error {
		dom, err := c.LookupDomainByUUIDString(id)
		if err != nil {
			return err
		}
		defer dom.Free()
		if name, err = dom.GetName(); err != nil {
			return err
		}
		active, err = dom.IsActive()
		return err
	})
	l.mu.Lock()
	switch {
	case err == nil:
		l.active[id], l.names[id] = active, name
	case errors.Is(err, libvirt.ERR_NO_DOMAIN):
		delete(l.active, id)
	}
	l.mu.Unlock()
	l.NodeChanged(id)
}

// add adds a domain to the lab's nodes.
func (l *lab) add(id string) {
	l.mu.Lock()
	l.active[id] = false
	l.mu.Unlock()
	l.look(id)
}

// guest is a domain of the test, which is undefined when the test ends.
type guest struct {
	t        *testing.T
	id, name string
}

// defineGuest defines a domain with a serial console, and with the disk at path disk
// unless it is empty.
func defineGuest(t *testing.T, disk string) *guest {
	t.Helper()
	g := &guest{t: t, name: testground.Name()}
	var disks string
	if disk != "" {
		disks = fmt.Sprintf(`<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='unsafe'/><source file='%s'/><target dev='vda' bus='virtio'/></disk>`, disk)
	}
	xml := fmt.Sprintf(`<domain type='qemu'>
  <name>%s</name>
  <memory unit='MiB'>192</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <features><acpi/></features>
  <devices>%s<serial type='pty'/><console type='pty'/></devices>
</domain>`, g.name, disks)
	onSystem(t, func(c *libvirt.Connect) {
		dom, err := c.DomainDefineXML(xml)
		if err != nil {
			t.Fatal(err)
		}
		defer dom.Free()
		if g.id, err = dom.GetUUIDString(); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() {
		exec.Command("virsh", "-q", "destroy", g.name).Run() // may be off
		exec.Command("virsh", "-q", "undefine", g.name).Run()
	})
	return g
}

// defineMicro defines a guest that boots the micro image.
func defineMicro(t *testing.T) *guest {
	t.Helper()
	base, err := filepath.Abs("../../images/build/micro.qcow2")
	if err != nil {
		t.Fatal(err)
	}
	image, err := os.ReadFile(base)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("images/build/micro.qcow2 is not there: run `make setup`")
	}
	if err != nil {
		t.Fatal(err)
	}
	// QEMU runs as another user and must be able to access the folder.
	dir, err := os.MkdirTemp("", "console-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	disk := filepath.Join(dir, "disk.qcow2")
	if err := os.WriteFile(disk, image, 0o644); err != nil {
		t.Fatal(err)
	}
	return defineGuest(t, disk)
}

// virsh runs a virsh command on the guest, as an operator would.
func (g *guest) virsh(command string, args ...string) {
	g.t.Helper()
	out, err := exec.Command("virsh", append([]string{"-q", command, g.name}, args...)...).CombinedOutput()
	if err != nil {
		g.t.Fatalf("virsh %s: %v\n%s", command, err, out)
	}
}

// operator is a `virsh console` in a terminal.
type operator struct {
	t    *testing.T
	tty  *os.File
	out  *transcript
	done chan error // its exit
}

func (g *guest) console(args ...string) *operator {
	g.t.Helper()
	master, slave := openPTY(g.t)
	cmd := exec.Command("virsh", append([]string{"console", g.name}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	slave.Close()
	o := &operator{t: g.t, tty: master, out: newTranscript(), done: make(chan error, 1)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		io.Copy(o.out, master) // ends with an error when virsh closes the terminal
	}()
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		o.done <- cmd.Wait()
	}()
	g.t.Cleanup(func() {
		cmd.Process.Kill()
		<-exited
		<-read
		master.Close()
	})
	return o
}

func (o *operator) expect(text string) {
	o.t.Helper()
	o.out.expect(o.t, text, promptly)
}

// granted returns whether virsh has opened the console of a guest that runs a shell.
func (o *operator) granted() bool {
	o.t.Helper()
	deadline := time.After(promptly)
	// virsh drops what is typed before it has set up its terminal.
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for !o.out.contains("# ") {
		select {
		case <-o.done:
			return false
		case <-ticker.C:
			io.WriteString(o.tty, "\r")
		case <-deadline:
			o.t.Fatalf("virsh console neither works nor ends; it shows:\n%s", o.out.tail())
		}
	}
	return true
}

// exits waits for virsh to end.
func (o *operator) exits() {
	o.t.Helper()
	select {
	case <-o.done:
	case <-time.After(promptly):
		o.t.Fatalf("virsh console did not end; it shows:\n%s", o.out.tail())
	}
}

func openPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// onSystem runs f with a connection that is not one of the lab's.
func onSystem(t *testing.T, f func(*libvirt.Connect)) {
	t.Helper()
	c, err := libvirt.NewConnect(systemURI)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f(c)
}

// transcript collects text until a part of it is expected.
type transcript struct {
	mu      sync.Mutex
	text    []byte
	from    int           // expect has consumed the text before
	changed chan struct{} // closed and replaced when text arrives
}

func newTranscript() *transcript { return &transcript{changed: make(chan struct{})} }

func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = append(s.text, p...)
	close(s.changed)
	s.changed = make(chan struct{})
	return len(p), nil
}

// expect waits for text after what the previous expect consumed.
func (s *transcript) expect(t *testing.T, text string, within time.Duration) {
	t.Helper()
	deadline := time.After(within)
	for {
		s.mu.Lock()
		at := bytes.Index(s.text[s.from:], []byte(text))
		changed := s.changed
		if at >= 0 {
			s.from += at + len(text)
		}
		s.mu.Unlock()
		if at >= 0 {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%q did not come within %v; the end of what did:\n%s", text, within, s.tail())
		}
	}
}

func (s *transcript) contains(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Contains(s.text, []byte(text))
}

func (s *transcript) tail() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.text[max(0, len(s.text)-2000):])
}

// watcher reads a viewer for the test.
type watcher struct {
	*Viewer
	t      *testing.T
	screen *transcript // what the guest printed
	notes  *transcript // all other messages as text, one per line
	end    error       // the final error, once ended is closed
	ended  chan struct{}
}

// watch attaches a viewer and reads it until the test ends.
func (l *lab) watch(id string, o ViewerOptions) *watcher {
	l.t.Helper()
	v, err := l.Attach(context.Background(), id, o)
	if err != nil {
		l.t.Fatal(err)
	}
	w := &watcher{Viewer: v, t: l.t, screen: newTranscript(), notes: newTranscript(), ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		for {
			m, err := v.Next(context.Background())
			if err != nil {
				w.end = err
				return
			}
			if m.Data != nil {
				w.screen.Write(m.Data)
			} else {
				io.WriteString(w.notes, words(m)+"\n")
			}
		}
	}()
	l.t.Cleanup(w.leave)
	return w
}

// leave closes the viewer and waits for its reader.
func (w *watcher) leave() {
	w.Close()
	<-w.ended
}

// state waits for a state that was not consumed yet.
func (w *watcher) state(s State) {
	w.t.Helper()
	w.stateWithin(s, promptly)
}

func (w *watcher) stateWithin(s State, within time.Duration) {
	w.t.Helper()
	w.notes.expect(w.t, string(s)+"\n", within)
}

func (w *watcher) expect(text string) {
	w.t.Helper()
	w.screen.expect(w.t, text, promptly)
}

func (w *watcher) enter(line string) {
	w.t.Helper()
	if _, err := io.WriteString(w, line+"\n"); err != nil {
		w.t.Fatal(err)
	}
}

// login waits until the guest has booted, and logs in.
func (w *watcher) login() {
	w.t.Helper()
	w.screen.expect(w.t, "login:", patiently)
	w.enter("root")
	w.expect("# ")
}

// words describes a message as text.
func words(m Message) string {
	switch {
	case m.State != "" && m.Paused:
		return string(m.State) + " paused"
	case m.State != "":
		return string(m.State)
	case m.Viewers > 0:
		return "viewers " + strconv.Itoa(m.Viewers)
	case m.Lagged > 0:
		return "lagged " + strconv.FormatInt(m.Lagged, 10)
	}
	return string(m.Data)
}

// eventually polls a condition.
func eventually(t *testing.T, what string, within time.Duration, holds func() bool) {
	t.Helper()
	deadline := time.After(within)
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}

// sequence returns what `seq first last` prints on a terminal.
func sequence(first, last int) string {
	var b strings.Builder
	for i := first; i <= last; i++ {
		fmt.Fprintf(&b, "%d\r\n", i)
	}
	return b.String()
}
