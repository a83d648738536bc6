package inventory

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"libvirt.org/go/libvirt"
)

func TestGuestAddresses(t *testing.T) {
	reported := func(addresses ...string) []libvirt.DomainInterface {
		i := libvirt.DomainInterface{Name: "<b>eth0</b>"}
		for _, a := range addresses {
			i.Addrs = append(i.Addrs, libvirt.DomainIPAddress{Addr: a})
		}
		return []libvirt.DomainInterface{i}
	}
	for name, c := range map[string]struct{ reported, shown []string }{
		"plain":               {[]string{"10.0.0.9", "10.0.0.10"}, []string{"10.0.0.9", "10.0.0.10"}},
		"in another form":     {[]string{"2001:DB8:0:0::1", "2001:db8::1", "::ffff:10.0.0.9"}, []string{"10.0.0.9", "2001:db8::1"}},
		"zone with HTML":      {[]string{"2001:db8::1%<img src=x onerror=alert(1)>"}, []string{"2001:db8::1"}},
		"zone with a bell":    {[]string{"2001:db8::1%\x1b]0;x\a"}, []string{"2001:db8::1"}},
		"long zone":           {[]string{"2001:db8::1%" + strings.Repeat("x", 1<<20)}, nil},
		"not an address":      {[]string{"<script>", "", "10.0.0.1/24", "10.0.0.01", "10.0.0.1\n"}, nil},
		"of no use":           {[]string{"127.0.0.1", "::1", "fe80::1%eth0", "169.254.1.1", "224.0.0.1", "ff02::1", "0.0.0.0", "::", "::ffff:127.0.0.1"}, nil},
		"the same many times": {[]string{"10.0.0.9", "10.0.0.9", "2001:db8::1%a", "2001:db8::1%b"}, []string{"10.0.0.9", "2001:db8::1"}},
	} {
		if got := guestAddresses(reported(c.reported...)); !slices.Equal(got, c.shown) {
			t.Errorf("%s: %q is shown as %q, want %q", name, c.reported, got, c.shown)
		}
	}
	var many []string
	for i := range 5000 {
		many = append(many, fmt.Sprintf("10.1.%d.%d", i/256, i%256))
	}
	if got := guestAddresses(reported(many...)); !slices.Equal(got, many[:maxAddresses]) {
		t.Errorf("of %d addresses %d are shown: %q", len(many), len(got), got)
	}
}
