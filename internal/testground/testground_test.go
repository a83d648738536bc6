package testground

import (
	"net"
	"strings"
	"testing"
)

func TestName(t *testing.T) {
	t.Setenv(MarkVariable, "abc")
	if one, two := Name(), Name(); one == two || !strings.HasPrefix(one, "sbt-abc-") || len(one) > 20 {
		t.Errorf("the names are %q and %q", one, two)
	}
}

func TestPort(t *testing.T) {
	seen := map[string]bool{}
	for range 50 {
		address := Address(t)
		if seen[address] {
			t.Errorf("%s was drawn twice", address)
		}
		seen[address] = true
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
}

func TestSubnet(t *testing.T) {
	prefix := Subnet(t)
	if ip := net.ParseIP(prefix + "1"); ip == nil || !ip.IsPrivate() {
		t.Errorf("the subnet begins with %q", prefix)
	}
	loopback := net.IPNet{IP: net.IPv4(127, 0, 0, 0), Mask: net.CIDRMask(24, 32)}
	if free(t, loopback) {
		t.Error("the loopback network counts as free")
	}
}
