package hypervisor

import (
	"context"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor/hypervisortest"
)

func TestParseAddresses(t *testing.T) {
	for _, c := range []struct {
		text string
		want []Address
	}{
		{"local=qemu:///system", []Address{{"local", "qemu:///system"}}},
		{"a=test:///default, b=qemu+ssh://h/system?socket=/x", []Address{{"a", "test:///default"}, {"b", "qemu+ssh://h/system?socket=/x"}}},
		{"", nil},
		{"qemu:///system", nil},
		{"=qemu:///system", nil},
		{"a=x,a=y", nil},
	} {
		got, err := ParseAddresses(c.text)
		if (err != nil) != (c.want == nil) {
			t.Errorf("%q: error %v", c.text, err)
		}
		for i := range c.want {
			if i >= len(got) || got[i] != c.want[i] {
				t.Errorf("%q: got %v, want %v", c.text, got, c.want)
			}
		}
	}
}

func TestChooseAccelerator(t *testing.T) {
	both := []string{"qemu", "kvm"}
	for _, c := range []struct {
		name, configured, arch string
		types, features        []string
		want                   string
	}{
		{"Intel", "auto", GuestArch, both, []string{"sse", "vmx"}, "kvm"},
		{"AMD", "auto", GuestArch, both, []string{"svm"}, "kvm"},
		{"advertised on a CPU that cannot", "auto", GuestArch, both, []string{"sse"}, "qemu"},
		{"not offered", "auto", GuestArch, []string{"qemu"}, []string{"vmx"}, "qemu"},
		{"host of another architecture", "auto", "aarch64", both, nil, "qemu"},
		{"forced on", "kvm", GuestArch, both, nil, "kvm"},
		{"forced off", "qemu", GuestArch, both, []string{"vmx"}, "qemu"},
	} {
		got, reason := chooseAccelerator(c.configured, c.arch, c.types, c.features)
		if got != c.want || reason == "" {
			t.Errorf("%s: got %q (%s), want %q", c.name, got, reason, c.want)
		}
	}
}

type recorder struct {
	up   chan struct{}
	down chan struct{}
	ids  chan string
}

func (r *recorder) HostUp(context.Context, *Host) { r.up <- struct{}{} }
func (r *recorder) HostDown(*Host)                { r.down <- struct{}{} }
func (r *recorder) DomainChanged(_ *Host, id string) {
	select {
	case r.ids <- id:
	default:
	}
}

