package inventory

import (
	"reflect"
	"testing"

	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

func TestSerialPorts(t *testing.T) {
	for name, c := range map[string]struct {
		devices string
		want    []SerialPort
	}{
		"one, off": {
			`<serial type='pty'><log file='/l/a.log' append='on'/><target type='isa-serial' port='0'/></serial>
			<console type='pty'><target type='serial' port='0'/></console>`,
			[]SerialPort{{"serial0", "/dev/ttyS0", true, "/l/a.log"}},
		},
		"two and a virtio console, running": {
			`<serial type='file'><source path='/f'/><target type='isa-serial' port='0'/><alias name='serial0'/></serial>
			<serial type='pty'><source path='/dev/pts/9'/><target type='isa-serial' port='2'/><alias name='ua-second'/></serial>
			<console type='file'><source path='/f'/><target type='serial' port='0'/><alias name='serial0'/></console>
			<console type='pty'><source path='/dev/pts/10'/><target type='virtio' port='1'/><alias name='console1'/></console>`,
			[]SerialPort{{"serial0", "/dev/ttyS0", false, ""}, {"ua-second", "/dev/ttyS2", true, ""}, {"console1", "/dev/hvc0", true, ""}},
		},
		"a virtio console that virsh opens first": {
			`<serial type='pty'><target type='usb-serial' port='0'/></serial>
			<console type='pty'><target type='virtio' port='0'/></console>`,
			[]SerialPort{{"console0", "/dev/hvc0", true, ""}, {"serial0", "/dev/ttyUSB0", true, ""}},
		},
		"none": {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			var def libvirtxml.Domain
			if err := def.Unmarshal("<domain><devices>" + c.devices + "</devices></domain>"); err != nil {
				t.Fatal(err)
			}
			if got := serialPorts(def.Devices); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestPort(t *testing.T) {
	n := Node{Name: "n", Ports: []SerialPort{{Alias: "serial0", Usable: true}, {Alias: "serial1"}}}
	for _, c := range []struct {
		name, want string
		code       fault.Code
	}{
		{"", "serial0", ""}, {"0", "serial0", ""}, {"serial0", "serial0", ""},
		{"1", "serial1", fault.Unsupported}, {"serial1", "serial1", fault.Unsupported},
		{"2", "", fault.NotFound}, {"-1", "", fault.NotFound}, {"Serial0", "", fault.NotFound},
	} {
		got, err := n.UsablePort(c.name)
		if got.Alias != c.want || fault.CodeOf(err) != c.code {
			t.Errorf("UsablePort(%q) gave %q and %v, want %q and %q", c.name, got.Alias, err, c.want, c.code)
		}
	}
	if _, err := (Node{}).Port(""); fault.CodeOf(err) != fault.Unsupported {
		t.Errorf("Port of a node without any gave %v", err)
	}
}
