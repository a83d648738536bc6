package inventory

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/event"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor/hypervisortest"
	"github.com/sandboxlabs/sandboxlabs/internal/testground"
)

// noAccounts implements Accounts without any account.
type noAccounts struct{}

func (noAccounts) FormerOwner(string) (id string) { return "" }

func newInventory(t *testing.T, hosts *hypervisor.Set, events *event.Broker, log *slog.Logger) *Inventory {
	t.Helper()
	inv, err := New(Options{Hosts: hosts, Accounts: noAccounts{}, Events: events, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return inv
}

// listener forwards host events to an inventory, but no domain events.
type listener struct{ inv *Inventory }

func (l listener) HostUp(ctx context.Context, h *hypervisor.Host) { l.inv.HostUp(ctx, h) }
func (l listener) HostDown(h *hypervisor.Host)                    { l.inv.HostDown(h) }
func (l listener) DomainChanged(*hypervisor.Host, string)         {}

// warnings receives the messages that are logged as warnings.
type warnings chan string

func (w warnings) Enabled(_ context.Context, level slog.Level) bool { return level == slog.LevelWarn }
func (w warnings) WithAttrs([]slog.Attr) slog.Handler               { return w }
func (w warnings) WithGroup(string) slog.Handler                    { return w }
func (w warnings) Handle(_ context.Context, r slog.Record) error {
	select {
	case w <- r.Message:
	default:
	}
	return nil
}

// awaited polls until the inventory has the expected state.
func awaited(t *testing.T, what string, met func() bool) {
	t.Helper()
	for begun := time.Now(); !met(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begun) > time.Minute {
			t.Fatal("not shown: " + what)
		}
	}
}

// A domain with an event is read even if the connection breaks during the reading.
func TestFailedReadingIsRepeated(t *testing.T) {
	conn, err := libvirt.NewConnect("qemu:///system")
	if err != nil {
		t.Skip("libvirtd does not answer; run `make setup`")
	}
	defer func() { _, _ = conn.Close() }()
	d, err := conn.DomainDefineXML("<domain type='qemu'><name>" + testground.Name() + "</name><memory>65536</memory><os><type arch='x86_64'>hvm</type></os></domain>")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = d.Undefine(), d.Free() }()
	id, err := d.GetUUIDString()
	if err != nil {
		t.Fatal(err)
	}

	relay, warned := hypervisortest.Start(t), make(warnings, 1)
	hosts, err := hypervisor.New(hypervisor.Options{Addresses: []hypervisor.Address{{Name: "h", URI: relay.URI()}}})
	if err != nil {
		t.Fatal(err)
	}
	inv := newInventory(t, hosts, &event.Broker{}, slog.New(warned))
	f := inv.feeds["h"]
	hosts.Listen(listener{inv})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{}, 2)
	go func() { _ = hosts.Run(ctx); ended <- struct{}{} }()
	go func() { inv.run(ctx, f); ended <- struct{}{} }()
	defer func() { stop(); <-ended; <-ended }()
	awaited(t, "the domain", func() bool { return f.isKnown() && inv.has("h", id) })

	for name, change := range map[string]func(){
		"one": func() { f.note(id, nil) },
		"all": func() { f.setKnown(false); f.note("", nil) },
	} {
		relay.Refuse(true)
		relay.Cut(1) // all but the event connection
		if err := d.SetMetadata(libvirt.DOMAIN_METADATA_DESCRIPTION, name, "", "", libvirt.DOMAIN_AFFECT_CONFIG); err != nil {
			t.Fatal(err)
		}
		change()
		select {
		case <-warned:
		case <-time.After(20 * time.Second):
			t.Fatal("the reading did not fail")
		}
		relay.Refuse(false)
		awaited(t, name, func() bool {
			n, err := inv.Node(id)
			return err == nil && n.Description == name && f.isKnown()
		})
		select { // from a second failed reading
		case <-warned:
		default:
		}
	}
}

