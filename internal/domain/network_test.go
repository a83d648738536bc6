package domain

import (
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"libvirt.org/go/libvirtxml"
)

func TestNetworkSpec(t *testing.T) {
	for name, c := range map[string]struct {
		spec              NetworkSpec
		ok                bool
		address, from, to string
	}{
		"isolated":            {NetworkSpec{Name: "lab-1"}, true, "", "", ""},
		"with the host":       {NetworkSpec{Name: "lab", Subnet: "10.7.3.0/24"}, true, "10.7.3.1", "", ""},
		"with DHCP":           {NetworkSpec{Name: "lab", Subnet: "10.7.3.0/24", DHCP: true}, true, "10.7.3.1", "10.7.3.2", "10.7.3.254"},
		"a small one":         {NetworkSpec{Name: "lab", Subnet: "192.168.9.8/29", DHCP: true}, true, "192.168.9.9", "192.168.9.10", "192.168.9.14"},
		"a large one":         {NetworkSpec{Name: "lab", Subnet: "172.16.0.0/16", DHCP: true}, true, "172.16.0.1", "172.16.0.2", "172.16.255.254"},
		"not private":         {NetworkSpec{Name: "lab", Subnet: "8.8.8.0/24"}, false, "", "", ""},
		"not the first":       {NetworkSpec{Name: "lab", Subnet: "10.7.3.1/24"}, false, "", "", ""},
		"too small":           {NetworkSpec{Name: "lab", Subnet: "10.7.3.0/30"}, false, "", "", ""},
		"too large":           {NetworkSpec{Name: "lab", Subnet: "10.0.0.0/8"}, false, "", "", ""},
		"IPv6":                {NetworkSpec{Name: "lab", Subnet: "fd00::/64"}, false, "", "", ""},
		"name with a path":    {NetworkSpec{Name: "../lab"}, false, "", "", ""},
		"name of user-mode":   {NetworkSpec{Name: UserNetwork}, false, "", "", ""},
		"name of no network":  {NetworkSpec{Name: NoNetwork}, false, "", "", ""},
		"name of the default": {NetworkSpec{Name: "classroom"}, false, "", "", ""},
		"name of libvirt's":   {NetworkSpec{Name: "Default"}, false, "", "", ""},
		"name with an option": {NetworkSpec{Name: "--all"}, false, "", "", ""},
	} {
		def, err := rendered(c.spec)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if !c.ok || err != nil {
			continue
		}
		var ip libvirtxml.NetworkIP
		var pool libvirtxml.NetworkDHCPRange
		if len(def.IPs) > 0 {
			ip = def.IPs[0]
			if got := subnetOf(ip); got != c.spec.Subnet {
				t.Errorf("%s: read back as %q", name, got)
			}
		}
		if ip.DHCP != nil {
			pool = ip.DHCP.Ranges[0]
		}
		if def.Forward != nil || ip.Address != c.address || pool.Start != c.from || pool.End != c.to {
			t.Errorf("%s: address %q, from %q to %q", name, ip.Address, pool.Start, pool.End)
		}
	}
	if got := subnetOf(libvirtxml.NetworkIP{Address: "192.168.122.1", Netmask: "255.255.255.0"}); got != "192.168.122.0/24" {
		t.Errorf("a netmask is read as %q", got)
	}
}

// rendered returns the definition of a network, with classroom as the default network.
func rendered(spec NetworkSpec) (*libvirtxml.Network, error) {
	s := &Service{o: Options{Networks: NetworkPolicy{Default: "classroom"}}}
	if err := s.checkNetwork(spec); err != nil {
		return nil, err
	}
	text, err := spec.definition(definition.Owner{})
	if err != nil {
		return nil, err
	}
	def := &libvirtxml.Network{}
	return def, def.Unmarshal(text)
}
