package main

import (
	"encoding/xml"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
	"github.com/sandboxlabs/sandboxlabs/internal/testground"
)

// removeNetworks removes networks of the lab when the test ends, whoever created them.
func (l *lab) removeNetworks(names ...string) {
	l.t.Cleanup(func() {
		for _, name := range names {
			_, _ = l.tryVirsh("net-destroy", l.name(name))
			_, _ = l.tryVirsh("net-undefine", l.name(name))
		}
	})
}

// defineNetwork defines a network with virsh without starting it.
func (l *lab) defineNetwork(name, address string, prefix uint) {
	l.t.Helper()
	text, err := xml.Marshal(&libvirtxml.Network{Name: l.name(name), IPs: []libvirtxml.NetworkIP{{Address: address, Prefix: prefix}}})
	if err != nil {
		l.t.Fatal(err)
	}
	file := filepath.Join(l.t.TempDir(), "network.xml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		l.t.Fatal(err)
	}
	l.virsh("net-define", file)
}

// TestSubnets has an instructor request subnets that must be refused: those of the host's
// own routes, parts of other networks, and subnets outside of the operator's blocks.
func TestSubnets(t *testing.T) {
	t.Parallel()
	mine := testground.Subnet(t) // a /24 for this run
	s := openSchool(newLab(t), "--lab-subnets="+mine+"0/24")
	s.bearer[owner] = s.enrol(s.owner(), "instructor")
	s.removeNetworks("a", "b", "c", "d", "outside", "off", "race0", "race1", "race2", "race3")
	create := func(who int, name, subnet string) answer {
		t.Helper()
		return s.send(http.MethodPost, "/api/networks", request{"name": s.name(name), "subnet": subnet}, s.as(who)...)
	}
	outside := refusal{http.StatusUnprocessableEntity, "invalid_request", "is outside of " + mine + "0/24"}
	taken := func(by string) refusal { return refusal{http.StatusConflict, "subnet_taken", by} }

	outside.check(t, "a subnet outside", create(owner, "no", "192.168.77.0/24"))
	outside.check(t, "a subnet around", create(owner, "no", netip.MustParsePrefix(mine+"0/16").Masked().String()))
	if a := create(owner, "a", mine+"0/26"); a.status != http.StatusCreated {
		t.Fatalf("a subnet inside: %d %s", a.status, a.body)
	}
	taken(s.name("a")).check(t, "a part of one's network", create(owner, "no", mine+"32/29"))
	taken(s.name("a")).check(t, "a part of another's network, by an administrator", create(admin, "no", mine+"32/29"))
	taken("default").check(t, "a part of the default network, by an administrator", create(admin, "no", "192.168.122.200/29"))
	// A network that is defined but inactive.
	s.defineNetwork("off", mine+"65", 26)
	taken(s.name("off")).check(t, "a network that is off", create(owner, "no", mine+"96/27"))
	// A route of the host.
	for _, route := range hostRoutes(t) {
		if route.Addr().IsPrivate() && route.Bits() >= 16 && route.Bits() <= 29 {
			refusal{http.StatusConflict, "subnet_taken", ""}.check(t, "the host's route to "+route.String(), create(admin, "no", route.String()))
		}
	}

	// Four concurrent requests for overlapping subnets: one succeeds.
	var wg sync.WaitGroup
	got := [4]answer{}
	for i := range got {
		wg.Go(func() {
			got[i] = create(owner, "race"+string(rune('0'+i)), []string{mine + "128/26", mine + "128/27", mine + "160/27", mine + "128/25"}[i])
		})
	}
	wg.Wait()
	var blocks []netip.Prefix
	for i, a := range got {
		var n api.Network
		switch {
		case a.status == http.StatusCreated && a.decode(&n) == nil:
			block := netip.MustParsePrefix(n.Subnet)
			for _, other := range blocks {
				if other.Overlaps(block) {
					t.Errorf("%s and %s were both given", other, block)
				}
			}
			blocks = append(blocks, block)
		default:
			taken("").check(t, "race "+string(rune('0'+i)), a)
		}
	}
	if len(blocks) == 0 {
		t.Error("nobody got a subnet")
	}

	// Chosen by the service: the block is one /24, and others use parts of it.
	refusal{http.StatusConflict, "subnet_taken", "lab-subnets"}.check(t, "picked", s.send(http.MethodPost, "/api/networks", request{"name": s.name("b"), "dhcp": true}, s.as(owner)...))

	// Reserved names, also for administrators.
	for _, name := range []string{"default", "Default", "user", "none"} {
		for _, who := range []int{owner, admin} {
			refusal{http.StatusUnprocessableEntity, "invalid_request", "is reserved"}.check(t, name, s.send(http.MethodPost, "/api/networks", request{"name": name}, s.as(who)...))
		}
	}
	s.stop()
}

