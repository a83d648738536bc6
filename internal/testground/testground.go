// Package testground gives tests names, ports and subnets that nothing else on the machine has: no
// test beside them, no second run, and no lab of a user.
package testground

import (
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
)

// MarkVariable names a run in the environment of its tests. The mark is part of each Name, so that
// whoever started the run finds what is left of it.
const MarkVariable = "SANDBOXLABS_TEST_MARK"

// Name returns a name for what a test creates outside its folders, such as a domain or a pool,
// or a prefix for several such names.
func Name() string {
	random := strings.ToLower(rand.Text()[:8])
	if mark := os.Getenv(MarkVariable); mark != "" {
		return "sbt-" + mark + "-" + random
	}
	return "sbt-" + random
}

// The ports that Port draws from: below those that the kernel gives to programs that ask for any,
// so that none of these gets one before the test uses it.
const (
	firstPort = 10000
	endOfPort = 32768
)

var ports sync.Map // those drawn

// Port returns a port of the loopback address for a server that the test starts later.
func Port(t testing.TB) int {
	t.Helper()
	var err error
	for range 1000 {
		port := firstPort + mathrand.IntN(endOfPort-firstPort) //nolint:gosec // a port is not a secret
		if _, drawn := ports.LoadOrStore(port, true); drawn {
			continue
		}
		var l net.Listener
		if l, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatalf("no port is free: %v", err)
	return 0
}

// Address is a Port with the loopback address.
func Address(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", Port(t))
}

// Subnet returns the beginning of the addresses of a private /24 network, such as "10.150.7.", that
// no interface of the machine is in.
func Subnet(t testing.TB) string {
	t.Helper()
	for range 1000 {
		a, b := byte(100+mathrand.IntN(100)), byte(mathrand.IntN(256)) //nolint:gosec // a subnet is not a secret
		if free(t, net.IPNet{IP: net.IPv4(10, a, b, 0), Mask: net.CIDRMask(24, 32)}) {
			return fmt.Sprintf("10.%d.%d.", a, b)
		}
	}
	t.Fatal("no subnet is free")
	return ""
}

// free returns whether no interface has an address whose network overlaps with n.
func free(t testing.TB, n net.IPNet) bool {
	t.Helper()
	used, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range used {
		if other, ok := a.(*net.IPNet); ok && (other.Contains(n.IP) || n.Contains(other.IP)) {
			return false
		}
	}
	return true
}