// libvirt's own test driver is sufficient: no real guests are needed.
func TestConnectsAndHearsOfDomains(t *testing.T) {
	set, err := New(Options{Addresses: []Address{{"mem", "test:///default"}}})
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{make(chan struct{}, 1), make(chan struct{}, 1), make(chan string, 16)}
	set.Listen(r)
	if err := set.Do(t.Context(), "mem", "test", func(*libvirt.Connect) error { return nil }); fault.CodeOf(err) != fault.HostUnreachable {
		t.Errorf("before Run: %v, want host_unreachable", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- set.Run(ctx) }()
	await(t, r.up, "HostUp")

	var want string
	err = set.Do(ctx, "", "test", func(conn *libvirt.Connect) error {
		d, err := conn.LookupDomainByName("test")
		if err != nil {
			return err
		}
		defer func() { _ = d.Free() }()
		if want, err = d.GetUUIDString(); err != nil {
			return err
		}
		return d.Suspend()
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := await(t, r.ids, "DomainChanged"); got != want {
		t.Errorf("event of %s, want %s", got, want)
	}
	if _, err := set.Host("nowhere"); fault.CodeOf(err) != fault.HostNotFound || !strings.Contains(err.Error(), "mem") {
		t.Errorf("unknown host: %v", err)
	}
	stop()
	if err := await(t, ended, "Run to end"); err != nil {
		t.Error(err)
	}
	await(t, r.down, "HostDown")
}

func TestUnreachableHostIsSettledAndRefused(t *testing.T) {
	set, err := New(Options{Addresses: []Address{{"gone", "qemu+unix:///system?socket=/nonexistent/socket"}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- set.Run(ctx) }()
	h := set.Hosts()[0]
	if err := h.Settled(ctx); err != nil {
		t.Fatal(err)
	}
	if st := h.Status(); st.State != Unreachable || !strings.Contains(st.Problem, "/nonexistent/socket") {
		t.Errorf("status %+v", st)
	}
	nothing := func(*libvirt.Connect) error { return nil }
	for name, err := range map[string]error{"Do": h.Do(ctx, "test", nothing), "Dial": h.Dial(ctx, nothing)} {
		if fault.CodeOf(err) != fault.HostUnreachable {
			t.Errorf("%s: %v, want host_unreachable", name, err)
		}
	}
	stop()
	if err := await(t, ended, "Run to end"); err != nil {
		t.Error(err)
	}
}

// Another machine may answer at the host's address. A hanging libvirtd accepts connections
// without answering.
func TestDialGivesUpWhatIsNotTheHost(t *testing.T) {
	set, err := New(Options{Addresses: []Address{{"mem", "test:///default"}}})
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{make(chan struct{}, 1), make(chan struct{}, 1), make(chan string, 16)}
	set.Listen(r)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- set.Run(ctx) }()
	await(t, r.up, "HostUp")

	socket := filepath.Join(t.TempDir(), "socket")
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	h := set.Hosts()[0]
	h.uri = "qemu:///system" // its address now leads to another machine
	if err := h.Dial(ctx, func(*libvirt.Connect) error { t.Error("another machine was taken for the host"); return nil }); fault.CodeOf(err) != fault.HostUnreachable {
		t.Errorf("Dial to another machine: %v, want host_unreachable", err)
	}
	h.uri = "qemu+unix:///system?socket=" + socket
	dialed := make(chan error, 1)
	go func() { dialed <- h.Dial(ctx, func(*libvirt.Connect) error { return nil }) }()
	if err := await(t, dialed, "Dial to give up"); fault.CodeOf(err) != fault.HostUnreachable {
		t.Errorf("Dial: %v, want host_unreachable", err)
	}
	if err := l.Close(); err != nil { // this ends the attempt
		t.Error(err)
	}
	stop()
	if err := await(t, ended, "Run to end"); err != nil {
		t.Error(err)
	}
	await(t, r.down, "HostDown")
}

// connectThroughRelay runs a set with one host whose connections can be cut. stop ends it.
func connectThroughRelay(t *testing.T) (relay *hypervisortest.Relay, r *recorder, h *Host, stop func()) {
	t.Helper()
	relay = hypervisortest.Start(t)
	set, err := New(Options{Addresses: []Address{{"cut", relay.URI()}}})
	if err != nil {
		t.Fatal(err)
	}
	r = &recorder{make(chan struct{}, 1), make(chan struct{}, 2), make(chan string, 16)}
	set.Listen(r)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- set.Run(ctx) }()
	await(t, r.up, "HostUp")
	return relay, r, set.Hosts()[0], func() {
		t.Helper()
		cancel()
		if err := await(t, ended, "Run to end"); err != nil {
			t.Error(err)
		}
	}
}

// A lost connection must be freed, since libvirtd may be restarted any number of times.
func TestLostConnectionIsFreed(t *testing.T) {
	relay, r, h, stop := connectThroughRelay(t)
	h.mu.Lock()
	conn := h.conn
	h.mu.Unlock()
	if err := conn.Ref(); err != nil {
		t.Fatal(err)
	}
	relay.Refuse(true)
	relay.Cut(0)
	await(t, r.down, "HostDown")
	if left, err := conn.Close(); err != nil || left != 0 {
		t.Errorf("%d references are left to the lost connection (%v)", left, err)
	}
	stop()
}

// An idle connection that breaks must be skipped, and does not mean that the host is
// unreachable.
func TestDeadIdleConnectionIsPassedOver(t *testing.T) {
	relay, r, h, stop := connectThroughRelay(t)
	ctx := t.Context()
	var both sync.WaitGroup // until both calls have their own connection
	both.Add(2)
	var calls sync.WaitGroup
	for range 2 {
		calls.Go(func() {
			err := h.Do(ctx, "test", func(*libvirt.Connect) error {
				both.Done()
				both.Wait()
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	h.mu.Lock()
	idle := slices.Clone(h.idle)
	h.mu.Unlock()
	if len(idle) != 2 {
		t.Fatalf("%d connections are idle, want 2", len(idle))
	}
	for _, c := range idle {
		if err := c.Ref(); err != nil {
			t.Fatal(err)
		}
	}
	relay.Cut(1) // all except the managed one
	begun := time.Now()
	for _, c := range idle {
		for alive := true; alive; runtime.Gosched() {
			var err error
			if alive, err = c.IsAlive(); err != nil || time.Since(begun) > 30*time.Second {
				t.Fatalf("a connection that was cut is alive: %v (%v)", alive, err)
			}
		}
	}
	err := h.Do(ctx, "test", func(c *libvirt.Connect) error {
		_, err := c.GetLibVersion()
		return err
	})
	if err != nil {
		t.Errorf("a call after idle connections broke: %v", err)
	}
	for _, c := range idle {
		if left, err := c.Close(); err != nil || left != 0 {
			t.Errorf("%d references are left to the lost connection (%v)", left, err)
		}
	}
	stop()
	await(t, r.down, "HostDown")
}

func await[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(30 * time.Second):
		t.Fatalf("waited in vain for %s", what)
		panic("not reached")
	}
}

// TestKnownFaults expects warnings for the releases of libvirt that console input can
// crash, and for no others.
func TestKnownFaults(t *testing.T) {
	for release, warns := range map[uint32]bool{8_000_000: false, 9_000_000: false, 9_001_000: true, 11_003_000: true, 12_009_000: false, 13_000_000: false} {
		faults := knownFaults(release)
		if got := len(faults) > 0; got != warns {
			t.Errorf("libvirt %s has the known faults %q, want some: %v", version(release), faults, warns)
		}
		if warns && (len(faults) != 1 || !strings.Contains(faults[0], "libvirtd "+version(release)+" ")) {
			t.Errorf("libvirt %s has the known faults %q", version(release), faults)
		}
	}
}