// hostRoutes reads the machine's routes from a file that the service does not use.
func hostRoutes(t *testing.T) (list []netip.Prefix) {
	t.Helper()
	text, err := os.ReadFile("/proc/net/route")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n")[1:] {
		fields := strings.Fields(line)
		if len(fields) < 8 {
			continue
		}
		address, mask := hexAddress(t, fields[1]), hexAddress(t, fields[7])
		bits := 0
		for _, b := range mask.As4() {
			for ; b != 0; b <<= 1 {
				bits++
			}
		}
		list = append(list, netip.PrefixFrom(address, bits))
	}
	return list
}

// hexAddress parses an address in the notation of /proc.
func hexAddress(t *testing.T, text string) netip.Addr {
	t.Helper()
	var b [4]byte
	if len(text) != 8 {
		t.Fatalf("no address: %q", text)
	}
	for i := range b {
		for _, c := range text[i*2 : i*2+2] {
			b[3-i] = b[3-i]<<4 | byte(strings.IndexRune("0123456789ABCDEF", c))
		}
	}
	return netip.AddrFrom4(b)
}

// TestUsersNetworkIsNoDefault expects that nodes are not connected to a user's network
// just because it has the name of the default one.
func TestUsersNetworkIsNoDefault(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.addMicro()
	l.launch(nil)
	l.awaitHealth("ok")
	l.removeNetworks("classroom")
	l.call(http.MethodPost, "/api/networks", request{"name": l.name("classroom")}, http.StatusCreated, nil)
	l.stop()
	l.launch(nil, "--default-network="+l.name("classroom"))
	l.awaitHealth("ok")
	l.refused(http.MethodPost, "/api/nodes", request{"name": l.name("no"), "image": "micro"}, refusal{http.StatusConflict, "network_unavailable", "was created by a user"})
	if h := l.host(); h.Network != "none" {
		t.Errorf("new nodes are said to be connected to %q", h.Network)
	}
	l.stop()
	// A network of that name that an operator created is used.
	l.virsh("net-destroy", l.name("classroom"))
	l.virsh("net-undefine", l.name("classroom"))
	l.defineNetwork("classroom", testground.Subnet(t)+"1", 24)
	l.launch(nil, "--default-network="+l.name("classroom"))
	l.awaitHealth("ok")
	body := request{"name": l.name("n"), "image": "micro", "resources": request{"ram": 64}}
	l.refused(http.MethodPost, "/api/nodes", body, refusal{http.StatusConflict, "network_unavailable", "virsh net-start " + l.name("classroom")})
	l.virsh("net-start", l.name("classroom"))
	var n api.Node
	l.call(http.MethodPost, "/api/nodes", body, http.StatusCreated, &n)
	if len(n.Networks) != 1 || n.Networks[0] != l.name("classroom") {
		t.Errorf("the node is on %q", n.Networks)
	}
	l.refused(http.MethodPost, "/api/networks", request{"name": l.name("Classroom")}, refusal{http.StatusUnprocessableEntity, "invalid_request", "is reserved"})
	l.delete(n.ID)
	l.stop()
}
