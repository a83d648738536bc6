package main

import (
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/testground"
)

// TestMigrationIsSeen migrates a running domain to another host with virsh. The node keeps
// its id, and the API shows its new host.
func TestMigrationIsSeen(t *testing.T) {
	t.Parallel()
	h := startOtherHost(t)
	l := newLab(t)
	takeGuest(t)
	l.launch(nil, "--hosts=local="+libvirtURI+",other="+h.uri())
	l.awaitHealth("ok")
	id := l.defineForeign(l.name("traveller"), nil)
	w := &witness{l: l, events: l.follow()}
	w.becomes(id, "running", "start", id)
	if n := l.node(id); n.Host != "local" {
		t.Errorf("before it moves it is on %q", n.Host)
	}
	address := testground.Address(t)
	w.sees("virsh migrate", func() {
		l.virsh("migrate", "--live", "--persistent", "--undefinesource", id, h.uri(), "--migrateuri", "tcp://"+address)
	}, func(e serverEvent) bool {
		n := e.node()
		return n.ID == id && n.Host == "other" && n.State == "running"
	}, func() bool { n := l.listed(id); return n.Host == "other" && n.State == "running" })
	if n := l.act(id, "stop", forced); n.State != "stopped" || n.Host != "other" {
		t.Errorf("stopped where it went it is %+v", n)
	}
	l.stop()
}
