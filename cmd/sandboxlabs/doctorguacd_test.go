package main

import (
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/testground"
)

// plugIn creates a network namespace whose only interface is in a libvirt network, like a
// guest's, and returns its name.
func (l *lab) plugIn(network, address string) (namespace string) {
	l.t.Helper()
	namespace = l.name("guest")
	// Interface names have at most 15 bytes.
	number := strconv.Itoa(os.Getpid() % 1_000_000)
	outer, inner := "sbo"+number, "sbi"+number
	ip := func(args ...string) {
		l.t.Helper()
		if out, err := exec.CommandContext(l.t.Context(), "ip", args...).CombinedOutput(); err != nil {
			l.t.Fatalf("ip %v: %v\n%s", args, err, out)
		}
	}
	ip("netns", "add", namespace)
	l.t.Cleanup(func() {
		_ = exec.Command("ip", "netns", "delete", namespace).Run()
		_ = exec.Command("ip", "link", "delete", outer).Run()
	})
	bridge := strings.TrimSpace(strings.TrimPrefix(regexp.MustCompile(`Bridge: .*`).FindString(l.virsh("net-info", network)), "Bridge:"))
	ip("link", "add", outer, "type", "veth", "peer", "name", inner)
	ip("link", "set", inner, "netns", namespace)
	ip("link", "set", outer, "master", bridge, "up")
	ip("-n", namespace, "address", "add", address, "dev", inner)
	ip("-n", namespace, "link", "set", inner, "up")
	return namespace
}

// TestDoctorOnGuacd listens on the configured guacd port at addresses that nodes can and
// cannot reach, and also connects from the position of a guest.
func TestDoctorOnGuacd(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("it takes root to be in a guest's place")
	}
	l := newLab(t)
	subnet := testground.Subnet(t)
	bridge := subnet + "1"
	l.removeNetworks("guacd")
	l.defineNetwork("guacd", bridge, 24)
	l.virsh("net-start", l.name("guacd"))
	guest := l.plugIn(l.name("guacd"), subnet+"2/24")
	for address, reached := range map[string]bool{bridge: true, "0.0.0.0": true, "127.0.0.1": false} {
		listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
		if err != nil {
			t.Fatal(err)
		}
		port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
		out, code := l.run("doctor", "--guacamole-guacd=127.0.0.1:"+port)
		found := strings.Contains(out, "guacd listens at "+net.JoinHostPort(bridge, port)+", where nodes in network "+l.name("guacd")+" can reach it unless a firewall blocks them")
		if code != 0 || found != reached || !reached && strings.Contains(out, ":"+port+",") {
			t.Errorf("guacd at %s: exit code %d\n%s", listener.Addr(), code, out)
		}
		// The host refuses the connection. The bridge may take a moment until it forwards packets.
		asked := exec.CommandContext(t.Context(), "ip", "netns", "exec", guest, "curl", "-sv", "--max-time", "1", "telnet://"+net.JoinHostPort(bridge, port))
		seen := ""
		until(t, promptly, said("the host answers the guest"), func() bool {
			text, _ := exec.CommandContext(t.Context(), asked.Path, asked.Args[1:]...).CombinedOutput() // waits for data until the timeout
			seen = string(text)
			return strings.Contains(seen, "Connected to") || strings.Contains(seen, "refused")
		})
		if strings.Contains(seen, "Connected to") != reached {
			t.Errorf("guacd at %s, asked from a guest's place: %s", listener.Addr(), seen)
		}
		_ = listener.Close()
	}
}
