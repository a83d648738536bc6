package domain

import (
	"net/netip"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

func claimsOf(blocks ...string) (list []claim) {
	for _, b := range blocks {
		list = append(list, claim{netip.MustParsePrefix(b), "a test"})
	}
	return list
}

func TestSubnetsMayNotOverlap(t *testing.T) {
	s := &Service{o: Options{Networks: NetworkPolicy{Subnets: []netip.Prefix{netip.MustParsePrefix("10.128.0.0/9"), netip.MustParsePrefix("172.20.0.0/16")}}}}
	for name, c := range map[string]struct {
		subnet string
		admin  bool
		taken  []claim
		want   fault.Code
	}{
		"free and inside":             {"10.200.1.0/24", false, claimsOf("10.200.0.0/24", "10.200.2.0/23"), ""},
		"in the second block":         {"172.20.4.0/24", false, nil, ""},
		"the whole second block":      {"172.20.0.0/16", false, nil, ""},
		"outside":                     {"192.168.7.0/24", false, nil, fault.Invalid},
		"beside":                      {"10.127.255.0/24", false, nil, fault.Invalid},
		"larger than a block":         {"172.20.0.0/15", false, nil, fault.Invalid},
		"outside, by an admin":        {"192.168.7.0/24", true, nil, ""},
		"a route of the host":         {"10.213.0.0/16", true, claimsOf("10.213.0.0/16"), fault.SubnetTaken},
		"around a route":              {"10.213.0.0/16", false, claimsOf("10.213.9.1/32"), fault.SubnetTaken},
		"inside of a route":           {"10.213.4.0/24", false, claimsOf("10.192.0.0/10"), fault.SubnetTaken},
		"inside of another's network": {"10.200.1.64/26", false, claimsOf("10.200.1.0/24"), fault.SubnetTaken},
		"inside of the default one":   {"192.168.122.200/29", true, claimsOf("192.168.122.0/24"), fault.SubnetTaken},
	} {
		if got := fault.CodeOf(s.checkSubnet(NetworkSpec{Subnet: c.subnet, AnySubnet: c.admin}, c.taken)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}

	// All blocks but one are in use; then that one too.
	s.o.Networks.Subnets = []netip.Prefix{netip.MustParsePrefix("10.128.0.0/16"), netip.MustParsePrefix("10.5.5.0/28")}
	taken := claimsOf("10.128.0.0/17", "10.128.128.0/18", "10.128.192.0/19", "10.128.224.0/20", "10.128.240.0/21", "10.128.248.0/22", "10.128.252.0/23", "10.128.255.0/24")
	for _, want := range []string{"10.128.254.0/24", "10.5.5.0/28"} {
		got, err := s.pickSubnet(taken)
		if err != nil || got != want {
			t.Fatalf("the subnet %q is picked, want %q: %v", got, want, err)
		}
		taken = append(taken, claimsOf(got)...)
	}
	if got, err := s.pickSubnet(taken); fault.CodeOf(err) != fault.SubnetTaken {
		t.Errorf("where nothing is free, %q is picked: %v", got, err)
	}
}

func TestBlocksOfANetwork(t *testing.T) {
	got := blocksOf(libvirtxml.Network{
		IPs:    []libvirtxml.NetworkIP{{Address: "10.1.1.1", Netmask: "255.255.255.0"}, {Address: "fd00::1", Family: "ipv6", Prefix: 64}},
		Routes: []libvirtxml.NetworkRoute{{Address: "10.9.0.0", Prefix: 16, Gateway: "10.1.1.2"}},
	})
	want := []string{"10.1.1.0/24", "fd00::/64", "10.9.0.0/16"}
	if len(got) != len(want) {
		t.Fatalf("the blocks are %v", got)
	}
	for i := range want {
		if got[i].String() != want[i] {
			t.Errorf("block %d is %v, want %s", i, got[i], want[i])
		}
	}
}
