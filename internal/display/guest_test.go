package display

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
	"github.com/sandboxlabs/sandboxlabs/internal/testground"
)

const (
	systemURI = "qemu:///system"
	hostName  = "lab"
	patience  = time.Minute // for an emulated firmware, on a busy machine

	// relayVariable makes the test binary a program that connects its standard input and
	// output to libvirtd.
	relayVariable = "SANDBOXLABS_TEST_RELAY"
)

func TestMain(m *testing.M) {
	if os.Getenv(relayVariable) != "" {
		relay()
		return
	}
	goleak.VerifyTestMain(m,
		// libvirt's event loop never ends.
		goleak.IgnoreAnyFunction("libvirt.org/go/libvirt.EventRunDefaultImpl"))
}

// relay does what `ssh host nc -U …` does on a remote host.
func relay() {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: "/run/libvirt/libvirt-sock"})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	copyFD := func(from, to int) {
		buf := make([]byte, 64<<10)
		for {
			n, err := unix.Read(from, buf)
			for p := buf[:max(n, 0)]; len(p) > 0 && err == nil; {
				var w int
				w, err = unix.Write(to, p)
				p = p[max(w, 0):]
			}
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if n <= 0 || err != nil {
				os.Exit(0)
			}
		}
	}
	go copyFD(0, fd)
	copyFD(fd, 1)
}

// remoteURI returns a URI that reaches this machine's libvirtd through a program, as if it
// were remote.
func remoteURI(t *testing.T) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(t.TempDir(), "relay")
	text := fmt.Sprintf("#!/bin/sh\n%s=1 exec '%s'\n", relayVariable, program)
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return "qemu+ext://127.0.0.1/system?command=" + script
}

// lab is a Service that runs on a real host.
type lab struct {
	t     *testing.T
	hosts *hypervisor.Set
	*Service
	dials atomic.Int32 // connections that were opened
	end   func()       // cancels Run and waits for it
	// screen changes what libvirt reports of a screen; may be nil.
	screen func(*Screen)
}

func newLab(t *testing.T, uri string) *lab {
	t.Helper()
	hosts, err := hypervisor.New(hypervisor.Options{Addresses: []hypervisor.Address{{Name: hostName, URI: uri}}})
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, hosts: hosts}
	if l.Service, err = New(Options{Hosts: l, Nodes: l}); err != nil {
		t.Fatal(err)
	}
	hosts.Listen(l)
	start(t, hosts.Run)
	l.end = start(t, l.Run)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := hosts.Hosts()[0].Settled(ctx); err != nil {
		t.Fatal(err)
	}
	if s := hosts.Hosts()[0].Status(); s.State != hypervisor.Connected {
		t.Fatalf("these tests need libvirt: %s", s.Problem)
	}
	return l
}

// start runs f until the test ends or stop is called.
func start(t *testing.T, f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := f(ctx); err != nil {
			t.Error(err)
		}
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return stop
}

func (l *lab) Do(ctx context.Context, host, op string, f hypervisor.Call) error {
	return l.hosts.Do(ctx, host, op, f)
}

func (l *lab) Dial(ctx context.Context, host string, f hypervisor.Call) error {
	l.dials.Add(1)
	return l.hosts.Dial(ctx, host, f)
}

func (l *lab) HostUp(context.Context, *hypervisor.Host) {}
func (l *lab) HostDown(*hypervisor.Host)                {}

func (l *lab) DomainChanged(_ *hypervisor.Host, id string) { l.NodeChanged(id) }

func (l *lab) Place(string) (host, name string, active, ok bool) { return hostName, "", true, true }

// Screen reads from libvirt, as package domain does.
func (l *lab) Screen(ctx context.Context, id string) (Screen, error) {
	screen := Screen{NodeID: id, Host: hostName}
	err := l.hosts.Do(ctx, hostName, "test", func(c *libvirt.Connect) error {
		d, err := c.LookupDomainByUUIDString(id)
		if errors.Is(err, libvirt.ERR_NO_DOMAIN) {
			return fault.New(fault.NodeNotFound, "gone")
		}
		if err != nil {
			return err
		}
		defer func() { _ = d.Free() }()
		if active, err := d.IsActive(); err != nil {
			return err
		} else if !active {
			return fault.New(fault.NodeNotRunning, "off")
		}
		text, err := d.GetXMLDesc(libvirt.DOMAIN_XML_SECURE)
		if err != nil {
			return err
		}
		var def libvirtxml.Domain
		if err := def.Unmarshal(text); err != nil {
			return err
		}
		vnc := def.Devices.Graphics[0].VNC
		screen.NodeName, screen.Listen, screen.Port, screen.Password = def.Name, vnc.Listen, vnc.Port, vnc.Passwd
		return nil
	})
	if l.screen != nil {
		l.screen(&screen)
	}
	return screen, err
}

// guest is a domain of the test without a disk, whose firmware shows a screen.
type guest struct {
	t        *testing.T
	id, name string
}

const password = "s3cret-8" // eight characters, the maximum for VNC

// runGuest starts a guest that shows on its screen how to open a menu, and waits a minute
// for a key.
func runGuest(t *testing.T) *guest {
	t.Helper()
	g := &guest{t: t, name: testground.Name()}
	text := fmt.Sprintf(`<domain type='qemu'>
  <name>%s</name>
  <memory unit='MiB'>64</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type><bootmenu enable='yes' timeout='60000'/></os>
  <devices>
    <graphics type='vnc' port='-1' autoport='yes' listen='127.0.0.1' passwd='%s'/>
    <video><model type='vga'/></video>
  </devices>
</domain>`, g.name, password)
	c, err := libvirt.NewConnect(systemURI)
	if err != nil {
		t.Fatalf("these tests need libvirt: %v", err)
	}
	defer func() { _, _ = c.Close() }()
	d, err := c.DomainDefineXML(text)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Free() }()
	t.Cleanup(func() {
		_ = exec.Command("virsh", "-q", "destroy", g.name).Run() // may be off
		_ = exec.Command("virsh", "-q", "undefine", g.name).Run()
	})
	if g.id, err = d.GetUUIDString(); err != nil {
		t.Fatal(err)
	}
	if err := d.Create(); err != nil {
		t.Fatal(err)
	}
	return g
}

// virsh runs a virsh command on the guest, as an operator would.
func (g *guest) virsh(command string, args ...string) {
	g.t.Helper()
	out, err := exec.CommandContext(g.t.Context(), "virsh", append([]string{"-q", command, g.name}, args...)...).CombinedOutput()
	if err != nil {
		g.t.Fatalf("virsh %s: %v\n%s", command, err, out)
	}
}

// freeze suspends the guest's QEMU process until the test ends.
func (g *guest) freeze() {
	g.t.Helper()
	text, err := os.ReadFile("/run/libvirt/qemu/" + g.name + ".pid")
	if err != nil {
		g.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		g.t.Fatal(err)
	}
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = unix.Kill(pid, unix.SIGCONT) })
}

// isAsked reports whether libvirt is waiting for the guest's QEMU.
func (g *guest) isAsked() bool {
	out, err := exec.CommandContext(g.t.Context(), "virsh", "-q", "domcontrol", g.name).CombinedOutput()
	if err != nil {
		g.t.Fatalf("virsh domcontrol: %v\n%s", err, out)
	}
	return strings.Contains(string(out), "occupied")
}

// eventually polls a condition.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
