package main

import (
	"context"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/creack/pty"
	"libvirt.org/go/libvirtxml"
	"nhooyr.io/websocket"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// TestSerialPorts uses two serial ports of a foreign domain.
func TestSerialPorts(t *testing.T) {
	t.Parallel()
	l := newRunningLab(t)
	takeGuest(t)
	base := l.images().BaseImages[0].Path
	l.virsh("vol-create-as", l.nodesPool(), "two.qcow2", "512M", "--format", "qcow2", "--backing-vol", base, "--backing-vol-format", "qcow2")
	ports := [3]uint{0, 1, 2}
	id := l.defineForeign(l.name("two"), func(d *libvirtxml.Domain) {
		d.Memory.Value = 256
		d.Features = &libvirtxml.DomainFeatureList{ACPI: &libvirtxml.DomainFeature{}}
		d.Devices = &libvirtxml.DomainDeviceList{
			Disks: []libvirtxml.DomainDisk{{
				Device: "disk", Driver: &libvirtxml.DomainDiskDriver{Name: "qemu", Type: "qcow2"},
				Source: &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: filepath.Join(poolsFolder, l.nodesPool(), "two.qcow2")}},
				Target: &libvirtxml.DomainDiskTarget{Dev: "vda", Bus: "virtio"},
			}},
			Serials: []libvirtxml.DomainSerial{
				{Source: &libvirtxml.DomainChardevSource{Pty: &libvirtxml.DomainChardevSourcePty{}}, Target: &libvirtxml.DomainSerialTarget{Port: &ports[0]}},
				{Source: &libvirtxml.DomainChardevSource{Pty: &libvirtxml.DomainChardevSourcePty{}}, Target: &libvirtxml.DomainSerialTarget{Port: &ports[1]}},
				{Source: &libvirtxml.DomainChardevSource{Null: &libvirtxml.DomainChardevSourceNull{}}, Target: &libvirtxml.DomainSerialTarget{Port: &ports[2]}},
			},
		}
	})
	until(t, promptly, said("the domain is listed"), func() bool { return l.listed(id).ID == id })
	want := []api.SerialPort{{Name: "serial0", Available: true}, {Name: "serial1", Available: true}, {Name: "serial2"}}
	if c := l.node(id).Console; !c.Available || len(c.Ports) != 3 || c.Ports[0] != want[0] || c.Ports[1] != want[1] || c.Ports[2] != want[2] {
		t.Errorf("the ports are %+v", c)
	}
	for port, want := range map[string]refusal{
		"serial7": {http.StatusNotFound, "not_found", "Its ports are: serial0, serial1, serial2."},
		"2":       {http.StatusConflict, "unsupported", "is not of type pty"},
	} {
		if _, a, err := l.dialConsole(url.Values{"nodeId": {id}, "port": {port}}, nil); err == nil {
			t.Errorf("port %s was opened", port)
		} else {
			want.check(t, "port "+port, a)
		}
	}
	l.refused(http.MethodGet, "/api/nodes/"+id+"/console/log", nil, refusal{http.StatusNotFound, "not_found", "Port serial0 of node"})

	zero, one := l.consolePort(id, ""), l.consolePort(id, "1")
	zero.status("offline")
	one.status("offline")
	l.act(id, "run", nil)
	zero.status("connected")
	one.status("connected")
	zero.login()
	zero.shell("exec 3<>/dev/ttyS1; stty -F /dev/ttyS1 raw -echo; (read x <&3; echo got-$x >&3) & echo by-one=$((1+1)) >&3", "")
	one.expect("by-one=2\n")
	one.typed("typed-in-one\n")
	one.expect("got-typed-in-one\n")
	alias := l.consolePort(id, "serial1")
	alias.told(control{Type: "viewers", Count: 2}) // the same console as by port number
	alias.expect("got-typed-in-one\n")

	// Taking over one port does not affect the other.
	virsh := exec.Command("virsh", "-c", libvirtURI, "console", "--force", "--devname", "serial1", id)
	tty, err := pty.Start(virsh)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = virsh.Process.Kill(); _ = virsh.Wait(); _ = tty.Close() }()
	one.status("taken")
	alias.status("taken")
	zero.shell("echo still=$((2+2))", "still=4")
	alias.tells(`{"type":"take"}`)
	one.told(control{Type: "status", State: "connected", By: "local"})
	zero.typed("echo again=$((3+3)) > /dev/ttyS1\r")
	one.expect("again=6\n")

	// Sizes are ignored without an error, since this domain has no guest agent. Messages
	// of a newer client are ignored, too.
	for _, text := range []string{`{"type":"resize","cols":120,"rows":40}`, `{"type":"resize","cols":80,"rows":24}`, `{"type":"new"}`} {
		zero.tells(text)
	}
	zero.shell("echo fine=$((4+4))", "fine=8")
	for _, text := range []string{`{"type":"resize","cols":0,"rows":40}`, `{"type":"resize","cols":99999999,"rows":1}`, `resize`} {
		zero.tells(text)
		zero.told(control{Type: "error", Code: "invalid_request"})
	}
	if text := string(zero.seen()); strings.Contains(text, "by-one=2") || strings.Contains(text, "got-typed") {
		t.Errorf("the first port shows what is the second's:\n%s", text)
	}
	l.act(id, "stop", forced)
	zero.status("offline")
	one.status("offline")
	l.stop()
}

// consolePort watches a port of a node until the test ends.
func (l *lab) consolePort(id, port string) *terminal {
	l.t.Helper()
	return l.consoleAt(url.Values{"nodeId": {id}, "port": {port}})
}

// tells sends a control message.
func (c *terminal) tells(text string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), promptly)
	defer cancel()
	if err := c.socket.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}
