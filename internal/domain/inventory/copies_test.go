package inventory

import (
	"log/slog"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/event"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
)

// If several hosts have a node, the same copy is returned each time.
func TestWhichCopyOfANode(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	hosts, err := hypervisor.New(hypervisor.Options{Log: quiet, Addresses: []hypervisor.Address{{Name: "z", URI: "test:///default"}, {Name: "a", URI: "test:///default"}, {Name: "m", URI: "test:///default"}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		states map[string]State // by host
		want   string
	}{
		"one":               {map[string]State{"m": Stopped}, "m"},
		"none runs":         {map[string]State{"a": Stopped, "m": Crashed, "z": Stopped}, "z"},
		"one runs":          {map[string]State{"a": Stopped, "m": Paused, "z": Unreachable}, "m"},
		"one may run":       {map[string]State{"a": Stopped, "m": Unreachable, "z": Stopped}, "m"},
		"two may run":       {map[string]State{"a": Unreachable, "m": Unreachable, "z": Stopped}, "a"},
		"two, as it leaves": {map[string]State{"a": Running, "z": Running}, "z"},
	} {
		inv := newInventory(t, hosts, &event.Broker{}, quiet)
		for host, state := range c.states {
			inv.put(Node{ID: "n", Host: host, State: state}, inv.now())
		}
		for range 50 {
			if n, err := inv.Node("n"); err != nil || n.Host != c.want {
				t.Errorf("%s: host %q, %v; want %q", name, n.Host, err, c.want)
				break
			}
		}
	}
}