// Events of a node are published in the order of its states, also with concurrent calls of
// Republish.
func TestRepublishKeepsTheOrder(t *testing.T) {
	hosts, err := hypervisor.New(hypervisor.Options{Addresses: []hypervisor.Address{{Name: "h", URI: "test:///default"}}})
	if err != nil {
		t.Fatal(err)
	}
	events := &event.Broker{}
	inv := newInventory(t, hosts, events, slog.New(slog.DiscardHandler))
	inv.put(Node{ID: "id", Host: "h", CPUs: 1}, inv.now())
	told := events.Subscribe(0)
	defer told.Close()
	last := 1
	done := make(chan struct{})
	go func() {
		defer close(done)
		for cpus := 2; cpus <= 200; cpus++ {
			inv.put(Node{ID: "id", Host: "h", CPUs: cpus}, inv.now())
		}
	}()
	for range 400 {
		inv.Republish("id")
		inv.Republish("other")
	}
	<-done
	for range 199 + 400 {
		n, ok := (<-told.C).Data.(Node)
		if !ok || n.CPUs < last {
			t.Fatalf("after %d CPUs %+v was told", last, n)
		}
		last = n.CPUs
	}
}

// A domain whose event arrives while all domains or changed ones are read is read next,
// before the others, and is not removed although it was not in the list.
func TestEventsGoFirst(t *testing.T) {
	const count = 40
	conn, err := libvirt.NewConnect("test:///default") // all connections in a process share the test driver's domains
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = conn.Close() }()
	prefix := testground.Name()
	define := func(i int, description string) (id string) {
		t.Helper()
		name := fmt.Sprintf("%s-%d", prefix, i)
		d, err := conn.DomainDefineXML(fmt.Sprintf("<domain type='test'><name>%s</name><uuid>%s</uuid><description>%s</description><memory>65536</memory><os><type>hvm</type></os></domain>",
			name, uuid.NewSHA1(uuid.Nil, []byte(name)), description))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = d.Free() }()
		id, err = d.GetUUIDString()
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	hosts, err := hypervisor.New(hypervisor.Options{Addresses: []hypervisor.Address{{Name: "h", URI: "test:///default"}}})
	if err != nil {
		t.Fatal(err)
	}
	inv := newInventory(t, hosts, &event.Broker{}, slog.New(slog.DiscardHandler))
	f := inv.feeds["h"]
	var onChange func(id string) // called in the reading goroutine
	var mu sync.Mutex
	inv.watchers = append(inv.watchers, func(id string) {
		mu.Lock()
		defer mu.Unlock()
		if onChange != nil {
			onChange(id)
		}
	})
	hosts.Listen(listener{inv})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{}, 2)
	go func() { _ = hosts.Run(ctx); ended <- struct{}{} }()
	go func() { inv.run(ctx, f); ended <- struct{}{} }()
	defer func() { stop(); <-ended; <-ended }()

	var ids []string
	for i := range count {
		ids = append(ids, define(i, "first"))
	}
	f.note("", nil)
	awaited(t, "the domains", func() bool {
		return f.isKnown() && !slices.ContainsFunc(ids, func(id string) bool { return !inv.has("h", id) })
	})
	for what, begin := range map[string]func(){"all": func() { f.note("", nil) }, "changed": func() { f.noteOdd(ids) }} {
		var told []string
		fresh := ""
		mu.Lock()
		onChange = func(id string) {
			if told = append(told, id); len(told) > 1 {
				return
			}
			fresh = define(count, "while "+what)
			f.note(fresh, nil)
		}
		mu.Unlock()
		for i := range count {
			define(i, what)
		}
		begin()
		awaited(t, what, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(told) > count
		})
		inv.Await(ctx, "h", ids[0]) // everything after the last domain has finished
		mu.Lock()
		if told[1] != fresh {
			t.Errorf("%s: the domain of the event came after %d others", what, slices.Index(told, fresh))
		}
		mu.Unlock()
		if n, err := inv.Node(fresh); err != nil || n.Description != "while "+what {
			t.Errorf("%s: the domain of the event is %+v, %v", what, n, err)
		}
	}
}

// Polls wait until events have been processed, but not forever.
func TestPollsGiveWay(t *testing.T) {
	f := newFeed(nil)
	f.giveWay(t.Context()) // nothing is urgent
	f.note("id", nil)
	b := f.take()
	passed := make(chan struct{})
	go func() { defer close(passed); f.giveWay(t.Context()) }()
	f.note("other", nil)
	f.calm() // another one is pending
	f.mu.Lock()
	urgent := f.urgent
	f.mu.Unlock()
	if urgent == nil {
		t.Fatal("nothing is urgent, with a domain that is not read")
	}
	f.takeDirty(&b)
	f.calm()
	<-urgent
	<-passed
	if len(b.dirty) != 2 {
		t.Errorf("the batch has %v", b.dirty)
	}
}
