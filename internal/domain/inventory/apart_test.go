package inventory

import (
	"context"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/event"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
	"github.com/sandboxlabs/sandboxlabs/internal/testground"
)

// runningInventory returns a running inventory of the domains at uri.
func runningInventory(t *testing.T, uri string) (*Inventory, *feed) {
	t.Helper()
	hosts, err := hypervisor.New(hypervisor.Options{Addresses: []hypervisor.Address{{Name: "h", URI: uri}}})
	if err != nil {
		t.Fatal(err)
	}
	inv := newInventory(t, hosts, &event.Broker{}, slog.New(slog.DiscardHandler))
	hosts.Listen(listener{inv})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{}, 2)
	go func() { _ = hosts.Run(ctx); ended <- struct{}{} }()
	go func() { inv.run(ctx, inv.feeds["h"]); ended <- struct{}{} }()
	t.Cleanup(func() { stop(); <-ended; <-ended })
	awaited(t, "the domains", inv.feeds["h"].isKnown)
	return inv, inv.feeds["h"]
}

// A change during a reading triggers another one, and callers that wait for the change wait
// for that one. Other domains are not delayed.
func TestReadingApart(t *testing.T) {
	conn, err := libvirt.NewConnect("test:///default") // all connections in a process share the test driver's domains
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = conn.Close() }()
	define := func(name, description string) string {
		t.Helper()
		d, err := conn.DomainDefineXML("<domain type='test'><name>" + name + "</name><uuid>" + uuid.NewSHA1(uuid.Nil, []byte(name)).String() + "</uuid><description>" +
			description + "</description><memory>65536</memory><os><type>hvm</type></os></domain>")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = d.Free() }()
		id, err := d.GetUUIDString()
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	inv, f := runningInventory(t, "test:///default")
	shown := func(id string) string { n, _ := inv.Node(id); return n.Description }
	slow, other := testground.Name(), testground.Name()
	id, otherID := define(slow, "before"), define(other, "before")
	inv.Await(t.Context(), "h", id)
	inv.Await(t.Context(), "h", otherID)

	for _, failure := range []error{nil, libvirt.ERR_OPERATION_TIMEOUT} {
		first := make(chan struct{})
		r := &apart{silent: make(chan struct{}), done: make(chan struct{}), err: failure}
		f.mu.Lock()
		f.apart[id] = r
		f.mu.Unlock()
		if !f.leave(id, r, []chan struct{}{first}) {
			t.Fatal("a reading that is under way has ended")
		}
		define(slow, "after")
		define(other, "after")
		second := make(chan struct{})
		f.note(id, second)
		inv.Await(t.Context(), "h", otherID)
		if got := shown(otherID); got != "after" {
			t.Errorf("another domain shows %q", got)
		}
		f.note("", nil) // a reading of all domains skips this one
		inv.Await(t.Context(), "h", otherID)
		select {
		case <-first:
			t.Error("the reading was said to have ended")
		case <-second:
			t.Error("a change was said to be read while an older reading is under way")
		default:
		}
		if got := shown(id); got != "before" {
			t.Errorf("a domain is read twice at a time: %q", got)
		}
		f.end(t.Context(), id, r)
		<-first
		<-second
		if got := shown(id); got != "after" {
			t.Errorf("after its reading (%v) the domain shows %q", failure, got)
		}
		if f.leave(id, r, nil) {
			t.Error("a reading that has ended is under way")
		}
		define(slow, "before")
		define(other, "before")
		inv.Await(t.Context(), "h", id)
		inv.Await(t.Context(), "h", otherID)
	}
}

// A domain whose QEMU does not respond does not block others, and is shown with what libvirt
// knows about it.
func TestSilentQEMU(t *testing.T) {
	conn, err := libvirt.NewConnect("qemu:///system")
	if err != nil {
		t.Skip("libvirtd does not answer; run `make setup`")
	}
	defer func() { _, _ = conn.Close() }()
	name := testground.Name()
	d, err := conn.DomainCreateXML("<domain type='qemu'><name>"+name+"</name><description>silent</description><metadata><s:node xmlns:s='"+definition.Namespace+"'><owner id='"+uuid.Nil.String()+"'>ann</owner><tags><tag>t</tag></tags></s:node></metadata><memory>65536</memory><os><type arch='x86_64'>hvm</type></os></domain>",
		libvirt.DOMAIN_START_PAUSED|libvirt.DOMAIN_START_AUTODESTROY)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = d.Destroy(), d.Free() }()
	id, err := d.GetUUIDString()
	if err != nil {
		t.Fatal(err)
	}
	pid := qemuOf(t, id)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() {
		asking, err := libvirt.NewConnect("qemu:///system")
		if err == nil {
			defer func() { _, _ = asking.Close() }()
			var same *libvirt.Domain
			if same, err = asking.LookupDomainByUUIDString(id); err == nil {
				_, err = same.QemuMonitorCommand(`{"execute":"query-status"}`, libvirt.DOMAIN_QEMU_MONITOR_COMMAND_DEFAULT)
				_ = same.Free()
			}
		}
		answered <- err
	}()
	goOn := sync.OnceFunc(func() {
		_ = syscall.Kill(pid, syscall.SIGCONT)
		if err := <-answered; err != nil {
			t.Error(err)
		}
	})
	defer goOn()
	awaited(t, "the QEMU is silent", func() bool { return isSilent(d) })

	if texts := textsOf(d); texts != nil {
		t.Errorf("its texts %v are compared", texts)
	}
	begun := time.Now()
	inv, _ := runningInventory(t, "qemu:///system")
	if took := time.Since(begun); took > 25*time.Second { // libvirt 11.3 waits for 30 s
		t.Errorf("the inventory was there after %v", took)
	}
	if n, err := inv.Node(id); err != nil || n.Name != name || n.State != Paused || n.Description != "silent" || n.RAMMiB != 64 || n.CPUs != 1 {
		t.Errorf("the domain is %+v, %v", n, err)
	}
	n, err := (&Inventory{accounts: noAccounts{}}).outline(d, "h")
	if err != nil || n.ID != id || n.Name != name || n.State != Paused || n.Description != "silent" || n.RAMMiB != 64 || n.CPUs != 1 || n.Owner != uuid.Nil.String() || n.OwnerName != "ann" || len(n.Tags) != 1 || n.Problem == "" {
		t.Errorf("the outline is %+v, %v", n, err)
	}
	goOn()
	awaited(t, "all of the domain", func() bool { n, err := inv.Node(id); return err == nil && n.Accelerator == "qemu" && n.Problem == "" })
}

// qemuOf returns the process id of a domain's QEMU.
func qemuOf(t *testing.T, id string) int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if args, err := os.ReadFile("/proc/" + e.Name() + "/cmdline"); err == nil && strings.Contains(string(args), "\x00-uuid\x00"+id+"\x00") {
			return pid
		}
	}
	t.Fatal("the domain has no QEMU")
	return 0
}
