package main

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/testground"
)

// TestDoctorOnGuacd lets a port that guacd could have listen where nodes reach it, and
// where they do not.
func TestDoctorOnGuacd(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	bridge := testground.Subnet(t) + "1"
	l.removeNetworks("guacd")
	l.defineNetwork("guacd", bridge, 24)
	l.virsh("net-start", l.name("guacd"))
	for address, reached := range map[string]bool{bridge: true, "0.0.0.0": true, "127.0.0.1": false} {
		listener, err := net.Listen("tcp", net.JoinHostPort(address, "0")) //nolint:noctx // closed below
		if err != nil {
			t.Fatal(err)
		}
		port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port) //nolint:forcetypeassert // it is TCP
		out, code := l.run("doctor", "--guacamole-guacd=127.0.0.1:"+port)
		found := strings.Contains(out, "guacd listens at "+net.JoinHostPort(bridge, port)+", where nodes in network "+l.name("guacd")+" reach it")
		if code != 0 || found != reached || !reached && strings.Contains(out, ":"+port+",") {
			t.Errorf("guacd at %s: exit code %d\n%s", listener.Addr(), code, out)
		}
		_ = listener.Close()
	}
}
